"""HTTP/1.1 for guests: one small protocol over prebuilt documents (RFC 9112), and CloudStack's password port.

Promises: a request costs one look-up; an unknown peer gets 404 and learns nothing; a guest's requests, connections and
header bytes are bounded, as is its silence. Refuses: bodies, methods other than GET and HEAD (PUT for a token, POST to phone
home), proxied token requests, readers that ask for more than they take. A VM whose tokens are required gets them everywhere: no other
dialect is a way around them. Log lines name the guest, the path and the status, never a document or a token.
"""

import asyncio
import logging
import socket
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

import httptools

from hostagent.metadata.directory import Guest
from hostagent.metadata.documents import canonical
from hostagent.metadata.token import LONGEST, Tokens

TOKEN_PATH = "/latest/api/token"  # noqa: S105 (a path)
PHONE_HOME = "/phone-home"  # where cloud-init says that it is done: what it posts is not looked at
TOKEN, TTL, FORWARDED = b"x-aws-ec2-metadata-token", b"x-aws-ec2-metadata-token-ttl-seconds", b"x-forwarded-for"
REASONS = {
    200: "OK", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found",
    405: "Method Not Allowed", 429: "Too Many Requests",
}  # fmt: skip
LARGEST_HEAD = 16 * 1024  # bytes of one request
IDLE = 30.0  # seconds until a silent connection is closed
CONNECTIONS = 128  # of one guest
BACKLOG = 512 * 1024  # bytes written that a guest has not taken
BURST = 2000  # requests a guest may save up

log = logging.getLogger(__name__)


@dataclass
class Allowance:
    """What one address may still do: a token bucket, and the connections it has open."""

    left: float
    since: float
    connections: int = 0


class Answer(NamedTuple):
    status: int
    body: bytes = b""
    headers: bytes = b""  # whole lines


@dataclass
class MetadataServer:
    """One network's service. `replace` changes the guests at any time; `reads` and `homes` count by VM.

    `requests_per_second` is what one guest may do in the long run; None: no limit.
    """

    network: str
    guests: dict[str, Guest]
    tokens: Tokens
    reads: Counter[str]
    homes: Counter[str] = field(default_factory=Counter)
    requests_per_second: float | None = 200.0
    now: Callable[[], float] = time.time
    allowances: dict[str, Allowance] = field(default_factory=dict)
    strangers: Allowance = field(default_factory=lambda: Allowance(BURST, 0.0))

    def protocol(self) -> asyncio.Protocol:
        return Connection(self)

    def replace(self, guests: dict[str, Guest]) -> None:
        """Serve these from now on; what departed guests had saved up is forgotten."""
        self.guests = guests
        self.allowances = {peer: kept for peer, kept in self.allowances.items() if peer in guests}

    def allowance(self, peer: str) -> Allowance:
        """A guest's own; whoever is none shares one with all the others."""
        if peer not in self.guests:
            return self.strangers
        return self.allowances.setdefault(peer, Allowance(BURST, time.monotonic()))

    def spend(self, allowance: Allowance) -> bool:
        if self.requests_per_second is None:
            return True
        moment = time.monotonic()
        allowance.left = min(BURST, allowance.left + (moment - allowance.since) * self.requests_per_second)
        allowance.since = moment
        if allowance.left < 1:
            return False
        allowance.left -= 1
        return True

    def answer(self, peer: str, method: bytes, path: str, headers: dict[bytes, bytes]) -> Answer:
        """Status, body and further header lines for one request of the guest at `peer`."""
        guest = self.guests.get(peer)
        if guest is None:
            return Answer(404)
        if method == b"POST" and path == PHONE_HOME:
            self.homes[guest.vm_uuid] += 1
            return Answer(200)
        if method == b"PUT":
            return self._issue(guest, peer, path, headers)
        if method not in (b"GET", b"HEAD"):
            return Answer(405)
        token = headers.get(TOKEN)
        if token is None:
            if guest.tokens_required:
                return Answer(401)
        elif not self.tokens.valid(token, self.network, peer, guest.vm_uuid, self.now()):
            return Answer(401)
        documents = guest.documents
        body = documents.get(path)
        if body is None:
            body = documents.get(canonical(path))
            if body is None:
                return Answer(404)
        self.reads[guest.vm_uuid] += 1
        return Answer(200, body)

    def _issue(self, guest: Guest, peer: str, path: str, headers: dict[bytes, bytes]) -> Answer:
        if path != TOKEN_PATH:
            return Answer(405)
        if FORWARDED in headers:
            return Answer(403)  # an open proxy in the guest must not fetch tokens for strangers
        seconds = headers.get(TTL, b"")
        if not seconds.isdigit() or len(seconds) > 5 or not 1 <= int(seconds) <= LONGEST:
            return Answer(400)
        token = self.tokens.issue(self.network, peer, guest.vm_uuid, int(self.now()) + int(seconds))
        return Answer(200, token.encode(), b"X-aws-ec2-metadata-token-ttl-seconds: %b\r\n" % seconds)


