"""Reads and writes the fixed part and the options of a DHCP message (RFC 2131 §2, RFC 2132, RFC 3396).

`parse` accepts any bytes and answers None for what is no request of an Ethernet client; it never raises. Long options
are split and split ones joined; option overload (52) is read, never written.
"""

from struct import Struct
from typing import NamedTuple

FIXED = Struct("!BBBBIHH4s4s4s4s16s64s128s4s")  # op htype hlen hops xid secs flags ci yi si gi chaddr sname file cookie
COOKIE = b"\x63\x82\x53\x63"
BOOTREQUEST, BOOTREPLY, ETHERNET = 1, 2, 1
BROADCAST = 0x8000
NO_ADDRESS = bytes(4)
MINIMUM_SIZE = 300  # of BOOTP, RFC 1542 §2.1: some clients and relays drop what is shorter

DISCOVER, OFFER, REQUEST, DECLINE, ACK, NAK, RELEASE, INFORM = range(1, 9)

PAD, END = 0, 255
SUBNET_MASK, ROUTER, DNS, HOST_NAME, DOMAIN_NAME, MTU, BROADCAST_ADDRESS = 1, 3, 6, 12, 15, 26, 28
NTP, REQUESTED_ADDRESS, LEASE_TIME, OVERLOAD, MESSAGE_TYPE, SERVER_ID, PARAMETERS, TEXT = 42, 50, 51, 52, 53, 54, 55, 56
MAXIMUM_SIZE, RENEWAL_TIME, REBINDING_TIME, CLIENT_ID, TFTP_SERVER, BOOT_FILE = 57, 58, 59, 61, 66, 67
RELAY_AGENT, DOMAIN_SEARCH, CLASSLESS_ROUTES, MICROSOFT_ROUTES = 82, 119, 121, 249


class Request(NamedTuple):
    """`kind` is the DHCP message type; addresses are 4 bytes each, `mac` is 6."""

    kind: int
    hops: int
    xid: int
    flags: int
    ciaddr: bytes
    giaddr: bytes
    chaddr: bytes  # 16 bytes, as sent
    mac: bytes
    options: dict[int, bytes]


def parse(packet: bytes) -> Request | None:
    if len(packet) < FIXED.size:
        return None
    op, htype, hlen, hops, xid, _, flags, ciaddr, _, _, giaddr, chaddr, sname, file, cookie = FIXED.unpack_from(packet)
    if op != BOOTREQUEST or htype != ETHERNET or hlen != 6 or cookie != COOKIE:
        return None
    options = read_options(packet, FIXED.size, {})
    if OVERLOAD in options:
        overload = options[OVERLOAD]
        if overload in (b"\x01", b"\x03"):
            read_options(file, 0, options)
        if overload in (b"\x02", b"\x03"):
            read_options(sname, 0, options)
    kind = options.get(MESSAGE_TYPE, b"")
    if len(kind) != 1:
        return None
    return Request(kind[0], hops, xid, flags, ciaddr, giaddr, chaddr, chaddr[:6], options)


def read_options(data: bytes, start: int, options: dict[int, bytes]) -> dict[int, bytes]:
    """Add what `data` holds from `start` to `options`; stops at the end mark or where an option is cut short."""
    position, size = start, len(data)
    while position < size:
        code = data[position]
        if code == PAD:
            position += 1
            continue
        if code == END or position + 1 >= size:
            break
        end = position + 2 + data[position + 1]
        if end > size:
            break
        value = data[position + 2 : end]
        options[code] = options[code] + value if code in options else value
        position = end
    return options


def option(code: int, value: bytes) -> bytes:
    """One option on the wire; a value over 255 bytes becomes several with the same code (RFC 3396)."""
    if len(value) <= 255:
        return bytes((code, len(value))) + value
    return b"".join(option(code, value[at : at + 255]) for at in range(0, len(value), 255))


def reply(
    request: Request, kind: int, yiaddr: bytes, options: bytes, *, siaddr: bytes = NO_ADDRESS, file: bytes = b""
) -> bytes:
    """A BOOTREPLY to `request`; `options` follow the message type and need no end mark."""
    ciaddr = request.ciaddr if kind == ACK else NO_ADDRESS
    flags = request.flags | BROADCAST if kind == NAK and request.giaddr != NO_ADDRESS else request.flags
    fixed = FIXED.pack(
        BOOTREPLY, ETHERNET, 6, 0, request.xid, 0, flags, ciaddr, yiaddr, siaddr, request.giaddr, request.chaddr,
        b"", file, COOKIE,
    )  # fmt: skip
    return (b"%b\x35\x01%c%b\xff" % (fixed, kind, options)).ljust(MINIMUM_SIZE, b"\0")
