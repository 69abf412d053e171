"""Volumes: qcow2 files in a storage, blank or overlays of a cached image.

A volume that exists is kept and grown when the wish is larger; it is never shrunk or re-made.
"""

from hostagent.contract import VolumeSpec, VolumeStatus
from hostagent.contract.error import HostError, rejected
from hostagent.ensure.generations import Generations
from hostagent.ensure.image import image_path
from hostagent.ensure.locks import Locks
from hostagent.ensure.storage import Storages
from hostagent.ports.disks import DiskInfo, Disks


class Volumes:
    def __init__(self, disks: Disks, storages: Storages, generations: Generations) -> None:
        self._disks = disks
        self._storages = storages
        self._generations = generations
        self._locks = Locks()

    async def put(self, uuid: str, spec: VolumeSpec) -> VolumeStatus:
        path = self._storages.resolve(spec.storage_uuid, spec.path)
        async with self._locks.hold(uuid):
            self._generations.accept("volume", uuid, spec.generation)
            try:
                info = await self._ensure(spec, path)
            except HostError:
                if await self._disks.info(path) is None:
                    self._generations.forget("volume", uuid)
                raise
        return _status(uuid, spec.storage_uuid, spec.path, info)

    async def get(self, uuid: str, storage_uuid: str, path: str) -> VolumeStatus:
        info = await self._disks.info(self._storages.resolve(storage_uuid, path))
        if info is None:
            raise rejected("not_found", f"volume {uuid} has no file {path!r} in storage {storage_uuid}")
        return _status(uuid, storage_uuid, path, info)

    async def delete(self, uuid: str, storage_uuid: str, path: str) -> None:
        async with self._locks.hold(uuid):
            if self._generations.get("storage", storage_uuid) is not None:
                root = self._storages.path(storage_uuid)
                await self._disks.remove(self._storages.resolve(storage_uuid, path), root)
            self._generations.forget("volume", uuid)

    async def _ensure(self, spec: VolumeSpec, path: str) -> DiskInfo:
        backing, smallest = await self._base(spec)
        wanted = spec.size or smallest
        if wanted <= 0 or wanted < smallest:
            raise rejected("invalid_spec", f"size {spec.size} must be at least {max(smallest, 1)} bytes")
        info = await self._disks.info(path)
        if info is None:
            await self._disks.create(path, wanted, backing)
        elif wanted > info.size:
            await self._disks.grow(path, wanted)
        elif spec.size and wanted < info.size:
            raise rejected("invalid_spec", f"size {wanted} is smaller than the volume's {info.size}; volumes only grow")
        else:
            return info
        made = await self._disks.info(path)
        if made is None:
            raise rejected("not_found", f"{spec.path!r} vanished while it was made")
        return made

    async def _base(self, spec: VolumeSpec) -> tuple[str | None, int]:
        if spec.base_image_uuid is None:
            return None, 0
        path = image_path(self._storages.path(spec.storage_uuid), spec.base_image_uuid, "qcow2")
        info = await self._disks.info(path)
        if info is None:
            raise rejected(
                "not_found", f"image {spec.base_image_uuid} is not in the cache of storage {spec.storage_uuid}"
            )
        return path, info.size


def _status(uuid: str, storage_uuid: str, path: str, info: DiskInfo) -> VolumeStatus:
    return VolumeStatus(uuid=uuid, storage_uuid=storage_uuid, path=path, size=info.size, actual_size=info.actual_size)
