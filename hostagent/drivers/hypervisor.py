"""`Hypervisor` over libvirt and QEMU.

libvirt is asked what is, never trusted for history. The generation and boot token of a VM live in its domain's
metadata: the stored definition tells what was defined, the live one what is running. Domains without that metadata
are not ours and are never touched or listed.
"""

import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import libvirt
import structlog

from hostagent.contract.error import HostError, broken
from hostagent.contract.vm import ConsoleKind, Migration, VmState
from hostagent.drivers import consoles, domain_xml, live_domain
from hostagent.drivers.domains import absent
from hostagent.drivers.kvm_probe import KvmProbe
from hostagent.drivers.libvirt_connection import REBOOTED, LibvirtConnection
from hostagent.drivers.live_devices import LiveDevices
from hostagent.drivers.live_migration import LiveMigration
from hostagent.ports.hypervisor import Domain, DomainStatus, HypervisorFacts, Watcher

T = TypeVar("T")
logger = structlog.get_logger("hostagent.libvirt")
START, DESTROY = 60.0, 30.0  # seconds; destroying a hung QEMU takes ten
UNDEFINE = (
    libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
    | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
    | libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
    | libvirt.VIR_DOMAIN_UNDEFINE_NVRAM
)
STATES = {
    libvirt.VIR_DOMAIN_RUNNING: VmState.running,
    libvirt.VIR_DOMAIN_BLOCKED: VmState.running,
    libvirt.VIR_DOMAIN_SHUTDOWN: VmState.running,  # on its way down
    libvirt.VIR_DOMAIN_PAUSED: VmState.paused,
    libvirt.VIR_DOMAIN_PMSUSPENDED: VmState.paused,
    libvirt.VIR_DOMAIN_SHUTOFF: VmState.stopped,
    libvirt.VIR_DOMAIN_CRASHED: VmState.crashed,
}
MIGRATION: dict[tuple[int, int], Migration] = {
    (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_MIGRATION): "moving",
    (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_STARTING_UP): "moving",
    (libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTOFF_MIGRATED): "left",
}
EVENTS = {
    libvirt.VIR_DOMAIN_EVENT_STARTED: (VmState.running, "booted"),
    libvirt.VIR_DOMAIN_EVENT_RESUMED: (VmState.running, "resumed"),
    libvirt.VIR_DOMAIN_EVENT_SUSPENDED: (VmState.paused, "suspended"),
    libvirt.VIR_DOMAIN_EVENT_CRASHED: (VmState.crashed, "crashed"),
    libvirt.VIR_DOMAIN_EVENT_UNDEFINED: (VmState.unknown, "undefined"),
    REBOOTED: (VmState.running, "reboot"),
}
STOPPED = {
    libvirt.VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN: (VmState.stopped, "shutdown"),
    libvirt.VIR_DOMAIN_EVENT_STOPPED_DESTROYED: (VmState.stopped, "destroyed"),
    libvirt.VIR_DOMAIN_EVENT_STOPPED_CRASHED: (VmState.crashed, "crashed"),
    libvirt.VIR_DOMAIN_EVENT_STOPPED_FAILED: (VmState.crashed, "failed"),
}


