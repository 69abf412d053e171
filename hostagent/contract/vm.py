"""`PUT /v1/vms/{uuid}`: one VM's definition and power. `GET /v1/vms` is the inventory; `DELETE` removes the domain only.

`power` is wished. `boot_token` makes a reboot a wish too: when it differs from the one the running domain was started
with, the domain is stopped (gracefully for up to `stop_timeout`, then by force) and started anew. A guest's own shutdown
does not make the agent start it again: only a PUT acts. `unchanged` neither starts nor stops, and defines nothing new.
The media in the CD drives of a running VM follow each PUT; the rest of the definition is taken at its next start. `boot_once`
is for the boot that this PUT begins: whatever resets the guest after that, `boot_order` holds.

`disks` are matched live: a domain that runs and is not restarted gets those it lacks (by `volume_uuid`) and loses those
that are not in the list; the answer comes when the guest has let go of them, or `in_use` when it does not.
"""

from enum import StrEnum
from typing import Literal

from hostagent.contract.base import Model, Specified

ConsoleKind = Literal["vnc", "spice", "serial"]
BootDevice = Literal["HardDisk", "CdRom", "Network"]
Migration = Literal["", "moving", "left"]  # `left`: it is off because it runs elsewhere now


class VmState(StrEnum):
    running = "running"
    stopped = "stopped"
    paused = "paused"
    crashed = "crashed"
    unknown = "unknown"


class DiskSpec(Model):
    volume_uuid: str  # also the disk's serial, cut to 20 characters
    storage_uuid: str
    path: str  # relative to the storage
    device_id: int  # 0 is the root disk
    bus: Literal["virtio", "scsi", "ide"] = "virtio"


class IsoSpec(Model):
    image_uuid: str | None  # None: an empty drive
    storage_uuid: str | None = None
    path: str = ""


class NicSpec(Model):
    nic_uuid: str
    mac: str
    bridge: str
    tap: str  # name of the tap device, ≤ 15 characters
    device_id: int
    model: Literal["virtio", "e1000", "rtl8139"] = "virtio"
    mtu: int = 1500


class VmSpec(Specified):
    name: str
    cpu_num: int
    memory_bytes: int
    disks: list[DiskSpec]
    nics: list[NicSpec]
    isos: list[IsoSpec] = []  # one for each CD drive
    force_eject: bool = False  # take the medium out of a drive whose tray the guest has locked
    boot_order: list[BootDevice] = ["HardDisk"]
    boot_once: list[BootDevice] = []
    power: Literal["running", "stopped", "unchanged"]
    boot_token: str = ""
    stop_timeout: int = 60  # 0: pull the plug
    cpu_mode: Literal["none", "host-model", "host-passthrough"] = "none"
    console_mode: Literal["vnc", "spice", "vncAndSpice"] = "vnc"
    console_listen: str = "127.0.0.1"  # address of the graphics ports
    console_password: str = ""  # of the graphics ports; "": a random one that nobody learns


class ConsoleAddress(Model):
    protocol: Literal["vnc", "spice"]
    host: str
    port: int


class VmStatus(Model):
    uuid: str
    generation: int
    state: VmState
    boot_token: str = ""
    cpu_model: str = ""
    cpu_mode: str = ""  # that the host chose for the wish: a host without KVM has no host-passthrough
    consoles: list[ConsoleAddress] = []
    serial_log: str = ""  # path on the host
    migration: Migration = ""
