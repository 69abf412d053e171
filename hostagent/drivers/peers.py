"""`Peers` over mutual TLS between agents; the threads that copy run beside the event loop."""

import asyncio
import contextlib
import errno
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hostagent.contract.error import HostError, broken
from hostagent.drivers import peer_wire
from hostagent.drivers.peer_pull import Cancelled, Pull
from hostagent.drivers.peer_server import ExportServer
from hostagent.drivers.tunnel import Tunnel, prepare
from hostagent.ports.peers import Gauge, Grant, Source

AT_ONCE = 8  # files; more wait


class TlsPeers:
    """Serves at `ip`:`port`; `files` are this agent's certificate, its key and the agent CA."""

    def __init__(self, ip: str, port: int, files: tuple[Path, Path, Path]) -> None:
        self._ip, self._port, self._files = ip, port, files
        self._server: ExportServer | None = None
        self._rooms: dict[str, str] = {}  # by grant: the directory where its sockets are
        self._tunnels: dict[str, Tunnel] = {}
        self._copiers = ThreadPoolExecutor(AT_ONCE, "import")  # long work must not starve the loop's own threads

    async def serve(self, grant: Grant) -> int:
        if self._server is None:
            self._server = ExportServer(self._ip, self._port, peer_wire.context(True, *self._files))
        try:
            if grant.directory and grant.uuid not in self._rooms:
                await asyncio.to_thread(prepare, grant.directory)
                self._rooms[grant.uuid] = grant.directory
            return await asyncio.to_thread(self._server.serve, grant)
        except OSError as error:
            raise broken("internal", f"cannot export {error.filename or ''}: {error.strerror or error}") from error

    async def revoke(self, uuid: str) -> None:
        if self._server is not None:
            await asyncio.to_thread(self._server.revoke, uuid)
        if directory := self._rooms.pop(uuid, None):
            await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)

    async def pull(self, source: Source, name: str, part: str, gauge: Gauge) -> None:
        pull = Pull(peer_wire.context(False, *self._files), source, name, part, gauge)
        await asyncio.to_thread(os.makedirs, os.path.dirname(part), mode=0o755, exist_ok=True)
        work = asyncio.get_running_loop().run_in_executor(self._copiers, pull.run)
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            pull.stop()
            await asyncio.wait([work])
            with contextlib.suppress(Cancelled, HostError, OSError):
                work.result()
            raise
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise broken("no_space", f"no space left for {name}, which has {gauge.total} bytes") from error
            raise broken("internal", f"cannot store {name}: {error.strerror or error}") from error

    async def open_tunnel(self, source: Source, directory: str) -> None:
        if directory in self._tunnels:
            return
        tunnel = self._tunnels[directory] = Tunnel(peer_wire.context(False, *self._files), source, directory)
        try:
            await asyncio.to_thread(tunnel.open)
        except BaseException as error:
            await self.close_tunnel(directory)
            if isinstance(error, OSError):
                raise broken("internal", f"cannot open a tunnel in {directory}: {error.strerror or error}") from error
            raise

    async def close_tunnel(self, directory: str) -> str:
        tunnel = self._tunnels.pop(directory, None)
        if tunnel is None:
            return ""
        await asyncio.to_thread(tunnel.close)
        return tunnel.problem

    async def close(self) -> None:
        if self._server is not None:
            await asyncio.to_thread(self._server.close)
