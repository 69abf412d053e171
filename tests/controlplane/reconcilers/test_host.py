"""A host that falls silent is noticed, its VMs are Unknown; when it is back, all is compared and put right."""

import asyncio
import contextlib
from dataclasses import replace

import pytest

from controlplane.reconcilers.host import HostReconciler
from hostagent.contract.error import temporary
from hostagent.contract.vm import VmState

PATIENCE = 20.0


@pytest.fixture
async def watched(cloud):
    watcher = asyncio.create_task(HostReconciler(cloud.world, look=0.05, grace=0.3).run())
    yield cloud
    watcher.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watcher


async def becomes(cloud, resource, uuid, **wanted):
    async with asyncio.timeout(PATIENCE):
        while True:
            row = await cloud.get(resource, uuid)
            if all(row[name] == value for name, value in wanted.items()):
                return row
            await asyncio.sleep(0.05)


def silence(sim):
    sim.fail("*", temporary("unreachable", "the cable is out"), times=None)


async def test_guests_that_end_by_themselves(watched):
    down, crashed = await watched.vm("down"), await watched.vm("crashed")
    free = {host["uuid"]: host["available_memory_capacity"] for host in await watched.find("HostVO")}
    watched.sims[down["hostUuid"]].guest_shuts_down(down["uuid"])
    watched.sims[crashed["hostUuid"]].guest_crashes(crashed["uuid"])
    for vm in (down, crashed):
        await becomes(
            watched, "VmInstanceVO", vm["uuid"], state="Stopped", host_uuid=None, last_host_uuid=vm["hostUuid"]
        )
    for host in await watched.find("HostVO"):
        own = sum(1 for vm in (down, crashed) if vm["hostUuid"] == host["uuid"])
        assert host["available_memory_capacity"] == free[host["uuid"]] + own * (1 << 30)
    started = await watched.call("StartVmInstance", uuid=down["uuid"])
    assert started["vmNics"][0]["ip"] == down["vmNics"][0]["ip"]


async def test_a_guest_that_somebody_started_by_hand(watched):
    vm = await watched.vm()
    await watched.call("StopVmInstance", uuid=vm["uuid"])
    sim = watched.sims[vm["hostUuid"]]
    # What is stopped by API is not known to its host any more, so it is a guest that was off by itself and came back.
    other = await watched.vm("other", hostUuid=vm["hostUuid"])
    sim.guest_shuts_down(other["uuid"])
    await becomes(watched, "VmInstanceVO", other["uuid"], state="Stopped")
    await sim.hypervisor.start(other["uuid"])
    await becomes(watched, "VmInstanceVO", other["uuid"], state="Running", host_uuid=vm["hostUuid"])


async def test_a_silent_host_is_lost_and_found(watched):
    vm, gone = await watched.vm("stays", hostUuid=watched.hosts[0]), await watched.vm("goes", hostUuid=watched.hosts[0])
    sim = watched.sims[watched.hosts[0]]
    silence(sim)
    lost = await becomes(watched, "HostVO", watched.hosts[0], status="Disconnected")
    assert "does not answer" in lost["status_reason"] or "cable" in lost["status_reason"]
    await becomes(watched, "VmInstanceVO", vm["uuid"], state="Unknown", host_uuid=watched.hosts[0])
    assert (await watched.get("HostVO", watched.hosts[1]))["status"] == "Connected"
    assert (await watched.vm("elsewhere"))["hostUuid"] == watched.hosts[1]
    sim.hypervisor.domains[gone["uuid"]].state = VmState.stopped  # nobody could tell
    sim.heal()
    await becomes(watched, "HostVO", watched.hosts[0], status="Connected")
    await becomes(watched, "VmInstanceVO", vm["uuid"], state="Running", host_uuid=watched.hosts[0])
    await becomes(watched, "VmInstanceVO", gone["uuid"], state="Stopped", host_uuid=None)


async def test_a_power_cut(watched):
    vms = [await watched.vm(f"vm{number}", hostUuid=watched.hosts[0]) for number in range(3)]
    watched.sims[watched.hosts[0]].power_cut()
    for vm in vms:
        await becomes(watched, "VmInstanceVO", vm["uuid"], state="Stopped", host_uuid=None)
    assert (await watched.get("HostVO", watched.hosts[0]))["memory_used"] == 0


async def test_what_the_disks_take_is_told_by_the_host(watched):
    vm = await watched.vm(dataDiskSizes=[1 << 30])
    root, data = vm["allVolumes"]
    assert root["actualSize"] == data["actualSize"] == 196_608, "as they were made"
    before = await watched.get("VolumeVO", data["uuid"])
    host, path = vm["hostUuid"], before["install_path"]
    disks = watched.sims[host].disks
    disks.files[path] = replace(disks.files[path], actual_size=5 << 20)
    setting = {"category": "host", "name": "inventory.interval", "value": "5"}
    await watched.call("UpdateGlobalConfig", **setting)
    watched.sims[host].guest_shuts_down(vm["uuid"])  # an event: the next look is soon
    row = await becomes(watched, "VolumeVO", data["uuid"], actual_size=5 << 20)
    assert row == before | {"actual_size": 5 << 20}, "nobody did anything to the volume"
    assert (await watched.get("VolumeVO", root["uuid"]))["actual_size"] == 196_608
    snapshot = await watched.call("CreateVolumeSnapshot", volumeUuid=data["uuid"], name="s")
    assert snapshot["size"] == 5 << 20
    assert (await watched.get("VolumeVO", data["uuid"]))["actual_size"] == 196_608, "a new file"


async def test_nothing_is_remembered_of_a_host_that_was_deleted(watched):
    remembered = watched.world.network._parts
    await watched.vm(hostUuid=watched.hosts[0])
    assert watched.hosts[0] in remembered
    await watched.call("DeleteHost", uuid=watched.hosts[0], deleteMode="Enforcing")
    async with asyncio.timeout(PATIENCE):
        while watched.hosts[0] in remembered:
            await asyncio.sleep(0.05)
