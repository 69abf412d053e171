"""L2 and L3 networks, ranges, DNS and services: what they do on hosts and what they refuse."""

import asyncio

import pytest

from controlplane.contract.error import ApiError
from hostagent.contract.error import temporary
from tests.controlplane.cloud import cloud as new_cloud
from tests.controlplane.cloud import network


async def refusal(awaitable):
    with pytest.raises(ApiError) as failure:
        await awaitable
    return failure.value.error


def bridges(cloud):
    return {name: [bridge["name"] for bridge in host["network"]["bridges"]] for name, host in cloud.seen().items()}


async def l3_of(cloud, name="n"):
    return (await cloud.call("CreateL3Network", name=name, l2NetworkUuid=cloud.l2))["uuid"]


RANGE = {"startIp": "10.5.0.10", "endIp": "10.5.0.20", "netmask": "255.255.255.0", "gateway": "10.5.0.1"}


async def test_attaching_makes_the_bridge_on_every_host(cloud):
    vlan = await cloud.call("CreateL2VlanNetwork", name="v", zoneUuid=cloud.zone, physicalInterface="eth1", vlan=100)
    attached = await cloud.call("AttachL2NetworkToCluster", l2NetworkUuid=vlan["uuid"], clusterUuid=cloud.cluster)
    assert attached["attachedClusterUuids"] == [cloud.cluster]
    assert attached["vlan"] == 100
    for names in bridges(cloud).values():
        assert sorted(names) == ["br_eth0", "br_eth1_100"]
    await cloud.call("DetachL2NetworkFromCluster", l2NetworkUuid=vlan["uuid"], clusterUuid=cloud.cluster)
    assert set(map(tuple, bridges(cloud).values())) == {("br_eth0",)}
    assert [l2["uuid"] for l2 in await cloud.call("QueryL2VlanNetwork")] == [vlan["uuid"]]
    assert len(await cloud.call("QueryL2Network")) == 2


async def test_a_missing_interface_is_said_for_each_host_and_changes_nothing(cloud):
    before = cloud.seen()
    l2 = await cloud.call("CreateL2NoVlanNetwork", name="x", zoneUuid=cloud.zone, physicalInterface="eth9")
    error = await refusal(cloud.call("AttachL2NetworkToCluster", l2NetworkUuid=l2["uuid"], clusterUuid=cloud.cluster))
    assert error.code == "L2.1000"
    assert "host0" in error.details
    assert "host1" in error.details
    assert "eth9" in error.details
    assert cloud.seen() == before
    assert await cloud.find("L2NetworkClusterRefVO", l2_network_uuid=l2["uuid"]) == []


async def test_hosts_without_vlan_support_are_named(tmp_path):
    async with new_cloud(tmp_path, hosts=1, vlan=False) as cloud:
        l2 = await cloud.call("CreateL2VlanNetwork", name="v", zoneUuid=cloud.zone, physicalInterface="eth1", vlan=5)
        error = await refusal(
            cloud.call("AttachL2NetworkToCluster", l2NetworkUuid=l2["uuid"], clusterUuid=cloud.cluster)
        )
        assert error.code == "L2.1000"
        assert "8021q" in error.details


async def test_a_host_that_fails_to_make_the_bridge_undoes_the_attach(cloud):
    before = cloud.seen()
    l2 = await cloud.call("CreateL2NoVlanNetwork", name="x", zoneUuid=cloud.zone, physicalInterface="eth1")
    cloud.sims[cloud.hosts[1]].fail("links.apply", OSError("no bridge today"))
    await refusal(cloud.call("AttachL2NetworkToCluster", l2NetworkUuid=l2["uuid"], clusterUuid=cloud.cluster))
    assert cloud.seen() == before
    assert await cloud.find("L2NetworkClusterRefVO", l2_network_uuid=l2["uuid"]) == []


async def test_attach_conflicts(cloud):
    attach = {"l2NetworkUuid": cloud.l2, "clusterUuid": cloud.cluster}
    assert (await refusal(cloud.call("AttachL2NetworkToCluster", **attach))).code == "SYS.1006"
    twin = await cloud.call("CreateL2NoVlanNetwork", name="twin", zoneUuid=cloud.zone, physicalInterface="eth0")
    error = await refusal(cloud.call("AttachL2NetworkToCluster", l2NetworkUuid=twin["uuid"], clusterUuid=cloud.cluster))
    assert error.code == "SYS.1007"
    error = await refusal(
        cloud.call("DetachL2NetworkFromCluster", l2NetworkUuid=twin["uuid"], clusterUuid=cloud.cluster)
    )
    assert error.code == "SYS.1006"


