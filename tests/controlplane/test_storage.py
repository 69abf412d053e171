"""Primary storages on hosts, image stores of the control plane: what they do and what they refuse."""

import pytest

from controlplane.contract.error import ApiError
from hostagent.contract.error import broken

GIB = 1 << 30


async def refusal(awaitable):
    with pytest.raises(ApiError) as failure:
        await awaitable
    return failure.value.error


async def other_storage(cloud, url="/var/lib/other"):
    return (await cloud.call("AddLocalPrimaryStorage", name="other", url=url, zoneUuid=cloud.zone))["uuid"]


async def other_cluster(cloud):
    made = await cloud.call("CreateCluster", name="other", zoneUuid=cloud.zone, hypervisorType="KVM")
    return made["uuid"]


def storages(cloud):
    return {name: host["storages"] for name, host in cloud.seen().items()}


async def test_an_attached_storage_is_on_every_host_and_is_the_sum_of_them(cloud):
    assert storages(cloud) == {name: {cloud.storage: "/var/lib/steppe"} for name in ("host0", "host1")}
    storage = await cloud.get("PrimaryStorageVO", cloud.storage)
    assert (storage["status"], storage["total_capacity"]) == ("Connected", 2 * 4096 * GIB)
    parts = await cloud.call("GetLocalStorageHostDiskCapacity", primaryStorageUuid=cloud.storage)
    assert {part["hostUuid"] for part in parts} == set(cloud.hosts)
    one = await cloud.call("GetLocalStorageHostDiskCapacity", primaryStorageUuid=cloud.storage, hostUuid=cloud.hosts[0])
    assert one[0]["totalCapacity"] == 4096 * GIB


async def test_a_volume_takes_room_on_its_host_and_gives_it_back(cloud):
    before = await cloud.call("GetPrimaryStorageCapacity", all=True)
    vm = await cloud.vm(hostUuid=cloud.hosts[0], dataDiskOfferingUuids=[cloud.disk])
    taken = sum(volume["size"] for volume in vm["allVolumes"])
    after = await cloud.call("GetPrimaryStorageCapacity", all=True)
    assert before["availableCapacity"] - after["availableCapacity"] == taken == 3 * GIB
    parts = await cloud.call("GetLocalStorageHostDiskCapacity", primaryStorageUuid=cloud.storage)
    left = {part["hostUuid"]: part["totalCapacity"] - part["availableCapacity"] for part in parts}
    assert left == {cloud.hosts[0]: taken, cloud.hosts[1]: 0}


@pytest.mark.parametrize("url", ["", "relative", "/", "//", "nfs://server/x"])
async def test_directories_that_are_none(cloud, url):
    error = await refusal(cloud.call("AddLocalPrimaryStorage", name="bad", url=url, zoneUuid=cloud.zone))
    assert (error.code, error.field) == ("SYS.1007", "url")


async def test_a_cluster_has_one_local_storage(cloud):
    second = await other_storage(cloud)
    attach = {"clusterUuid": cloud.cluster}
    error = await refusal(cloud.call("AttachPrimaryStorageToCluster", primaryStorageUuid=second, **attach))
    assert (error.code, cloud.storage in error.details) == ("SYS.1006", True)
    error = await refusal(cloud.call("AttachPrimaryStorageToCluster", primaryStorageUuid=cloud.storage, **attach))
    assert (error.code, "already" in error.details) == ("SYS.1006", True)


async def test_a_storage_of_another_zone(cloud):
    zone = (await cloud.call("CreateZone", name="far"))["uuid"]
    far = (await cloud.call("AddLocalPrimaryStorage", name="far", url="/far", zoneUuid=zone))["uuid"]
    cluster = await other_cluster(cloud)
    error = await refusal(cloud.call("AttachPrimaryStorageToCluster", primaryStorageUuid=far, clusterUuid=cluster))
    assert (error.code, "zones" in error.details) == ("SYS.1007", True)


async def test_a_host_that_cannot_hold_it_undoes_the_attach(cloud):
    await cloud.call("DetachPrimaryStorageFromCluster", primaryStorageUuid=cloud.storage, clusterUuid=cloud.cluster)
    assert storages(cloud) == {"host0": {}, "host1": {}}
    cloud.sims[cloud.hosts[1]].fail("storage.put", broken("storage_path", "read-only file system"), times=None)
    attach = {"primaryStorageUuid": cloud.storage, "clusterUuid": cloud.cluster}
    error = await refusal(cloud.call("AttachPrimaryStorageToCluster", **attach))
    assert "read-only file system" in error.details
    assert await cloud.find("PrimaryStorageClusterRefVO") == []
    assert await cloud.find("LocalStorageHostRefVO") == []
    assert storages(cloud) == {"host0": {}, "host1": {}}
    cloud.sims[cloud.hosts[1]].heal()
    assert (await cloud.call("AttachPrimaryStorageToCluster", **attach))["attachedClusterUuids"] == [cloud.cluster]


async def test_what_is_in_use_stays(cloud):
    await cloud.vm("keeper")
    detach = {"primaryStorageUuid": cloud.storage, "clusterUuid": cloud.cluster}
    error = await refusal(cloud.call("DetachPrimaryStorageFromCluster", **detach))
    assert (error.code, "ROOT-for-keeper" in error.details) == ("SYS.1006", True)
    error = await refusal(cloud.call("DeletePrimaryStorage", uuid=cloud.storage))
    assert (error.code, "detach it first" in error.details) == ("SYS.1006", True)
    error = await refusal(
        cloud.call(
            "DetachPrimaryStorageFromCluster", primaryStorageUuid=await other_storage(cloud), clusterUuid=cloud.cluster
        )
    )
    assert (error.code, "not attached" in error.details) == ("SYS.1007", True)


async def test_image_stores_do_not_share_directories(cloud):
    first = await cloud.call("AddImageStoreBackupStorage", name="a", url="/images/a")
    folder = cloud.world.settings.state_dir / "images" / "images" / "a"
    assert folder.is_dir()
    for url in ("/images/a", "images/a/", "/images", "/images/a/b"):
        error = await refusal(cloud.call("AddImageStoreBackupStorage", name="b", url=url))
        assert (error.code, first["uuid"] in error.details) == ("SYS.1006", True)
    for url in ("/..", "../../etc", "s3://bucket"):
        error = await refusal(cloud.call("AddImageStoreBackupStorage", name="b", url=url))
        assert (error.code, error.field) == ("SYS.1007", "url")
    await cloud.call("DeleteBackupStorage", uuid=first["uuid"])
    assert not folder.exists()


async def test_an_sftp_store_in_the_words_of_older_callers(cloud):
    words = {"name": "sftp", "hostname": "10.9.0.99", "username": "root", "password": "secret", "url": "/bs"}
    store = await cloud.call("AddSftpBackupStorage", **words)
    assert (store["status"], store["type"], store["hostname"]) == ("Connected", "SftpBackupStorage", "10.9.0.99")
    assert "secret" not in repr(await cloud.find("BackupStorageVO") + await cloud.find("OperationVO"))
    error = await refusal(cloud.call("AddSftpBackupStorage", **words | {"url": "/elsewhere"}))
    assert (error.code, "10.9.0.99" in error.details) == ("SYS.1006", True)