@dataclass
class PasswordServer(MetadataServer):
    """Port 8080, where CloudStack guests ask for a password and wait long if nobody answers. There never is one to
    hand out: `saved_password` says so without making cloud-init complain; what is no known question is a `bad_request`.
    """

    def answer(self, peer: str, method: bytes, path: str, headers: dict[bytes, bytes]) -> Answer:
        known = peer in self.guests and headers.get(b"domu_request") in (b"send_my_password", b"saved_password")
        return Answer(200, b"saved_password" if known else b"bad_request")


class Connection(asyncio.Protocol):
    def __init__(self, server: MetadataServer) -> None:
        self._server = server
        self._parser: Any = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._peer = ""
        self._allowance: Allowance | None = None
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._received = 0
        self._answered = 0
        self._body = False
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        self._peer = (transport.get_extra_info("peername") or ("",))[0]
        self._allowance = self._server.allowance(self._peer)
        self._allowance.connections += 1
        if self._allowance.connections > CONNECTIONS:
            transport.abort()
            return
        self._arm()

    def connection_lost(self, error: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._allowance is not None:
            self._allowance.connections -= 1

    def data_received(self, data: bytes) -> None:
        self._received += len(data)
        if self._received > LARGEST_HEAD:
            self._write(Answer(400), keep=False)
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._write(Answer(400), keep=False)

    # called by the parser

    def on_message_begin(self) -> None:
        self._url, self._headers, self._body = b"", {}, False

    def on_url(self, part: bytes) -> None:
        self._url += part

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.lower()] = value

    def on_body(self, part: bytes) -> None:
        self._body = True

    def on_message_complete(self) -> None:
        assert self._allowance is not None
        self._received = 0
        self._answered += 1
        method: bytes = self._parser.get_method()
        keep: bool = self._parser.should_keep_alive() and not self._body
        path = self._url.decode("latin-1")
        if not self._server.spend(self._allowance):
            answer = Answer(429)
        elif self._body and not (method == b"POST" and path == PHONE_HOME):
            answer = Answer(400)
        else:
            answer = self._server.answer(self._peer, method, path, self._headers)
        if log.isEnabledFor(logging.INFO):
            name = method.decode("latin-1")
            log.info("%s %s %s %.120r %d", self._server.network, self._peer, name, path, answer.status)
        if method == b"PUT" and answer.status == 200:
            self._keep_on_link()
        self._write(answer, keep=keep, head=method == b"HEAD")

    def _write(self, answer: Answer, *, keep: bool, head: bool = False) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        status, body, headers = answer
        if not keep:
            headers += b"Connection: close\r\n"
        kind = b"application/json" if body[:1] == b"{" else b"text/plain"
        transport.write(
            b"HTTP/1.1 %d %b\r\nContent-Type: %b\r\nContent-Length: %d\r\n%b\r\n%b"
            % (status, REASONS[status].encode(), kind, len(body), headers, b"" if head else body)
        )
        if transport.get_write_buffer_size() > BACKLOG:
            transport.abort()
        elif not keep:
            transport.close()

    def _keep_on_link(self) -> None:
        """A token dies at the first router (hop limit 1): one behind the guest cannot obtain it."""
        assert self._transport is not None
        with suppress(OSError):
            self._transport.get_extra_info("socket").setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 1)

    def _arm(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(IDLE, self._close_if_silent, self._answered)

    def _close_if_silent(self, answered_before: int) -> None:
        """A connection lives while it completes requests; half a request is silence."""
        assert self._transport is not None
        if self._answered == answered_before:
            self._transport.abort()
        else:
            self._arm()
