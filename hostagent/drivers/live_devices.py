"""The disks and NICs of a running domain, changed while it runs: plugged; disks also grown, frozen by snapshots, merged.

libvirt's block jobs are waited for in a thread of the connection. A call that is repeated joins a job that still runs.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import libvirt

from hostagent.contract import NicSpec
from hostagent.contract.error import broken, rejected
from hostagent.drivers import domain_xml
from hostagent.drivers.domains import Domains
from hostagent.ports.hypervisor import DomainDisk

UNPLUG, PLUG = 20.0, 90.0  # seconds a guest gets to let go of a device; for all devices of a call
JOB = 4 * 3600.0  # seconds for a block job over a large disk
_SNAPSHOT = (
    libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY
    | libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_ATOMIC
    | libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_NO_METADATA
    | libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_REUSE_EXT
)


class LiveDevices(Domains):
    """Part of `LibvirtHypervisor`."""

    async def plug(self, uuid: str, disks: Sequence[DomainDisk]) -> None:
        wanted = {disk.serial: domain_xml.disk_xml(disk) for disk in disks}
        await self._must(uuid, lambda domain: _plug(domain, "disk", _disk_devices, wanted), PLUG)

    async def plug_nics(self, uuid: str, nics: Sequence[NicSpec]) -> None:
        wanted = {nic.mac: domain_xml.nic_xml(nic) for nic in nics}
        await self._must(uuid, lambda domain: _plug(domain, "NIC", _nic_devices, wanted), PLUG)

    async def open_disks(self, uuid: str) -> Sequence[str]:
        def look(domain: Any) -> list[str]:
            return [disk.path for disk in _disks(domain).values()] if domain.isActive() else []

        return await self._with(uuid, look) or []

    async def snapshot(self, uuid: str, files: Mapping[str, str]) -> None:
        def snapshot(domain: Any) -> None:
            xml = domain_xml.snapshot_xml(domain.XMLDesc(0), files)
            try:
                domain.snapshotCreateXML(xml, _SNAPSHOT | libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_QUIESCE)
            except (
                libvirt.libvirtError
            ):  # no agent answers, or it cannot freeze; else the second try says what is wrong
                domain.snapshotCreateXML(xml, _SNAPSHOT)

        await self._must(uuid, snapshot, JOB)

    async def pull(self, uuid: str, path: str, base: str | None) -> None:
        def pull(domain: Any) -> None:
            disk = _disk(domain, path)
            if not domain.blockJobInfo(disk.target):
                below = None if base is None else f"{disk.target}[{disk.below[base]}]"
                relative = 0 if base is None else libvirt.VIR_DOMAIN_BLOCK_REBASE_RELATIVE
                domain.blockRebase(disk.target, below, 0, relative)
            while domain.blockJobInfo(disk.target):
                time.sleep(0.05)

        await self._must(uuid, pull, JOB)

    async def commit(self, uuid: str, path: str, base: str) -> None:
        flags = libvirt.VIR_DOMAIN_BLOCK_COMMIT_ACTIVE | libvirt.VIR_DOMAIN_BLOCK_COMMIT_RELATIVE

        def commit(domain: Any) -> None:
            disk = _disk(domain, path)
            if not domain.blockJobInfo(disk.target):
                domain.blockCommit(disk.target, f"{disk.target}[{disk.below[base]}]", None, 0, flags)
            while not _disk(domain, path).is_switching:
                if not domain.blockJobInfo(disk.target):
                    raise broken("internal", f"the merge of {path} into {base} ended without success")
                time.sleep(0.05)
            domain.blockJobAbort(disk.target, libvirt.VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT)

        await self._must(uuid, commit, JOB)

    async def resize(self, uuid: str, path: str, size: int) -> bool:
        def resize(domain: Any) -> bool:
            if not domain.isActive():
                return False
            for disk in _disks(domain).values():
                if disk.path == path:
                    domain.blockResize(disk.target, size, libvirt.VIR_DOMAIN_BLOCK_RESIZE_BYTES)
                    return True
            return False

        return bool(await self._with(uuid, resize))


def _disks(domain: Any) -> dict[str, domain_xml.LiveDisk]:
    return domain_xml.read_disks(domain.XMLDesc(0))


def _disk(domain: Any, path: str) -> domain_xml.LiveDisk:
    for disk in _disks(domain).values():
        if disk.path == path:
            return disk
    raise broken("internal", f"the domain does not write to {path}")


Devices = Callable[[Any], Mapping[str, str]]  # those of a kind that a domain has: XML by key


def _disk_devices(domain: Any) -> dict[str, str]:
    return {serial: disk.xml for serial, disk in _disks(domain).items()}


def _nic_devices(domain: Any) -> dict[str, str]:
    return domain_xml.read_nics(domain.XMLDesc(0))


def _plug(domain: Any, kind: str, devices: Devices, wanted: Mapping[str, str]) -> None:
    """Afterwards the domain has the wanted devices of the kind and no others; those it has stay as they are."""
    live = devices(domain)
    for key in live.keys() - wanted.keys():
        _unplug(domain, kind, key, devices)
    for key, xml in wanted.items():
        if key not in live:
            domain.attachDeviceFlags(xml, libvirt.VIR_DOMAIN_AFFECT_LIVE)


def _unplug(domain: Any, kind: str, key: str, devices: Devices) -> None:
    """Ask the guest to let go until it has. libvirt's own call returns after five seconds, whether it has or not."""
    end = time.monotonic() + UNPLUG
    while (xml := devices(domain).get(key)) is not None:
        if time.monotonic() > end:
            raise rejected(
                "in_use", f"the guest did not let go of {kind} {key} within {UNPLUG:g} s: it uses it, or is not up yet"
            )
        try:
            domain.detachDeviceFlags(xml, libvirt.VIR_DOMAIN_AFFECT_LIVE)
        except libvirt.libvirtError as error:
            if error.get_error_code() not in _ON_ITS_WAY:
                raise
        time.sleep(0.1)


# "in the process of unplug" has no code of its own; a device that is gone by now is found so by the next look
_ON_ITS_WAY = (libvirt.VIR_ERR_OPERATION_FAILED, libvirt.VIR_ERR_INTERNAL_ERROR, libvirt.VIR_ERR_DEVICE_MISSING)