class LibvirtHypervisor(LiveDevices, LiveMigration):
    def __init__(self, connection: LibvirtConnection, probe: KvmProbe, serial_directory: Path) -> None:
        super().__init__(connection)
        self._probe = probe
        self._serial_directory = serial_directory

    async def facts(self) -> HypervisorFacts:
        domain_type, reason = await self._probe.decide()

        def ask(connection: Any) -> tuple[int, int, str, str]:
            capabilities = connection.getDomainCapabilities(None, "x86_64", "pc", domain_type, 0)
            expanded = _expanded(connection, domain_type, domain_xml.host_model(capabilities))
            return connection.getLibVersion(), connection.getVersion(), capabilities, expanded

        try:
            library, qemu, capabilities, cpu = await self._connection.call(ask)
        except HostError as error:
            return HypervisorFacts("", "", domain_type, reason, problem=error.problem.message)
        _, models = domain_xml.read_capabilities(capabilities)
        return HypervisorFacts(
            _version(library), _version(qemu), domain_type, reason, models, domain_xml.cpu_features(cpu)
        )

    async def watch(self, watcher: Watcher) -> None:
        def on_event(uuid: str, event: int, detail: int) -> None:
            if event == libvirt.VIR_DOMAIN_EVENT_STOPPED:
                watcher.changed(uuid, *STOPPED.get(detail, (VmState.stopped, "stopped")))
            elif event in EVENTS:
                watcher.changed(uuid, *EVENTS[event])

        async def on_connect() -> None:
            watcher.connected(await self.list())

        await self._probe.decide()  # now, so that no caller waits for it
        await self._connection.open(on_event, on_connect)

    async def close(self) -> None:
        await self._connection.close()

    async def list(self) -> list[DomainStatus]:
        def ask(connection: Any) -> list[DomainStatus]:
            found = []
            for domain in connection.listAllDomains(0):
                with absent():  # it may go while we look
                    if status := _status(domain):
                        found.append(status)
            return found

        return await self._connection.call(ask)

    async def get(self, uuid: str) -> DomainStatus | None:
        return await self._with(uuid, _status)

    async def define(self, domain: Domain) -> None:
        domain_type, _ = await self._probe.decide()
        log = self._serial_log(domain.uuid)

        def define(connection: Any) -> None:
            capabilities = connection.getDomainCapabilities(None, "x86_64", "pc", domain_type, 0)
            modes, _ = domain_xml.read_capabilities(capabilities)
            cpu = domain_xml.choose_cpu(domain.cpu_mode, domain_type, modes)
            self._serial_directory.mkdir(parents=True, exist_ok=True, mode=0o711)
            xml = domain_xml.build(domain, domain_type=domain_type, cpu=cpu, serial_log=str(log))
            connection.defineXMLFlags(xml, libvirt.VIR_DOMAIN_DEFINE_VALIDATE)

        await self._connection.call(define)

    async def start(self, uuid: str) -> None:
        await self._must(uuid, live_domain.start, START)

    async def suspend(self, uuid: str) -> None:
        await self._must(uuid, lambda domain: domain.suspend())

    async def resume(self, uuid: str) -> None:
        await self._must(uuid, live_domain.resume)

    async def set_media(self, uuid: str, cds: Sequence[str | None], force: bool) -> None:
        await self._must(uuid, lambda domain: live_domain.set_media(domain, cds, force), START)

    async def open_console(self, uuid: str, kind: ConsoleKind) -> socket.socket:
        line = await self._with(uuid, lambda domain: consoles.connect(domain, kind))
        if line is None:
            raise broken("libvirt", f"domain {uuid} is not defined")
        return line

    async def screenshot(self, uuid: str) -> bytes:
        return await self._with(uuid, consoles.screenshot) or b""

    async def shutdown(self, uuid: str) -> None:
        await self._with(uuid, lambda domain: domain.isActive() and domain.shutdownFlags(_ACPI))

    async def destroy(self, uuid: str) -> None:
        await self._with(uuid, lambda domain: domain.isActive() and domain.destroy(), DESTROY)

    async def undefine(self, uuid: str) -> None:
        await self._with(uuid, lambda domain: domain.undefineFlags(UNDEFINE))
        log = self._serial_log(uuid)
        for file in (log, Path(domain_xml.serial_socket(str(log)))):
            file.unlink(missing_ok=True)

    def _serial_log(self, uuid: str) -> Path:
        return self._serial_directory / f"{uuid}.log"


_ACPI = libvirt.VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN


def _status(domain: Any) -> DomainStatus | None:
    defined = domain_xml.read_metadata(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
    if defined is None:
        return None
    state, reason = domain.state()
    live = domain.XMLDesc(0)
    cpu, ports, serial_log = domain_xml.read_live(live)
    known = STATES.get(state, VmState.unknown)
    if state == libvirt.VIR_DOMAIN_SHUTOFF and reason == libvirt.VIR_DOMAIN_SHUTOFF_CRASHED:
        known = VmState.crashed
    is_on = known not in (VmState.stopped, VmState.crashed)
    running = domain_xml.read_metadata(live) if is_on else None
    return DomainStatus(
        uuid=domain.UUIDString().replace("-", ""),
        state=known,
        generation=defined[0],
        boot_token=running[1] if running else "",
        cpu_model=cpu if is_on else "",
        cpu_mode=domain_xml.read_cpu_mode(live) if is_on else "",
        consoles=ports if is_on else (),
        serial_log=serial_log,
        migration=MIGRATION.get((state, reason), ""),
    )


def _expanded(connection: Any, domain_type: str, model: str) -> str:
    """The host's CPU model with all features that it stands for; "" where there is none."""
    if not model:
        return ""
    flags = libvirt.VIR_CONNECT_BASELINE_CPU_EXPAND_FEATURES
    try:
        return str(connection.baselineHypervisorCPU(None, "x86_64", "pc", domain_type, [model], flags))
    except libvirt.libvirtError as error:  # guests run all the same; libvirt itself compares when one moves
        logger.warning("the features of the host's CPU model are not known", reason=error.get_error_message())
        return ""


def _version(number: int) -> str:
    return f"{number // 1_000_000}.{number // 1000 % 1000}.{number % 1000}"
