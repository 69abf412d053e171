"""The service over real connections on the loopback: who is asking, tokens, limits, and input that is no request."""

import asyncio
import socket
from base64 import b64encode
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostagent.metadata import Directory, MetadataServer, PasswordServer, Tokens
from hostagent.metadata import server as module
from tests.hostagent.metadata.guests import IP, KEYS, L3, OTHER_IP, USER_DATA, VM, snapshot

TTL = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
PEER = "127.0.0.1"


class Clock:
    seconds = 1_000_000.0

    def __call__(self) -> float:
        return self.seconds


class Served:
    """`server` as the guest at 127.0.0.1 sees it."""

    def __init__(self, kind: type[MetadataServer] = MetadataServer, **changes: Any) -> None:
        guests = Directory(snapshot(**changes)).guests[L3]
        self.clock = Clock()
        self.server = kind(L3, {PEER: guests[IP], "127.0.0.2": guests[OTHER_IP]}, Tokens(b"k" * 32), Counter())
        self.server.now = self.clock
        self.port = 0
        self._listening: asyncio.Server | None = None

    async def __aenter__(self) -> "Served":
        self._listening = await asyncio.get_running_loop().create_server(self.server.protocol, PEER, 0)
        self.port = self._listening.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._listening
        self._listening.close()

    def client(self, address: str = PEER) -> httpx.AsyncClient:
        transport = httpx.AsyncHTTPTransport(local_address=address)
        return httpx.AsyncClient(base_url=f"http://{PEER}:{self.port}", transport=transport)

    async def raw(self, data: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(PEER, self.port)
        writer.write(data)
        writer.write_eof()
        answer = await asyncio.wait_for(reader.read(), 5)
        writer.close()
        return answer


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with Served() as served:
        yield served


async def test_a_guest_reads_its_own(served: Served) -> None:
    async with served.client() as http, served.client("127.0.0.2") as other:
        assert (await http.get("/latest/user-data")).content == USER_DATA
        assert (await http.get("/latest/meta-data/public-keys")).text.splitlines() == KEYS
        assert (await other.get("/latest/meta-data/instance-id")).text == "i-2"
        assert (await other.get("/latest/user-data")).status_code == 404
        head = await http.head("/latest/user-data")
        assert (head.status_code, head.headers["content-length"], head.content) == (200, str(len(USER_DATA)), b"")
    assert served.server.reads[VM] == 3


async def test_who_is_no_guest_learns_nothing(served: Served) -> None:
    async with served.client("127.0.0.9") as http:
        for path in ("/", "/latest/meta-data/instance-id", "/nowhere"):
            answer = await http.get(path)
            assert (answer.status_code, answer.content) == (404, b"")
        assert (await http.put("/latest/api/token", headers=TTL)).status_code == 404


async def test_other_methods_and_bodies_are_refused(served: Served) -> None:
    async with served.client() as http:
        assert (await http.delete("/latest/user-data")).status_code == 405
        assert (await http.put("/latest/user-data")).status_code == 405
        assert (await http.post("/latest/user-data", content=b"x")).status_code == 400
        assert (await http.get("/latest/meta-data/nothing")).status_code == 404


async def test_tokens(served: Served) -> None:
    async with served.client() as http, served.client("127.0.0.2") as other:
        issued = await http.put("/latest/api/token", headers=TTL)
        assert issued.headers["X-aws-ec2-metadata-token-ttl-seconds"] == "60"
        token = {"X-aws-ec2-metadata-token": issued.text}
        url = "/latest/meta-data/instance-id"
        assert (await http.get(url, headers=token)).text == "i-1"
        assert (await other.get(url, headers=token)).status_code == 401, "another guest's token"
        for wrong in ("", "AAAA", "é".encode(), issued.text[:-4] + "AAAA", "A" * 5000):
            assert (await http.get(url, headers={"X-aws-ec2-metadata-token": wrong})).status_code == 401
        served.clock.seconds += 61
        assert (await http.get(url, headers=token)).status_code == 401, "expired"


@pytest.mark.parametrize("ttl", ["", "0", "-1", "21601", "1e3", "999999999999", "٣"])
async def test_a_token_needs_a_life_time(served: Served, ttl: str) -> None:
    headers = {"X-aws-ec2-metadata-token-ttl-seconds": ttl.encode()}
    async with served.client() as http:
        assert (await http.put("/latest/api/token", headers=headers)).status_code == 400


async def test_a_proxied_guest_gets_no_token(served: Served) -> None:
    async with served.client() as http:
        answer = await http.put("/latest/api/token", headers=TTL | {"X-Forwarded-For": "1.2.3.4"})
        assert answer.status_code == 403


async def test_required_tokens_are_required_in_every_dialect() -> None:
    async with Served(tokens="required") as served, served.client() as http:
        paths = ["/latest/user-data", "/2009-04-04/meta-data/", "/openstack/latest/meta_data.json", "/nothing"]
        for path in paths:
            assert (await http.get(path)).status_code == 401
        token = {"X-aws-ec2-metadata-token": (await http.put("/latest/api/token", headers=TTL)).text}
        assert [(await http.get(path, headers=token)).status_code for path in paths] == [200, 200, 200, 404]


async def test_a_token_goes_no_further_than_the_guest(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    hops = []
    keep = module.Connection._keep_on_link

    def spy(self: module.Connection) -> None:
        keep(self)
        assert self._transport
        hops.append(self._transport.get_extra_info("socket").getsockopt(socket.IPPROTO_IP, socket.IP_TTL))

    monkeypatch.setattr(module.Connection, "_keep_on_link", spy)
    async with served.client() as http:
        await http.put("/latest/api/token", headers=TTL)
    assert hops == [1]


async def test_a_guest_that_asks_too_much_is_slowed(served: Served) -> None:
    served.server.requests_per_second = 0.0
    async with served.client() as http:
        served.server.allowance(PEER).left = 3
        codes = [(await http.get("/latest/meta-data/vm-id")).status_code for _ in range(4)]
    assert codes == [200, 200, 200, 429]


async def test_connections_of_one_guest_are_bounded(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CONNECTIONS", 2)
    opened = [await asyncio.open_connection(PEER, served.port) for _ in range(3)]
    reader, writer = opened[2]
    writer.write(b"GET / HTTP/1.1\r\n\r\n")
    with pytest.raises(ConnectionError):
        if not await reader.read():
            raise ConnectionResetError
    for _, each in opened:
        each.close()


async def test_silence_is_not_kept(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "IDLE", 0.05)
    reader, writer = await asyncio.open_connection(PEER, served.port)
    writer.write(b"GET /latest/ HTTP/1.1\r\nX-Slow: ")
    with pytest.raises(ConnectionError):
        if not await asyncio.wait_for(reader.read(), 3):
            raise ConnectionResetError
    writer.close()


async def test_a_reader_that_does_not_read_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    big = b64encode(b"x" * 60_000).decode()
    async with Served(user_data_base64=big) as served:
        _, writer = await asyncio.open_connection(PEER, served.port, limit=1)
        writer.write(b"GET /latest/user-data HTTP/1.1\r\n\r\n" * 2000)
        await asyncio.sleep(0.5)
        assert served.server.allowance(PEER).connections == 0, "aborted, not buffered"
        writer.close()


async def test_requests_in_one_piece_are_answered_in_order(served: Served) -> None:
    names = ["instance-id", "vm-id", "local-ipv4"]
    answer = await served.raw(b"".join(f"GET /latest/meta-data/{name} HTTP/1.1\r\n\r\n".encode() for name in names))
    assert answer.count(b"HTTP/1.1 200 OK") == 3
    assert answer.index(b"i-1") < answer.index(VM.encode()) < answer.index(IP.encode())


async def test_rubbish_is_a_bad_request(served: Served) -> None:
    for data in (b"\x16\x03\x01\x00\xa5", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET /" + b"a" * 20_000):
        assert (await served.raw(data)).startswith(b"HTTP/1.1 400 ")
    assert b"200 OK" in await served.raw(b"GET /latest/ HTTP/1.0\r\n\r\n")


@given(
    st.binary(max_size=400),
    st.sampled_from([b"", b"GET ", b"GET / HTTP/1.1\r\n", b"PUT /latest/api/token HTTP/1.1\r\n"]),
)
def test_any_bytes_are_survived(data: bytes, start: bytes) -> None:
    class Transport(asyncio.Transport):
        closed = False

        def get_extra_info(self, name: str, default: Any = None) -> Any:
            return (PEER, 1) if name == "peername" else socket.socket()

        def write(self, data: Any) -> None:
            assert data.startswith(b"HTTP/1.1 ")

        def is_closing(self) -> bool:
            return self.closed

        def close(self) -> None:
            self.closed = True

        def get_write_buffer_size(self) -> int:
            return 0

    async def feed() -> None:
        connection = Served().server.protocol()
        connection.connection_made(Transport())
        connection.data_received(start + data)
        connection.connection_lost(None)

    asyncio.run(feed())


@pytest.mark.parametrize(
    ("headers", "address", "said"),
    [
        ({"DomU_Request": "send_my_password"}, PEER, "saved_password"),
        ({"DomU_Request": "saved_password"}, PEER, "saved_password"),
        ({"DomU_Request": "give"}, PEER, "bad_request"),
        ({}, PEER, "bad_request"),
        ({"DomU_Request": "send_my_password"}, "127.0.0.9", "bad_request"),
    ],
)
async def test_the_password_port_always_answers(headers: dict[str, str], address: str, said: str) -> None:
    async with Served(PasswordServer) as served, served.client(address) as http:
        assert (await http.get("/", headers=headers)).text == said


async def test_the_log_says_who_and_what_but_no_secret(
    served: Served, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("INFO", logger="hostagent.metadata.server")
    async with served.client() as http:
        token = (await http.put("/latest/api/token", headers=TTL)).text
        await http.get("/latest/user-data", headers={"X-aws-ec2-metadata-token": token})
    assert f"{L3} {PEER} GET '/latest/user-data' 200" in caplog.text
    assert token not in caplog.text and "cloud-config" not in caplog.text


def test_replacing_the_guests_forgets_departed_ones() -> None:
    server = Served().server
    server.allowance(PEER)
    server.replace({})
    assert server.allowances == {}
    assert server.allowance(PEER) is server.strangers


async def test_cloud_init_phones_home() -> None:
    """What it posts is not looked at; nobody else is heard, and nothing else takes a body."""
    async with Served() as served, served.client() as guest, served.client("127.0.0.3") as stranger:
        said = await guest.post("/phone-home", data={"instance_id": "i-1", "hostname": "vm"})
        assert (said.status_code, said.text, served.server.homes) == (200, "", {VM: 1})
        assert (await guest.post("/phone-home")).status_code == 200 and served.server.homes == {VM: 2}
        assert (await stranger.post("/phone-home", data={"a": "b"})).status_code == 404
        assert (await guest.post("/latest/meta-data/", data={"a": "b"})).status_code == 400
        assert (await guest.post("/phone-home", data={"a": "b" * 20_000})).status_code == 400
        assert served.server.homes == {VM: 2}