async def test_what_is_in_use_is_not_deleted(cloud):
    vm = await cloud.vm("holder")
    (ip_range,) = await cloud.call("QueryIpRange")
    for api, uuid in (
        ("DeleteL3Network", cloud.l3),
        ("DeleteIpRange", ip_range["uuid"]),
        ("DeleteL2Network", cloud.l2),
    ):
        error = await refusal(cloud.call(api, uuid=uuid))
        assert error.code == "SYS.1006"
    error = await refusal(cloud.call("DetachL2NetworkFromCluster", l2NetworkUuid=cloud.l2, clusterUuid=cloud.cluster))
    assert "holder" in error.details
    await cloud.call("DestroyVmInstance", uuid=vm["uuid"])
    await cloud.call("DeleteL3Network", uuid=cloud.l3)
    await cloud.call("DeleteL2Network", uuid=cloud.l2)
    for table in ("L2NetworkVO", "L3NetworkVO", "IpRangeVO", "UsedIpVO", "L2NetworkClusterRefVO", "L3NetworkDnsVO"):
        assert await cloud.find(table) == [], table
    assert set(map(tuple, bridges(cloud).values())) == {()}
    assert await cloud.call("DeleteL3Network", uuid=cloud.l3) == {}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"startIp": "10.5.0.300"}, "startIp"),
        ({"startIp": "10.5.0.30"}, "startIp"),
        ({"netmask": "255.0.255.0"}, "netmask"),
        ({"gateway": "10.5.0.15"}, "gateway"),
        ({"gateway": "10.6.0.1"}, "gateway"),
        ({"endIp": "10.6.0.1"}, "endIp"),
        ({"startIp": "fd00::1"}, "startIp"),
        ({"endIp": "10.5.0.255"}, "endIp"),
    ],
)
async def test_bad_ranges(cloud, change, field):
    l3 = await l3_of(cloud)
    error = await refusal(cloud.call("AddIpRange", name="r", l3NetworkUuid=l3, **(RANGE | change)))
    assert (error.code, error.field) == ("SYS.1007", field)
    assert await cloud.find("IpRangeVO", l3_network_uuid=l3) == []


async def test_ranges_do_not_overlap_and_share_their_subnet(cloud):
    l3 = await l3_of(cloud)
    added = await cloud.call("AddIpRange", name="r", l3NetworkUuid=l3, **RANGE)
    assert added["networkCidr"] == "10.5.0.0/24"
    for change in (
        {"startIp": "10.5.0.20", "endIp": "10.5.0.30"},
        {"startIp": "10.5.0.30", "endIp": "10.5.0.40", "gateway": "10.5.0.2"},
        {"startIp": "10.6.0.30", "endIp": "10.6.0.40", "gateway": "10.6.0.1"},
    ):
        error = await refusal(cloud.call("AddIpRange", name="r", l3NetworkUuid=l3, **(RANGE | change)))
        assert error.code == "SYS.1007"
    await cloud.call(
        "AddIpRange", name="s", l3NetworkUuid=l3, **(RANGE | {"startIp": "10.5.0.21", "endIp": "10.5.0.30"})
    )
    capacity = await cloud.call("GetIpAddressCapacity", l3NetworkUuids=[l3])
    assert capacity == {"totalCapacity": 21, "availableCapacity": 21}


@pytest.mark.parametrize("cidr", ["10.5.0.0", "10.5.0.0/31", "10.5.0.0/33", "x/24", "10.5.0.0/0"])
async def test_bad_cidrs(cloud, cidr):
    error = await refusal(
        cloud.call("AddIpRangeByNetworkCidr", name="r", l3NetworkUuid=await l3_of(cloud), networkCidr=cidr)
    )
    assert (error.code, error.field) == ("SYS.1007", "networkCidr")


async def test_free_addresses(cloud):
    vm = await cloud.vm(systemTags=[f"staticIp::{cloud.l3}::10.0.0.3"])
    free = await cloud.call("GetFreeIp", l3NetworkUuid=cloud.l3, limit=3)
    assert [ip["ip"] for ip in free] == ["10.0.0.2", "10.0.0.4", "10.0.0.5"]
    assert len(await cloud.call("GetFreeIp", l3NetworkUuid=cloud.l3)) == 100
    assert (await refusal(cloud.call("GetFreeIp"))).code == "SYS.1007"
    assert (await refusal(cloud.call("GetIpAddressCapacity"))).code == "SYS.1007"
    capacity = await cloud.call("GetIpAddressCapacity", all=True)
    assert capacity["totalCapacity"] - capacity["availableCapacity"] == 2, "the VM's and the service's"
    assert vm["vmNics"][0]["ip"] == "10.0.0.3"


async def test_addresses_are_given_lowest_first_and_again(cloud):
    vms = [await cloud.vm(f"vm{number}") for number in range(3)]
    assert [vm["vmNics"][0]["ip"] for vm in vms] == ["10.0.0.2", "10.0.0.3", "10.0.0.4"]
    await cloud.call("DestroyVmInstance", uuid=vms[1]["uuid"])
    assert (await cloud.vm("again"))["vmNics"][0]["ip"] == "10.0.0.3"
    assert (await cloud.vm("next"))["vmNics"][0]["ip"] == "10.0.0.5"


