"""A port that nobody listens on, for a server that is about to start.

Below the range from which the kernel takes ports for outgoing connections (ip_local_port_range in ip(7)): one of those could
be given away before the server has it.
"""

import random
import socket

_PORTS = range(15000, 32000)


def free_port() -> int:
    while True:
        port = random.choice(_PORTS)  # noqa: S311 not a secret
        try:
            with socket.create_server(("127.0.0.1", port)):
                return port
        except OSError:
            continue
