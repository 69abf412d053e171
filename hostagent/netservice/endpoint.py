"""One network's sockets, opened inside its namespace and served by the process's event loop.

An endpoint belongs to one life of its namespace and device (`place`); when either was made anew, a new endpoint takes
over. What is served (responder, guests) is replaced without touching a socket.
"""

import asyncio
import socket
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address

from hostagent.contract import NetworkSpec
from hostagent.dhcp import DhcpServer, Responder
from hostagent.drivers import naming, netns
from hostagent.metadata import Guest, MetadataServer, PasswordServer, Tokens, names

SO_RCVBUFFORCE = 33  # asm-generic/socket.h
DHCP, DNS, HTTP, PASSWORD = 67, 53, 80, 8080
RECEIVE_BUFFER = 4 << 20  # bytes: a thousand guests that boot at once
BACKLOG = 1024
BURST = 64  # packets in one wake-up


@dataclass(frozen=True)
class Place:
    """Where sockets were opened, and which."""

    namespace: int
    device: int
    dhcp: bool
    userdata: bool


@dataclass
class Counts:
    """Since the process started, by NIC and (reads, homes) by VM."""

    acks: Counter[str]
    reads: Counter[str]
    homes: Counter[str]


def place(network: NetworkSpec) -> Place | None:
    """Where the network's sockets belong now; None while its links do not stand. Blocks."""
    name = naming.namespace(network)
    inode = netns.identity(name)
    try:
        device = netns.inside(name, lambda: socket.if_nametoindex(naming.INSIDE))
    except OSError:
        return None
    return Place(inode, device, network.dhcp, network.userdata) if inode is not None else None


class Endpoint:
    """`open` blocks and raises OSError with nothing left open; `serve` then runs on the loop until `close`."""

    def __init__(self, network: NetworkSpec, place: Place, tokens: Tokens, counts: Counts) -> None:
        self.place = place
        self.network = network
        self._counts = counts
        self._tokens = tokens
        self._mac = bytes.fromhex(naming.service_mac(network).replace(":", ""))
        self._sockets: dict[int, socket.socket] = {}
        self._raw: socket.socket | None = None
        self._dhcp: DhcpServer | None = None
        self._web: list[MetadataServer] = []
        self._servers: list[asyncio.Server] = []

    def open(self) -> None:
        try:
            netns.inside(naming.namespace(self.network), self._open)
        except BaseException:
            self._close_sockets()
            raise

    def _open(self) -> None:
        if self.place.dhcp:
            self._sockets[DHCP] = _udp(DHCP)
            self._raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
            self._raw.bind((naming.INSIDE, 0))
        if self.place.userdata:
            self._sockets[DNS] = _udp(DNS)
            for port in (HTTP, PASSWORD):
                self._sockets[port] = _listener(port)

    async def serve(self, responder: Responder, guests: dict[str, Guest]) -> None:
        loop = asyncio.get_running_loop()
        if self._raw is not None:
            self._dhcp = DhcpServer(responder, self._sockets[DHCP], self._raw, self._mac, self._counts.acks)
            loop.add_reader(self._dhcp.fileno(), self._dhcp.drain)
        if self.place.userdata:
            loop.add_reader(self._sockets[DNS].fileno(), self._answer_names)
            for port, kind in ((HTTP, MetadataServer), (PASSWORD, PasswordServer)):
                server = kind(self.network.l3_uuid, guests, self._tokens, self._counts.reads, self._counts.homes)
                self._web.append(server)
                self._servers.append(
                    await loop.create_server(server.protocol, sock=self._sockets[port], backlog=BACKLOG)
                )

    def replace(self, network: NetworkSpec, responder: Responder, guests: dict[str, Guest]) -> None:
        self.network = network
        self._mac = bytes.fromhex(naming.service_mac(network).replace(":", ""))
        if self._dhcp is not None:
            self._dhcp.responder, self._dhcp.mac = responder, self._mac
        for server in self._web:
            server.replace(guests)

    def keep(self, owners: dict[str, str]) -> None:
        """Serve on only the guests whose VM still has its address (address → VM)."""
        for server in self._web:
            kept = {ip: guest for ip, guest in server.guests.items() if owners.get(ip) == guest.vm_uuid}
            if len(kept) < len(server.guests):
                server.replace(kept)

    def _answer_names(self) -> None:
        address = IPv4Address(self.network.service_ip or "0.0.0.0").packed  # noqa: S104 (never bound)
        with suppress(BlockingIOError):
            for _ in range(BURST):
                query, peer = self._sockets[DNS].recvfrom(512)
                answer = names.answer(query, self.network.domain, address)
                if answer is not None:
                    with suppress(OSError):
                        self._sockets[DNS].sendto(answer, peer)

    def close(self) -> None:
        loop = asyncio.get_running_loop()
        for port in (DHCP, DNS):
            if port in self._sockets:
                loop.remove_reader(self._sockets[port].fileno())
        for server in self._servers:
            server.close()
        self._close_sockets()

    def _close_sockets(self) -> None:
        for opened in (*self._sockets.values(), *([self._raw] if self._raw else [])):
            opened.close()


def _udp(port: int) -> socket.socket:
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    opened.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER)
    return _bound(opened, port)


def _listener(port: int) -> socket.socket:
    opened = _bound(socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK), port)
    opened.listen(BACKLOG)
    return opened


def _bound(opened: socket.socket, port: int) -> socket.socket:
    """On every address of the namespace: its loopback, the service address and 169.254.169.254, nothing else."""
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind(("0.0.0.0", port))  # noqa: S104 (within the network's namespace)
    except OSError:
        opened.close()
        raise
    return opened
