"""A host goes into maintenance: what is on it leaves, or nothing does and it is said why."""

import asyncio

import pytest

from controlplane.contract.error import ApiError
from hostagent.contract.error import broken
from tests.controlplane.cloud import PATIENCE
from tests.controlplane.moving import allow_live, domains, files, put, refused


async def change(cloud, event="maintain", host=0, **parameters):
    return await cloud.call("ChangeHostState", uuid=cloud.hosts[host], stateEvent=event, **parameters)


async def allow(cloud):
    await allow_live(cloud)


async def state(cloud, host=0):
    return (await cloud.get("HostVO", cloud.hosts[host]))["state"]


async def two(cloud, **parameters):
    """One VM that runs on the first host, and one that is stopped there."""
    running = await cloud.vm("running", hostUuid=cloud.hosts[0], **parameters)
    stopped = await cloud.vm("stopped", hostUuid=cloud.hosts[0], strategy="CreateStopped")
    return running["uuid"], stopped["uuid"]


async def test_running_and_stopped_vms_leave(cloud):
    await allow(cloud)
    running, stopped = await two(cloud, dataDiskOfferingUuids=[cloud.disk])
    here = files(cloud, 0)
    assert (await change(cloud))["state"] == "Maintenance"
    assert (files(cloud, 0), files(cloud, 1)) == (set(), here)
    assert domains(cloud) == [{}, {running: "running"}]
    assert {vm["name"]: vm["state"] for vm in await cloud.find("VmInstanceVO")} == {
        "running": "Running",
        "stopped": "Stopped",
    }
    names = [row["name"] for row in await cloud.find("OperationVO")]
    assert (names.count("MigrateVm"), names.count("LocalStorageMigrateVm"), names.count("StopVmInstance")) == (1, 1, 0)
    await refused("SYS.1006", "is Maintenance", cloud.vm("new", hostUuid=cloud.hosts[0]))
    assert (await change(cloud, "enable"))["state"] == "Enabled"
    assert (await cloud.vm("new", hostUuid=cloud.hosts[0]))["hostUuid"] == cloud.hosts[0]
    assert (await cloud.call("StartVmInstance", uuid=stopped))["hostUuid"] == cloud.hosts[1]


async def test_why_each_vm_cannot_leave(cloud):
    running, stopped = await two(cloud)
    part = (await cloud.find("LocalStorageHostRefVO", host_uuid=cloud.hosts[1]))[0]
    await put(cloud, "LocalStorageHostRefVO", part["id"], available_capacity=1000)
    seen = cloud.seen()
    with pytest.raises(ApiError) as error:
        await change(cloud)
    said = error.value.error.details
    assert said.startswith("2 VMs cannot leave host host0")
    assert f"VM running ({running}): VM running ({running}) has its disks on a local storage" in said
    assert "restartVms=true" in said
    assert f"VM stopped ({stopped}): no host can take over" in said
    assert "1000 bytes available, 1073741824 are needed" in said
    assert (await state(cloud), cloud.seen()) == ("Enabled", seen)
    await cloud.call("StopVmInstance", uuid=running)
    assert (await change(cloud, leaveStopped=True))["state"] == "Maintenance"
    assert len(files(cloud, 0)) == 2, "stopped VMs may stay"


async def test_vms_are_restarted_only_if_that_was_said(cloud):
    running, _ = await two(cloud)
    await refused("SYS.1006", "or allow it to be restarted", change(cloud))
    assert (await change(cloud, restartVms=True))["state"] == "Maintenance"
    vm = await cloud.get("VmInstanceVO", running)
    assert (vm["state"], vm["host_uuid"]) == ("Running", cloud.hosts[1])
    assert domains(cloud) == [{}, {running: "running"}]


async def test_an_unknown_vm_keeps_the_host(cloud):
    running, _ = await two(cloud)
    await put(cloud, "VmInstanceVO", running, state="Unknown")
    await refused("SYS.1006", r"VM running \(.*\): it is Unknown", change(cloud, restartVms=True))


async def test_a_restart_that_fails_half_way_is_undone(cloud):
    running, _ = await two(cloud)
    cloud.sims[cloud.hosts[1]].fail("peers.pull", broken("no_space", "it did not work"))
    with pytest.raises(ApiError, match=r"VM running \(1 of 2\) could not leave: .*it did not work"):
        await change(cloud, restartVms=True)
    vm = await cloud.get("VmInstanceVO", running)
    assert (await state(cloud), vm["state"], vm["host_uuid"]) == ("Enabled", "Running", cloud.hosts[0])
    assert domains(cloud) == [{running: "running"}, {}]


async def test_what_has_moved_stays_when_the_next_one_cannot(cloud):
    await allow(cloud)
    running, stopped = await two(cloud)
    await change(cloud, "disable")
    cloud.sims[cloud.hosts[1]].fail("peers.pull", broken("no_space", "it did not work"))
    with pytest.raises(ApiError, match=r"VM stopped \(2 of 2\) could not leave: .*it did not work"):
        await change(cloud)
    assert await state(cloud) == "Disabled", "as it was before"
    assert domains(cloud) == [{}, {running: "running"}]
    ref = await cloud.get("LocalStorageResourceRefVO", (await cloud.get("VmInstanceVO", stopped))["root_volume_uuid"])
    assert ref["host_uuid"] == cloud.hosts[0]
    assert (await change(cloud))["state"] == "Maintenance"


async def test_cancelled_it_cancels_the_move_under_way(cloud):
    await allow(cloud)
    running, _ = await two(cloud)
    seen = cloud.seen()
    source = cloud.sims[cloud.hosts[0]]
    source.delay("hypervisor.migrate", 60)
    calls = source.record()
    job = asyncio.ensure_future(change(cloud))
    async with asyncio.timeout(PATIENCE):
        while "hypervisor.migrate" not in calls:
            await asyncio.sleep(0.01)
    assert await state(cloud) == "PreMaintenance"
    (mine,) = await cloud.find("OperationVO", name="ChangeHostState", state="running")
    async with asyncio.timeout(PATIENCE):
        while (status := await cloud.engine.get(mine["uuid"])) is None or status.progress is None:
            await asyncio.sleep(0.05)
    assert status.progress.text.startswith("VM running (1 of 2): ")
    await cloud.engine.cancel(mine["uuid"])
    with pytest.raises(ApiError):
        await job
    assert await state(cloud) == "Enabled"
    assert cloud.seen() == seen
    assert (await cloud.get("VmInstanceVO", running))["state"] == "Running"
    (child,) = await cloud.find("OperationVO", name="MigrateVm")
    assert child["state"] == "cancelled"
