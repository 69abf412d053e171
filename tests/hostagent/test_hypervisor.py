"""VMs on a real libvirtd and QEMU: power, events, restarts of the agent and of libvirtd, what goes wrong."""

import asyncio
import os
import shutil
from pathlib import Path

import pytest

from hostagent.contract import HostError, VolumeSpec
from hostagent.ensure.agent import Agent
from hostagent.ensure.image import image_path
from tests.hostagent import specs
from tests.hostagent.real_agent import build, last, put, until_event
from tests.hostagent.specs import STORAGE, VM, VOLUME
from tools.guests import nano, tiny
from tools.guests.cache import image
from tools.lab import Host

pytestmark = pytest.mark.host


async def test_life_of_a_vm(agent: Agent, machine: Host) -> None:
    status = await put(agent)
    assert (status.state, status.generation, status.boot_token) == ("running", 1, "one")
    assert [(console.protocol, console.host) for console in status.consoles] == [("vnc", "127.0.0.1")]
    async with asyncio.timeout(10):
        while "NANO BOOTED FROM DISK" not in Path(status.serial_log).read_text():
            await asyncio.sleep(0.05)
    assert "tap1" in machine.inside.run("ls", "/sys/class/net/br_eth0/brif")
    pid = machine.inside.run("pgrep", "-f", f"guest={VM}").split()

    assert await put(agent) == status
    assert machine.inside.run("pgrep", "-f", f"guest={VM}").split() == pid  # repeating it starts nothing

    status = await put(agent, generation=2, boot_token="two", stop_timeout=0, memory_bytes=96 << 20)
    assert (status.state, status.boot_token) == ("running", "two")
    assert machine.inside.run("pgrep", "-f", f"guest={VM}").split() != pid

    status = await put(agent, generation=3, power="stopped", stop_timeout=1)  # nano ignores the button: pulled
    assert (status.state, status.generation, status.consoles) == ("stopped", 3, [])
    with pytest.raises(HostError) as refused:
        await put(agent, generation=2)
    assert refused.value.problem.code == "stale_generation"


async def test_events_tell_starts_stops_and_crashes(agent: Agent, machine: Host) -> None:
    after = last(agent)
    await put(agent)
    assert await until_event(agent, after, "running") == "booted"
    after = last(agent)
    machine.inside.run("virsh", "-c", "qemu:///system", "destroy", VM)
    assert await until_event(agent, after, "stopped") == "destroyed"
    await put(agent)
    after = last(agent)
    machine.inside.run("kill", "-9", *machine.inside.run("pgrep", "-f", f"guest={VM}").split())
    assert await until_event(agent, after, "crashed") == "failed"
    assert (await agent.vm.get(VM)).state == "crashed"
    assert (await put(agent, generation=2)).state == "running"
    assert (await put(agent, generation=3, power="stopped", stop_timeout=0)).state == "stopped"


async def restart_libvirtd(machine: Host, meanwhile: str | None = None) -> None:
    pid = machine.inside.run("cat", "/run/libvirtd.pid").strip()
    machine.inside.run("kill", "-9", pid)
    if meanwhile:
        machine.inside.run("kill", "-9", meanwhile)
    await asyncio.to_thread(machine.start_libvirtd)


async def test_libvirtd_may_restart_and_what_happened_meanwhile_is_told(agent: Agent, machine: Host) -> None:
    await put(agent)
    await restart_libvirtd(machine)
    async with asyncio.timeout(10):
        while (await agent.host.get()).problems:
            await asyncio.sleep(0.1)
    assert (await agent.vm.get(VM)).state == "running"

    after = last(agent)
    [qemu] = machine.inside.run("pgrep", "-f", f"guest={VM}").split()
    await restart_libvirtd(machine, meanwhile=qemu)
    assert await until_event(agent, after, "crashed") == "missed"
    await restart_libvirtd(machine)  # libvirt has forgotten the reason by now
    async with asyncio.timeout(10):
        while (await agent.host.get()).problems:
            await asyncio.sleep(0.1)
    assert (await agent.vm.get(VM)).state == "crashed"

    after = last(agent)
    await put(agent, generation=2, boot_token="again")
    assert await until_event(agent, after, "running") == "booted"  # events flow on the new connection


async def test_without_libvirtd_the_facts_say_so_and_calls_are_temporary(agent: Agent, machine: Host) -> None:
    machine.inside.run("kill", "-9", machine.inside.run("cat", "/run/libvirtd.pid").strip())
    try:
        async with asyncio.timeout(10):
            while not (await agent.host.get()).problems:
                await asyncio.sleep(0.05)
        with pytest.raises(HostError) as refused:
            await put(agent)
        assert (refused.value.problem.error_class, refused.value.problem.code) == ("temporary", "libvirt")
    finally:
        await asyncio.to_thread(machine.start_libvirtd)
    async with asyncio.timeout(10):
        while (await agent.host.get()).problems:
            await asyncio.sleep(0.1)


async def test_an_agent_that_restarts_remembers_and_touches_nothing(agent: Agent, machine: Host) -> None:
    status = await put(agent, generation=4)
    pid = machine.inside.run("pgrep", "-f", f"guest={VM}")
    second = build(machine)
    await second.open()
    try:
        assert second.events.boot_id != agent.events.boot_id
        assert await second.vm.list() == [status]
        assert await put(second, generation=4) == status
        assert machine.inside.run("pgrep", "-f", f"guest={VM}") == pid
        with pytest.raises(HostError, match="older"):
            await put(second, generation=3)
    finally:
        await second.close()


