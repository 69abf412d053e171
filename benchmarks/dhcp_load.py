"""A DHCP relay with many clients: four-way exchanges as fast as the server answers, a fixed number of them under way.

perfdhcp offers a rate and spends more on an exchange than a fast server does, so it measures itself. This one waits for
answers (so nothing is lost unless the server loses it), and costs a third. What is lost is asked again after a while.
"""

import select
import socket
import struct
import time
from dataclasses import dataclass

_FIXED = struct.Struct("!BBBBIHH4s4s4s4s16s64s128s4s")
_DISCOVER, _REQUEST = b"\x35\x01\x01", b"\x35\x01\x03"
_OFFER, _ACK = b"\x35\x01\x02", b"\x35\x01\x05"
_ASKED = bytes((55, 7, 1, 28, 2, 3, 15, 6, 12)) + b"\xff"  # what perfdhcp asks for
_FIRST = 1 << 30  # transactions: what is still on its way to perfdhcp has other numbers
UNDER_WAY = 64
PATIENCE = 0.5  # seconds without any answer


@dataclass
class Load:
    done: int  # exchanges
    seconds: float
    repeated: int  # messages without an answer


def load(server: str, relay: str, macs: list[bytes], seconds: float) -> Load:
    """Each client's exchanges follow one another; a client's transactions are twice its number, and that plus one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind((relay, 67))
        udp.connect((server, 67))
        return _run(udp, [_head(number, relay, mac) for number, mac in enumerate(macs)], server, seconds)


def _head(number: int, relay: str, mac: bytes) -> tuple[bytes, bytes]:
    """Of its DISCOVER and of its REQUEST, up to the options."""
    one, two = (
        _FIXED.pack(
            *(1, 1, 6, 1, _FIRST + number * 2 + phase, 0, 0, bytes(4), bytes(4), bytes(4), socket.inet_aton(relay)),
            *(mac, b"", b"", b"\x63\x82\x53\x63"),
        )
        for phase in (0, 1)
    )
    return one, two


def _run(udp: socket.socket, heads: list[tuple[bytes, bytes]], server: str, seconds: float) -> Load:
    discovers = [head + _DISCOVER + _ASKED for head, _ in heads]
    identity = b"\x36\x04" + socket.inet_aton(server) + b"\x32\x04"
    waiting = {number * 2: discovers[number] for number in range(UNDER_WAY)}
    begun = time.perf_counter()
    end, following, done, repeated = begun + seconds, UNDER_WAY, 0, 0
    for message in waiting.values():
        udp.send(message)
    while time.perf_counter() < end:
        if not select.select([udp], [], [], PATIENCE)[0]:
            repeated += len(waiting)
            for message in waiting.values():
                udp.send(message)
            continue
        while True:
            try:
                answer = udp.recv(2048, socket.MSG_DONTWAIT)
            except BlockingIOError:
                break
            transaction = int.from_bytes(answer[4:8], "big") - _FIRST
            if waiting.pop(transaction, None) is None:
                continue  # asked twice
            if transaction % 2:
                if _ACK not in answer:
                    raise ValueError(f"no ACK: {answer!r}")
                done += 1
                transaction, message = following * 2, discovers[following]
                following = (following + 1) % len(heads)
            else:
                if _OFFER not in answer:
                    raise ValueError(f"no OFFER: {answer!r}")
                message = heads[transaction // 2][1] + _REQUEST + identity + answer[16:20] + _ASKED
                transaction += 1
            waiting[transaction] = message
            udp.send(message)
    return Load(done, time.perf_counter() - begun, repeated)
