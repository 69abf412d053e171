"""Data volumes on simulated hosts: made, attached and detached live, grown, deleted, and every rule that refuses."""

import asyncio
from datetime import timedelta

import pytest

from controlplane.contract.error import ApiError
from controlplane.reconcilers.expunge import Expunger
from controlplane.store import rows
from controlplane.store.tables import now

GIB = 1 << 30


async def volume(cloud, name="data", **parameters):
    size = {} if "diskOfferingUuid" in parameters else {"diskSize": GIB}
    return await cloud.call("CreateDataVolume", **{"name": name, **size, **parameters})


async def placed(cloud, host, name="data", **parameters):
    return await volume(cloud, name, primaryStorageUuid=cloud.storage, hostUuid=host, **parameters)


async def attach(cloud, disk, vm):
    return await cloud.call("AttachDataVolumeToVm", volumeUuid=disk["uuid"], vmInstanceUuid=vm["uuid"])


async def refusal(call):
    """(code of the answer, code of its first cause, details of that)."""
    with pytest.raises(ApiError) as failure:
        await call
    error = root = failure.value.error
    while root.cause:
        root = root.cause
    return error.code, root.code, root.details


def plugged(cloud, vm):
    running = cloud.sims[vm["hostUuid"]].hypervisor.domains[vm["uuid"]].running
    return [disk.path for disk in running.disks]


async def free(cloud):
    return {ref["host_uuid"]: ref["available_capacity"] for ref in await cloud.find("LocalStorageHostRefVO")}


async def test_a_volume_gets_its_file_when_it_is_first_attached(cloud):
    before = cloud.seen(), await free(cloud)
    disk = await volume(cloud, diskOfferingUuid=cloud.disk)
    assert (disk["status"], disk["type"], disk["size"]) == ("NotInstantiated", "Data", 2 * GIB)
    assert "installPath" not in disk
    assert (cloud.seen(), await free(cloud)) == before
    vm = await cloud.vm()
    disk = await attach(cloud, disk, vm)
    assert (disk["status"], disk["vmInstanceUuid"], disk["deviceId"]) == ("Ready", vm["uuid"], 1)
    assert disk["lastAttachDate"]
    path = f"/var/lib/steppe/dataVolumes/acct-36c27e8ff05c4780bf6d2fa65700f22e/vol-{disk['uuid']}/{disk['uuid']}.qcow2"
    assert disk["installPath"] == path
    assert plugged(cloud, vm)[1:] == [path]
    (host,) = [
        ref["hostUuid"]
        for ref in await cloud.call("QueryLocalStorageResourceRef")
        if ref["resourceUuid"] == disk["uuid"]
    ]
    assert host == vm["hostUuid"]
    found = await cloud.call(
        "QueryVolume", conditions=[{"name": "localStorageHostRef.hostUuid", "op": "=", "value": host}]
    )
    assert disk["uuid"] in {one["uuid"] for one in found}


async def test_a_placed_volume_has_its_file_at_once(cloud):
    host = cloud.hosts[1]
    disk = await placed(cloud, host)
    assert disk["status"] == "Ready"
    assert list(cloud.sims[host].snapshot()["volumes"]) == [disk["installPath"]]
    tagged = await volume(
        cloud, "tagged", primaryStorageUuid=cloud.storage, systemTags=[f"localStorage::hostUuid::{host}"]
    )
    assert tagged["installPath"] in cloud.sims[host].snapshot()["volumes"]
    assert await cloud.find("SystemTagVO", resource_type="VolumeVO") == [], "the tag is a wish, not a fact"


