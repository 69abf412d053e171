"""Joins a connection between two agents and a UNIX socket: bytes both ways, each direction with an end of its own.

On the TLS side bytes travel in pieces of a length and so many bytes; an empty piece is the end of that direction, which
TLS has no word for. One thread serves both directions, because a TLS connection is not for two.
"""

import select
import socket
import ssl
import struct
from collections.abc import Callable

from hostagent.drivers import peer_wire

LARGEST = 256 << 10  # bytes of a piece
STUCK = 60.0  # seconds in which one side takes nothing
Guard = Callable[[memoryview], bytes | memoryview]
_LENGTH = struct.Struct(">I")


def splice(tls: ssl.SSLSocket, plain: socket.socket, guard: Guard = lambda data: data) -> None:
    """What comes over TLS goes through `guard`. Returns when both directions have ended. Raises: OSError, Gone when the other agent is."""
    tls.settimeout(STUCK)
    plain.settimeout(STUCK)
    buffer = memoryview(bytearray(_LENGTH.size + LARGEST))
    sources: list[socket.socket] = [tls, plain]
    while sources:
        has_rest = tls in sources and tls.pending() > 0
        ready = [tls] if has_rest else select.select(sources, [], [])[0]
        if plain in ready and not _outwards(plain, tls, buffer):
            sources.remove(plain)
        if tls in ready and not _inwards(tls, plain, buffer, guard):
            sources.remove(tls)


def _outwards(plain: socket.socket, tls: ssl.SSLSocket, buffer: memoryview) -> bool:
    count = plain.recv_into(buffer[_LENGTH.size :])
    _LENGTH.pack_into(buffer, 0, count)
    tls.sendall(buffer[: _LENGTH.size + count])
    return count > 0


def _inwards(tls: ssl.SSLSocket, plain: socket.socket, buffer: memoryview, guard: Guard) -> bool:
    peer_wire.receive_into(tls, buffer[: _LENGTH.size])
    (count,) = _LENGTH.unpack_from(buffer)
    if count > LARGEST:
        raise peer_wire.Gone(f"a piece of {count} bytes")
    if count == 0:
        plain.shutdown(socket.SHUT_WR)
        return False
    peer_wire.receive_into(tls, buffer[:count])
    plain.sendall(guard(buffer[:count]))
    return True
