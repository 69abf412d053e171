"""Domains in memory. A start needs what QEMU would need: its disks, its ISO, its bridges."""

import asyncio
import socket
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from hostagent.contract import ConsoleAddress, NicSpec
from hostagent.contract.error import broken, rejected
from hostagent.contract.vm import ConsoleKind, Migration, VmState
from hostagent.ports.hypervisor import Departure, Domain, DomainDisk, DomainStatus, HypervisorFacts, Watcher
from hostagent.ports.peers import Gauge
from hostagent.sim.disks import SimDisks

PNG = b"\x89PNG\r\n\x1a\nsimulated"
OFF = (VmState.stopped, VmState.crashed)


@dataclass
class SimDomain:
    defined: Domain
    state: VmState = VmState.stopped
    running: Domain | None = None  # what it was started with, and the media of now
    migration: Migration = ""


class SimHypervisor:
    """`deaf` holds VMs whose guests ignore the power button, `clinging` those that let go of no disk, `locked` those whose
    guests lock their trays."""

    def __init__(self, disks: SimDisks, bridge_exists: Callable[[str], bool]) -> None:
        self.domains: dict[str, SimDomain] = {}
        self.deaf: set[str] = set()
        self.clinging: set[str] = set()
        self.locked: set[str] = set()
        self.tunnels: dict[str, SimHypervisor] = {}  # by directory: where they lead
        self.cpu_features: list[str] = ["sse2"]
        self.boots: Counter[str] = Counter()
        self._consoles: dict[str, set[asyncio.Task[None]]] = {}
        self._path_exists = disks.files.__contains__
        self._disks = disks
        self._bridge_exists = bridge_exists
        self._watcher: Watcher | None = None

    async def facts(self) -> HypervisorFacts:
        return HypervisorFacts(
            libvirt_version="9.0.0",
            qemu_version="7.2.0",
            domain_type="qemu",
            kvm_reason="simulated host",
            cpu_models=["qemu64"],
            cpu_features=self.cpu_features,
        )

    async def watch(self, watcher: Watcher) -> None:
        self._watcher = watcher
        watcher.connected(await self.list())

    async def close(self) -> None:
        self._watcher = None

    async def list(self) -> list[DomainStatus]:
        return [_status(domain) for domain in self.domains.values()]

    async def get(self, uuid: str) -> DomainStatus | None:
        domain = self.domains.get(uuid)
        return None if domain is None else _status(domain)

    async def define(self, domain: Domain) -> None:
        known = self.domains.get(domain.uuid)
        if known is None:
            self.domains[domain.uuid] = SimDomain(domain)
        else:
            known.defined = domain

    async def start(self, uuid: str) -> None:
        domain = self._domain(uuid)
        wanted = domain.defined
        self._must_exist(*(disk.path for disk in wanted.disks), *wanted.cds)
        for nic in wanted.nics:
            if not self._bridge_exists(nic.bridge):
                raise broken("libvirt", f"cannot get interface MTU on '{nic.bridge}': No such device")
        domain.running = wanted
        self.happen(uuid, VmState.running, "booted")

    async def plug(self, uuid: str, disks: Sequence[DomainDisk]) -> None:
        domain = self._domain(uuid)
        if domain.running is None:
            return
        known = {disk.serial: disk for disk in domain.running.disks}
        wanted = {disk.serial for disk in disks}
        if uuid in self.clinging and set(known) - wanted:
            raise rejected("in_use", "the guest does not let go of the disk")
        for disk in disks:
            if disk.serial not in known and not self._path_exists(disk.path):
                raise broken("libvirt", f"Could not open '{disk.path}': No such file or directory")
        domain.running = replace(domain.running, disks=tuple(known.get(disk.serial, disk) for disk in disks))

    async def plug_nics(self, uuid: str, nics: Sequence[NicSpec]) -> None:
        domain = self._domain(uuid)
        if domain.running is None:
            return
        gone = {nic.mac for nic in domain.running.nics} - {nic.mac for nic in nics}
        if uuid in self.clinging and gone:
            raise rejected("in_use", "the guest does not let go of the NIC")
        for nic in nics:
            if not self._bridge_exists(nic.bridge):
                raise broken("libvirt", f"cannot get interface MTU on '{nic.bridge}': No such device")
        domain.running = replace(domain.running, nics=tuple(nics))

    async def resize(self, uuid: str, path: str, size: int) -> bool:
        domain = self.domains.get(uuid)
        if domain is None or domain.running is None or path not in {disk.path for disk in domain.running.disks}:
            return False
        await self._disks.grow(path, size)
        return True

    async def open_disks(self, uuid: str) -> Sequence[str]:
        domain = self.domains.get(uuid)
        return [disk.path for disk in domain.running.disks] if domain and domain.running else []

    async def snapshot(self, uuid: str, files: Mapping[str, str]) -> None:
        self._switch(uuid, files)

    async def pull(self, uuid: str, path: str, base: str | None) -> None:
        await self._disks.rebase(path, base)

    async def commit(self, uuid: str, path: str, base: str) -> None:
        self._switch(uuid, {path: base})

    def _switch(self, uuid: str, files: Mapping[str, str]) -> None:
        """Running and defined, as libvirt does it."""
        domain = self._domain(uuid)
        assert domain.running is not None
        for part in ("running", "defined"):
            known = getattr(domain, part)
            disks = tuple(replace(disk, path=files.get(disk.path, disk.path)) for disk in known.disks)
            setattr(domain, part, replace(known, disks=disks))

    async def suspend(self, uuid: str) -> None:
        self.happen(uuid, VmState.paused, "suspended")

    async def set_media(self, uuid: str, cds: Sequence[str | None], force: bool) -> None:
        domain = self._domain(uuid)
        if domain.running is None:
            return
        drives = len(domain.running.cds) or 1
        if any(cds[drives:]):
            raise rejected("no_drive", f"the VM runs with {drives} CD drive(s), {len(cds)} are needed; restart it")
        self._must_exist(*cds)
        wanted = (*cds[:drives], *[None] * (drives - len(cds)))
        taken_out = any(old and old != new for old, new in zip(domain.running.cds, wanted, strict=False))
        if taken_out and uuid in self.locked and not force:
            raise rejected("tray_locked", "the guest has locked the tray of CD drive 0; use force")
        domain.running = replace(domain.running, cds=wanted)

    def _must_exist(self, *paths: str | None) -> None:
        for path in paths:
            if path and not self._path_exists(path):
                raise broken("libvirt", f"cannot access storage file '{path}': No such file or directory")

    async def open_console(self, uuid: str, kind: ConsoleKind) -> socket.socket:
        """Something that greets like a VNC server and then says back what it hears."""
        if self._domain(uuid).running is None:
            raise rejected("no_console", f"the VM has no {kind} console now")
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=ours)

        async def echo() -> None:
            if kind == "vnc":
                writer.write(b"RFB 003.008\n")
            while (data := await reader.read(4096)) and self._domain(uuid).running:
                writer.write(data)
            writer.close()

        task = asyncio.create_task(echo())
        self._consoles.setdefault(uuid, set()).add(task)
        task.add_done_callback(lambda _: writer.close())
        return theirs

    async def screenshot(self, uuid: str) -> bytes:
        if self._domain(uuid).running is None:
            raise rejected("no_console", "the VM does not run")
        return PNG

    async def resume(self, uuid: str) -> None:
        self.happen(uuid, VmState.running, "resumed")

    async def migrate(self, uuid: str, departure: Departure, gauge: Gauge) -> None:
        domain, other = self._domain(uuid), self.tunnels[departure.directory]
        assert domain.running is not None
        other._must_exist(*(disk.path for disk in domain.running.disks), *domain.running.cds)
        arriving = other._domain(uuid)
        for nic in arriving.defined.nics:
            if not other._bridge_exists(nic.bridge):
                raise broken("libvirt", f"cannot get interface MTU on '{nic.bridge}': No such device")
        gauge.done = gauge.total = domain.running.memory_bytes
        arriving.running = domain.running
        other.happen(uuid, VmState.paused, "suspended")
        self.happen(uuid, VmState.stopped, "stopped")
        domain.migration = "left"

    async def shutdown(self, uuid: str) -> None:
        if uuid not in self.deaf and self._domain(uuid).state not in OFF:
            self.happen(uuid, VmState.stopped, "shutdown")

    async def destroy(self, uuid: str) -> None:
        if uuid in self.domains and self.domains[uuid].state not in OFF:
            self.happen(uuid, VmState.stopped, "destroyed")

    async def undefine(self, uuid: str) -> None:
        self.domains.pop(uuid, None)

    def happen(self, uuid: str, state: VmState, reason: str) -> None:
        """A domain changes, by the agent's wish or behind its back."""
        domain = self._domain(uuid)
        domain.state, domain.migration = state, ""
        self.boots[uuid] += reason in ("booted", "reboot")
        if state in OFF:
            domain.running = None
            for console in self._consoles.pop(uuid, ()):
                console.cancel()
        if self._watcher is not None:
            self._watcher.changed(uuid, state, reason)

    def _domain(self, uuid: str) -> SimDomain:
        if uuid not in self.domains:
            raise broken("libvirt", f"Domain not found: no domain with matching uuid '{uuid}'")
        return self.domains[uuid]


def _status(domain: SimDomain) -> DomainStatus:
    live = domain.running
    return DomainStatus(
        uuid=domain.defined.uuid,
        state=domain.state,
        generation=domain.defined.generation,
        boot_token=live.boot_token if live else "",
        cpu_model="qemu64" if live else "",
        cpu_mode=_CPU_MODES[live.cpu_mode] if live else "",
        consoles=tuple(_consoles(live)) if live else (),
        migration=domain.migration,
    )


_CPU_MODES = {"none": "none", "host-model": "host-model", "host-passthrough": "maximum"}  # as on a host without KVM


def _consoles(live: Domain) -> Iterator[ConsoleAddress]:
    for port, protocol in enumerate(("vnc", "spice"), 5900):
        if protocol in live.console_mode.lower():
            yield ConsoleAddress(protocol=protocol, host=live.console_listen, port=port)