async def test_detached_live_it_keeps_its_data_and_goes_to_another_vm(cloud):
    host = cloud.hosts[0]
    one, two = [await cloud.vm(name, hostUuid=host) for name in ("one", "two")]
    first, second = [await placed(cloud, host, name) for name in ("first", "second")]
    assert [(await attach(cloud, disk, one))["deviceId"] for disk in (first, second)] == [1, 2]
    gone = await cloud.call("DetachDataVolumeFromVm", uuid=first["uuid"])
    assert "vmInstanceUuid" not in gone
    assert gone["lastVmInstanceUuid"] == one["uuid"]
    assert plugged(cloud, one)[1:] == [second["installPath"]]
    assert (await attach(cloud, first, two))["deviceId"] == 1
    assert plugged(cloud, two)[1:] == [first["installPath"]]
    third = await placed(cloud, host, "third")
    assert (await attach(cloud, third, one))["deviceId"] == 1, "the lowest that is free"


async def test_a_stopped_vm_gets_and_loses_disks_at_its_next_start(cloud):
    vm = await cloud.vm()
    disk = await placed(cloud, vm["hostUuid"])
    await cloud.call("StopVmInstance", uuid=vm["uuid"])
    await attach(cloud, disk, vm)
    vm = await cloud.call("StartVmInstance", uuid=vm["uuid"])
    assert plugged(cloud, vm)[1:] == [disk["installPath"]]
    await cloud.call("StopVmInstance", uuid=vm["uuid"])
    await cloud.call("DetachDataVolumeFromVm", uuid=disk["uuid"])
    vm = await cloud.call("StartVmInstance", uuid=vm["uuid"])
    assert len(plugged(cloud, vm)) == 1


async def test_a_guest_that_clings_to_its_disk_keeps_it(cloud):
    vm = await cloud.vm()
    disk = await attach(cloud, await volume(cloud), vm)
    cloud.sims[vm["hostUuid"]].hypervisor.clinging.add(vm["uuid"])
    code, cause, details = await refusal(cloud.call("DetachDataVolumeFromVm", uuid=disk["uuid"]))
    assert (code, cause) == ("VM.1006", "SYS.1006")
    assert "let go" in details
    assert (await cloud.get("VolumeVO", disk["uuid"]))["vm_instance_uuid"] == vm["uuid"]
    assert plugged(cloud, vm)[1:] == [disk["installPath"]]
    await refusal(cloud.call("DeleteDataVolume", uuid=disk["uuid"]))
    assert (await cloud.get("VolumeVO", disk["uuid"]))["status"] == "Ready"


async def test_rules_of_attaching(cloud):
    here, there = cloud.hosts
    vm = await cloud.vm(hostUuid=here)
    disk, far = await placed(cloud, here), await placed(cloud, there, "far")
    root = {"uuid": vm["rootVolumeUuid"]}
    assert "root" in (await refusal(attach(cloud, root, vm)))[2]
    assert there in (await refusal(attach(cloud, far, vm)))[2]
    await cloud.call("ChangeVolumeState", uuid=disk["uuid"], stateEvent="disable")
    assert "Disabled" in (await refusal(attach(cloud, disk, vm)))[2]
    await cloud.call("ChangeVolumeState", uuid=disk["uuid"], stateEvent="enable")
    await attach(cloud, disk, vm)
    code, _, details = await refusal(attach(cloud, disk, vm))
    assert code == "SYS.1006"
    assert "already" in details
    for number in range(23):
        await attach(cloud, await volume(cloud, f"disk{number}"), vm)
    assert "24" in (await refusal(attach(cloud, await volume(cloud, "one too many"), vm)))[2]
    other = await cloud.vm("other", hostUuid=here)
    await cloud.call("DestroyVmInstance", uuid=other["uuid"])
    assert (await refusal(attach(cloud, await volume(cloud, "late"), other)))[:2] == ("VM.1005", "VM.1010")
    deleted = await placed(cloud, here, "deleted")
    await cloud.call("DeleteDataVolume", uuid=deleted["uuid"])
    assert "Deleted" in (await refusal(attach(cloud, deleted, vm)))[2]
    assert "no VM" in (await refusal(cloud.call("DetachDataVolumeFromVm", uuid=far["uuid"])))[2]
    assert "root" in (await refusal(cloud.call("DetachDataVolumeFromVm", uuid=root["uuid"])))[2]
    assert "not to" in (await refusal(cloud.call("DetachDataVolumeFromVm", uuid=disk["uuid"], vmUuid=other["uuid"])))[2]


