"""What the agent needs from a hypervisor: persistent domains, their power, and word of every change.

`define`, `destroy` and `undefine` may be repeated. All paths are absolute and already checked. Errors are
`HostError` with code `libvirt` (temporary when the daemon is away, broken otherwise) or `invalid_spec`.
"""

import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from hostagent.contract import ConsoleAddress, NicSpec
from hostagent.contract.vm import BootDevice, ConsoleKind, Migration, VmState
from hostagent.ports.peers import Gauge


@dataclass(frozen=True, slots=True)
class DomainDisk:
    path: str
    serial: str
    device_id: int
    bus: Literal["virtio", "scsi", "ide"]


@dataclass(frozen=True, slots=True)
class Domain:
    """A VM as the hypervisor shall define it; `cds` are ISO paths, None for an empty drive."""

    uuid: str
    name: str
    generation: int
    boot_token: str
    cpu_num: int
    memory_bytes: int
    disks: tuple[DomainDisk, ...]
    cds: tuple[str | None, ...]
    nics: tuple[NicSpec, ...]
    boot_order: tuple[BootDevice, ...]
    cpu_mode: Literal["none", "host-model", "host-passthrough"]
    console_mode: Literal["vnc", "spice", "vncAndSpice"]
    console_listen: str = "127.0.0.1"
    console_password: str = field(default="", repr=False)
    boot_once: tuple[BootDevice, ...] = ()  # for the next start; a reset of the guest follows `boot_order` again


@dataclass(frozen=True, slots=True)
class DomainStatus:
    """`generation` is that of the definition; `boot_token` the one the running domain was started with ("" if off)."""

    uuid: str
    state: VmState
    generation: int
    boot_token: str = ""
    cpu_model: str = ""
    cpu_mode: str = ""
    consoles: tuple[ConsoleAddress, ...] = ()
    serial_log: str = ""
    migration: Migration = ""


@dataclass(frozen=True, slots=True)
class HypervisorFacts:
    """`problem` is empty when guests can be started; else it says what an operator must look after."""

    libvirt_version: str
    qemu_version: str
    domain_type: Literal["kvm", "qemu"]
    kvm_reason: str = ""
    cpu_models: list[str] = field(default_factory=list)
    cpu_features: list[str] = field(default_factory=list)
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Departure:
    """Where a domain goes: through the sockets of a tunnel in `directory`. The rest is what differs over there."""

    directory: str
    serial_log: str
    console_listen: str
    with_disks: bool = True  # else they are there


@dataclass(frozen=True, slots=True)
class Watcher:
    """`changed(uuid, state, reason)` for one domain; `connected(all)` after each (re)connection, with every domain."""

    changed: Callable[[str, VmState, str], None]
    connected: Callable[[Sequence[DomainStatus]], None]


class Hypervisor(Protocol):
    async def facts(self) -> HypervisorFacts: ...

    async def watch(self, watcher: Watcher) -> None:
        """Begin to report, on the caller's event loop, until `close`."""
        ...

    async def close(self) -> None: ...

    async def list(self) -> list[DomainStatus]:
        """Every domain that the agent defined."""
        ...

    async def get(self, uuid: str) -> DomainStatus | None: ...

    async def define(self, domain: Domain) -> None:
        """Store the definition; a running domain takes it at its next start."""
        ...

    async def plug(self, uuid: str, disks: Sequence[DomainDisk]) -> None:
        """A running domain has these disks, told apart by their serials: missing ones are plugged in, others out.

        Raises: in_use when the guest does not let go of one."""
        ...

    async def plug_nics(self, uuid: str, nics: Sequence[NicSpec]) -> None:
        """The same of its NICs, told apart by their MAC addresses."""
        ...

    async def resize(self, uuid: str, path: str, size: int) -> bool:
        """The size of a disk that a running domain has open; False when the domain is off or has no such disk."""
        ...

    async def open_disks(self, uuid: str) -> Sequence[str]:
        """The files that a running domain writes to; none when it is off or not there."""
        ...

    async def snapshot(self, uuid: str, files: Mapping[str, str]) -> None:
        """From one instant on the domain writes to the new files (old → new), which rest on the old ones.

        File systems are quiesced when the guest's agent answers."""
        ...

    async def pull(self, uuid: str, path: str, base: str | None) -> None:
        """An open file comes to hold what lies between it and `base`, on which it then rests."""
        ...

    async def commit(self, uuid: str, path: str, base: str) -> None:
        """What an open file holds goes into `base`, directly under it, which the domain then writes to."""
        ...

    async def start(self, uuid: str) -> None: ...

    async def suspend(self, uuid: str) -> None:
        """The guest stands still and all it has written is in its files."""
        ...

    async def resume(self, uuid: str) -> None: ...

    async def migrate(self, uuid: str, departure: Departure, gauge: Gauge) -> None:
        """When it returns the domain is off here and stands still at the other end of the tunnel, with its memory and what
        its disks' own files held. Else it goes on here. Cancelling gives it up, if it has not left: see `get`."""
        ...

    async def set_media(self, uuid: str, cds: Sequence[str | None], force: bool) -> None:
        """The drives of the running domain hold these, further ones nothing. Raises: no_drive, tray_locked."""
        ...

    async def open_console(self, uuid: str, kind: ConsoleKind) -> socket.socket:
        """A connected socket that needs no password. Raises: no_console."""
        ...

    async def screenshot(self, uuid: str) -> bytes:
        """PNG. Raises: no_console."""
        ...

    async def shutdown(self, uuid: str) -> None:
        """Press the power button (ACPI); the guest may ignore it."""
        ...

    async def destroy(self, uuid: str) -> None:
        """Pull the plug; a domain that is off already is success."""
        ...

    async def undefine(self, uuid: str) -> None:
        """Remove a stopped domain with all that libvirt keeps for it; absent is success."""
        ...
