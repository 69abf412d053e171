"""The stateless DHCP service of a flat network: every answer follows from the host's snapshot (RFC 2131, RFC 2132).

There is no lease database to lose: an address belongs to a NIC because the control plane says so. A MAC address that the
snapshot does not know gets silence. `responder.answer` is pure; `server` moves bytes between it and two sockets.
"""

from hostagent.dhcp.responder import Reply, Responder
from hostagent.dhcp.server import DhcpServer

__all__ = ["DhcpServer", "Reply", "Responder"]
