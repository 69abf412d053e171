"""Snapshots on simulated hosts: chains, trees, reverting, deleting one of many, all disks of a VM at once."""

import asyncio

import pytest

from controlplane.contract.error import ApiError
from controlplane.store import rows
from hostagent.contract.error import broken
from tests.controlplane.test_volume import GIB, free, placed, plugged, refusal, volume
from tests.controlplane.test_volume_capacity import recount

__all__ = ["volume"]


@pytest.fixture(autouse=True)
async def adds_up(cloud):
    yield
    await recount(cloud)


async def snap(cloud, disk, name="snap", **parameters):
    return await cloud.call("CreateVolumeSnapshot", volumeUuid=disk["uuid"], name=name, **parameters)


async def path(cloud, disk):
    return (await cloud.get("VolumeVO", disk["uuid"]))["install_path"]


def beneath(cloud, host, file):
    """What a file on that host rests on, the nearest first."""
    files, found = cloud.sims[host].disks.files, []
    while backing := files[file].backing:
        found.append(backing)
        file = backing
    return found


def shape(tree):
    """name → names of the children, of a tree of snapshots."""
    return {tree["inventory"]["name"]: [shape(child) for child in tree.get("children", [])]}


async def trees(cloud, disk):
    found = await cloud.call("GetVolumeSnapshotTree", volumeUuid=disk["uuid"])
    return [(tree["current"], shape(tree["tree"])) for tree in found]


async def test_the_file_becomes_the_snapshot_and_a_new_one_the_volume(cloud):
    host = cloud.hosts[0]
    disk = await placed(cloud, host)
    before = await free(cloud)
    taken = await snap(cloud, disk, userTags=["mine"])
    assert taken["primaryStorageInstallPath"] == disk["installPath"]
    assert (taken["latest"], taken["status"], taken["state"], taken["volumeType"]) == (True, "Ready", "Enabled", "Data")
    now = await path(cloud, disk)
    assert now == disk["installPath"].replace(f"{disk['uuid']}.qcow2", f"snapshots/{taken['uuid']}.qcow2")
    assert beneath(cloud, host, now) == [disk["installPath"]]
    assert (await free(cloud))[host] == before[host] - taken["size"]
    second = await snap(cloud, disk, "second")
    assert (second["parentUuid"], second["treeUuid"]) == (taken["uuid"], taken["treeUuid"])
    (first,) = await cloud.call("QueryVolumeSnapshot", conditions=[{"name": "uuid", "op": "=", "value": taken["uuid"]}])
    assert first["latest"] is False
    assert await trees(cloud, disk) == [(True, {"snap": [{"second": []}]})]
    (tree,) = await cloud.call("QueryVolumeSnapshotTree")
    assert shape(tree["tree"]) == {"snap": [{"second": []}]}
    assert (await cloud.call("UpdateVolumeSnapshot", uuid=taken["uuid"], name="new"))["name"] == "new"
    refs = await cloud.call(
        "QueryVolumeSnapshot", conditions=[{"name": "localStorageHostRef.hostUuid", "op": "=", "value": host}]
    )
    assert len(refs) == 2


async def test_a_running_guest_goes_on_with_the_new_file_also_after_a_restart(cloud):
    vm = await cloud.vm(dataDiskSizes=[GIB])
    root, data = vm["allVolumes"]
    await snap(cloud, data)
    await snap(cloud, root)
    files = [await path(cloud, root), await path(cloud, data)]
    assert plugged(cloud, vm) == files
    image = f"/var/lib/steppe/imagecache/template/{cloud.image}/{cloud.image}.qcow2"
    assert beneath(cloud, vm["hostUuid"], files[0]) == [root["installPath"], image]
    await cloud.call("StopVmInstance", uuid=vm["uuid"])
    await cloud.call("StartVmInstance", uuid=vm["uuid"])
    assert plugged(cloud, vm) == files
    await cloud.call("ResizeDataVolume", uuid=data["uuid"], size=3 * GIB)
    assert cloud.sims[vm["hostUuid"]].disks.files[files[1]].size == 3 * GIB


async def test_reverting_makes_branches(cloud):
    vm = await cloud.vm()
    root = vm["allVolumes"][0]
    first = await snap(cloud, root, "first")
    await snap(cloud, root, "second")
    assert (await refusal(cloud.call("RevertVolumeFromSnapshot", uuid=first["uuid"])))[1] == "VM.1010"
    await cloud.call("StopVmInstance", uuid=vm["uuid"])
    written = await path(cloud, root)
    await cloud.call("RevertVolumeFromSnapshot", uuid=first["uuid"])
    assert written not in cloud.sims[vm["hostUuid"]].disks.files
    assert beneath(cloud, vm["hostUuid"], await path(cloud, root))[0] == first["primaryStorageInstallPath"]
    await snap(cloud, root, "third")
    assert await trees(cloud, root) == [(True, {"first": [{"second": []}, {"third": []}]})]
    await cloud.call("StartVmInstance", uuid=vm["uuid"])
    assert plugged(cloud, vm) == [await path(cloud, root)]


