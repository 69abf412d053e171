"""Snapshots travel with their volume: the whole tree, to the byte; what may happen meanwhile; what a failure leaves."""

import asyncio

import pytest

from controlplane.contract.error import ApiError
from controlplane.store import rows
from hostagent.contract.error import broken
from hostagent.sim.peers import SimPeers
from tests.controlplane.moving import begin, detached, files, move, places, put, refused, snapshot, stopped, stored
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


async def hosts_of(cloud, disk):
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
    assert await trees(cloud, disk) == shape and await hosts_of(cloud, disk) == {cloud.hosts[1]}
    assert beneath(cloud, cloud.hosts[1], await path(cloud, disk)) == rests
    # Over there they are as good as they were here.
    copy = await cloud.call("CreateDataVolumeFromVolumeSnapshot", volumeSnapshotUuid=first["uuid"], name="copy")
    assert (await hosts_of(cloud, copy)) == {cloud.hosts[1]}
    await cloud.call("DeleteDataVolume", uuid=copy["uuid"])
    await cloud.call("ExpungeDataVolume", uuid=copy["uuid"])
    await move(cloud, disk["uuid"], host=0)
    assert stored(cloud) == before and files(cloud, 0) == here
    await move(cloud, disk["uuid"])
    await cloud.call("RevertVolumeFromSnapshot", uuid=first["uuid"])
    await cloud.call("DeleteVolumeSnapshot", uuid=first["uuid"])
    assert len(files(cloud, 1)) == len(here) - 1


async def test_what_is_asked_of_snapshots_while_their_volume_moves_is_done_over_there(cloud):
    disk, first = await grown(cloud)
    cloud.sims[cloud.hosts[1]].delay("peers.pull", 0.3)
    job = await begin(cloud, disk["uuid"])
    calls = (
        snap(cloud, disk, "meanwhile"),
        cloud.call("CreateDataVolumeFromVolumeSnapshot", volumeSnapshotUuid=first["uuid"], name="copy"),
        cloud.call("RevertVolumeFromSnapshot", uuid=first["uuid"]),
    )
    _, copy, _ = await asyncio.gather(*calls)
    assert (await job)["hostUuid"] == cloud.hosts[1]
    assert await hosts_of(cloud, disk) == {cloud.hosts[1]} == await places(cloud, [copy["uuid"]])
    assert files(cloud, 0) == set()


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
        assert await hosts_of(cloud, volume) == {cloud.hosts[1]}
    assert (await cloud.call("StartVmInstance", uuid=vm["uuid"]))["hostUuid"] == cloud.hosts[1]


async def branched(cloud, volume):
    """Snapshots of a stopped volume: one, two that rest on it, and a tree of their own after a revert. The one in use is
    the last."""
    first = await snapshot(cloud, volume)
    left = await snapshot(cloud, volume)
    await cloud.call("RevertVolumeFromSnapshot", uuid=first)
    right = await snapshot(cloud, volume)
    return first, left, right


def chains(cloud, host):
    """File → what it rests on, without the cache of images."""
    found = cloud.sims[cloud.hosts[host]].disks.files
    return {path: found[path].backing for path in files(cloud, host)}


async def test_snapshots_travel_with_their_volume_and_work_there(cloud):
    vm = await stopped(cloud)
    root = vm["rootVolumeUuid"]
    first, left, right = await branched(cloud, root)
    here = chains(cloud, 0)
    assert len(here) == 4
    await move(cloud, root)
    assert (chains(cloud, 0), chains(cloud, 1)) == ({}, here)
    assert await places(cloud, (root, first, left, right)) == {cloud.hosts[1]}
    shown = await cloud.call("QueryLocalStorageResourceRef", conditions=[_on(cloud.hosts[1])])
    assert {ref["resourceUuid"] for ref in shown} == {root, first, left, right}

    await cloud.call("RevertVolumeFromSnapshot", uuid=left)
    await cloud.call("DeleteVolumeSnapshot", uuid=right)
    later = await snapshot(cloud, root)
    assert await places(cloud, (root, first, left, later)) == {cloud.hosts[1]}
    assert (await cloud.call("StartVmInstance", uuid=vm["uuid"]))["hostUuid"] == cloud.hosts[1]


