"""Files taken over from another host: the destination's side of a move.

Each is copied beside its place, verified, synced and renamed; so what has its final name is whole. Which of them this
import has verified is remembered over restarts, whatever else lies at such a place is left over and is written anew. A
copy goes on where it was at the next PUT; secrets are held in memory only.
"""

import asyncio
import contextlib
import time
from dataclasses import dataclass, field

from hostagent.contract import HostError, ImportFile, ImportSpec, ImportStatus
from hostagent.contract.error import broken
from hostagent.ensure.generations import Generations
from hostagent.ensure.storage import Storages
from hostagent.ports.disks import Disks
from hostagent.ports.peers import Gauge, Peers, Source

RATE_OVER = 5.0  # seconds
KIND = "import"


@dataclass
class _Copy:
    """One import under way or at its end."""

    spec: ImportSpec
    gauges: dict[str, Gauge] = field(default_factory=dict)
    task: asyncio.Task[None] | None = None
    error: HostError | None = None
    is_ready: bool = False
    seen: list[tuple[float, int]] = field(default_factory=list)  # when how many bytes were there

    @property
    def running(self) -> bool:
        return self.task is not None and not self.task.done()

    @property
    def done(self) -> int:
        return sum(gauge.done for gauge in self.gauges.values())

    @property
    def total(self) -> int:
        return sum(gauge.total for gauge in self.gauges.values())

    def rate(self) -> int:
        """Bytes a second over the last seconds in which somebody asked."""
        now, done = time.monotonic(), self.done
        self.seen = [(then, was) for then, was in self.seen if now - then < RATE_OVER] + [(now, done)]
        then, was = self.seen[0]
        return int((done - was) / (now - then)) if now > then else 0


class Imports:
    def __init__(self, disks: Disks, peers: Peers, storages: Storages, generations: Generations) -> None:
        self._disks = disks
        self._peers = peers
        self._storages = storages
        self._generations = generations
        self._copies: dict[str, _Copy] = {}

    async def put(self, uuid: str, spec: ImportSpec, wait: float = 20.0) -> ImportStatus:
        """Begin or join the copy, wait up to `wait` seconds, say how far it is. A failed one is begun anew."""
        paths = {file.path: file.is_base for file in spec.files}
        for path in paths:
            self._storages.resolve(spec.storage_uuid, path)
        await self._displace(uuid, spec)
        self._generations.accept(KIND, uuid, spec.generation, storage_uuid=spec.storage_uuid, paths=paths)
        copy = self._copies.get(uuid)
        if copy is None or not (copy.running or copy.is_ready):
            copy = self._copies[uuid] = _Copy(spec)
            copy.task = asyncio.create_task(self._run(uuid, copy))
        assert copy.task is not None
        if wait > 0:
            await asyncio.wait([copy.task], timeout=wait)
        return await self.get(uuid)

    async def get(self, uuid: str) -> ImportStatus:
        copy = self._copies.get(uuid)
        if copy is None:
            return ImportStatus(uuid=uuid, state="absent")
        problem = copy.error.problem if copy.error else None
        return ImportStatus(
            uuid=uuid,
            state="ready" if copy.is_ready else "copying" if copy.running else "failed",
            bytes_done=copy.done,
            bytes_total=copy.total,
            bytes_per_second=copy.rate(),
            error=f"{problem.code}: {problem.message}" if problem else "" if copy.is_ready else "internal: it ended",
        )

    async def delete(self, uuid: str, *, keep: bool) -> None:
        await self._stop(uuid)
        known = self._generations.get(KIND, uuid)
        if known is not None and not keep and self._generations.get("storage", known["storage_uuid"]) is not None:
            for path, is_base in known["paths"].items():
                await self._remove(known["storage_uuid"], path, whole=not is_base)
        self._copies.pop(uuid, None)
        self._generations.forget(KIND, uuid)

    async def close(self) -> None:
        for uuid in list(self._copies):
            await self._stop(uuid)

    # -- the copy ------------------------------------------------------------------------------------------------

    async def _run(self, uuid: str, copy: _Copy) -> None:
        spec = copy.spec
        try:
            wanted = [file for file in spec.files if not await self._is_there(uuid, spec.storage_uuid, file)]
            for file in wanted:
                copy.gauges[file.path] = Gauge(total=file.actual_size, limit=spec.bytes_per_second)
            await self._must_fit(spec.storage_uuid, wanted)
            for file in wanted:
                await self._take(uuid, spec, file, copy.gauges[file.path])
            copy.is_ready = True
        except HostError as error:
            copy.error = error
            if error.problem.code != "unreachable":  # it will not go on from here: leave nothing
                for file in spec.files:
                    await self._remove(spec.storage_uuid, file.path, whole=False)

    async def _take(self, uuid: str, spec: ImportSpec, file: ImportFile, gauge: Gauge) -> None:
        path = self._storages.resolve(spec.storage_uuid, file.path)
        source = Source(spec.source_ip, spec.source_port, spec.source_agent_uuid, spec.export_uuid, spec.secret)
        await self._peers.pull(source, file.path, f"{path}.part", gauge)
        verified = [*(self._generations.get(KIND, uuid) or {}).get("verified", []), file.path]
        self._generations.note(KIND, uuid, verified=verified)
        await self._disks.publish(f"{path}.part", path)
        gauge.done = gauge.total

    async def _is_there(self, uuid: str, storage_uuid: str, file: ImportFile) -> bool:
        """At its final name, by this import or as a base image that somebody else brought."""
        path = self._storages.resolve(storage_uuid, file.path)
        there = await self._disks.info(path) is not None
        if there and file.is_base:
            return True
        verified = (self._generations.get(KIND, uuid) or {}).get("verified", [])
        if file.path in verified and await self._disks.info(f"{path}.part") is not None:
            await self._disks.publish(f"{path}.part", path)  # the agent ended between the two
            return True
        return there and file.path in verified

    async def _must_fit(self, storage_uuid: str, files: list[ImportFile]) -> None:
        needed = 0
        for file in files:
            part = await self._disks.info(f"{self._storages.resolve(storage_uuid, file.path)}.part")
            needed += max(file.actual_size - (part.actual_size if part else 0), 0)
        _, available = await self._disks.capacity(self._storages.path(storage_uuid))
        if needed > available:
            raise broken("no_space", f"{needed} bytes are to be copied, storage {storage_uuid} has {available} left")

    async def _displace(self, uuid: str, spec: ImportSpec) -> None:
        """Two imports of one file cannot be: an older one, given up by a control plane that could not say so, ends here."""
        paths = {file.path for file in spec.files if not file.is_base}
        for other, known in self._generations.all(KIND).items():
            if other == uuid or known["storage_uuid"] != spec.storage_uuid or not paths & set(known["paths"]):
                continue
            await self._stop(other)
            self._copies.pop(other, None)
            self._generations.forget(KIND, other)

    async def _remove(self, storage_uuid: str, path: str, *, whole: bool) -> None:
        root, absolute = self._storages.path(storage_uuid), self._storages.resolve(storage_uuid, path)
        await self._disks.remove(f"{absolute}.part", root)
        if whole:
            await self._disks.remove(absolute, root)

    async def _stop(self, uuid: str) -> None:
        copy = self._copies.get(uuid)
        if copy is not None and copy.task is not None and copy.running:
            copy.task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([copy.task])