async def test_rules_of_making(cloud):
    assert (await refusal(cloud.call("CreateDataVolume", name="sizeless")))[0] == "SYS.1007"
    both = cloud.call("CreateDataVolume", name="both", diskSize=GIB, diskOfferingUuid=cloud.disk)
    assert (await refusal(both))[0] == "SYS.1007"
    assert "hostUuid" in (await refusal(volume(cloud, primaryStorageUuid=cloud.storage)))[2]
    assert "primaryStorageUuid" in (await refusal(volume(cloud, hostUuid=cloud.hosts[0])))[2]
    tags = {"systemTags": [f"localStorage::hostUuid::{cloud.hosts[1]}"]}
    assert "different" in (await refusal(placed(cloud, cloud.hosts[0], **tags)))[2]
    assert "localStorage::" in (await refusal(volume(cloud, systemTags=["localStorage::x"])))[2]
    code, _, details = await refusal(placed(cloud, cloud.hosts[0], diskSize=1 << 50))
    assert (code, "free" in details) == ("PS.1000", True)
    template = {"name": "v", "imageUuid": cloud.image, "primaryStorageUuid": cloud.storage, "hostUuid": cloud.hosts[0]}
    assert "DataVolumeTemplate" in (await refusal(cloud.call("CreateDataVolumeFromVolumeTemplate", **template)))[2]
    await cloud.call("ChangeDiskOfferingState", uuid=cloud.disk, stateEvent="disable")
    assert "Disabled" in (await refusal(volume(cloud, diskOfferingUuid=cloud.disk)))[2]
    assert await cloud.find("VolumeVO") == []


async def test_a_volume_from_a_template_rests_on_the_image(cloud):
    await cloud.world.db.write(lambda tx: rows.update(tx, "ImageVO", cloud.image, media_type="DataVolumeTemplate"))
    host = cloud.hosts[0]
    disk = await cloud.call(
        "CreateDataVolumeFromVolumeTemplate",
        name="v",
        imageUuid=cloud.image,
        primaryStorageUuid=cloud.storage,
        hostUuid=host,
    )
    assert (disk["status"], disk["rootImageUuid"], disk["type"]) == ("Ready", cloud.image, "Data")
    file = cloud.sims[host].snapshot()["volumes"][disk["installPath"]]
    assert file == {"size": GIB, "backing": f"/var/lib/steppe/imagecache/template/{cloud.image}/{cloud.image}.qcow2"}


@pytest.mark.parametrize("running", [True, False])
async def test_growing(cloud, running):
    vm = await cloud.vm(dataDiskSizes=[GIB])
    if not running:
        await cloud.call("StopVmInstance", uuid=vm["uuid"])
    before = await free(cloud)
    root, data = [one["uuid"] for one in vm["allVolumes"]]
    assert (await cloud.call("ResizeRootVolume", uuid=root, size=3 * GIB))["size"] == 3 * GIB
    assert (await cloud.call("ResizeDataVolume", uuid=data, size=5 * GIB))["size"] == 5 * GIB
    sizes = [file["size"] for file in cloud.sims[vm["hostUuid"]].snapshot()["volumes"].values()]
    assert sorted(sizes) == [3 * GIB, 5 * GIB]
    assert (await free(cloud))[vm["hostUuid"]] == before[vm["hostUuid"]] - 6 * GIB
    for api, uuid, size in (
        ("ResizeRootVolume", root, GIB),
        ("ResizeRootVolume", root, 3 * GIB),
        ("ResizeDataVolume", root, 9 * GIB),
        ("ResizeRootVolume", data, 9 * GIB),
    ):
        assert (await refusal(cloud.call(api, uuid=uuid, size=size)))[0] == "SYS.1007"
    assert (await refusal(cloud.call("ResizeDataVolume", uuid=data, size=1 << 50)))[0] == "PS.1000"
    assert (await cloud.get("VolumeVO", data))["status"] == "Ready"


