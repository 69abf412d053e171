"""What CreateVmInstance refuses, and that it then leaves nothing behind."""

import pytest

from controlplane.contract.error import ApiError
from tests.controlplane.cloud import network


async def refusal(cloud, **parameters):
    with pytest.raises(ApiError) as failure:
        await cloud.vm(**parameters)
    assert await cloud.find("VmInstanceVO") == []
    assert await cloud.find("UsedIpVO") == []
    return failure.value.error


def root(error):
    while error.cause:
        error = error.cause
    return error


async def test_unknown_uuids(cloud):
    for name in ("instanceOfferingUuid", "imageUuid", "hostUuid", "clusterUuid", "zoneUuid"):
        error = await refusal(cloud, **{name: "f" * 32})
        assert (error.code, name in error.details) == ("SYS.1003", True)
    assert (await refusal(cloud, l3NetworkUuids=["f" * 32])).code == "SYS.1003"


@pytest.mark.parametrize(
    ("api", "attribute"),
    [
        ("ChangeInstanceOfferingState", "offering"),
        ("ChangeImageState", "image"),
        ("ChangeL3NetworkState", "l3"),
    ],
)
async def test_disabled_things(cloud, api, attribute):
    await cloud.call(api, uuid=getattr(cloud, attribute), stateEvent="disable")
    error = await refusal(cloud)
    assert error.code == "SYS.1006"
    assert "Disabled" in error.details


async def test_default_network(cloud):
    other = await network(cloud, "other", "192.168.0.0/24")
    assert (await refusal(cloud, l3NetworkUuids=[cloud.l3, other])).code == "SYS.1007"
    assert (await refusal(cloud, defaultL3NetworkUuid=other)).code == "SYS.1007"
    vm = await cloud.vm(l3NetworkUuids=[cloud.l3, other], defaultL3NetworkUuid=other)
    assert [nic["ip"] for nic in vm["vmNics"]] == ["10.0.0.2", "192.168.0.2"]
    assert [nic["deviceId"] for nic in vm["vmNics"]] == [0, 1]


async def test_no_host_with_room_says_why_for_each_host(cloud):
    huge = await cloud.call("CreateInstanceOffering", name="huge", cpuNum=1, memorySize=1 << 50)
    error = await refusal(cloud, instanceOfferingUuid=huge["uuid"])
    assert error.code == "SYS.1006"
    assert error.cause.code == "HOST_ALLOCATION.1000"
    assert "host0" in error.cause.details
    assert "host1" in error.cause.details
    assert "memory" in error.cause.details


async def test_no_disk_room(cloud):
    huge = await cloud.call("CreateDiskOffering", name="huge", diskSize=1 << 60)
    error = await refusal(cloud, dataDiskOfferingUuids=[huge["uuid"]])
    assert "disk" in root(error).details
    assert root(error).code == "HOST_ALLOCATION.1000"


async def test_hosts_that_are_not_there(cloud):
    host = cloud.hosts[0]
    await cloud.call("ChangeHostState", uuid=host, stateEvent="disable")
    assert (await refusal(cloud, hostUuid=host)).code == "SYS.1006"
    assert (await cloud.vm())["hostUuid"] == cloud.hosts[1]


async def test_a_network_the_cluster_lacks(cloud):
    l2 = await cloud.call("CreateL2NoVlanNetwork", name="far", zoneUuid=cloud.zone, physicalInterface="eth1")
    l3 = await network(cloud, "far", "192.168.0.0/24", l2["uuid"])
    error = await refusal(cloud, l3NetworkUuids=[l3])
    assert root(error).code == "HOST_ALLOCATION.1000"
    assert l2["uuid"] in root(error).details


async def test_a_full_range(cloud):
    l3 = (await cloud.call("CreateL3Network", name="tiny", l2NetworkUuid=cloud.l2))["uuid"]
    await cloud.call(
        "AddIpRange",
        name="one",
        l3NetworkUuid=l3,
        startIp="10.1.0.10",
        endIp="10.1.0.11",
        netmask="255.255.255.0",
        gateway="10.1.0.1",
    )
    await cloud.call("AttachNetworkServiceToL3Network", l3NetworkUuid=l3, networkServices={cloud.flat: ["DHCP"]})
    assert (await cloud.vm("first", l3NetworkUuids=[l3]))["vmNics"][0]["ip"] == "10.1.0.10"
    with pytest.raises(ApiError) as failure:
        await cloud.vm("second", l3NetworkUuids=[l3])
    assert failure.value.error.code == "SYS.1006"
    assert root(failure.value.error).code == "L3.1000"
    assert len(await cloud.find("VmInstanceVO")) == 1


@pytest.mark.parametrize(
    "tags",
    [
        ["colour::blue"],
        ["userdata"],
        ["userdata::"],
        ["userdata::a", "userdata::b"],
        ["userdata::" + "x" * 70_000],
        ["userdata::a\0b"],
        ["hostname::-bad-"],
        ["hostname::a b"],
        ["hostname::10.0.0.1"],
        ["staticIp::10.0.0.9"],
        ["staticIp::" + "f" * 32 + "::10.0.0.9"],
        ["sshkey::ssh-rsa AAAA"],
        ["metadataTokens::maybe"],
        ["userdata::#cloud-config\na: ["],
    ],
)
async def test_bad_system_tags(cloud, tags):
    error = await refusal(cloud, systemTags=tags)
    assert error.code == "SYS.1007"
    assert await cloud.find("SystemTagVO") == []


async def test_static_addresses(cloud):
    tag = f"staticIp::{cloud.l3}::10.0.0.77"
    assert (await cloud.vm("one", systemTags=[tag]))["vmNics"][0]["ip"] == "10.0.0.77"
    with pytest.raises(ApiError) as failure:
        await cloud.vm("two", systemTags=[tag])
    assert root(failure.value.error).code == "L3.1000"
    with pytest.raises(ApiError) as failure:
        await cloud.vm("three", systemTags=[f"staticIp::{cloud.l3}::10.99.0.1"])
    assert root(failure.value.error).code == "SYS.1007"


async def test_a_host_name_is_unique_on_its_network(cloud):
    await cloud.vm("one", systemTags=["hostname::web"])
    with pytest.raises(ApiError, match="host name 'web' already"):
        await cloud.vm("two", systemTags=["hostname::web"])


async def test_pieces_of_a_tag_split_at_commas_are_joined(cloud):
    vm = await cloud.vm(systemTags=["userdata::groups: [foo", "bar]", "hostname::web"])
    tags = {row["tag"] for row in await cloud.find("SystemTagVO", resource_uuid=vm["uuid"])}
    assert tags == {"userdata::groups: [foo,bar]", "hostname::web"}
