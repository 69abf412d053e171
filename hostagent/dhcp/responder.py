"""Decides the answer to one DHCP packet on one network: a pure function of the snapshot (RFC 2131 §4.3).

A known MAC is offered its planned address and nothing else; a REQUEST for another address gets a NAK, so that a client
with an old lease starts over at once; a REQUEST that chose another server, DECLINE, RELEASE and unknown MACs get
silence. The client identifier (RFC 6842) and the relay agent option (RFC 3046) are echoed.
"""

from dataclasses import dataclass
from typing import NamedTuple

from hostagent.contract import HostError, NetworkSpec, PortSpec
from hostagent.dhcp import message as m
from hostagent.dhcp import options as o

SMALLEST_MAXIMUM = 576  # RFC 2132 §9.10: no client may ask for less
IP_AND_UDP = 28  # bytes of the maximum message size that are not DHCP
REMEMBERED_PLANS = 256  # parameter lists; real networks have a handful, a hostile guest must not grow memory
WRONG_ADDRESS = m.option(m.TEXT, b"not the address of this NIC")


class Reply(NamedTuple):
    """`relay`: to port 67 of this address. Else `client`: to port 68 of this address at `mac` (broadcast if None)."""

    packet: bytes
    kind: int
    nic_uuid: str
    relay: bytes | None
    client: bytes
    mac: bytes | None


class Lease(NamedTuple):
    ip: bytes
    host_name: bytes  # option 12 as on the wire, or nothing
    is_default: bool
    nic_uuid: str


class Plan(NamedTuple):
    """The options for one parameter request list, in its order: before the host name, and from there on."""

    before: bytes
    after: bytes
    wants_name: bool


@dataclass(frozen=True)
class Offer:
    """What all NICs of a network that are (or are not) their VM's default one are offered."""

    options: dict[int, bytes]
    plans: dict[bytes | None, Plan]


class Responder:
    """One network. Built from a checked snapshot, never changed: a new snapshot makes a new responder.

    Raises when built: invalid_spec, naming the attribute.
    """

    def __init__(self, network: NetworkSpec) -> None:
        self.server_id = o.address("service_ip", network.service_ip or "")
        self.identity = m.option(m.SERVER_ID, self.server_id)
        self.times = o.lease_times(network.lease_seconds)
        self.offers = {flag: Offer(o.offered(network, flag), {}) for flag in (False, True)}
        self.leases = {o.mac_address("mac", port.mac): _lease(port) for port in network.ports}
        self.largest = max(network.mtu, SMALLEST_MAXIMUM)
        self.boot_server = _if_address(network.tftp_server)
        self.boot_file = network.boot_file.encode() if len(network.boot_file) < 128 else b""

    def answer(self, packet: bytes) -> Reply | None:
        request = m.parse(packet)
        if request is None:
            return None
        lease = self.leases.get(request.mac)
        if lease is None:
            return None
        kind = self._kind(request, lease)
        if kind is None:
            return None
        if kind == m.NAK:
            body, yiaddr = self.identity + WRONG_ADDRESS, m.NO_ADDRESS
            body += _echo(request.options)
        else:
            informed = request.kind == m.INFORM
            body = self._body(request, lease, b"" if informed else self.times)
            yiaddr = m.NO_ADDRESS if informed else lease.ip
        file = b"" if kind == m.NAK else self.boot_file
        reply = m.reply(request, kind, yiaddr, body, siaddr=self.boot_server, file=file)
        return _addressed(reply, kind, request, lease)

    def _kind(self, request: m.Request, lease: Lease) -> int | None:
        """The type of the answer, or None for silence (RFC 2131 §4.3.2: the state a REQUEST comes from)."""
        if request.kind == m.DISCOVER:
            return m.OFFER
        if request.kind == m.INFORM:
            return m.ACK
        if request.kind != m.REQUEST:
            return None
        chosen = request.options.get(m.SERVER_ID)
        if chosen is not None and chosen != self.server_id:
            return None  # selecting: it took another server's offer
        wanted = request.options.get(m.REQUESTED_ADDRESS)  # selecting, init-reboot
        if wanted is None:
            if request.ciaddr == m.NO_ADDRESS:
                return None  # names no address at all
            wanted = request.ciaddr  # renewing, rebinding
        return m.ACK if wanted == lease.ip else m.NAK

    def _body(self, request: m.Request, lease: Lease, times: bytes) -> bytes:
        offer = self.offers[lease.is_default]
        parameters = request.options.get(m.PARAMETERS)
        plan = offer.plans.get(parameters)
        if plan is None:
            plan = _plan(offer, parameters)
            if len(offer.plans) < REMEMBERED_PLANS:
                offer.plans[parameters] = plan
        name = lease.host_name if plan.wants_name else b""
        echo = _echo(request.options)
        body = self.identity + times + plan.before + name + plan.after + echo
        room = self._room(request.options)
        if len(body) > room:
            body = _shortened(self.identity + times, offer.options, lease, parameters, room - len(echo)) + echo
        return body

    def _room(self, options: dict[int, bytes]) -> int:
        """Bytes for options beside the message type and the end mark, by option 57 (RFC 2132 §9.10) and the MTU."""
        asked = int.from_bytes(options.get(m.MAXIMUM_SIZE, b"")[:2], "big")
        size = min(max(asked, SMALLEST_MAXIMUM), self.largest)
        return size - IP_AND_UDP - m.FIXED.size - 4


