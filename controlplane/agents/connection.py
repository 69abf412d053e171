"""How a call gets to a host agent and its answer back: HTTP over mutual TLS, connections kept open and shared.

A `Connection` knows neither the agent's contract nor what an error means; it promises an answer with its status, whatever
that is, or `Unreachable`. Every call to an agent may be repeated, so one that met a connection that the agent had just closed
goes out again on another. No proxy in between, no cookies, no redirects; a general client would cost four times as much.
"""

import asyncio
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, cast
from urllib.parse import urlencode

import httptools

_CONNECT = 5.0  # seconds
_TURN = 60.0  # seconds to wait for a free connection
_LIMIT = 256  # connections to one host
_IDLE = 60.0  # seconds; the agent keeps an idle one for longer, so it is rarely the first to close


class Unreachable(Exception):
    """No answer: the agent cannot be reached, was too slow or went away."""


@dataclass(frozen=True, slots=True)
class Call:
    """`url` without query; `timeout`: seconds for the answer once the call is sent."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes | None = None
    query: dict[str, str | int] = field(default_factory=dict)
    timeout: float = 30.0


class Connection(Protocol):
    async def send(self, call: Call) -> tuple[int, bytes]:
        """Status and body. Raises `Unreachable`."""

    async def close(self) -> None: ...


class TlsConnection:
    """Made in a running event loop. Without a context it speaks plain HTTP, which no agent does."""

    def __init__(self, context: ssl.SSLContext | None) -> None:
        self._context = context
        self._room = asyncio.Semaphore(_LIMIT)
        self._idle: list[_Line] = []
        self._lines: set[_Line] = set()
        self._closed = False

    async def send(self, call: Call) -> tuple[int, bytes]:
        authority, path = _split(call.url)
        message = _message(call, authority, path)
        await self._turn(authority)
        try:
            while line := self._take_idle(authority):
                try:
                    return await line.ask(message, call.timeout)
                except _Lost:
                    if line.heard:
                        raise
                finally:
                    self._give_back(line)
            line = await self._connect(authority)
            try:
                return await line.ask(message, call.timeout)
            finally:
                self._give_back(line)
        finally:
            self._room.release()

    async def close(self) -> None:
        self._closed = True
        for line in list(self._lines):
            line.close()

    async def _turn(self, authority: str) -> None:
        if not self._room.locked():
            await self._room.acquire()  # at once
            return
        try:
            async with asyncio.timeout(_TURN):
                await self._room.acquire()
        except TimeoutError:
            raise Unreachable(f"all {_LIMIT} connections to {authority} are busy") from None

    def _take_idle(self, authority: str) -> "_Line | None":
        """The one that was used last; those that have been idle for long are closed."""
        while self._idle:
            line = self._idle.pop()
            if line.authority == authority and line.is_open and time.monotonic() - line.used < _IDLE:
                return line
            line.close()
        return None

    def _give_back(self, line: "_Line") -> None:
        if line.is_open and not self._closed:
            line.used = time.monotonic()
            self._idle.append(line)
        else:
            line.close()
            self._lines.discard(line)

    async def _connect(self, authority: str) -> "_Line":
        if self._closed:
            raise Unreachable("the connection was closed")
        host, _, port = authority.rpartition(":")
        try:
            async with asyncio.timeout(_CONNECT):
                _, line = await asyncio.get_running_loop().create_connection(
                    lambda: _Line(authority), host.strip("[]"), int(port), ssl=self._context
                )
        except TimeoutError:
            raise Unreachable(f"no connection within {_CONNECT:g} seconds") from None
        except OSError as error:  # TLS's errors are among them
            raise Unreachable(str(error) or type(error).__name__) from error
        self._lines.add(line)
        return line


class _Lost(Unreachable):
    """The agent closed the connection before it had answered."""


class _Line(asyncio.Protocol):
    """One connection, with one call at a time; after a failure it is closed."""

    def __init__(self, authority: str) -> None:
        self.authority = authority
        self.used = 0.0
        self.heard = False  # a part of the answer
        self.is_open = False
        self._parser: Any = None
        self._body: list[bytes] = []
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None

    async def ask(self, message: bytes, timeout: float) -> tuple[int, bytes]:
        loop = asyncio.get_running_loop()
        self._parser, self._body, self.heard = httptools.HttpResponseParser(self), [], False
        self._answer = loop.create_future()
        limit = loop.call_later(timeout, self._fail, Unreachable(f"no answer within {timeout:g} seconds"))
        try:
            self._transport.write(message)
            return await self._answer
        except BaseException:
            self.close()  # an answer that comes late would be taken for another call's
            raise
        finally:
            limit.cancel()
            self._answer = None

    def close(self) -> None:
        if self.is_open:
            self.is_open = False
            self._transport.close()

    def _fail(self, error: Unreachable) -> None:
        self.is_open = False
        self._transport.abort()
        if self._answer and not self._answer.done():
            self._answer.set_exception(error)

    # -- asyncio's calls -----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport, self.is_open = cast(asyncio.Transport, transport), True

    def connection_lost(self, error: Exception | None) -> None:
        self._fail(_Lost(str(error) if error else "the agent closed the connection"))

    def data_received(self, data: bytes) -> None:
        if self._answer is None:
            return self.close()  # nobody asked
        self.heard = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(Unreachable(f"the answer is no HTTP: {error}"))

    # -- the parser's calls --------------------------------------------------------------------------------------

    def on_body(self, data: bytes) -> None:
        self._body.append(data)

    def on_message_complete(self) -> None:
        if not self._parser.should_keep_alive():
            self.close()
        if self._answer and not self._answer.done():
            self._answer.set_result((self._parser.get_status_code(), b"".join(self._body)))


def _split(url: str) -> tuple[str, str]:
    """`host:port` and path."""
    authority, _, path = url.partition("://")[2].partition("/")
    return authority, "/" + path


def _message(call: Call, authority: str, path: str) -> bytes:
    if call.query:
        path += "?" + urlencode(call.query)
    body = call.body or b""
    lines = [f"{call.method} {path} HTTP/1.1", f"host: {authority}", f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in call.headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


Connect = Callable[[], Connection]


def over_tls(context: Callable[[], ssl.SSLContext]) -> Connect:
    """How connections are made in production: TLS both ways with `Authority.client_context`."""
    return lambda: TlsConnection(context())
