"""Uploads: a volume's content on its way into an image store, flat, so that it rests on nothing of this host.

The flat copy lies in the storage for as long as the upload takes. A token is held no longer, and is never logged.
"""

import asyncio
from dataclasses import dataclass

from hostagent.contract import HostError, UploadSpec, UploadStatus
from hostagent.contract.error import rejected
from hostagent.ensure.storage import Storages
from hostagent.ports.disks import Disks, Uploads


@dataclass
class _Upload:
    source: tuple[str, str, str]  # storage, path, url: the same wish, whatever its token
    task: asyncio.Task[None]
    done: int = 0
    total: int = 0


class VolumeUploads:
    def __init__(self, disks: Disks, uploads: Uploads, storages: Storages) -> None:
        self._disks = disks
        self._uploads = uploads
        self._storages = storages
        self._known: dict[str, _Upload] = {}

    async def put(self, uuid: str, spec: UploadSpec, wait: float = 20.0) -> UploadStatus:
        """Begin or join; a failed one is begun anew."""
        path = self._storages.resolve(spec.storage_uuid, spec.path)
        if await self._disks.info(path) is None:
            raise rejected("not_found", f"there is no file {spec.path!r} in storage {spec.storage_uuid}")
        source = spec.storage_uuid, spec.path, spec.url
        known = self._known.get(uuid)
        if known is None or known.source != source or (known.task.done() and known.task.exception()):
            await self.delete(uuid)
            task = asyncio.create_task(self._upload(uuid, spec, path))
            known = self._known[uuid] = _Upload(source, task)
        await asyncio.wait([known.task], timeout=wait)
        if not known.task.done():
            return UploadStatus(uuid=uuid, state="working", bytes_done=known.done, bytes_total=known.total)
        error = known.task.exception()
        if error is None:
            return UploadStatus(uuid=uuid, state="done", bytes_done=known.total, bytes_total=known.total)
        if not isinstance(error, HostError):
            raise error
        problem = f"{error.problem.code}: {error.problem.message}"
        return UploadStatus(uuid=uuid, state="failed", bytes_done=known.done, bytes_total=known.total, error=problem)

    async def delete(self, uuid: str) -> None:
        if known := self._known.pop(uuid, None):
            known.task.cancel()
            await asyncio.wait([known.task])

    async def close(self) -> None:
        for uuid in list(self._known):
            await self.delete(uuid)

    async def _upload(self, uuid: str, spec: UploadSpec, path: str) -> None:
        root = self._storages.path(spec.storage_uuid)
        flat = f"{root}/uploads/{uuid}.qcow2"
        try:
            await self._disks.remove(flat, root)  # of an agent that ended in the middle
            await self._disks.copy(path, flat)
            upload = self._known[uuid]
            upload.total = await self._disks.length(flat)

            def done(count: int) -> None:
                upload.done = count

            await self._uploads.send(spec, flat, done)
        finally:
            await self._disks.remove(flat, root)
