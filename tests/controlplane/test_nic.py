"""NICs that come and go: addresses, the host's network, the running guest, default network; all of it or nothing."""

import pytest

from controlplane.contract.error import ApiError
from hostagent.contract.error import broken
from tests.controlplane.cloud import network


@pytest.fixture
async def second(cloud):
    return await network(cloud, "second", "10.9.0.0/24")


async def attach(cloud, vm, l3, **more):
    return await cloud.call("AttachL3NetworkToVm", vmInstanceUuid=vm["uuid"], l3NetworkUuid=l3, **more)


async def detach(cloud, nic):
    return await cloud.call("DetachL3NetworkFromVm", vmNicUuid=nic["uuid"])


async def attachable(cloud, vm):
    found = await cloud.call("GetVmAttachableL3Network", vmInstanceUuid=vm["uuid"])
    return {l3["uuid"] for l3 in found}


def macs(cloud, vm):
    """What the running guest has."""
    return [nic.mac for nic in cloud.sims[vm["hostUuid"]].hypervisor.domains[vm["uuid"]].running.nics]


def served(cloud, vm):
    """Addresses of the VM that its host serves."""
    networks = cloud.sims[vm["hostUuid"]].network.snapshot.networks
    return [port.ip for one in networks for port in one.ports if port.vm_uuid == vm["uuid"]]


async def test_a_running_guest_gets_a_nic_and_loses_it(cloud, second):
    vm = await cloud.vm()
    before = (cloud.seen(), await cloud.find("UsedIpVO"))
    assert await attachable(cloud, vm) == {second}
    changed = await attach(cloud, vm, second, staticIp="10.9.0.77")
    first, nic = changed["vmNics"]
    assert (nic["l3NetworkUuid"], nic["ip"], nic["deviceId"]) == (second, "10.9.0.77", 1)
    assert (changed["defaultL3NetworkUuid"], changed["state"]) == (cloud.l3, "Running")
    assert macs(cloud, vm) == [first["mac"], nic["mac"]]
    assert sorted(served(cloud, vm)) == sorted([first["ip"], "10.9.0.77"])
    assert await attachable(cloud, vm) == set()
    (tag,) = await cloud.find("SystemTagVO", resource_uuid=vm["uuid"])
    assert tag["tag"] == f"staticIp::{second}::10.9.0.77"
    changed = await detach(cloud, nic)
    assert [one["uuid"] for one in changed["vmNics"]] == [first["uuid"]]
    assert (macs(cloud, vm), served(cloud, vm)) == ([first["mac"]], [first["ip"]])
    assert await cloud.find("SystemTagVO", resource_uuid=vm["uuid"]) == []
    taken = [used["used_for"] for used in await cloud.find("UsedIpVO", l3_network_uuid=second)]
    assert taken == ["NetworkService"], "the address is free again"
    await cloud.call("DeleteL3Network", uuid=second)
    assert await cloud.find("UsedIpVO") == before[1]


async def test_a_stopped_vm_has_it_at_its_next_start(cloud, second):
    vm = await cloud.vm(strategy="CreateStopped")
    changed = await attach(cloud, vm, second)
    started = await cloud.call("StartVmInstance", uuid=vm["uuid"])
    assert macs(cloud, started) == [nic["mac"] for nic in changed["vmNics"]]
    assert sorted(served(cloud, started)) == sorted(nic["ip"] for nic in changed["vmNics"])


async def test_the_default_network_is_that_of_the_first_nic_left(cloud, second):
    vm = await attach(cloud, await cloud.vm(), second)
    first, nic = vm["vmNics"]
    changed = await detach(cloud, first)
    assert changed["defaultL3NetworkUuid"] == second
    gone = await detach(cloud, nic)
    assert (gone["vmNics"], gone.get("defaultL3NetworkUuid")) == ([], None)
    again = await attach(cloud, vm, cloud.l3)
    assert again["defaultL3NetworkUuid"] == cloud.l3


async def test_a_host_that_cannot_leaves_everything_as_it_was(cloud, second):
    vm = await cloud.vm()
    sim = cloud.sims[vm["hostUuid"]]
    before = (cloud.seen(), await cloud.find("UsedIpVO"), await cloud.find("VmNicVO"), await cloud.find("SystemTagVO"))
    sim.fail("hypervisor.plug_nics", broken("libvirt", "no slot"))
    with pytest.raises(ApiError, match="no slot"):
        await attach(cloud, vm, second, staticIp="10.9.0.9")
    after = (cloud.seen(), await cloud.find("UsedIpVO"), await cloud.find("VmNicVO"), await cloud.find("SystemTagVO"))
    assert after == before


async def test_a_guest_that_holds_on_keeps_its_nic(cloud, second):
    vm = await attach(cloud, await cloud.vm(), second)
    nics = vm["vmNics"]
    cloud.sims[vm["hostUuid"]].hypervisor.clinging.add(vm["uuid"])
    with pytest.raises(ApiError, match="does not let go of the NIC"):
        await detach(cloud, nics[1])
    assert macs(cloud, vm) == [nic["mac"] for nic in nics]
    assert len(await cloud.find("VmNicVO", vm_instance_uuid=vm["uuid"])) == 2


async def test_refusals(cloud, second):
    vm = await cloud.vm()
    with pytest.raises(ApiError, match=r"has a NIC on L3 network l3 .* already"):
        await attach(cloud, vm, cloud.l3)
    with pytest.raises(ApiError, match="lies in no range") as error:
        await attach(cloud, vm, second, staticIp="10.8.0.1")
    with pytest.raises(ApiError, match="staticIp"):
        await attach(cloud, vm, second, staticIp="10.8.0")
    l2 = (await cloud.call("CreateL2NoVlanNetwork", name="far", zoneUuid=cloud.zone, physicalInterface="eth1"))["uuid"]
    with pytest.raises(ApiError, match="does not reach the VM's cluster"):
        await attach(cloud, vm, await network(cloud, "far", "10.7.0.0/24", l2))
    await cloud.call("ChangeL3NetworkState", uuid=second, stateEvent="disable")
    with pytest.raises(ApiError, match="is Disabled, it must be Enabled"):
        await attach(cloud, vm, second)
    assert error.value.error.code == "SYS.1007"
    assert len(await cloud.find("VmNicVO", vm_instance_uuid=vm["uuid"])) == 1
