"""Hosts: added, lost, found, disabled, deleted with and without what is on them."""

import pytest

from controlplane.contract.error import ApiError
from hostagent.contract.error import broken, temporary
from tests.controlplane.cloud import cloud as new_cloud


async def refusal(awaitable):
    with pytest.raises(ApiError) as failure:
        await awaitable
    error = failure.value.error
    while error.cause:
        error = error.cause
    return failure.value.error.code, error


@pytest.fixture
async def spare(tmp_path):
    """A cloud with a host that has enrolled and is not added."""
    async with new_cloud(tmp_path, hosts=1, spare=1) as made:
        yield made


async def add(cloud, **parameters):
    wish = {"name": "new", "managementIp": cloud.spare_ip, "clusterUuid": cloud.cluster, **parameters}
    return await cloud.call("AddKVMHost", **wish)


def spare_sim(cloud):
    return list(cloud.sims.values())[-1]


async def test_an_added_host_is_connected_and_knows_storages_and_networks(spare):
    host = await add(spare, username="root", password="kept nowhere")
    assert (host["status"], host["state"]) == ("Connected", "Enabled")
    assert host["totalMemoryCapacity"] == 256 << 30
    seen = spare.seen()[spare_sim(spare).name]
    assert seen["storages"] == {spare.storage: "/var/lib/steppe"}
    assert [bridge["name"] for bridge in seen["network"]["bridges"]] == ["br_eth0"]
    rows = await spare.find("HostVO") + await spare.find("OperationVO")
    assert "kept nowhere" not in repr(rows)


async def test_an_agent_that_never_enrolled(spare):
    code, error = await refusal(add(spare, managementIp="10.9.0.77"))
    assert code == "SYS.1006"
    assert "steppe-hostagent enroll" in error.details


async def test_what_has_enrolled_is_told_with_its_host(spare):
    found = await spare.call("GetEnrolledHostAgents")
    assert {one["managementIp"] for one in found} == {
        spare.spare_ip,
        *(one["management_ip"] for one in await spare.find("HostVO")),
    }
    (mine,) = await spare.call("GetEnrolledHostAgents", managementIp=spare.spare_ip)
    assert "hostUuid" not in mine
    host = await add(spare)
    (mine,) = await spare.call("GetEnrolledHostAgents", managementIp=spare.spare_ip)
    assert mine["hostUuid"] == host["uuid"]
    assert await spare.call("GetEnrolledHostAgents", managementIp="10.9.0.77") == []


@pytest.mark.parametrize("address", ["300.1.1.1", "not_a_name", ""])
async def test_an_address_that_is_none(spare, address):
    code, error = await refusal(add(spare, managementIp=address))
    assert (code, error.field) == ("SYS.1007", "managementIp")


async def test_a_host_twice(spare):
    host = await add(spare)
    code, error = await refusal(add(spare))
    assert code == "SYS.1007"
    assert host["uuid"] in error.details


@pytest.mark.parametrize("call", ["host.get", "storage.put", "network.put"])
async def test_a_host_that_fails_while_it_is_added_is_not_added(spare, call):
    before = spare.seen()
    spare_sim(spare).fail(call, broken("internal", "smoke came out"), times=None)
    code, error = await refusal(add(spare))
    assert code == "HOST.1001"
    assert "smoke came out" in error.details
    assert len(await spare.find("HostVO")) == 1
    spare_sim(spare).heal()
    assert spare.seen() == before
    assert (await add(spare))["status"] == "Connected"


async def test_a_permissive_delete_names_what_is_on_the_host(cloud):
    vm = await cloud.vm("busy", hostUuid=cloud.hosts[0])
    code, error = await refusal(cloud.call("DeleteHost", uuid=cloud.hosts[0]))
    assert code == "SYS.1006"
    assert "busy" in error.details
    await cloud.call("StopVmInstance", uuid=vm["uuid"])
    _, error = await refusal(cloud.call("DeleteHost", uuid=cloud.hosts[0]))
    assert "ROOT-for-busy" in error.details
    await cloud.call("DestroyVmInstance", uuid=vm["uuid"])
    await cloud.call("ExpungeVmInstance", uuid=vm["uuid"])
    await cloud.call("DeleteHost", uuid=cloud.hosts[0])
    await cloud.call("DeleteHost", uuid=cloud.hosts[0])  # absent is success
    assert [host["uuid"] for host in await cloud.find("HostVO")] == [cloud.hosts[1]]


async def test_an_enforced_delete_takes_vms_and_volumes_along(cloud):
    doomed, other = cloud.hosts
    kept = await cloud.vm("kept", hostUuid=other)
    await cloud.vm("running", hostUuid=doomed, dataDiskOfferingUuids=[cloud.disk], systemTags=["hostname::gone"])
    stopped = await cloud.vm("stopped", hostUuid=doomed)
    await cloud.call("StopVmInstance", uuid=stopped["uuid"])
    storage = (await cloud.get("PrimaryStorageVO", cloud.storage))["total_capacity"]
    await cloud.call("DeleteHost", uuid=doomed, deleteMode="Enforcing")
    assert [vm["uuid"] for vm in await cloud.find("VmInstanceVO")] == [kept["uuid"]]
    for table in ("VolumeVO", "VmNicVO", "LocalStorageResourceRefVO"):
        assert len(await cloud.find(table)) == 1, table
    assert await cloud.find("VolumeGarbageVO") == []
    assert await cloud.find("SystemTagVO", resource_type="VmInstanceVO") == []
    assert (await cloud.get("PrimaryStorageVO", cloud.storage))["total_capacity"] == storage // 2
    seen = cloud.seen()["host0"]
    assert (seen["vms"], seen["volumes"], seen["storages"]) == ({}, {}, {})
    assert seen["network"]["bridges"] == []


async def test_an_enforced_delete_of_a_host_that_burnt(cloud):
    await cloud.vm("lost", hostUuid=cloud.hosts[0])
    sim = cloud.sims[cloud.hosts[0]]
    sim.fail("*", temporary("unreachable", "ashes"), times=None)
    await cloud.call("DeleteHost", uuid=cloud.hosts[0], deleteMode="Enforcing")
    assert await cloud.find("VmInstanceVO") == []
    assert [host["uuid"] for host in await cloud.find("HostVO")] == [cloud.hosts[1]]
    sim.heal()


async def test_capacity_is_of_enabled_connected_hosts(cloud):
    assert (await cloud.call("GetCpuMemoryCapacity", all=True))["totalMemory"] == 512 << 30
    await cloud.call("ChangeHostState", uuid=cloud.hosts[0], stateEvent="disable")
    assert (await cloud.call("GetCpuMemoryCapacity", all=True))["totalMemory"] == 256 << 30
    code, _ = await refusal(cloud.call("GetCpuMemoryCapacity"))
    assert code == "SYS.1007"