async def test_a_hung_guest_process_is_stopped(agent: Agent, machine: Host) -> None:
    await put(agent)
    [qemu] = machine.inside.run("pgrep", "-f", f"guest={VM}").split()
    machine.inside.run("kill", "-STOP", qemu)
    assert (await agent.vm.get(VM)).state == "running"
    assert (await put(agent, generation=2, power="stopped", stop_timeout=0)).state == "stopped"


async def test_a_missing_disk_is_named_and_nothing_runs(agent: Agent, machine: Host) -> None:
    await agent.volume.delete(VOLUME, STORAGE, f"volumes/{VOLUME}.qcow2")
    after = last(agent)
    with pytest.raises(HostError, match=VOLUME):
        await put(agent)
    assert (await agent.vm.get(VM)).state == "stopped"
    assert [event for event in (await agent.events.get(after, 0.3)).events if event.state == "crashed"] == []


async def test_boots_from_cd_and_names_that_xml_must_survive(agent: Agent, machine: Host) -> None:
    iso = machine.directory / "srv/ps/imagecache/iso/i/i.iso"
    iso.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(image(nano.ISO), iso)
    cd = {"image_uuid": "7" * 32, "storage_uuid": STORAGE, "path": "imagecache/iso/i/i.iso"}
    name = "<a> & \"b\" 'c' ünï \t\x01"
    status = await put(agent, isos=[cd], boot_order=["CdRom", "HardDisk"], name=name, console_mode="vncAndSpice")
    async with asyncio.timeout(10):
        while "NANO BOOTED FROM CDROM" not in Path(status.serial_log).read_text():
            await asyncio.sleep(0.05)
    assert sorted(console.protocol for console in status.consoles) == ["spice", "vnc"]
    status = await put(agent, generation=2, boot_token="x", stop_timeout=0, isos=[{"image_uuid": None}])
    async with asyncio.timeout(10):
        while "NANO BOOTED FROM DISK" not in Path(status.serial_log).read_text():
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("mode", ["none", "host-model", "host-passthrough"])
async def test_every_cpu_mode_starts_under_emulation(agent: Agent, mode: str) -> None:
    status = await put(agent, cpu_mode=mode)
    assert status.state == "running"


async def test_the_guest_sees_what_cloud_init_looks_for(agent: Agent, machine: Host) -> None:
    await put(agent)
    xml = machine.inside.run("virsh", "-c", "qemu:///system", "dumpxml", VM)
    assert "CloudStack KVM Hypervisor" in xml
    [qemu] = machine.inside.run("pgrep", "-f", f"guest={VM}").split()
    assert "product=CloudStack KVM Hypervisor" in machine.inside.run("cat", f"/proc/{qemu}/cmdline")


async def test_domains_of_others_are_left_alone(agent: Agent, machine: Host) -> None:
    other = machine.directory / "other.xml"
    other.write_text("<domain type='qemu'><name>other</name><memory>32768</memory><os><type>hvm</type></os></domain>")
    machine.inside.run("virsh", "-c", "qemu:///system", "define", str(other))
    try:
        assert await agent.vm.list() == []
    finally:
        machine.inside.run("virsh", "-c", "qemu:///system", "undefine", "other")


async def test_facts(agent: Agent) -> None:
    facts = await agent.host.get()
    assert (facts.domain_type, facts.problems) == ("qemu", [])
    assert facts.qemu_version.count(".") == 2
    assert "qemu64" in facts.cpu_models
    assert {"sse2", "apic"} <= set(facts.cpu_features)
    assert facts.memory_bytes == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.guest
async def test_a_guest_that_hears_the_power_button_shuts_itself_down(agent: Agent, machine: Host) -> None:
    uuid, path = "6" * 32, f"volumes/{'6' * 32}.qcow2"
    cached = Path(image_path(str(machine.directory / "srv/ps"), uuid, "qcow2"))
    cached.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(image(tiny.DISK), cached)
    volume = specs.volume(base_image_uuid=uuid, size=0, path=path)
    await agent.volume.put(uuid, VolumeSpec.model_validate(volume))
    disk = {"volume_uuid": uuid, "storage_uuid": STORAGE, "path": path, "device_id": 0}
    status = await put(agent, memory_bytes=256 << 20, disks=[disk])
    async with asyncio.timeout(60):
        while "BOOTED FROM DISK" not in Path(status.serial_log).read_text(errors="replace"):
            await asyncio.sleep(0.2)
    after = last(agent)
    stopping = asyncio.create_task(put(agent, generation=2, disks=[disk], power="stopped", stop_timeout=60))
    assert await until_event(agent, after, "stopped") == "shutdown"
    assert (await stopping).state == "stopped"
    assert "POWER BUTTON" in Path(status.serial_log).read_text(errors="replace")
    await agent.volume.delete(uuid, STORAGE, path)


@pytest.mark.skipif(not os.access("/dev/kvm", os.R_OK | os.W_OK), reason="no /dev/kvm")
async def test_a_domain_of_type_kvm_starts(agent: Agent, machine: Host) -> None:
    """Real-mode code runs under KVM even where Linux hangs."""
    second = build(machine, "kvm")
    await second.open()
    try:
        status = await put(second)
        async with asyncio.timeout(20):
            while "NANO BOOTED FROM DISK" not in Path(status.serial_log).read_text():
                await asyncio.sleep(0.1)
        assert "type='kvm'" in machine.inside.run("virsh", "-c", "qemu:///system", "dumpxml", VM)
    finally:
        await second.vm.delete(VM)
        await second.close()
