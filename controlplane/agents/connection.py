"""How a call gets to a host agent and its answer back: HTTP over mutual TLS, connections kept open and shared.

A `Connection` knows neither the agent's contract nor what an error means; it promises an answer with its status, whatever
that is, or `Unreachable`.
"""

import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import aiohttp

_CONNECT = 5.0  # seconds
_TURN = 60.0  # seconds to wait for a free connection
_LIMIT = 256  # connections to one host
_IDLE = 60.0  # seconds; the agent keeps an idle one for longer, so it is never the first to close


class Unreachable(Exception):
    """No answer: the agent cannot be reached, was too slow or went away."""


@dataclass(frozen=True, slots=True)
class Call:
    """`timeout`: seconds of silence that the agent is allowed."""

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
    """Made in a running event loop; no proxy in between, no cookies, no redirects."""

    def __init__(self, context: ssl.SSLContext) -> None:
        connector = aiohttp.TCPConnector(ssl=context, limit=_LIMIT, keepalive_timeout=_IDLE)
        self._session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())

    async def send(self, call: Call) -> tuple[int, bytes]:
        timeout = aiohttp.ClientTimeout(total=None, connect=_TURN, sock_connect=_CONNECT, sock_read=call.timeout)
        try:
            async with self._session.request(
                call.method,
                call.url,
                params=call.query,
                headers=call.headers,
                data=call.body,
                timeout=timeout,
                allow_redirects=False,
            ) as response:
                return response.status, await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unreachable(str(error) or type(error).__name__) from error

    async def close(self) -> None:
        await self._session.close()


Connect = Callable[[], Connection]


def over_tls(context: Callable[[], ssl.SSLContext]) -> Connect:
    """How connections are made in production: TLS both ways with `Authority.client_context`."""
    return lambda: TlsConnection(context())
