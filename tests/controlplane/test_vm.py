"""The life of a VM on simulated hosts."""

import asyncio

import pytest

from controlplane.contract.error import ApiError


async def test_a_new_vm_runs_with_disk_nic_and_network(cloud):
    vm = await cloud.vm("web", systemTags=["userdata::groups: [foo,bar]", "hostname::web-1"])
    assert vm["state"] == "Running"
    assert vm["hostUuid"] == vm["lastHostUuid"]
    assert vm["allVolumes"][0]["type"] == "Root"
    assert vm["allVolumes"][0]["name"] == "ROOT-for-web"
    assert vm["allVolumes"][0]["status"] == "Ready"
    nic = vm["vmNics"][0]
    assert nic["ip"] == "10.0.0.2"
    seen = cloud.seen()[cloud.sims[vm["hostUuid"]].name]
    assert seen["vms"][vm["uuid"]]["state"] == "running"
    (network,) = seen["network"]["networks"]
    assert network["ports"][0]["mac"] == nic["mac"]
    assert network["ports"][0]["hostname"] == "web-1"
    assert network["service_ip"] == "10.0.255.254"
    assert (await cloud.call("GetL3NetworkDhcpIpAddress", l3NetworkUuid=cloud.l3))["ip"] == "10.0.255.254"
    assert seen["network"]["instances"][0]["vm_uuid"] == vm["uuid"]
