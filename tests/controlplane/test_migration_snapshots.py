"""Snapshots travel with their volume: the whole tree, to the byte; what may happen meanwhile; what a failure leaves."""

import asyncio

import pytest

from controlplane.contract.error import ApiError
from hostagent.contract.error import broken
from tests.controlplane.test_migration import begin, files, move, stored
from tests.controlplane.test_snapshot import beneath, path, snap, trees
from tests.controlplane.test_volume import placed
from tests.controlplane.test_volume_capacity import recount


@pytest.fixture(autouse=True)
async def adds_up(cloud):
    yield
    await recount(cloud)


async def grown(cloud):
    """A detached volume whose snapshots are a tree with two branches; the volume rests on the second."""
    disk = await placed(cloud, cloud.hosts[0])
    first = await snap(cloud, disk, "first")
    await snap(cloud, disk, "second")
    await cloud.call("RevertVolumeFromSnapshot", uuid=first["uuid"])
    await snap(cloud, disk, "third")
    return disk, first


async def places(cloud, disk):
    """Hosts that the records say hold a file of the volume."""
    snapshots = await cloud.find("VolumeSnapshotVO", volume_uuid=disk["uuid"])
    uuids = [disk["uuid"], *(row["uuid"] for row in snapshots)]
    return {(await cloud.get("LocalStorageResourceRefVO", uuid))["host_uuid"] for uuid in uuids}


async def test_the_whole_tree_travels_and_is_what_it_was(cloud):
    disk, first = await grown(cloud)
    before, here = stored(cloud), files(cloud, 0)
    shape, rests = await trees(cloud, disk), beneath(cloud, cloud.hosts[0], await path(cloud, disk))
    assert len(here) == 4 and len(rests) == 2
    plan = (await move(cloud, disk["uuid"], dryRun=True))["plan"]
    assert len(plan["files"]) == 4 and plan["bytes"] == sum(file["bytes"] for file in plan["files"])
    await move(cloud, disk["uuid"])
    assert (files(cloud, 0), files(cloud, 1)) == (set(), here)
    assert await trees(cloud, disk) == shape and await places(cloud, disk) == {cloud.hosts[1]}
    assert beneath(cloud, cloud.hosts[1], await path(cloud, disk)) == rests
    # Over there they are as good as they were here.
    copy = await cloud.call("CreateDataVolumeFromVolumeSnapshot", volumeSnapshotUuid=first["uuid"], name="copy")
    assert (await places(cloud, copy)) == {cloud.hosts[1]}
    await cloud.call("DeleteDataVolume", uuid=copy["uuid"])
    await cloud.call("ExpungeDataVolume", uuid=copy["uuid"])
    await move(cloud, disk["uuid"], host=0)
    assert stored(cloud) == before and files(cloud, 0) == here
    await move(cloud, disk["uuid"])
    await cloud.call("RevertVolumeFromSnapshot", uuid=first["uuid"])
    await cloud.call("DeleteVolumeSnapshot", uuid=first["uuid"])
    assert len(files(cloud, 1)) == len(here) - 1


async def test_nothing_is_done_to_snapshots_while_their_volume_moves(cloud):
    disk, first = await grown(cloud)
    shape = await trees(cloud, disk)
    cloud.sims[cloud.hosts[1]].delay("peers.pull", 2)
    job = await begin(cloud, disk["uuid"])
    calls = {
        "take": snap(cloud, disk, "meanwhile"),
        "revert": cloud.call("RevertVolumeFromSnapshot", uuid=first["uuid"]),
        "delete": cloud.call("DeleteVolumeSnapshot", uuid=first["uuid"]),
        "copy": cloud.call("CreateDataVolumeFromVolumeSnapshot", volumeSnapshotUuid=first["uuid"], name="copy"),
        "end": cloud.call("DeleteDataVolume", uuid=disk["uuid"]),
    }
    answers = await asyncio.gather(*calls.values(), return_exceptions=True)
    for name, answer in zip(calls, answers, strict=True):
        assert "is Migrating, it must be Ready" in str(answer), name
    assert (await job)["hostUuid"] == cloud.hosts[1]
    assert await trees(cloud, disk) == shape and await places(cloud, disk) == {cloud.hosts[1]}
    await snap(cloud, disk, "then")


async def test_a_volume_whose_snapshot_is_being_taken_does_not_move(cloud):
    disk, _ = await grown(cloud)
    cloud.sims[cloud.hosts[0]].delay("volume.put", 0.3)
    taking = asyncio.ensure_future(snap(cloud, disk, "slow"))
    while (await cloud.get("VolumeVO", disk["uuid"]))["status"] == "Ready":
        await asyncio.sleep(0.01)
    with pytest.raises(ApiError, match="it must be Ready"):
        await move(cloud, disk["uuid"])
    await taking
    cloud.sims[cloud.hosts[0]].heal()
    await move(cloud, disk["uuid"])
    assert len(files(cloud, 1)) == 5


@pytest.mark.parametrize("copied", [0, 1, 3], ids=lambda n: f"after {n} of 4 files")
async def test_a_copy_that_fails_leaves_the_tree_alone(cloud, copied):
    disk, first = await grown(cloud)
    before, seen = stored(cloud), cloud.seen()
    cloud.sims[cloud.hosts[1]].fail("peers.pull", broken("no_space", "the disk is full"), after=copied)
    with pytest.raises(ApiError, match="the disk is full"):
        await move(cloud, disk["uuid"])
    assert (stored(cloud), cloud.seen()) == (before, seen)
    await cloud.call("RevertVolumeFromSnapshot", uuid=first["uuid"])


async def test_a_stopped_vm_moves_with_the_snapshots_of_all_its_disks(cloud):
    vm = await cloud.vm(hostUuid=cloud.hosts[0], dataDiskOfferingUuids=[cloud.disk])
    await cloud.call("CreateVolumeSnapshotGroup", rootVolumeUuid=vm["rootVolumeUuid"], name="both")
    await cloud.call("StopVmInstance", uuid=vm["uuid"])
    here = files(cloud, 0)
    await cloud.call("LocalStorageMigrateVm", vmInstanceUuid=vm["uuid"], destHostUuid=cloud.hosts[1])
    assert (files(cloud, 0), files(cloud, 1)) == (set(), here)
    for volume in await cloud.find("VolumeVO", vm_instance_uuid=vm["uuid"]):
        assert await places(cloud, volume) == {cloud.hosts[1]}
    assert (await cloud.call("StartVmInstance", uuid=vm["uuid"]))["hostUuid"] == cloud.hosts[1]
