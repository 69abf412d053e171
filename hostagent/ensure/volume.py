"""Volumes: qcow2 files in a storage, blank or overlays of a cached image.

A volume that exists is kept and grown when the wish is larger, under a running guest too; it is never re-made, and made
smaller only to take back a growth that nobody has used.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from hostagent.contract import VolumeSpec, VolumeStatus
from hostagent.contract.error import HostError, rejected
from hostagent.contract.vm import VmState
from hostagent.ensure.generations import Generations
from hostagent.ensure.image import image_path
from hostagent.ensure.locks import Locks
from hostagent.ensure.storage import Storages
from hostagent.ports.disks import DiskInfo, Disks
from hostagent.ports.hypervisor import Hypervisor


class Volumes:
    def __init__(self, disks: Disks, hypervisor: Hypervisor, storages: Storages, generations: Generations) -> None:
        self._disks = disks
        self._hypervisor = hypervisor
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
            if not await self._resize_live(spec, path, wanted):
                await self._disks.grow(path, wanted)
        elif spec.size and wanted < info.size:
            await self._cut(spec, path, wanted, info.size)
        else:
            return info
        made = await self._disks.info(path)
        if made is None:
            raise rejected("not_found", f"{spec.path!r} vanished while it was made")
        return made

    async def _resize_live(self, spec: VolumeSpec, path: str, size: int) -> bool:
        return spec.vm_uuid is not None and await self._hypervisor.resize(spec.vm_uuid, path, size)

    async def _cut(self, spec: VolumeSpec, path: str, size: int, current: int) -> None:
        if not spec.cut:
            raise rejected("invalid_spec", f"size {size} is smaller than the volume's {current}; volumes only grow")
        async with self._still(spec.vm_uuid):
            if (used := await self._disks.used(path)) > size:
                raise rejected("in_use", f"the volume is in use up to byte {used}; cut at {size} it would lose data")
            if not await self._resize_live(spec, path, size):
                await self._disks.cut(path, size)

    @asynccontextmanager
    async def _still(self, vm_uuid: str | None) -> AsyncIterator[None]:
        """A running guest is paused: QEMU then writes down what it holds back, so that the file tells what is in use."""
        status = await self._hypervisor.get(vm_uuid) if vm_uuid else None
        if vm_uuid is None or status is None or status.state is not VmState.running:
            yield
            return
        await self._hypervisor.suspend(vm_uuid)
        try:
            yield
        finally:
            await self._hypervisor.resume(vm_uuid)

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
