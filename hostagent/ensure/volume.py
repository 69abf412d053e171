"""Volumes: qcow2 files in a storage, blank, overlays of a cached image, or chains of snapshots.

A volume that exists is kept and grown when the wish is larger, under a running guest too; it is never re-made, and made
smaller only to take back a growth that nobody has used. Work that takes long goes on when its caller does not wait.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from hostagent.contract import VolumeFile, VolumeSpec, VolumesSpec, VolumeStatus
from hostagent.contract.error import HostError, broken, rejected
from hostagent.contract.vm import VmState
from hostagent.ensure.generations import Generations
from hostagent.ensure.image import image_path
from hostagent.ensure.locks import Locks
from hostagent.ensure.storage import Storages
from hostagent.ports.disks import DiskInfo, Disks
from hostagent.ports.hypervisor import Hypervisor

Work = asyncio.Task[VolumeStatus]


class Volumes:
    def __init__(self, disks: Disks, hypervisor: Hypervisor, storages: Storages, generations: Generations) -> None:
        self._disks = disks
        self._hypervisor = hypervisor
        self._storages = storages
        self._generations = generations
        self._locks = Locks()
        self._work: dict[str, tuple[VolumeSpec, Work]] = {}

    async def put(self, uuid: str, spec: VolumeSpec, wait: float = 20.0) -> VolumeStatus:
        """Begin or join the work, wait up to `wait` seconds for its end."""
        known, work = self._work.get(uuid, (None, None))
        if work is None or work.done() or known != spec:
            work = asyncio.create_task(self._put(uuid, spec))
            work.add_done_callback(lambda done: done.cancelled() or done.exception())  # read, whoever waits
            self._work[uuid] = spec, work
        await asyncio.wait([work], timeout=wait)
        if not work.done():
            return VolumeStatus(uuid=uuid, storage_uuid=spec.storage_uuid, path=spec.path, state="working")
        if self._work.get(uuid, (None, None))[1] is work:
            del self._work[uuid]
        return work.result()

    async def put_together(self, wish: VolumesSpec) -> list[VolumeStatus]:
        """Files put on top of others freeze all of those at one instant."""
        async with AsyncExitStack() as held:
            for uuid in sorted(wish.volumes):
                await held.enter_async_context(self._locks.hold(uuid))
            for uuid, spec in wish.volumes.items():
                self._storages.resolve(spec.storage_uuid, spec.path)
                self._generations.accept("volume", uuid, spec.generation)
            await self._cover(wish.vm_uuid, [spec for spec in wish.volumes.values() if spec.below])
            return [await self._ensured(uuid, spec) for uuid, spec in wish.volumes.items()]

    async def get(self, uuid: str, storage_uuid: str, path: str) -> VolumeStatus:
        info = await self._disks.info(self._storages.resolve(storage_uuid, path))
        if info is None:
            raise rejected("not_found", f"volume {uuid} has no file {path!r} in storage {storage_uuid}")
        return await self._status(uuid, storage_uuid, path, info)

    async def delete(self, uuid: str, storage_uuid: str, path: str) -> None:
        if work := self._work.pop(uuid, None):
            work[1].cancel()
            await asyncio.wait([work[1]])
        async with self._locks.hold(uuid):
            if self._generations.get("storage", storage_uuid) is not None:
                root = self._storages.path(storage_uuid)
                await self._disks.remove(self._storages.resolve(storage_uuid, path), root)
            self._generations.forget("volume", uuid)

    async def _put(self, uuid: str, spec: VolumeSpec) -> VolumeStatus:
        path = self._storages.resolve(spec.storage_uuid, spec.path)
        async with self._locks.hold(uuid):
            self._generations.accept("volume", uuid, spec.generation)
            try:
                if spec.fold:
                    await self._fold(spec, path)
                if spec.below:
                    await self._cover(spec.vm_uuid, [spec])
                return await self._ensured(uuid, spec)
            except HostError:
                if await self._disks.info(path) is None:
                    self._generations.forget("volume", uuid)
                raise

    async def _ensured(self, uuid: str, spec: VolumeSpec) -> VolumeStatus:
        path = self._storages.resolve(spec.storage_uuid, spec.path)
        if await self._disks.info(path) is None:
            await self._create(spec, path)
        elif spec.below is not None:
            await self._rest_on(spec, path)
        info = await self._sized(spec, path)
        return await self._status(uuid, spec.storage_uuid, spec.path, info)

    # -- making and growing --------------------------------------------------------------------------------------

    async def _create(self, spec: VolumeSpec, path: str) -> None:
        if spec.copy_of:
            source = self._storages.resolve(spec.storage_uuid, spec.copy_of)
            if await self._disks.info(source) is None:
                raise rejected("not_found", f"there is no file {spec.copy_of!r} to copy")
            return await self._disks.copy(source, path)
        backing, smallest = await self._base(spec)
        wanted = spec.size or smallest
        if wanted <= 0 or wanted < smallest:
            raise rejected("invalid_spec", f"size {spec.size} must be at least {max(smallest, 1)} bytes")
        await self._disks.create(path, wanted, backing)

    async def _sized(self, spec: VolumeSpec, path: str) -> DiskInfo:
        info = await self._found(spec, path)
        if spec.size > info.size:
            if not await self._resize_live(spec, path, spec.size):
                await self._disks.grow(path, spec.size)
        elif 0 < spec.size < info.size:
            await self._cut(spec, path, spec.size, info.size)
        else:
            return info
        return await self._found(spec, path)

    async def _found(self, spec: VolumeSpec, path: str) -> DiskInfo:
        info = await self._disks.info(path)
        if info is None:
            raise rejected("not_found", f"{spec.path!r} vanished while it was worked on")
        return info

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

    # -- chains --------------------------------------------------------------------------------------------------

    async def _cover(self, vm_uuid: str | None, specs: list[VolumeSpec]) -> None:
        """Absent files are put on top of others; those that a guest writes to freeze, all at one instant."""
        tops = await self._hypervisor.open_disks(vm_uuid) if vm_uuid else []
        frozen: dict[str, str] = {}
        for spec in specs:
            path = self._storages.resolve(spec.storage_uuid, spec.path)
            under = self._storages.resolve(spec.storage_uuid, (spec.below or [""])[-1])
            if path in tops:
                continue
            if await self._disks.info(path) is not None:
                if under not in tops:
                    continue
                # made by a call that did not get to the freezing: nobody has written to it
                await self._disks.remove(path, self._storages.path(spec.storage_uuid))
            if (info := await self._disks.info(under)) is None:
                raise rejected("not_found", f"there is no file {(spec.below or [''])[-1]!r} to rest on")
            await self._disks.create(path, max(spec.size, info.size), under)
            if under in tops:
                frozen[under] = path
        if frozen and vm_uuid:
            await self._hypervisor.snapshot(vm_uuid, frozen)

    async def _fold(self, spec: VolumeSpec, path: str) -> None:
        """The file on top goes down into `path`."""
        upper = self._storages.resolve(spec.storage_uuid, spec.fold or "")
        info = await self._disks.info(upper)
        if info is None:
            return
        if info.backing != path:
            raise rejected("invalid_spec", f"{spec.fold!r} does not rest on {spec.path!r}")
        tops = await self._hypervisor.open_disks(spec.vm_uuid) if spec.vm_uuid else []
        if upper in tops:
            await self._hypervisor.commit(spec.vm_uuid or "", upper, path)
        elif path not in tops:  # else nobody ever wrote to it
            await self._disks.commit(upper)
        await self._disks.remove(upper, self._storages.path(spec.storage_uuid))

    async def _rest_on(self, spec: VolumeSpec, path: str) -> None:
        """`path` rests on the last of `below`, on its image or on nothing; what it loses is merged into it."""
        lower = await self._under(path)
        wanted = next((file for file in lower if self._is_image(spec.storage_uuid, file)), None)
        if spec.below:
            wanted = self._storages.resolve(spec.storage_uuid, spec.below[-1])
        if (lower[0] if lower else None) == wanted:
            return
        tops = await self._hypervisor.open_disks(spec.vm_uuid) if spec.vm_uuid else []
        if path not in tops:
            await self._disks.rebase(path, wanted)
        elif wanted is None or wanted in lower:
            await self._hypervisor.pull(spec.vm_uuid or "", path, wanted)
        else:
            return  # a running guest's file gains nothing
        if (await self._under(path))[:1] != [file for file in [wanted] if file]:
            raise broken("internal", f"{spec.path!r} does not rest on {wanted} after the merge")

    async def _under(self, path: str) -> list[str]:
        """What it rests on, the nearest first."""
        found: list[str] = []
        info = await self._disks.info(path)
        while info is not None and info.backing is not None and info.backing not in found:
            found.append(info.backing)
            info = await self._disks.info(info.backing)
        return found

    def _is_image(self, storage_uuid: str, path: str) -> bool:
        return path.startswith(f"{self._storages.path(storage_uuid)}/imagecache/")

    async def _status(self, uuid: str, storage_uuid: str, path: str, info: DiskInfo) -> VolumeStatus:
        root = self._storages.path(storage_uuid)
        own = [VolumeFile(path=path, actual_size=info.actual_size)]
        for file in await self._under(f"{root}/{path}"):
            lower = await self._disks.info(file)
            if lower is not None and not self._is_image(storage_uuid, file):
                own.append(VolumeFile(path=file.removeprefix(f"{root}/"), actual_size=lower.actual_size))
        return VolumeStatus(
            uuid=uuid,
            storage_uuid=storage_uuid,
            path=path,
            size=info.size,
            actual_size=info.actual_size,
            chain=own[::-1],
        )
