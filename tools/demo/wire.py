"""Watches the cables between hosts for frames that must never be on them."""

import select
import socket
import struct
import threading

from tools.lab import Lab, in_network_of

_ALL = 0x0003  # ETH_P_ALL
_DHCP = {67, 68}


class DhcpWatch:
    """Counts DHCP frames on the guests' cables between `start` and `stop`."""

    def __init__(self, lab: Lab) -> None:
        self.frames: list[str] = []
        self._end = threading.Event()
        cables = [f"eth1-h{host.index}" for host in lab.hosts.values()]
        self._sockets = {in_network_of(lab.underlay.pid, lambda cable=cable: _listen(cable)): cable for cable in cables}  # type: ignore[misc]
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> list[str]:
        """What was seen, as text."""
        self._end.set()
        self._thread.join()
        for one in self._sockets:
            one.close()
        return self.frames

    def _watch(self) -> None:
        while not self._end.is_set():
            ready, _, _ = select.select(list(self._sockets), [], [], 0.2)
            for one in ready:
                frame = one.recv(2048)
                if (ports := _udp_ports(frame)) and set(ports) & _DHCP:
                    mac = frame[6:12].hex(":")
                    self.frames.append(f"{self._sockets[one]}: UDP {ports[0]} → {ports[1]} from {mac}")


def _listen(cable: str) -> socket.socket:
    one = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL))
    one.bind((cable, 0))
    return one


def _udp_ports(frame: bytes) -> tuple[int, int] | None:
    """Source and destination port of an IPv4 UDP frame."""
    if len(frame) < 42 or frame[12:14] != b"\x08\x00" or frame[23] != socket.IPPROTO_UDP:
        return None
    start = 14 + (frame[14] & 0x0F) * 4
    return struct.unpack_from("!HH", frame, start) if len(frame) >= start + 4 else None