async def test_a_volume_without_a_file_grows_in_the_record(cloud):
    disk = await volume(cloud)
    await cloud.call("ResizeDataVolume", uuid=disk["uuid"], size=7 * GIB)
    disk = await attach(cloud, disk, await cloud.vm())
    assert disk["size"] == 7 * GIB


async def test_root_and_data_sizes_of_a_new_vm(cloud):
    vm = await cloud.vm(rootDiskSize=3 * GIB, dataDiskSizes=[GIB], dataDiskOfferingUuids=[cloud.disk])
    assert [one["size"] for one in vm["allVolumes"]] == [3 * GIB, 2 * GIB, GIB]
    files = cloud.sims[vm["hostUuid"]].snapshot()["volumes"]
    assert [files[one["installPath"]]["size"] for one in vm["allVolumes"]] == [3 * GIB, 2 * GIB, GIB]
    assert "rootDiskSize" in (await refusal(cloud.vm("small", rootDiskSize=GIB - 1)))[2]
    assert "24" in (await refusal(cloud.vm("many", dataDiskOfferingUuids=[cloud.disk] * 20, dataDiskSizes=[1] * 5)))[2]
    iso = await cloud.vm("iso", imageUuid=cloud.iso, rootDiskSize=GIB)
    assert iso["allVolumes"][0]["size"] == GIB


async def test_odd_sizes_become_whole_sectors(cloud):
    vm = await cloud.vm(dataDiskSizes=[1], rootDiskSize=GIB + 1)
    assert [one["size"] for one in vm["allVolumes"]] == [GIB + 512, 512]
    disk = await placed(cloud, cloud.hosts[0], diskSize=513)
    assert disk["size"] == 1024
    assert (await cloud.call("ResizeDataVolume", uuid=disk["uuid"], size=1025))["size"] == 1536


async def test_deleted_recovered_expunged(cloud):
    before = cloud.seen(), await free(cloud)
    vm = await cloud.vm()
    with_vm = cloud.seen(), await free(cloud)
    disk = await attach(cloud, await volume(cloud, userTags=["mine"]), vm)
    await cloud.call("DeleteDataVolume", uuid=disk["uuid"])
    assert len(plugged(cloud, vm)) == 1
    row = await cloud.get("VolumeVO", disk["uuid"])
    assert (row["status"], row["vm_instance_uuid"]) == ("Deleted", None)
    assert "already" in (await refusal(cloud.call("DeleteDataVolume", uuid=disk["uuid"])))[2]
    assert (await cloud.call("RecoverDataVolume", uuid=disk["uuid"]))["status"] == "Ready"
    assert (await refusal(cloud.call("ExpungeDataVolume", uuid=disk["uuid"])))[0] == "SYS.1006"
    await cloud.call("DeleteDataVolume", uuid=disk["uuid"])
    await cloud.call("ExpungeDataVolume", uuid=disk["uuid"])
    assert (cloud.seen(), await free(cloud)) == with_vm
    assert await cloud.find("UserTagVO") == []
    assert await cloud.call("DeleteDataVolume", uuid=disk["uuid"]) == {}, "absent is success"
    assert (await refusal(cloud.call("DeleteDataVolume", uuid=vm["rootVolumeUuid"])))[0] == "SYS.1007"
    await cloud.call("DestroyVmInstance", uuid=vm["uuid"])
    await cloud.call("ExpungeVmInstance", uuid=vm["uuid"])
    assert (cloud.seen(), await free(cloud)) == before