async def test_deleting_one_keeps_all_others(cloud):
    host = cloud.hosts[0]
    disk = await placed(cloud, host)
    one, two, three = [await snap(cloud, disk, name) for name in ("one", "two", "three")]
    await cloud.call("DeleteVolumeSnapshot", uuid=two["uuid"])
    assert await trees(cloud, disk) == [(True, {"one": [{"three": []}]})]
    lower = [three["primaryStorageInstallPath"], one["primaryStorageInstallPath"]]
    assert beneath(cloud, host, await path(cloud, disk)) == lower
    await cloud.call("DeleteVolumeSnapshot", uuid=three["uuid"])
    assert await trees(cloud, disk) == [(True, {"one": []})]
    assert (await cloud.find("VolumeSnapshotVO"))[0]["latest"]
    await cloud.call("DeleteVolumeSnapshot", uuid=one["uuid"])
    assert await trees(cloud, disk) == []
    assert await cloud.find("VolumeSnapshotTreeVO") == []
    assert beneath(cloud, host, await path(cloud, disk)) == []
    assert await cloud.call("DeleteVolumeSnapshot", uuid=one["uuid"]) == {}, "absent is success"


async def test_a_tree_whose_first_goes_becomes_several(cloud):
    host = cloud.hosts[0]
    disk = await placed(cloud, host)
    first = await snap(cloud, disk, "first")
    await snap(cloud, disk, "left")
    await cloud.call("RevertVolumeFromSnapshot", uuid=first["uuid"])
    await snap(cloud, disk, "right")
    await snap(cloud, disk, "far right")
    await cloud.call("DeleteVolumeSnapshot", uuid=first["uuid"])
    assert sorted(await trees(cloud, disk), key=str) == [(False, {"left": []}), (True, {"right": [{"far right": []}]})]


async def test_what_a_running_vm_allows(cloud):
    vm = await cloud.vm(dataDiskSizes=[GIB])
    data = vm["allVolumes"][1]
    one, two, three = [await snap(cloud, data, name) for name in ("one", "two", "three")]
    assert "stop the VM" in (await refusal(cloud.call("DeleteVolumeSnapshot", uuid=two["uuid"])))[2]
    await cloud.call("DeleteVolumeSnapshot", uuid=three["uuid"])
    assert await trees(cloud, data) == [(True, {"one": [{"two": []}]})]
    assert beneath(cloud, vm["hostUuid"], plugged(cloud, vm)[1])[0] == two["primaryStorageInstallPath"]
    await cloud.call("StopVmInstance", uuid=vm["uuid"])
    await cloud.call("DeleteVolumeSnapshot", uuid=one["uuid"])
    assert await trees(cloud, data) == [(True, {"two": []})]


async def test_a_deletion_that_fails_after_a_live_merge_loses_nothing_and_can_be_repeated(cloud):
    vm = await cloud.vm(dataDiskSizes=[GIB])
    data = vm["allVolumes"][1]
    one, two = [await snap(cloud, data, name) for name in ("one", "two")]
    hypervisor = cloud.sims[vm["hostUuid"]].hypervisor
    plain = hypervisor.pull

    async def merge_and_fail(*arguments):
        hypervisor.pull = plain
        await plain(*arguments)
        raise broken("internal", "boom")

    hypervisor.pull = merge_and_fail
    before = await cloud.find("VolumeSnapshotVO"), await free(cloud)
    assert "boom" in (await refusal(cloud.call("DeleteVolumeSnapshot", uuid=two["uuid"])))[2]
    after = await cloud.find("VolumeSnapshotVO"), await free(cloud)
    assert [row["status"] for row in after[0]] == ["Ready", "Ready"]
    assert after[1] == before[1]
    assert (await cloud.get("VolumeVO", data["uuid"]))["status"] == "Ready"
    assert two["primaryStorageInstallPath"] in cloud.sims[vm["hostUuid"]].disks.files
    await cloud.call("DeleteVolumeSnapshot", uuid=two["uuid"])
    assert await trees(cloud, data) == [(True, {"one": []})]
    assert beneath(cloud, vm["hostUuid"], plugged(cloud, vm)[1]) == [one["primaryStorageInstallPath"]]


