"""Images in a storage's cache: fetched once for all who ask, verified, then put in place by one rename.

The file at its final name is the whole truth; a half-fetched one has another name and is gone on with at the next
call, also after a restart. Bearer tokens are held for the time of the download only and are never logged.
"""

import asyncio
import contextlib
from dataclasses import dataclass

from hostagent.contract import HostError, ImageSpec, ImageStatus
from hostagent.contract.error import rejected
from hostagent.contract.image import ImageFormat
from hostagent.ensure.generations import Generations
from hostagent.ensure.storage import Storages
from hostagent.ports.disks import Disks, Downloads


def image_path(storage_path: str, uuid: str, image_format: ImageFormat) -> str:
    kind, ending = ("iso", "iso") if image_format == "iso" else ("template", "qcow2")
    return f"{storage_path}/imagecache/{kind}/{uuid}/{uuid}.{ending}"


@dataclass
class _Fetch:
    spec: ImageSpec
    task: asyncio.Task[None] | None = None
    done: int = 0
    error: HostError | None = None

    @property
    def running(self) -> bool:
        return self.task is not None and not self.task.done()


class Images:
    def __init__(self, disks: Disks, downloads: Downloads, storages: Storages, generations: Generations) -> None:
        self._disks = disks
        self._downloads = downloads
        self._storages = storages
        self._generations = generations
        self._fetches: dict[str, _Fetch] = {}

    async def put(self, uuid: str, spec: ImageSpec, wait: float = 20.0) -> ImageStatus:
        """Begin or join the download, wait up to `wait` seconds, say how far it is. A failed one is begun anew."""
        path = image_path(self._storages.path(spec.storage_uuid), uuid, spec.format)
        key = _key(uuid, spec.storage_uuid)
        self._generations.accept("image", key, spec.generation, format=spec.format, size=spec.size)
        if await self._disks.info(path) is not None:
            return _ready(uuid, spec.storage_uuid, path, spec.size)
        fetch = self._fetches.get(key)
        if fetch is None or not fetch.running:
            fetch = self._fetches[key] = _Fetch(spec)
            fetch.task = asyncio.create_task(self._fetch(fetch, path))
        assert fetch.task is not None
        if wait > 0:
            await asyncio.wait([fetch.task], timeout=wait)
        return await self.get(uuid, spec.storage_uuid)

    async def get(self, uuid: str, storage_uuid: str) -> ImageStatus:
        key = _key(uuid, storage_uuid)
        known = self._generations.get("image", key)
        if known is None or self._generations.get("storage", storage_uuid) is None:
            return ImageStatus(uuid=uuid, storage_uuid=storage_uuid, state="absent")
        path = image_path(self._storages.path(storage_uuid), uuid, known["format"])
        fetch = self._fetches.get(key)
        if fetch is not None and (fetch.running or fetch.error is not None):
            return ImageStatus(
                uuid=uuid,
                storage_uuid=storage_uuid,
                state="downloading" if fetch.running else "failed",
                path=path,
                bytes_done=fetch.done,
                bytes_total=fetch.spec.size,
                error="" if fetch.error is None else f"{fetch.error.problem.code}: {fetch.error.problem.message}",
            )
        if await self._disks.info(path) is not None:
            return _ready(uuid, storage_uuid, path, int(known["size"]))
        return ImageStatus(uuid=uuid, storage_uuid=storage_uuid, state="absent")

    async def delete(self, uuid: str, storage_uuid: str) -> None:
        key = _key(uuid, storage_uuid)
        fetch = self._fetches.pop(key, None)
        if fetch is not None and fetch.task is not None and fetch.running:
            fetch.task.cancel()
            await asyncio.wait([fetch.task])
        if self._generations.get("storage", storage_uuid) is not None:
            root = self._storages.path(storage_uuid)
            for image_format in ("qcow2", "iso"):
                path = image_path(root, uuid, image_format)
                if users := await self._disks.resting_on(root, path):
                    raise rejected("in_use", f"image {uuid} is the base of {len(users)} volume(s)", ", ".join(users))
                await self._downloads.discard(f"{path}.part")
                await self._disks.remove(path, root)
        self._generations.forget("image", key)

    async def leave(self, storage_uuid: str) -> None:
        """Empty the cache of a storage that is about to be forgotten; what volumes rest on stays."""
        for key in list(self._generations.all("image")):
            uuid, _, storage = key.partition("@")
            if storage == storage_uuid:
                with contextlib.suppress(HostError):
                    await self.delete(uuid, storage)

    async def close(self) -> None:
        tasks = [fetch.task for fetch in self._fetches.values() if fetch.task is not None and fetch.running]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _fetch(self, fetch: _Fetch, path: str) -> None:
        spec, part = fetch.spec, f"{path}.part"

        def done(count: int) -> None:
            fetch.done = count

        try:
            await self._downloads.fetch(spec, part, done)
            await self._disks.adopt(part, path, spec.format)
        except HostError as error:
            fetch.error = error
        finally:
            fetch.spec = spec.model_copy(update={"bearer_token": ""})


def _key(uuid: str, storage_uuid: str) -> str:
    return f"{uuid}@{storage_uuid}"


def _ready(uuid: str, storage_uuid: str, path: str, size: int) -> ImageStatus:
    return ImageStatus(
        uuid=uuid, storage_uuid=storage_uuid, state="ready", path=path, bytes_done=size, bytes_total=size
    )