def _lease(port: PortSpec) -> Lease:
    name = m.option(m.HOST_NAME, o.ascii_text("hostname", port.hostname)) if port.is_default and port.hostname else b""
    return Lease(o.address("ip", port.ip), name, port.is_default, port.nic_uuid)


def _plan(offer: Offer, parameters: bytes | None) -> Plan:
    """Without a list everything is offered; with one, what it names, in its order (RFC 2131 §4.3.1)."""
    codes = _wanted(offer.options, parameters)
    if m.HOST_NAME not in codes:
        return Plan(b"".join(offer.options[code] for code in codes), b"", False)
    at = codes.index(m.HOST_NAME)
    before, after = (b"".join(offer.options[code] for code in part) for part in (codes[:at], codes[at + 1 :]))
    return Plan(before, after, True)


def _wanted(options: dict[int, bytes], parameters: bytes | None) -> list[int]:
    asked = (*options, m.HOST_NAME) if parameters is None else parameters
    return [code for code in dict.fromkeys(asked) if code in options or code == m.HOST_NAME]


def _shortened(start: bytes, options: dict[int, bytes], lease: Lease, parameters: bytes | None, room: int) -> bytes:
    """What fits, by the client's own order of importance."""
    body = start
    for code in _wanted(options, parameters):
        value = lease.host_name if code == m.HOST_NAME else options[code]
        if len(body) + len(value) <= room:
            body += value
    return body


def _echo(options: dict[int, bytes]) -> bytes:
    """The client identifier, and last the relay agent's option."""
    echo = b""
    for code in (m.CLIENT_ID, m.RELAY_AGENT):
        if code in options:
            echo += m.option(code, options[code])
    return echo


def _addressed(packet: bytes, kind: int, request: m.Request, lease: Lease) -> Reply:
    """Where a reply goes (RFC 2131 §4.1): to the relay, else to the client's address, else by its broadcast flag."""
    if request.giaddr != m.NO_ADDRESS:
        return Reply(packet, kind, lease.nic_uuid, request.giaddr, b"", None)
    everyone = Reply(packet, kind, lease.nic_uuid, None, b"\xff\xff\xff\xff", None)
    if kind == m.NAK:
        return everyone
    if request.ciaddr != m.NO_ADDRESS:
        return everyone._replace(client=request.ciaddr, mac=request.mac)
    if request.flags & m.BROADCAST:
        return everyone
    return everyone._replace(client=lease.ip, mac=request.mac)


def _if_address(text: str) -> bytes:
    try:
        return o.address("tftp_server", text)
    except HostError:  # a name, which goes into option 66 only
        return m.NO_ADDRESS
