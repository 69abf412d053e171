"""Boot order and CD media on a real libvirtd and QEMU: one-time orders, guests that reboot, live media changes."""

import asyncio
import shutil
from pathlib import Path

import pytest

from hostagent.contract import HostError
from hostagent.ensure.agent import Agent
from tests.hostagent.real_agent import last, put
from tests.hostagent.specs import STORAGE, VM
from tools.guests import nano
from tools.guests.cache import Image, image
from tools.lab import Host

pytestmark = pytest.mark.host
DISK, CD = "NANO BOOTED FROM DISK", "NANO BOOTED FROM CDROM"


def cached_iso(machine: Host, made: Image, uuid: str) -> dict[str, object]:
    """The ISO in the storage's cache, as a drive's wish."""
    path = f"imagecache/iso/{uuid}/{uuid}.iso"
    file = machine.directory / "srv/ps" / path
    file.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(image(made), file)
    return {"image_uuid": uuid, "storage_uuid": STORAGE, "path": path}


async def said(log: str, *lines: str) -> None:
    """Exactly these lines were booted, in this order."""
    async with asyncio.timeout(20):
        while (found := [line for line in Path(log).read_text().splitlines() if line]) != list(lines):
            assert found == list(lines)[: len(found)], found
            await asyncio.sleep(0.05)


async def test_an_order_for_one_boot_ends_when_the_guest_reboots_itself(agent: Agent, machine: Host) -> None:
    cd = cached_iso(machine, nano.REBOOTING_ISO, "7" * 32)
    after = last(agent)
    status = await put(agent, isos=[cd], boot_once=["CdRom", "HardDisk"], boot_order=["HardDisk"])
    assert status.state == "running"
    await said(status.serial_log, CD, DISK)
    reasons = set()
    async with asyncio.timeout(10):
        while "reboot" not in reasons:
            page = await agent.events.get(after, 5)
            reasons |= {event.reason for event in page.events}
    assert (await put(agent, isos=[cd], boot_once=["CdRom", "HardDisk"], boot_order=["HardDisk"])).state == "running"
    await said(status.serial_log, CD, DISK)  # the same wish again starts nothing

    await put(agent, generation=2, boot_token="two", stop_timeout=0, isos=[cd], boot_order=["HardDisk"])
    await said(status.serial_log, DISK)


async def test_a_lasting_order_holds_for_every_reboot(agent: Agent, machine: Host) -> None:
    cd = cached_iso(machine, nano.REBOOTING_ISO, "7" * 32)
    status = await put(agent, isos=[cd], boot_order=["CdRom", "HardDisk"])
    async with asyncio.timeout(20):
        while Path(status.serial_log).read_text().count(CD) < 3:
            await asyncio.sleep(0.05)
    assert DISK not in Path(status.serial_log).read_text()


async def test_all_kinds_of_devices_can_change_places(agent: Agent, machine: Host) -> None:
    """libvirt and QEMU take every order, with three drives, and the network first or never."""
    cd = cached_iso(machine, nano.REBOOTING_ISO, "7" * 32)
    drives = [cd, {"image_uuid": None}, {"image_uuid": None}]
    status = await put(agent, isos=drives, boot_once=["CdRom", "Network"], boot_order=["Network", "HardDisk", "CdRom"])
    assert status.state == "running"
    await said(status.serial_log, CD)


async def test_a_domain_left_paused_at_its_start_is_finished_by_the_next_wish(agent: Agent, machine: Host) -> None:
    cd = cached_iso(machine, nano.REBOOTING_ISO, "7" * 32)
    wish = {"isos": [cd], "boot_once": ["CdRom"], "boot_order": ["HardDisk"]}
    await put(agent, power="stopped", **wish)
    machine.inside.run("virsh", "-c", "qemu:///system", "start", "--paused", VM)
    status = await put(agent, **wish)
    assert status.state == "running"
    await said(status.serial_log, CD, DISK)


async def test_media_change_in_a_running_vm_and_stay_in_its_definition(agent: Agent, machine: Host) -> None:
    first, second = (cached_iso(machine, nano.ISO, digit * 32) for digit in "78")
    drives = [{"image_uuid": None}, {"image_uuid": None}]
    await put(agent, isos=drives)
    pid = machine.inside.run("pgrep", "-f", f"guest={VM}")
    for generation, wanted in enumerate(([first], [first, second], [second], [drives[0], first], []), 2):
        await put(agent, generation=generation, isos=wanted)
        inside = await media(machine, "--live")
        assert inside == [one["path"] for one in wanted if one["image_uuid"]]
        if len(wanted) == 2:
            assert await media(machine, "--inactive") == inside
    assert machine.inside.run("pgrep", "-f", f"guest={VM}") == pid
    await put(agent, generation=9, isos=[first, second])
    with pytest.raises(HostError, match="runs with 2 CD drive") as refused:
        await put(agent, generation=10, isos=[first, second, first])
    assert refused.value.problem.code == "no_drive"


async def media(machine: Host, kind: str) -> list[str]:
    """What virsh says is in the drives, as paths below the storage."""
    flags = ["--inactive"] if kind == "--inactive" else []
    shown = machine.inside.run("virsh", "-c", "qemu:///system", "domblklist", *flags, "--details", VM)
    root = f"{machine.directory}/srv/ps/"
    sources = [line.split()[3] for line in shown.splitlines() if " cdrom " in line]
    return [source.removeprefix(root) for source in sources if source != "-"]