async def test_dns(cloud):
    added = await cloud.call("AddDnsToL3Network", l3NetworkUuid=cloud.l3, dns="8.8.8.8")
    assert added["dns"] == ["8.8.8.8"]
    add = {"l3NetworkUuid": cloud.l3}
    assert (await refusal(cloud.call("AddDnsToL3Network", **add, dns="8.8.8.8"))).code == "SYS.1006"
    assert (await refusal(cloud.call("AddDnsToL3Network", **add, dns="dns.example.org"))).code == "SYS.1007"
    vm = await cloud.vm()
    (on_host,) = cloud.seen()[cloud.sims[vm["hostUuid"]].name]["network"]["networks"]
    assert on_host["dns"] == ["8.8.8.8"]
    assert (await cloud.call("RemoveDnsFromL3Network", **add, dns="8.8.8.8"))["dns"] == []
    (on_host,) = cloud.seen()[cloud.sims[vm["hostUuid"]].name]["network"]["networks"]
    assert on_host["dns"] == [], "running VMs' host hears of it"
    await cloud.call("RemoveDnsFromL3Network", **add, dns="8.8.8.8")


async def test_network_services(cloud):
    (flat,) = await cloud.call("QueryNetworkServiceProvider", conditions=[{"name": "type", "op": "=", "value": "Flat"}])
    assert flat["name"] == flat["description"] == "Flat Network Service Provider"
    assert sorted(flat["networkServiceTypes"]) == ["DHCP", "Userdata"]
    assert flat["attachedL2NetworkUuids"] == [cloud.l2]
    for services, code in (
        ({}, "SYS.1007"),
        ({cloud.flat: []}, "SYS.1007"),
        ({"f" * 32: ["DHCP"]}, "SYS.1007"),
        ({cloud.flat: ["SNAT"]}, "SYS.1007"),
        ({cloud.flat: ["DHCP"]}, "SYS.1006"),
    ):
        call = cloud.call("AttachNetworkServiceToL3Network", l3NetworkUuid=cloud.l3, networkServices=services)
        assert (await refusal(call)).code == code, services


async def test_services_attached_late_serve_the_vms_that_run(cloud):
    l3 = await l3_of(cloud)
    await cloud.call("AddIpRange", name="r", l3NetworkUuid=l3, **RANGE)
    vm = await cloud.vm(l3NetworkUuids=[l3])
    host = cloud.sims[vm["hostUuid"]].name
    assert cloud.seen()[host]["network"]["networks"][0]["service_ip"] is None
    await cloud.call("AttachNetworkServiceToL3Network", l3NetworkUuid=l3, networkServices={cloud.flat: ["DHCP"]})
    (on_host,) = cloud.seen()[host]["network"]["networks"]
    assert (on_host["service_ip"], on_host["dhcp"], on_host["userdata"]) == ("10.5.0.20", True, False)
    (tag,) = await cloud.call("QuerySystemTag", conditions=[{"name": "resourceUuid", "op": "=", "value": l3}])
    assert tag["tag"].startswith("flatNetwork::DhcpServer::10.5.0.20::ipUuid::")
    assert (await refusal(cloud.call("DeleteTag", uuid=tag["uuid"]))).code == "SYS.1006"
    await cloud.call("DetachNetworkServiceFromL3Network", l3NetworkUuid=l3, networkServices={cloud.flat: ["DHCP"]})
    assert cloud.seen()[host]["network"]["networks"][0]["service_ip"] is None
    assert await cloud.find("UsedIpVO", used_for="NetworkService") == []


async def test_only_the_default_networks_nic_gets_router_and_host_name(cloud):
    other = await network(cloud, "other", "192.168.0.0/24")
    vm = await cloud.vm(l3NetworkUuids=[cloud.l3, other], defaultL3NetworkUuid=other)
    networks = cloud.seen()[cloud.sims[vm["hostUuid"]].name]["network"]["networks"]
    ports = {one["l3_uuid"]: one["ports"][0] for one in networks}
    assert (ports[other]["is_default"], ports[other]["hostname"]) == (True, "192-168-0-2")
    assert (ports[cloud.l3]["is_default"], ports[cloud.l3]["hostname"]) == (False, "")


async def test_one_snapshot_serves_many(cloud):
    sim = cloud.sims[cloud.hosts[0]]
    calls = sim.record()
    await asyncio.gather(*(cloud.world.network.ensure(cloud.hosts[0]) for _ in range(50)))
    assert calls["network.put"] <= 2


async def test_a_host_that_is_away_is_tried_again(cloud):
    cloud.sims[cloud.hosts[0]].fail("links.apply", temporary("unreachable", "away"), times=2)
    assert (await cloud.vm(hostUuid=cloud.hosts[0]))["state"] == "Running"
