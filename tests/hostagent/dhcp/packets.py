"""Requests as a client writes them and replies as a client reads them, apart from the code under test (RFC 2131)."""

from dataclasses import dataclass
from ipaddress import IPv4Address
from struct import pack, unpack_from

from hostagent.contract import NetworkSpec, PortSpec

MAC = "fa:00:00:00:00:0b"
IP, SERVER, GATEWAY = "10.50.0.11", "10.50.0.2", "10.50.0.1"
OPTIONS_LIKE_DHCLIENT = bytes((1, 28, 2, 121, 15, 6, 12, 40, 41, 42, 26, 119, 3, 121, 249, 33, 252, 42))


def port(**changes: object) -> PortSpec:
    facts = {
        "nic_uuid": "11" * 16, "vm_uuid": "aa" * 16, "mac": MAC, "ip": IP, "tap": "vnic1.0", "is_default": True,
        "hostname": "guest1",
    }  # fmt: skip
    return PortSpec.model_validate(facts | changes)


def network(*ports: PortSpec, **changes: object) -> NetworkSpec:
    facts = {
        "l3_uuid": "5e" * 16, "bridge": "br_eth0", "cidr": "10.50.0.0/24", "gateway": GATEWAY, "service_ip": SERVER,
        "dhcp": True, "userdata": True, "dns": ["9.9.9.9", "8.8.8.8"], "domain": "lan.example", "ntp": ["10.50.0.123"],
        "mtu": 1450, "lease_seconds": 3600, "ports": list(ports) or [port()],
    }  # fmt: skip
    return NetworkSpec.model_validate(facts | changes)


def tlv(code: int, value: bytes) -> bytes:
    return bytes((code, len(value))) + value


def request(
    kind: int,
    mac: str = MAC,
    *,
    requested: str | None = None,
    server: str | None = None,
    ciaddr: str = "0.0.0.0",
    giaddr: str = "0.0.0.0",
    flags: int = 0,
    options: bytes = b"",
) -> bytes:
    head = pack("!BBBBIHH", 1, 1, 6, 0, 0xCAFE, 3, flags)
    addresses = IPv4Address(ciaddr).packed + bytes(8) + IPv4Address(giaddr).packed
    body = tlv(53, bytes((kind,)))
    if requested is not None:
        body += tlv(50, IPv4Address(requested).packed)
    if server is not None:
        body += tlv(54, IPv4Address(server).packed)
    chaddr = bytes.fromhex(mac.replace(":", "")).ljust(16, b"\0")
    return head + addresses + chaddr + bytes(192) + b"\x63\x82\x53\x63" + body + options + b"\xff"


@dataclass
class Read:
    kind: int
    xid: int
    flags: int
    ciaddr: str
    yiaddr: str
    siaddr: str
    giaddr: str
    mac: bytes
    file: bytes
    options: dict[int, bytes]
    order: list[int]

    def addresses(self, code: int) -> list[str]:
        value = self.options[code]
        return [str(IPv4Address(value[at : at + 4])) for at in range(0, len(value), 4)]


def read(packet: bytes) -> Read:
    op, htype, hlen, _, xid, _, flags = unpack_from("!BBBBIHH", packet)
    assert (op, htype, hlen) == (2, 1, 6)
    assert packet[236:240] == b"\x63\x82\x53\x63"
    assert len(packet) >= 300
    options: dict[int, bytes] = {}
    order = []
    at = 240
    while packet[at] != 255:
        code, size = packet[at], packet[at + 1]
        if code not in options:
            order.append(code)
        options[code] = options.get(code, b"") + packet[at + 2 : at + 2 + size]
        at += 2 + size
    addresses = [str(IPv4Address(packet[at : at + 4])) for at in (12, 16, 20, 24)]
    return Read(options[53][0], xid, flags, *addresses, packet[28:34], packet[108:236].rstrip(b"\0"), options, order)