def _on(host):
    return {"name": "hostUuid", "op": "=", "value": host}


async def test_snapshots_of_a_detached_data_volume_and_of_a_whole_vm(cloud):
    volume = await detached(cloud)
    taken = await snapshot(cloud, volume)
    await move(cloud, volume)
    assert await places(cloud, (volume, taken)) == {cloud.hosts[1]}

    left = files(cloud, 0)
    vm = await stopped(cloud, dataDiskOfferingUuids=[cloud.disk])
    group = await cloud.call("CreateVolumeSnapshotGroup", name="g", rootVolumeUuid=vm["rootVolumeUuid"])
    members = await cloud.find("VolumeSnapshotVO", group_uuid=group["uuid"])
    assert len(members) == 2
    await cloud.call("LocalStorageMigrateVm", vmInstanceUuid=vm["uuid"], destHostUuid=cloud.hosts[1])
    assert await places(cloud, [member["uuid"] for member in members]) == {cloud.hosts[1]}
    assert files(cloud, 0) == left


async def test_room_is_taken_for_snapshots_too_and_there_and_back_changes_nothing(cloud):
    vm = await stopped(cloud)
    root = vm["rootVolumeUuid"]
    await branched(cloud, root)
    await move(cloud, root)
    await move(cloud, root, host=0)
    before, seen = stored(cloud), cloud.seen()
    volume = (await cloud.get("VolumeVO", root))["size"]
    snapshots = sum(row["size"] for row in await cloud.find("VolumeSnapshotVO", volume_uuid=root))
    assert snapshots > 0
    part = await cloud.world.db.read(lambda tx: rows.find_one(tx, "LocalStorageHostRefVO", host_uuid=cloud.hosts[1]))
    await put(cloud, "LocalStorageHostRefVO", part["id"], available_capacity=volume + snapshots - 1)
    await refused("SYS.1006", f"{volume + snapshots} are needed", move(cloud, root))
    await put(cloud, "LocalStorageHostRefVO", part["id"], available_capacity=part["available_capacity"])
    await move(cloud, root)
    await move(cloud, root, host=0)
    assert (stored(cloud), cloud.seen()) == (before, seen)


async def test_a_copy_with_snapshots_that_fails_half_way_changes_nothing(cloud, monkeypatch):
    vm = await stopped(cloud)
    await branched(cloud, vm["rootVolumeUuid"])
    before, seen = stored(cloud), cloud.seen()
    dest, pulled = cloud.sims[cloud.hosts[1]], []

    def third(source, name, part, gauge):
        pulled.append(name)
        if len(pulled) == 3:
            raise broken("no_space", "it did not work")
        return SimPeers.pull(dest.peers, source, name, part, gauge)

    monkeypatch.setattr(dest.peers, "pull", third)
    with pytest.raises(ApiError, match="it did not work"):
        await move(cloud, vm["rootVolumeUuid"])
    assert len(pulled) == 3
    assert (stored(cloud), cloud.seen()) == (before, seen)


async def test_what_is_asked_of_a_vms_snapshots_while_it_moves_is_done_over_there(cloud):
    root = (await stopped(cloud))["rootVolumeUuid"]
    taken = await snapshot(cloud, root)
    cloud.sims[cloud.hosts[1]].delay("peers.pull", 0.3)
    job = await begin(cloud, root)
    later, _ = await asyncio.gather(snapshot(cloud, root), cloud.call("DeleteVolumeSnapshot", uuid=taken))
    assert (await job)["hostUuid"] == cloud.hosts[1]
    assert await places(cloud, (root, later)) == {cloud.hosts[1]}
    assert (files(cloud, 0), len(files(cloud, 1))) == (set(), 2)
