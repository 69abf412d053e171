"""Calls to an agent against a scripted server: connections are shared, and whatever goes wrong is `Unreachable`."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from controlplane.agents.connection import Call, TlsConnection, Unreachable

Script = Callable[["Server", asyncio.StreamWriter, bytes], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Server:
    """Runs the script for each request it reads; remembers requests and counts connections."""

    def __init__(self, script: Script) -> None:
        self.script, self.requests, self.connections = script, [], 0  # type: ignore[var-annotated]

    async def __aenter__(self) -> "Server":
        self.server = await asyncio.start_server(self._serve, "127.0.0.1")
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self.server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                self.requests.append(head + await reader.readexactly(length))
                await self.script(self, writer, self.requests[-1])
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    def call(self, path: str = "/v1/vms", timeout: float = 5, body: bytes | None = None) -> Call:
        return Call("PUT", f"https://127.0.0.1:{self.port}{path}", {"x-own": "1"}, body, {"wait": 20}, timeout)


@pytest.fixture
async def connection() -> AsyncIterator[TlsConnection]:
    made = TlsConnection(None)
    yield made
    await made.close()


async def answer(_server: Server, writer: asyncio.StreamWriter, _request: bytes) -> None:
    writer.write(OK)


async def test_calls_share_a_connection(connection: TlsConnection) -> None:
    async with Server(answer) as server:
        assert await connection.send(server.call(body=b"{}")) == (200, b"ok")
        assert await connection.send(server.call()) == (200, b"ok")
        assert server.connections == 1
        head = f"PUT /v1/vms?wait=20 HTTP/1.1\r\nhost: 127.0.0.1:{server.port}\r\ncontent-length: 2\r\nx-own: 1\r\n\r\n{{}}"
        assert server.requests[0].decode() == head
        await asyncio.gather(*(connection.send(server.call()) for _ in range(3)))
        assert server.connections == 3


async def test_an_answer_may_come_in_pieces(connection: TlsConnection) -> None:
    async def slowly(_server: Server, writer: asyncio.StreamWriter, _request: bytes) -> None:
        for part in (b"HTTP/1.1 422 No\r\ntransfer-", b"encoding: chunked\r\n\r\n3\r\nabc\r\n", b"1\r\nd\r\n0\r\n\r\n"):
            writer.write(part)
            await asyncio.sleep(0.02)

    async with Server(slowly) as server:
        assert await connection.send(server.call()) == (422, b"abcd")


async def test_a_connection_that_the_agent_closed_meanwhile_is_no_failure(connection: TlsConnection) -> None:
    async def once(server: Server, writer: asyncio.StreamWriter, _request: bytes) -> None:
        if len(server.requests) == 2:
            writer.close()  # the first connection's second call
        else:
            writer.write(OK)

    async with Server(once) as server:
        await connection.send(server.call())
        assert await connection.send(server.call()) == (200, b"ok")
        assert (server.connections, len(server.requests)) == (2, 3)


@pytest.mark.parametrize(
    ("said", "why"),
    [(b"", "closed"), (OK[:-1], "closed"), (b"SSH-2.0\r\n\r\n", "no HTTP")],
    ids=["nothing", "half an answer", "something else"],
)
async def test_a_failed_answer(connection: TlsConnection, said: bytes, why: str) -> None:
    async def fail(_server: Server, writer: asyncio.StreamWriter, _request: bytes) -> None:
        writer.write(said)
        writer.close()

    async with Server(fail) as server:
        with pytest.raises(Unreachable, match=why):
            await connection.send(server.call())
        assert len(server.requests) == 1


async def test_a_late_answer_is_nobody_elses(connection: TlsConnection) -> None:
    async def late(server: Server, writer: asyncio.StreamWriter, _request: bytes) -> None:
        if len(server.requests) <= 2:
            await asyncio.sleep(0.2)
            writer.write(OK.replace(b"ok", b"xx"))
        else:
            writer.write(OK)

    async with Server(late) as server:
        with pytest.raises(Unreachable, match=r"no answer within 0\.1 seconds"):
            await connection.send(server.call(timeout=0.1))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):  # the caller leaves
                await connection.send(server.call())
        await asyncio.sleep(0.2)
        assert await connection.send(server.call()) == (200, b"ok")
        assert server.connections == 3


async def test_nobody_listens(connection: TlsConnection) -> None:
    async with Server(answer) as server:
        call = server.call()
    with pytest.raises(Unreachable):
        await connection.send(call)
    await connection.close()
    with pytest.raises(Unreachable, match="closed"):
        await connection.send(call)
