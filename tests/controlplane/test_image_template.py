"""Images made of volumes and snapshots on simulated hosts, and VMs made of those."""

import hashlib

from tests.controlplane.test_snapshot import adds_up, snap
from tests.controlplane.test_volume import GIB, placed, refusal

__all__ = ["adds_up"]


async def store(cloud, name="store", zone=True):
    made = await cloud.call("AddImageStoreBackupStorage", name=name, url=name)
    if zone:
        await cloud.call("AttachBackupStorageToZone", backupStorageUuid=made["uuid"], zoneUuid=cloud.zone)
    return made["uuid"]


def file_of(cloud, image, name="store"):
    return cloud.world.settings.state_dir / "images" / name / image["uuid"] / f"{image['uuid']}.qcow2"


async def test_a_root_volume_becomes_an_image_and_that_a_vm(cloud):
    await store(cloud)
    vm = await cloud.vm(rootDiskSize=2 * GIB)
    root = vm["rootVolumeUuid"]
    call = {"name": "golden", "rootVolumeUuid": root}
    assert (await refusal(cloud.call("CreateRootVolumeTemplateFromRootVolume", **call)))[1] == "VM.1010"
    await cloud.call("StopVmInstance", uuid=vm["uuid"])
    image = await cloud.call("CreateRootVolumeTemplateFromRootVolume", **call)
    assert (image["status"], image["mediaType"], image["format"]) == ("Ready", "RootVolumeTemplate", "qcow2")
    assert (image["size"], image["platform"]) == (2 * GIB, "Linux")
    content = file_of(cloud, image).read_bytes()
    assert (len(content), hashlib.sha256(content).hexdigest()) == (image["actualSize"], image["sha256"])
    assert (await cloud.get("VolumeVO", root))["status"] == "Ready"
    assert not any("/uploads/" in path for sim in cloud.sims.values() for path in sim.disks.files)
    assert (await cloud.vm("child", imageUuid=image["uuid"]))["allVolumes"][0]["size"] == 2 * GIB


async def test_a_snapshot_of_a_running_vm_becomes_an_image_in_every_store_of_the_zone(cloud):
    await store(cloud)
    await store(cloud, "second")
    await store(cloud, "elsewhere", zone=False)
    vm = await cloud.vm()
    taken = await snap(cloud, {"uuid": vm["rootVolumeUuid"]})
    image = await cloud.call("CreateRootVolumeTemplateFromVolumeSnapshot", name="golden", snapshotUuid=taken["uuid"])
    assert [ref["status"] for ref in image["backupStorageRefs"]] == ["Ready", "Ready"]
    assert file_of(cloud, image, "second").read_bytes() == file_of(cloud, image).read_bytes()


async def test_a_data_volume_becomes_a_template_and_that_a_volume(cloud):
    stores = [await store(cloud, zone=False)]
    host = cloud.hosts[0]
    disk = await placed(cloud, host)
    call = {"name": "t", "volumeUuid": disk["uuid"]}
    assert "backupStorageUuids" in (await refusal(cloud.call("CreateDataVolumeTemplateFromVolume", **call)))[2]
    image = await cloud.call("CreateDataVolumeTemplateFromVolume", **call, backupStorageUuids=stores)
    assert (image["mediaType"], image["size"]) == ("DataVolumeTemplate", GIB)
    place = {"primaryStorageUuid": cloud.storage, "hostUuid": host}
    made = await cloud.call("CreateDataVolumeFromVolumeTemplate", name="v", imageUuid=image["uuid"], **place)
    assert (made["size"], made["rootImageUuid"]) == (GIB, image["uuid"])


async def test_refusals(cloud):
    await store(cloud)
    disk = await placed(cloud, cloud.hosts[0])
    of_root = cloud.call("CreateRootVolumeTemplateFromRootVolume", name="x", rootVolumeUuid=disk["uuid"])
    assert "data volume" in (await refusal(of_root))[2]
    taken = await snap(cloud, disk)
    of_snapshot = cloud.call("CreateRootVolumeTemplateFromVolumeSnapshot", name="x", snapshotUuid=taken["uuid"])
    assert "data volume" in (await refusal(of_snapshot))[2]
    await cloud.call("ChangeVolumeState", uuid=disk["uuid"], stateEvent="disable")
    of_disabled = cloud.call("CreateDataVolumeTemplateFromVolume", name="x", volumeUuid=disk["uuid"])
    assert "Disabled" in (await refusal(of_disabled))[2]
    assert await cloud.find("ImageBackupStorageRefVO") == []
