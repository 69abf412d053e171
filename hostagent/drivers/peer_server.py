"""The source's side of a copy: serves exported files, and nothing else, on a port of its own.

The port is open while there is an export. Whoever connects shows a certificate of the agent CA that names the export's
peer, then the export's secret. Files are opened when the export is made: what changes afterwards is refused, not sent.
"""

import contextlib
import hmac
import os
import socket
import ssl
import threading
import time
from dataclasses import dataclass, field

import structlog

from hostagent.drivers import peer_wire, sparse
from hostagent.drivers.migration_guard import Forbidden, Guard
from hostagent.drivers.peer_wire import Frame, Gone
from hostagent.drivers.splice import splice
from hostagent.ports.peers import Grant

MOST = 32  # connections at a time
HANDSHAKE = 10.0  # seconds
TICK = 0.5  # seconds between two looks at what has expired
log = structlog.get_logger("hostagent.exports")


@dataclass
class _File:
    descriptor: int
    stamp: tuple[int, int]  # size and time of the last change

    @classmethod
    def open(cls, path: str) -> "_File":
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        return cls(descriptor, _stamp(os.fstat(descriptor)))


@dataclass
class _Export:
    grant: Grant
    ends: float
    files: dict[str, _File]
    connections: set[socket.socket] = field(default_factory=set)
    is_over: bool = False

    def close(self) -> None:
        self.is_over = True
        for connection in list(self.connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._close_files()

    def leave(self, connection: socket.socket) -> None:
        self.connections.discard(connection)
        self._close_files()

    def _close_files(self) -> None:
        """With the last connection: a descriptor that is in use must not become another file's."""
        if self.is_over and not self.connections:
            while self.files:
                os.close(self.files.popitem()[1].descriptor)


class _Refusal(Exception):
    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class ExportServer:
    """Blocking; every method may be called from any thread."""

    def __init__(self, ip: str, port: int, context: ssl.SSLContext) -> None:
        self._address = (ip, port)
        self._context = context
        self._exports: dict[str, _Export] = {}
        self._lock = threading.Lock()
        self._listener: socket.socket | None = None
        self._slots = threading.Semaphore(MOST)

    def serve(self, grant: Grant) -> int:
        """Returns the port. Raises OSError when a file or the port cannot be opened."""
        with self._lock:
            known = self._exports.get(grant.uuid)
            if known is not None and known.grant.paths == grant.paths:
                known.grant, known.ends = grant, time.monotonic() + grant.seconds
            else:
                files: dict[str, _File] = {}
                try:
                    for name, path in grant.paths.items():
                        files[name] = _File.open(path)
                    if self._listener is None:
                        self._listen()
                except OSError:
                    _Export(grant, 0, files).close()
                    raise
                if known:
                    known.close()
                self._exports[grant.uuid] = _Export(grant, time.monotonic() + grant.seconds, files)
        return self._address[1]

    def revoke(self, uuid: str) -> None:
        with self._lock:
            if found := self._exports.pop(uuid, None):
                found.close()

    def close(self) -> None:
        for uuid in list(self._exports):
            self.revoke(uuid)

    def _listen(self) -> None:
        family = socket.AF_INET6 if ":" in self._address[0] else socket.AF_INET
        self._listener = socket.create_server(self._address, family=family, backlog=MOST)
        self._listener.settimeout(TICK)
        threading.Thread(target=self._accept, args=(self._listener,), name="exports", daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        """Until there is no export any more."""
        while True:
            try:
                connection, _ = listener.accept()
                if self._slots.acquire(blocking=False):
                    threading.Thread(target=self._converse, args=(connection,), name="export", daemon=True).start()
                else:
                    connection.close()
            except TimeoutError:
                pass
            except OSError as error:  # the caller is gone, or there are too many open files
                log.warning("an import's connection was not accepted", reason=str(error))
                time.sleep(TICK)
            with self._lock:
                for uuid in [uuid for uuid, export in self._exports.items() if export.ends < time.monotonic()]:
                    self._exports.pop(uuid).close()
                if not self._exports:
                    listener.close()
                    self._listener = None
                    return

    def _converse(self, plain: socket.socket) -> None:
        try:
            plain.settimeout(HANDSHAKE)
            peer_wire.keep_watch(plain)
            with self._context.wrap_socket(plain, server_side=True) as connection:
                connection.settimeout(peer_wire.SILENCE)
                self._answer(connection)
        except Forbidden as error:
            log.warning("the source of a move asked for something else", reason=str(error))
        except (OSError, ValueError) as error:  # the peer went away, or was none
            log.info("an import's connection ended", reason=f"{type(error).__name__}: {error}")
        finally:
            plain.close()
            self._slots.release()

    def _answer(self, connection: ssl.SSLSocket) -> None:
        buffer = memoryview(bytearray(sparse.PIECE))
        export: _Export | None = None
        try:
            export = self._admitted(connection, peer_wire.receive(connection))
            peer_wire.send(connection, {})
            while True:
                connection.settimeout(None)  # an import may wait for its bandwidth; the export's end cuts it
                request = peer_wire.receive(connection)
                connection.settimeout(peer_wire.SILENCE)
                if "connect" in request:
                    return _lead_on(connection, export, str(request["connect"]))
                try:
                    self._serve_one(connection, export, request, buffer)
                except _Refusal as refusal:
                    peer_wire.send(connection, {"error": refusal.code, "message": str(refusal)})
        except _Refusal as refusal:
            peer_wire.send(connection, {"error": refusal.code, "message": str(refusal)})
        except Gone:
            pass  # the import has what it wants
        finally:
            if export is not None:
                with self._lock:
                    export.leave(connection)

    def _admitted(self, connection: ssl.SSLSocket, hello: Frame) -> _Export:
        """One answer for every reason: who may not come in learns nothing."""
        with self._lock:
            export = self._exports.get(str(hello.get("export")))
            secret = str(hello.get("secret")).encode()
            if (
                export is None
                or export.ends < time.monotonic()
                or not hmac.compare_digest(secret, export.grant.secret.encode())
                or peer_wire.peer_name(connection) != export.grant.peer_agent_uuid
            ):
                raise _Refusal("unreachable", "the source serves no such export now")
            export.connections.add(connection)
            return export

    def _serve_one(self, connection: ssl.SSLSocket, export: _Export, request: Frame, buffer: memoryview) -> None:
        what = next((word for word in ("map", "digest", "read") if word in request), "")
        file = export.files.get(str(request.get(what)))
        if file is None:
            raise _Refusal("not_found", "the export has no such file")
        status = os.fstat(file.descriptor)
        if what == "map":
            allocated = status.st_blocks * 512
            runs = sparse.runs(file.descriptor, status.st_size)
            shown = {"size": status.st_size, "mode": status.st_mode & 0o777, "allocated": allocated, "runs": runs}
            return peer_wire.send(connection, shown)
        number = int(request["window"])
        if what == "digest":
            answer: Frame = {"digest": sparse.digest(file.descriptor, number, buffer)}
        else:
            answer = {"digest": _send_window(connection, file.descriptor, number, buffer)}
        if _stamp(os.fstat(file.descriptor)) != file.stamp:
            raise _Refusal("in_use", "the file changes while it is copied")
        peer_wire.send(connection, answer)


def _send_window(connection: ssl.SSLSocket, descriptor: int, number: int, buffer: memoryview) -> str:
    """Its data piece by piece; returns the digest of what was read."""
    size, start = os.fstat(descriptor).st_size, number * sparse.WINDOW
    found = list(sparse.segments(descriptor, start, min(start + sparse.WINDOW, size)))
    peer_wire.send(connection, {"segments": found})
    digest = sparse.Digest()
    for at, length in sparse.pieces(number, size):
        content = buffer[:length]  # as long as announced, even of a file that has just become shorter: the end tells
        sparse.read(descriptor, at, content)
        digest.update(content)
        for offset, count in sparse.cut(found, at, at + length):
            connection.sendall(content[offset - at : offset - at + count])
    return digest.hexdigest()


def _lead_on(connection: ssl.SSLSocket, export: _Export, name: str) -> None:
    """From now on the connection is one to a UNIX socket of this host."""
    path, admitted = export.grant.sockets.get(name), export.grant.admitted
    if path is None:
        raise _Refusal("not_found", "the export has no such socket")
    with socket.socket(socket.AF_UNIX) as plain:
        try:
            plain.settimeout(peer_wire.SILENCE)
            plain.connect(path)
        except OSError as error:
            raise _Refusal("not_found", f"nobody listens there: {error.strerror or error}") from error
        peer_wire.send(connection, {})
        if name == "libvirt" and admitted is not None:
            splice(connection, plain, Guard(admitted))
        else:
            splice(connection, plain)


def _stamp(status: os.stat_result) -> tuple[int, int]:
    return status.st_size, status.st_mtime_ns
