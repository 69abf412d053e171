"""The source's end of a running VM's move: UNIX sockets that lead, over mutual TLS, to the destination's of the same names.

libvirt and QEMU know only the sockets, so nothing of a move is on a port of theirs, and it is encrypted and admitted as
every copy between agents is. It ends with the agent.
"""

import contextlib
import os
import shutil
import socket
import ssl
import threading

import structlog

from hostagent.contract import HostError
from hostagent.drivers import peer_wire
from hostagent.drivers.splice import splice
from hostagent.ports.peers import TUNNELS, Source

log = structlog.get_logger("hostagent.tunnel")


class Tunnel:
    def __init__(self, context: ssl.SSLContext, source: Source, directory: str) -> None:
        self._context, self._source, self._directory = context, source, directory
        self._listeners: list[socket.socket] = []
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._is_over = False
        self.problem = ""  # the first that was met

    def open(self) -> None:
        """Raises: HostError when the destination lets nobody in, OSError."""
        peer_wire.connect(self._context, self._source).close()
        owner = prepare(self._directory)
        for name in TUNNELS:
            listener = socket.socket(socket.AF_UNIX)
            self._listeners.append(listener)
            listener.bind(f"{self._directory}/{name}")
            os.chown(f"{self._directory}/{name}", *owner)
            listener.listen(16)
            threading.Thread(target=self._accept, args=(listener, name), name=f"tunnel {name}", daemon=True).start()

    def close(self) -> None:
        with self._lock:
            self._is_over = True
            open_sockets = [*self._listeners, *self._connections]
        for one in open_sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for listener in self._listeners:
            listener.close()
        shutil.rmtree(self._directory, ignore_errors=True)

    def _accept(self, listener: socket.socket, name: str) -> None:
        while True:
            try:
                plain, _ = listener.accept()
            except OSError:  # closed
                return
            threading.Thread(target=self._carry, args=(plain, name), name=f"tunnel {name}", daemon=True).start()

    def _carry(self, plain: socket.socket, name: str) -> None:
        with plain:
            try:
                with peer_wire.connect(self._context, self._source) as connection:
                    with self._lock:
                        if self._is_over:
                            return
                        self._connections |= {connection, plain}
                    try:
                        peer_wire.send(connection, {"connect": name})
                        peer_wire.checked(peer_wire.receive(connection))
                        splice(connection, plain)
                    finally:
                        with self._lock:
                            self._connections -= {connection, plain}
            except (HostError, OSError) as error:
                if not self._is_over:
                    self.problem = self.problem or f"{name}: {error or type(error).__name__}"
                    log.warning("a connection of a move broke", name=name, reason=self.problem)


def prepare(directory: str) -> tuple[int, int]:
    """An empty directory that QEMU may use too: it belongs to whoever owns the one above, as libvirt has set that up.

    Returns user and group."""
    shutil.rmtree(directory, ignore_errors=True)
    above = os.path.dirname(directory)
    os.makedirs(above, mode=0o711, exist_ok=True)
    owner = os.stat(os.path.dirname(above))
    for path in (above, directory):
        if path == directory:
            os.mkdir(path, 0o700)
        os.chown(path, owner.st_uid, owner.st_gid)
    return owner.st_uid, owner.st_gid
