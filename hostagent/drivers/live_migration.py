"""A running domain goes to another host: libvirt's own migration with copies of the disks, through a tunnel's sockets.

Only each disk's own file is copied, which comes to rest over there on what it rests on here. The domain arrives paused: two
hosts never run it, whatever breaks, and which of them goes on is not libvirt's to decide. On its way back, before it went
on, only its memory goes: the disks over there are as it left them.
"""

import asyncio
import contextlib
from typing import Any
from xml.etree import ElementTree as ET

import libvirt

from hostagent.contract.error import HostError
from hostagent.drivers import domain_xml
from hostagent.drivers.domains import Domains
from hostagent.ports.hypervisor import Departure
from hostagent.ports.peers import Gauge

LONGEST = 7 * 86_400.0  # seconds
LOOK = 1.0  # seconds between two looks at how far it is
ABORT_AGAIN = 0.2
_FLAGS = (
    libvirt.VIR_MIGRATE_LIVE
    | libvirt.VIR_MIGRATE_PEER2PEER
    | libvirt.VIR_MIGRATE_PAUSED
    | libvirt.VIR_MIGRATE_AUTO_CONVERGE
    | libvirt.VIR_MIGRATE_ABORT_ON_ERROR
)


class LiveMigration(Domains):
    """Part of `LibvirtHypervisor`."""

    async def migrate(self, uuid: str, departure: Departure, gauge: Gauge) -> None:
        work = asyncio.ensure_future(self._must(uuid, lambda domain: _migrate(domain, departure, gauge.limit), LONGEST))
        try:
            while not work.done():
                await asyncio.wait([work], timeout=LOOK)
                await self._look(uuid, gauge)
        except asyncio.CancelledError:
            while not work.done():
                with contextlib.suppress(HostError):  # there is no job yet, or none any more
                    await self._with(uuid, lambda domain: domain.abortJob())
                await asyncio.wait([work], timeout=ABORT_AGAIN)
            work.exception()
            raise
        work.result()

    async def _look(self, uuid: str, gauge: Gauge) -> None:
        with contextlib.suppress(HostError):
            stats = await self._with(uuid, lambda domain: domain.jobStats()) or {}
            gauge.total = max(stats.get("data_total", 0), gauge.total)
            gauge.done = min(max(stats.get("data_processed", 0), gauge.done), gauge.total)


def _migrate(domain: Any, departure: Departure, bytes_per_second: int) -> None:
    xml = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_MIGRATABLE | libvirt.VIR_DOMAIN_XML_SECURE)
    parameters: dict[str, Any] = {
        libvirt.VIR_MIGRATE_PARAM_URI: f"unix://{departure.directory}/memory",
        libvirt.VIR_MIGRATE_PARAM_DEST_XML: over_there(xml, departure.serial_log, departure.console_listen),
    }
    flags = _FLAGS
    if departure.with_disks:
        flags |= libvirt.VIR_MIGRATE_NON_SHARED_INC
        parameters[libvirt.VIR_MIGRATE_PARAM_DISKS_URI] = f"unix://{departure.directory}/disks"
    else:  # libvirt cannot know that the other host's files are as the guest left them
        flags |= libvirt.VIR_MIGRATE_UNSAFE
    if bytes_per_second:
        parameters[libvirt.VIR_MIGRATE_PARAM_BANDWIDTH] = max(bytes_per_second >> 20, 1)  # MiB a second
    domain.migrateToURI3(f"qemu+unix:///system?socket={departure.directory}/libvirt", parameters, flags)


def over_there(xml: str, serial_log: str, console_listen: str) -> str:
    """The running domain as the destination has it: its places, and the boot order that the guest's next reset follows."""
    root = ET.fromstring(xml)  # noqa: S314 from libvirtd
    for device in (*root.findall("devices/serial"), *root.findall("devices/console")):
        source, log = device.find("source"), device.find("log")
        if source is not None and log is not None:
            source.set("path", domain_xml.serial_socket(serial_log))
            log.set("file", serial_log)
    for disk in root.findall("devices/disk"):
        for below in disk.findall("backingStore"):
            disk.remove(below)  # the destination looks into its own files
    for graphics in root.findall("devices/graphics"):
        graphics.set("listen", console_listen)
        for listen in graphics.findall("listen"):
            listen.set("address", console_listen)
    domain_xml.make_boot_order_last(root)
    return ET.tostring(root, encoding="unicode")
