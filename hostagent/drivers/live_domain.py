"""Changes to a running domain: the media in its CD drives, and the boot order that its next reset will follow.

QEMU reads the boot order when it resets, so a domain that is started paused boots by the order of its definition and,
once its devices' `bootindex` is changed, resets by another. libvirt has no call for that; QEMU's own monitor has.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any
from xml.etree import ElementTree as ET

import libvirt
import libvirt_qemu

from hostagent.contract.error import HostError, rejected
from hostagent.drivers.domain_xml import BootNumbers, cd_drive, read_lasting_boot_order
from hostagent.drivers.libvirt_connection import translate

# What libvirt answers when the guest keeps the tray shut.
_LOCKED = (libvirt.VIR_ERR_OPERATION_FAILED, libvirt.VIR_ERR_OPERATION_INVALID, libvirt.VIR_ERR_OPERATION_UNSUPPORTED)


def start(domain: Any) -> None:
    """A definition with a one-time boot order is started so that the order holds for this boot only."""
    if domain.isActive():
        return
    if read_lasting_boot_order(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)) is None:
        domain.create()
        return
    domain.createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED)
    try:
        resume(domain)
    except libvirt.libvirtError:
        domain.destroy()
        raise


def resume(domain: Any) -> None:
    """Go on; a domain that was started paused and left so by an agent that ended gets its lasting boot order first."""
    for alias, index in boot_indices(domain.XMLDesc(0)):
        arguments = {"path": f"/machine/peripheral/{alias}", "property": "bootindex", "value": index}
        command = json.dumps({"execute": "qom-set", "arguments": arguments})
        answer = json.loads(libvirt_qemu.qemuMonitorCommand(domain, command, 0))
        if "error" in answer:
            raise libvirt.libvirtError(f"QEMU cannot set the boot order of {alias}: {answer['error'].get('desc')}")
    domain.resume()


def boot_indices(xml: str) -> Iterator[tuple[str, int]]:
    """(device, number) in the order in which QEMU takes them: first all are without one, as two may never have the same."""
    order = read_lasting_boot_order(xml)
    if order is None:
        return
    root = ET.fromstring(xml)  # noqa: S314 from libvirtd
    devices = [(_kind(device), device.find("alias")) for device in root.findall("devices/disk")]
    devices += [("Network", device.find("alias")) for device in root.findall("devices/interface")]
    named = [(kind, alias.get("name", "")) for kind, alias in devices if alias is not None]
    kinds = [kind for kind, _ in named]
    numbers = BootNumbers(order, {kind: kinds.count(kind) for kind in ("HardDisk", "CdRom", "Network")})
    for _, name in named:
        yield name, -1
    for kind, name in named:
        if number := numbers.take(kind):
            yield name, number


def _kind(disk: ET.Element) -> str:
    return "CdRom" if disk.get("device") == "cdrom" else "HardDisk"


def set_media(domain: Any, cds: Sequence[str | None], force: bool) -> None:
    """Only drives that hold something else are touched."""
    disks = ET.fromstring(domain.XMLDesc(0)).findall("devices/disk")  # noqa: S314
    drives = [disk for disk in disks if _kind(disk) == "CdRom"]
    if wanting := [path for path in cds[len(drives) :] if path]:
        raise rejected(
            "no_drive",
            f"the VM runs with {len(drives)} CD drive(s), {len(drives) + len(wanting)} are needed; restart it",
        )
    for index, drive in enumerate(drives):
        wanted = cds[index] if index < len(cds) else None
        source, target = drive.find("source"), drive.find("target")
        if target is None or (None if source is None else source.get("file")) == wanted:
            continue
        new = ET.tostring(cd_drive(wanted, target.get("dev", "")), encoding="unicode")
        flags = libvirt.VIR_DOMAIN_AFFECT_LIVE | (libvirt.VIR_DOMAIN_DEVICE_MODIFY_FORCE if force else 0)
        try:
            domain.updateDeviceFlags(new, flags)
        except libvirt.libvirtError as error:
            raise _tray_problem(error, index) from error


def _tray_problem(error: libvirt.libvirtError, index: int) -> HostError:
    if error.get_error_code() not in _LOCKED:
        return translate(error)
    return rejected(
        "tray_locked",
        f"the guest has locked the tray of CD drive {index} (it uses the medium): unmount it in the guest, or use force",
        error.get_error_message() or "",
    )
