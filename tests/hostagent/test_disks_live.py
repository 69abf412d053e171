"""What happens to a running guest's disks and NICs: plugged in and out; disks grown."""

import subprocess
from collections.abc import AsyncIterator, Iterator

import pytest

from hostagent.contract import HostError, StorageSpec
from hostagent.drivers import live_devices
from tests.hostagent.live import MIB, Guest, path_of
from tests.hostagent.specs import NIC, STORAGE, VM
from tests.hostagent.test_hypervisor import build
from tools.lab import Host, Lab

pytestmark = [pytest.mark.host, pytest.mark.guest]
DATA = "d7" * 16
SERIAL = DATA[:20]


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with Lab(tmp_path_factory.mktemp("lab")) as lab:
        yield lab.add_host("host-a")


@pytest.fixture
async def guest(machine: Host) -> AsyncIterator[Guest]:
    """A tiny guest that runs; afterwards its storage is empty but for the image."""
    agent = build(machine)
    await agent.open()
    root = machine.directory / "srv/ps"
    await agent.storage.put(STORAGE, StorageSpec(generation=1, path=str(root)))
    guest = Guest(agent, root)
    try:
        await guest.boot()
        yield guest
    finally:
        await agent.vm.delete(VM)
        await agent.close()
        subprocess.run(["rm", "-rf", root / "volumes", machine.directory / "agent"], check=True)


async def test_a_running_guest_gets_grows_and_loses_a_disk(guest: Guest, machine: Host) -> None:
    await guest.volume(DATA, size=64 * MIB)
    guest.disks[DATA] = path_of(DATA)
    for _ in range(2):  # repeating it plugs nothing twice
        await guest.put()
    found = await guest.says(rf"DISKS vda:\w+:\d+ (vd\w+):{SERIAL}:(\d+)\n")
    assert (found[1], int(found[2])) == ("vdb", 64 * MIB)
    xml = machine.inside.run("virsh", "-c", "qemu:///system", "dumpxml", "--inactive", VM)
    assert path_of(DATA) in xml, "it has the disk at its next start too"

    grown = await guest.volume(DATA, size=96 * MIB, generation=2, vm_uuid=VM)
    assert grown.size == 96 * MIB
    await guest.says(rf"vdb:{SERIAL}:{96 * MIB}\n")
    cut = await guest.volume(DATA, size=64 * MIB, generation=3, vm_uuid=VM, cut=True)
    assert cut.size == 64 * MIB
    await guest.says(rf"vdb:{SERIAL}:{96 * MIB}\n(?s:.*)vdb:{SERIAL}:{64 * MIB}\n")
    grown = await guest.volume(DATA, size=96 * MIB, generation=4, vm_uuid=VM)
    await guest.run("dd if=/dev/urandom of=/dev/vdb bs=1M count=4 seek=80")
    with pytest.raises(HostError, match="would lose data") as refused:
        await guest.volume(DATA, size=64 * MIB, generation=5, vm_uuid=VM, cut=True)
    assert refused.value.problem.code == "in_use"
    assert (await guest.agent.vm.get(VM)).state == "running"

    after = guest.log.stat().st_size
    del guest.disks[DATA]
    await guest.put()
    await guest.says(r"DISKS vda:\w+:\d+\n", after)
    assert path_of(DATA) not in machine.inside.run("virsh", "-c", "qemu:///system", "dumpxml", VM)
    await guest.agent.volume.delete(DATA, STORAGE, path_of(DATA))  # nobody holds it open


async def test_twenty_four_data_volumes_fit_into_a_running_guest(guest: Guest) -> None:
    for number in range(24):
        uuid = f"{number:02x}" * 16
        await guest.volume(uuid, size=MIB)
        guest.disks[uuid] = path_of(uuid)
        await guest.put()
    found = await guest.says(r"DISKS((?: vd\w+:\w+:\d+){25})\n")
    assert len(set(found[1].split())) == 25


async def test_a_running_guest_gets_and_loses_a_nic(guest: Guest, machine: Host) -> None:
    machine.inside.run("ip", "link", "add", "br-test", "type", "bridge")
    mac, look = "fa:00:00:00:00:02", "cat /sys/class/net/*/address"
    guest.nics = [{"nic_uuid": NIC, "mac": mac, "bridge": "br-test", "tap": "tap2", "device_id": 1, "mtu": 1400}]
    for _ in range(2):  # repeating it plugs nothing twice
        await guest.put()
    assert (await guest.run(look)).split().count(mac) == 1
    assert "master br-test" in machine.inside.run("ip", "link", "show", "tap2")
    definition = machine.inside.run("virsh", "-c", "qemu:///system", "dumpxml", "--inactive", VM)
    assert mac in definition, "it has the NIC at its next start too"
    guest.nics = []
    await guest.put()
    assert mac not in await guest.run(look)
    machine.inside.run("ip", "link", "del", "br-test")


async def test_a_guest_that_is_not_up_keeps_its_disk(guest: Guest, monkeypatch: pytest.MonkeyPatch) -> None:
    await guest.volume(DATA, size=MIB)
    guest.disks[DATA] = path_of(DATA)
    await guest.put()
    await guest.stop()
    monkeypatch.setattr(live_devices, "UNPLUG", 0.5)
    await guest.put(power="running", boot_token="again")  # its BIOS runs: nobody answers yet
    del guest.disks[DATA]
    with pytest.raises(HostError, match="let go") as refused:
        await guest.put(boot_token="again")
    assert refused.value.problem.code == "in_use"
