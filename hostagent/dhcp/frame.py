"""Writes the Ethernet, IPv4 and UDP headers of a reply to a client that has no address yet (RFC 791, RFC 768).

A kernel UDP socket would first ask by ARP for an address that nobody holds yet; a frame can be sent to the client's MAC.
"""

from struct import Struct, unpack

ETHERTYPE_IPV4 = b"\x08\x00"
BROADCAST_MAC = b"\xff" * 6
UDP = 17
SERVER_PORT, CLIENT_PORT = 67, 68
IPV4 = Struct("!BBHHHBBH4s4s")
UDP_HEADER = Struct("!HHHH")


def checksum(data: bytes) -> int:
    """The internet checksum (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def frame(source_mac: bytes, mac: bytes | None, source: bytes, destination: bytes, payload: bytes) -> bytes:
    """`payload` from port 67 of `source` to port 68 of `destination`; `mac` None is the broadcast address."""
    size = UDP_HEADER.size + len(payload)
    pseudo = source + destination + bytes((0, UDP)) + size.to_bytes(2, "big")
    udp = UDP_HEADER.pack(SERVER_PORT, CLIENT_PORT, size, 0) + payload
    udp = udp[:6] + (checksum(pseudo + udp) or 0xFFFF).to_bytes(2, "big") + payload
    ip = IPV4.pack(0x45, 0xC0, IPV4.size + size, 0, 0x4000, 64, UDP, 0, source, destination)
    ip = ip[:10] + checksum(ip).to_bytes(2, "big") + ip[12:]
    return (mac or BROADCAST_MAC) + source_mac + ETHERTYPE_IPV4 + ip + udp