async def test_a_long_chain_ends_and_a_new_tree_begins_with_a_whole_copy(cloud):
    limit = {"category": "volumeSnapshot", "name": "incrementalSnapshot.maxNum", "value": "3"}
    await cloud.world.db.write(lambda tx: rows.insert(tx, "GlobalConfigVO", **limit))
    vm = await cloud.vm()
    root = vm["allVolumes"][0]
    for number in range(4):
        await snap(cloud, root, str(number))
    assert await trees(cloud, root) == [(False, {"0": [{"1": [{"2": []}]}]}), (True, {"3": []})]
    lower = beneath(cloud, vm["hostUuid"], plugged(cloud, vm)[0])
    assert len(lower) == 2
    assert lower[1].endswith(f"imagecache/template/{cloud.image}/{cloud.image}.qcow2")


async def test_all_disks_at_one_instant(cloud):
    vm = await cloud.vm(dataDiskSizes=[GIB, GIB])
    sim, calls = cloud.sims[vm["hostUuid"]], []
    plain = sim.hypervisor.snapshot

    async def counted(uuid, files):
        calls.append(dict(files))
        await plain(uuid, files)

    sim.hypervisor.snapshot = counted
    group = await cloud.call("CreateVolumeSnapshotGroup", name="all", rootVolumeUuid=vm["rootVolumeUuid"])
    assert [len(files) for files in calls] == [3], "one call of the hypervisor for all"
    assert group["snapshotCount"] == len(group["volumeSnapshots"]) == 3
    assert plugged(cloud, vm) == [await path(cloud, disk) for disk in vm["allVolumes"]]
    data = {"uuid": vm["allVolumes"][1]["uuid"]}
    assert (await refusal(cloud.call("CreateVolumeSnapshotGroup", name="x", rootVolumeUuid=data["uuid"])))[
        0
    ] == "SYS.1007"
    for taken in group["volumeSnapshots"]:
        (left,) = await cloud.call("QueryVolumeSnapshotGroup")
        await cloud.call("DeleteVolumeSnapshot", uuid=taken["uuid"])
    assert left["snapshotCount"] == 1
    assert await cloud.call("QueryVolumeSnapshotGroup") == []


async def test_expunging_takes_the_snapshots_along(cloud):
    before = cloud.seen(), await free(cloud)
    vm = await cloud.vm(dataDiskSizes=[GIB])
    root, data = vm["allVolumes"]
    await snap(cloud, root, userTags=["mine"])
    await cloud.call("CreateVolumeSnapshotGroup", name="all", rootVolumeUuid=root["uuid"])
    await cloud.call("DestroyVmInstance", uuid=vm["uuid"])
    assert "Deleted" in (await refusal(snap(cloud, root)))[2]
    await cloud.call("ExpungeVmInstance", uuid=vm["uuid"])
    await cloud.call("DeleteDataVolume", uuid=data["uuid"])
    await cloud.call("ExpungeDataVolume", uuid=data["uuid"])
    for table in ("VolumeSnapshotVO", "VolumeSnapshotTreeVO", "VolumeSnapshotGroupVO", "VolumeGarbageVO", "UserTagVO"):
        assert await cloud.find(table) == [], table
    assert (cloud.seen(), await free(cloud)) == before


async def test_a_volume_from_a_snapshot_owes_nothing_to_it(cloud):
    host = cloud.hosts[1]
    disk = await placed(cloud, host)
    taken = await snap(cloud, disk)
    copy = await cloud.call("CreateDataVolumeFromVolumeSnapshot", name="copy", volumeSnapshotUuid=taken["uuid"])
    assert (copy["status"], copy["size"], copy["primaryStorageUuid"]) == ("Ready", GIB, cloud.storage)
    assert beneath(cloud, host, copy["installPath"]) == []
    await cloud.call("DeleteVolumeSnapshot", uuid=taken["uuid"])
    assert (await cloud.get("VolumeVO", disk["uuid"]))["status"] == "Ready"


async def test_what_is_asked_for_at_once_is_done_one_after_the_other(cloud):
    vm = await cloud.vm()
    disk, kept = vm["allVolumes"][0], await snap(cloud, vm["allVolumes"][0])
    copy = {"name": "copy", "volumeSnapshotUuid": kept["uuid"]}
    made = await asyncio.gather(
        *(cloud.call("CreateDataVolumeFromVolumeSnapshot", **copy) for _ in range(4)),
        *(snap(cloud, disk) for _ in range(4)),
    )
    assert {one["status"] for one in made} == {"Ready"}


async def test_refusals(cloud):
    loose = await volume(cloud)
    assert "NotInstantiated" in (await refusal(snap(cloud, loose)))[2]
    with pytest.raises(ApiError, match="there is no VolumeVO"):
        await snap(cloud, {"uuid": "f" * 32})
    assert (await refusal(cloud.call("GetVolumeSnapshotTree")))[0] == "SYS.1007"