async def test_deleted_volumes_go_when_their_time_has_come(cloud):
    old, young = [await placed(cloud, cloud.hosts[0], name) for name in ("old", "young")]
    for disk in (old, young):
        await cloud.call("DeleteDataVolume", uuid=disk["uuid"])
    when = now() - timedelta(seconds=86_401)
    await cloud.world.db.write(lambda tx: rows.update(tx, "VolumeVO", old["uuid"], destroyed_at=when))
    await Expunger(cloud.world, cloud.engine).once()
    assert [row["uuid"] for row in await cloud.find("VolumeVO")] == [young["uuid"]]
    assert list(cloud.sims[cloud.hosts[0]].snapshot()["volumes"]) == [young["installPath"]]


async def test_with_policy_direct_a_deleted_volume_is_gone(cloud):
    await cloud.world.db.write(
        lambda tx: rows.insert(tx, "GlobalConfigVO", category="volume", name="deletionPolicy", value="Direct")
    )
    before = cloud.seen()
    disk = await placed(cloud, cloud.hosts[0])
    await cloud.call("DeleteDataVolume", uuid=disk["uuid"])
    assert await cloud.find("VolumeVO") == []
    assert cloud.seen() == before


async def test_data_volumes_outlive_their_vm(cloud):
    vm = await cloud.vm(dataDiskSizes=[GIB])
    data = vm["allVolumes"][1]
    await cloud.call("DestroyVmInstance", uuid=vm["uuid"])
    await cloud.call("ExpungeVmInstance", uuid=vm["uuid"])
    (left,) = await cloud.call("QueryVolume")
    assert (left["uuid"], left["status"], left["lastVmInstanceUuid"]) == (data["uuid"], "Ready", vm["uuid"])
    assert list(cloud.sims[vm["hostUuid"]].snapshot()["volumes"]) == [data["installPath"]]


async def test_what_fits_together(cloud):
    here, there = cloud.hosts
    vms = {host: await cloud.vm(hostUuid=host) for host in (here, there)}
    lying, loose = await placed(cloud, here), await volume(cloud, "loose")
    await attach(cloud, await volume(cloud, "taken"), vms[here])

    async def names(api, **of):
        return {one["uuid"] for one in await cloud.call(api, **of)}

    vm = vms[here]["uuid"]
    assert await names("GetVmAttachableDataVolume", vmInstanceUuid=vm) == {lying["uuid"], loose["uuid"]}
    assert await names("GetVmAttachableDataVolume", vmInstanceUuid=vms[there]["uuid"]) == {loose["uuid"]}
    assert await names("GetDataVolumeAttachableVm", volumeUuid=lying["uuid"]) == {vm}
    assert await names("GetDataVolumeAttachableVm", volumeUuid=loose["uuid"]) == {vm, vms[there]["uuid"]}


async def test_of_two_vms_only_one_gets_the_volume(cloud):
    host = cloud.hosts[0]
    vms = [await cloud.vm(name, hostUuid=host) for name in ("one", "two")]
    disk = await placed(cloud, host)
    tried = await asyncio.gather(*(attach(cloud, disk, vm) for vm in vms), return_exceptions=True)
    assert sorted(isinstance(result, ApiError) for result in tried) == [False, True]
    assert sorted(len(plugged(cloud, vm)) for vm in vms) == [1, 2]


async def test_detach_and_stop_at_once_leave_a_stopped_vm(cloud):
    vm = await cloud.vm(dataDiskSizes=[GIB])
    data = vm["allVolumes"][1]
    await asyncio.gather(
        cloud.call("DetachDataVolumeFromVm", uuid=data["uuid"]),
        cloud.call("StopVmInstance", uuid=vm["uuid"], type="cold"),
    )
    assert cloud.sims[vm["hostUuid"]].hypervisor.domains == {}
    assert (await cloud.get("VmInstanceVO", vm["uuid"]))["state"] == "Stopped"
    assert (await cloud.get("VolumeVO", data["uuid"]))["vm_instance_uuid"] is None
