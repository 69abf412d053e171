"""Frames as bytes, honest and forged."""

from ipaddress import IPv4Address
from struct import pack

from hostagent.dhcp.frame import checksum

BROADCAST = "ff:ff:ff:ff:ff:ff"


def mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def ethernet(destination: str, source: str, payload: bytes, kind: int = 0x0800) -> bytes:
    return mac(destination) + mac(source) + pack("!H", kind) + payload


def ipv4(source: str, destination: str, payload: bytes, protocol: int = 17) -> bytes:
    addresses = IPv4Address(source).packed + IPv4Address(destination).packed
    header = pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 0, 0, 64, protocol, 0) + addresses
    return header[:10] + pack("!H", checksum(header)) + header[12:] + payload


def udp(source: int, destination: int, payload: bytes) -> bytes:
    return pack("!HHHH", source, destination, 8 + len(payload), 0) + payload


def arp(source: str, sender_ip: str, target_ip: str, sender: str = "") -> bytes:
    """A request."""
    body = pack("!HHBBH", 1, 0x0800, 6, 4, 1) + mac(sender or source) + IPv4Address(sender_ip).packed
    return ethernet(BROADCAST, source, body + bytes(6) + IPv4Address(target_ip).packed, kind=0x0806)


def dhcp_discover(client: str) -> bytes:
    """An IPv4 packet; asks for a broadcast answer."""
    fixed = pack("!BBBBIHH16s16s192s", 1, 1, 6, 0, 0x5EED, 0, 0x8000, b"", mac(client), b"")
    return ipv4("0.0.0.0", "255.255.255.255", udp(68, 67, fixed + b"\x63\x82\x53\x63\x35\x01\x01\xff"))


def router_advertisement(source: str) -> bytes:
    sender = bytes.fromhex("fe80000000000000f80000fffe000001")
    everyone = bytes.fromhex("ff020000000000000000000000000001")
    message = pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0)
    pseudo = sender + everyone + pack("!II", len(message), 58)
    message = message[:2] + pack("!H", checksum(pseudo + message)) + message[4:]
    packet = pack("!IHBB", 0x60000000, len(message), 58, 255) + sender + everyone + message
    return ethernet("33:33:00:00:00:01", source, packet, kind=0x86DD)
