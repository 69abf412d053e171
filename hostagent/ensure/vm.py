"""VMs: the definition and the power that were wished for, and word of what happened to them.

The hypervisor is asked what is; what was (a crash, whose reason libvirt forgets) the agent keeps itself. Only a PUT
starts a VM. A newer PUT overtakes one that still waits for a guest to shut down.
"""

import asyncio
import contextlib
import socket
import time
from collections.abc import Sequence

from hostagent.contract import DiskSpec, VmSpec, VmStatus
from hostagent.contract.error import rejected
from hostagent.contract.vm import ConsoleKind, Migration, VmState
from hostagent.ensure.events import EventLog
from hostagent.ensure.generations import Generations
from hostagent.ensure.locks import Locks
from hostagent.ensure.storage import Storages
from hostagent.ports.hypervisor import Domain, DomainDisk, DomainStatus, Hypervisor, Watcher

OFF = (VmState.stopped, VmState.crashed)
PRESS_AGAIN = 10.0  # seconds
POLL = 0.2  # seconds between looks at a guest that was asked to shut down and of which no word came


class Vms:
    def __init__(self, hypervisor: Hypervisor, storages: Storages, generations: Generations, events: EventLog) -> None:
        self._hypervisor = hypervisor
        self._storages = storages
        self._generations = generations
        self._events = events
        self._locks = Locks()
        self._stopping: dict[str, asyncio.Event] = {}  # set when the guest is off

    async def open(self) -> None:
        await self._hypervisor.watch(Watcher(self._changed, self._connected))

    async def close(self) -> None:
        await self._hypervisor.close()

    async def put(self, uuid: str, spec: VmSpec) -> VmStatus:
        domain = self.domain(uuid, spec)
        if spec.power != "unchanged" or self._generations.get("vm", uuid):
            self._generations.accept("vm", uuid, spec.generation)
        async with self._locks.hold(uuid):
            self._refuse_overtaken(uuid, spec.generation)
            current = await self._hypervisor.get(uuid)
            if current is None and spec.power == "unchanged":
                raise rejected("not_found", f"VM {uuid} is not defined on this host")
            goes_on = current is not None and current.state is VmState.paused and current.boot_token == spec.boot_token
            if goes_on and spec.power == "running":
                await self._hypervisor.resume(uuid)  # first of all: a guest that has moved waits for it
            is_on = current is not None and current.state not in OFF
            defining = asyncio.create_task(self._hypervisor.define(domain))
            try:
                if is_on and spec.power == "stopped":  # nothing but the guest itself is waited for
                    await self._stop(uuid, spec)
            finally:
                await defining
            if current is None:
                self._generations.note("vm", uuid, state=VmState.stopped)
            restarts = spec.power == "running" and current and current.boot_token != spec.boot_token
            if is_on and restarts:
                await self._stop(uuid, spec)
                is_on = False
            if spec.power == "stopped":
                self._generations.note("vm", uuid, state=VmState.stopped)
            elif is_on:
                await self._hypervisor.plug(uuid, domain.disks)
                await self._hypervisor.plug_nics(uuid, domain.nics)
                await self._hypervisor.set_media(uuid, domain.cds, spec.force_eject)
            elif spec.power == "running":
                await self._hypervisor.start(uuid)
                self._generations.note("vm", uuid, state=VmState.running)
            if spec.power == "running" and (self._generations.get("vm", uuid) or {}).get("left"):
                self._generations.note("vm", uuid, left=False)  # it is here again; that it is to come is no news yet
            return await self.get(uuid)

    async def get(self, uuid: str) -> VmStatus:
        status = await self._hypervisor.get(uuid)
        if status is None:
            raise rejected("not_found", f"VM {uuid} is not defined on this host")
        return self._status(status)

    async def open_console(self, uuid: str, kind: ConsoleKind) -> socket.socket:
        await self.get(uuid)
        return await self._hypervisor.open_console(uuid, kind)

    async def screenshot(self, uuid: str) -> bytes:
        await self.get(uuid)
        return await self._hypervisor.screenshot(uuid)

    async def list(self) -> list[VmStatus]:
        return [self._status(status) for status in await self._hypervisor.list()]

    async def delete(self, uuid: str) -> None:
        """Pull the plug and remove the domain; disks and network stay. Absent is success."""
        async with self._locks.hold(uuid):
            self._generations.forget("vm", uuid)
            await self._hypervisor.destroy(uuid)
            await self._hypervisor.undefine(uuid)

    async def _stop(self, uuid: str, spec: VmSpec) -> None:
        now = press = time.monotonic()
        give_up = now + spec.stop_timeout
        ended = self._stopping[uuid] = asyncio.Event()
        try:
            while (now := time.monotonic()) < give_up:
                if now >= press:  # a guest that still boots does not hear the first one
                    await self._hypervisor.shutdown(uuid)
                    press = now + PRESS_AGAIN
                ended.clear()
                status = await self._hypervisor.get(uuid)
                if status is None or status.state in OFF:
                    return
                self._refuse_overtaken(uuid, spec.generation)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(POLL):
                        await ended.wait()
            await self._hypervisor.destroy(uuid)
        finally:
            del self._stopping[uuid]

    def _refuse_overtaken(self, uuid: str, generation: int) -> None:
        accepted = self._generations.get("vm", uuid)
        if accepted is None or accepted["generation"] > generation:
            raise rejected("stale_generation", f"vm {uuid} generation {generation} was overtaken by a newer wish")

    def domain(self, uuid: str, spec: VmSpec) -> Domain:
        """What the hypervisor is told of that wish. Raises: invalid_spec."""
        return Domain(
            uuid=uuid,
            name=spec.name,
            generation=spec.generation,
            boot_token=spec.boot_token,
            cpu_num=spec.cpu_num,
            memory_bytes=spec.memory_bytes,
            disks=tuple(self._disk(disk) for disk in sorted(spec.disks, key=lambda disk: disk.device_id)),
            cds=tuple(
                self._storages.resolve(iso.storage_uuid or "", iso.path) if iso.image_uuid else None
                for iso in spec.isos
            ),
            nics=tuple(sorted(spec.nics, key=lambda nic: nic.device_id)),
            boot_order=tuple(spec.boot_order),
            boot_once=tuple(spec.boot_once),
            cpu_mode=spec.cpu_mode,
            console_mode=spec.console_mode,
            console_listen=spec.console_listen,
            console_password=spec.console_password,
        )

    def _disk(self, disk: DiskSpec) -> DomainDisk:
        path = self._storages.resolve(disk.storage_uuid, disk.path)
        return DomainDisk(path=path, serial=disk.volume_uuid[:20], device_id=disk.device_id, bus=disk.bus)

    def _status(self, status: DomainStatus) -> VmStatus:
        return VmStatus(
            uuid=status.uuid,
            generation=status.generation,
            state=self._state(status),
            boot_token=status.boot_token,
            cpu_model=status.cpu_model,
            cpu_mode=status.cpu_mode,
            consoles=list(status.consoles),
            serial_log=status.serial_log,
            migration=self._migration(status),
        )

    def _state(self, status: DomainStatus) -> VmState:
        remembered = (self._generations.get("vm", status.uuid) or {}).get("state")
        if status.state in OFF and remembered in OFF:
            return VmState(remembered)
        return status.state

    def _migration(self, status: DomainStatus) -> Migration:
        """libvirt forgets why a domain is off."""
        has_left = (self._generations.get("vm", status.uuid) or {}).get("left")
        return "left" if has_left and status.state in OFF else status.migration

    def _changed(self, uuid: str, state: VmState, reason: str) -> None:
        if state in OFF and (waiting := self._stopping.get(uuid)):
            waiting.set()
        known = self._generations.get("vm", uuid)
        if known is None or (state is VmState.crashed and known.get("state") in OFF):
            return  # not ours, or a start that failed: what is off cannot crash
        self._generations.note("vm", uuid, state=state)
        self._events.append(uuid, state, reason)

    def _connected(self, domains: Sequence[DomainStatus]) -> None:
        """Tell what changed while nobody watched; events of the daemon may be lost, its list is not."""
        present = {status.uuid: status for status in domains}
        for uuid, remembered in self._generations.all("vm").items():
            status = present.get(uuid)
            state = VmState.unknown if status is None else self._state(status)
            if "state" in remembered and state != remembered["state"]:
                self._changed(uuid, state, "undefined" if status is None else "missed")
