"""Moves packets between a network's two sockets and its responder, on the process's event loop.

The UDP socket receives on port 67 and answers relays; the packet socket answers clients by their MAC. Each wake-up
handles a bounded burst, so that one flooded network cannot starve the others. Counts acknowledged leases by NIC.
"""

import logging
from collections import Counter
from socket import inet_ntoa, socket

from hostagent.dhcp import message
from hostagent.dhcp.frame import SERVER_PORT, frame
from hostagent.dhcp.responder import Responder

LARGEST_PACKET = 2048
BURST = 64  # packets in one wake-up

log = logging.getLogger(__name__)


class DhcpServer:
    """`responder` and `mac` may be replaced at any time. The sockets are the caller's to register, and closed by `close`."""

    def __init__(self, responder: Responder, udp: socket, raw: socket, mac: bytes, acks: Counter[str]) -> None:
        self.responder = responder
        self._udp = udp
        self._raw = raw
        self.mac = mac
        self._acks = acks

    def fileno(self) -> int:
        return self._udp.fileno()

    def drain(self) -> None:
        """Answer what has arrived, at most a burst of it; the event loop calls again for the rest."""
        receive, answer = self._udp.recv, self.responder.answer
        try:
            for _ in range(BURST):
                reply = answer(receive(LARGEST_PACKET))
                if reply is None:
                    continue
                try:
                    if reply.relay is not None:
                        self._udp.sendto(reply.packet, (inet_ntoa(reply.relay), SERVER_PORT))
                    else:
                        server_id = self.responder.server_id
                        self._raw.send(frame(self.mac, reply.mac, server_id, reply.client, reply.packet))
                except OSError as error:  # no route to a relay, full queue: as good as lost on the wire
                    log.warning("reply for NIC %s not sent: %s", reply.nic_uuid, error)
                    continue
                if reply.kind == message.ACK:
                    self._acks[reply.nic_uuid] += 1
        except BlockingIOError:
            return

    def close(self) -> None:
        self._udp.close()
        self._raw.close()
