"""The life of a VM on simulated hosts."""

import asyncio

import pytest

from controlplane.contract.error import ApiError

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFh me"


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


async def test_stop_and_start_keep_address_and_host(cloud):
    vm = await cloud.vm()
    stopped = await cloud.call("StopVmInstance", uuid=vm["uuid"])
    assert stopped["state"] == "Stopped"
    assert "hostUuid" not in stopped
    assert stopped["lastHostUuid"] == vm["hostUuid"]
    seen = cloud.seen()[cloud.sims[vm["hostUuid"]].name]
    assert seen["vms"] == {}
    assert seen["network"]["networks"] == []
    assert (await cloud.call("StopVmInstance", uuid=vm["uuid"]))["state"] == "Stopped"
    started = await cloud.call("StartVmInstance", uuid=vm["uuid"])
    assert started["state"] == "Running"
    assert started["hostUuid"] == vm["hostUuid"]
    assert started["vmNics"][0]["ip"] == vm["vmNics"][0]["ip"]


async def test_a_stopped_vm_gives_its_cpus_and_memory_back(cloud):
    before = await cloud.find("HostVO")
    vm = await cloud.vm()
    assert sum(host["memory_used"] for host in await cloud.find("HostVO")) == 1 << 30
    await cloud.call("StopVmInstance", uuid=vm["uuid"], type="cold")
    for old, new in zip(before, await cloud.find("HostVO"), strict=True):
        assert old["available_memory_capacity"] == new["available_memory_capacity"]
        assert old["available_cpu_capacity"] == new["available_cpu_capacity"]


async def test_reboot_starts_the_guest_anew(cloud):
    vm = await cloud.vm()
    hypervisor = cloud.sims[vm["hostUuid"]].hypervisor
    before = hypervisor.domains[vm["uuid"]].defined.boot_token
    assert (await cloud.call("RebootVmInstance", uuid=vm["uuid"]))["state"] == "Running"
    assert hypervisor.domains[vm["uuid"]].defined.boot_token != before


@pytest.mark.parametrize(
    ("api", "code"),
    [("StartVmInstance", "VM.1001"), ("RecoverVmInstance", "SYS.1006"), ("ExpungeVmInstance", "SYS.1006")],
)
async def test_what_a_running_vm_refuses(cloud, api, code):
    vm = await cloud.vm()
    with pytest.raises(ApiError) as failure:
        await cloud.call(api, uuid=vm["uuid"])
    error = failure.value.error
    assert error.code == code
    while error.cause:
        error = error.cause
    assert error.code == "VM.1010"
    assert "Running" in error.details
    assert (await cloud.get("VmInstanceVO", vm["uuid"]))["state"] == "Running"


async def test_a_destroyed_vm_gives_its_host_name_away_and_cannot_be_recovered_beside_its_heir(cloud):
    vm = await cloud.vm(systemTags=["hostname::web"])
    await cloud.call("DestroyVmInstance", uuid=vm["uuid"])
    heir = await cloud.vm("heir", systemTags=["hostname::web"])
    with pytest.raises(ApiError, match="has the host name 'web' already"):
        await cloud.call("RecoverVmInstance", uuid=vm["uuid"])
    await cloud.call("DestroyVmInstance", uuid=heir["uuid"])
    assert (await cloud.call("RecoverVmInstance", uuid=vm["uuid"]))["state"] == "Stopped"


async def test_destroy_recover_start(cloud):
    vm = await cloud.vm()
    await cloud.call("DestroyVmInstance", uuid=vm["uuid"])
    (gone,) = await cloud.call("QueryVmInstance")
    assert gone["state"] == "Destroyed"
    assert "ip" not in gone["vmNics"][0]
    assert gone["allVolumes"][0]["status"] == "Deleted"
    other = await cloud.vm("other")
    assert other["vmNics"][0]["ip"] == vm["vmNics"][0]["ip"], "the address was free again"
    assert await cloud.call("DestroyVmInstance", uuid=vm["uuid"]) == {}
    assert (await cloud.call("RecoverVmInstance", uuid=vm["uuid"]))["state"] == "Stopped"
    started = await cloud.call("StartVmInstance", uuid=vm["uuid"])
    assert started["vmNics"][0]["ip"] == "10.0.0.3"


async def test_expunge_leaves_nothing(cloud):
    before = cloud.seen(), await cloud.find("LocalStorageHostRefVO")
    vm = await cloud.vm(
        systemTags=[f"sshkey::{KEY}"],
        userTags=["mine"],
    )
    await cloud.call("DestroyVmInstance", uuid=vm["uuid"])
    await cloud.call("ExpungeVmInstance", uuid=vm["uuid"])
    for table in ("VmInstanceVO", "VmNicVO", "VolumeVO", "UserTagVO", "LocalStorageResourceRefVO", "VolumeGarbageVO"):
        assert await cloud.find(table) == [], table
    assert await cloud.find("SystemTagVO", resource_type="VmInstanceVO") == []
    assert cloud.seen() == before[0]
    after = await cloud.find("LocalStorageHostRefVO")
    assert [ref["available_capacity"] for ref in after] == [ref["available_capacity"] for ref in before[1]]


async def test_destroying_what_is_absent_is_a_success(cloud):
    assert await cloud.call("DestroyVmInstance", uuid="f" * 32) == {}


async def test_create_stopped_then_start(cloud):
    vm = await cloud.vm(strategy="CreateStopped")
    assert vm["state"] == "Stopped"
    assert sum(host["memory_used"] for host in await cloud.find("HostVO")) == 0
    assert (await cloud.call("StartVmInstance", uuid=vm["uuid"]))["state"] == "Running"


async def test_an_iso_vm_boots_from_the_iso_until_its_first_reboot(cloud):
    with pytest.raises(ApiError, match="rootDiskOfferingUuid"):
        await cloud.vm(imageUuid=cloud.iso)
    vm = await cloud.vm(imageUuid=cloud.iso, rootDiskOfferingUuid=cloud.disk)
    assert vm["allVolumes"][0]["size"] == 2 << 30
    domain = cloud.sims[vm["hostUuid"]].hypervisor.domains[vm["uuid"]].defined
    assert (domain.boot_once, domain.boot_order) == (("CdRom", "HardDisk"), ("HardDisk",))
    assert domain.cds[0].endswith(f"imagecache/iso/{cloud.iso}/{cloud.iso}.iso")
    await cloud.call("RebootVmInstance", uuid=vm["uuid"])
    assert cloud.sims[vm["hostUuid"]].hypervisor.domains[vm["uuid"]].defined.boot_once == ()


async def test_data_disks_are_made_with_the_vm(cloud):
    vm = await cloud.vm(dataDiskOfferingUuids=[cloud.disk, cloud.disk])
    assert [volume["deviceId"] for volume in vm["allVolumes"]] == [0, 1, 2]
    assert [volume["type"] for volume in vm["allVolumes"]] == ["Root", "Data", "Data"]
    seen = cloud.seen()[cloud.sims[vm["hostUuid"]].name]
    assert len(seen["vms"][vm["uuid"]]["disks"]) == 3
    assert len(seen["volumes"]) == 3


async def test_many_vms_share_hosts_evenly_and_have_different_addresses(cloud):
    vms = await asyncio.gather(*(cloud.vm(f"vm{number}") for number in range(20)))
    assert len({vm["vmNics"][0]["ip"] for vm in vms}) == 20
    assert len({vm["vmNics"][0]["mac"] for vm in vms}) == 20
    assert sorted([vm["hostUuid"] for vm in vms].count(host) for host in cloud.hosts) == [10, 10]


async def test_the_console_is_that_of_the_running_domain(cloud):
    vm = await cloud.vm()
    address = await cloud.call("GetVmConsoleAddress", uuid=vm["uuid"])
    assert address["hostIp"].startswith("10.9.0.")
    assert address["port"] >= 5900
    assert address["protocol"] == "vnc"


async def test_update_renames(cloud):
    vm = await cloud.vm()
    assert (await cloud.call("UpdateVmInstance", uuid=vm["uuid"], name="new"))["name"] == "new"


async def test_a_failed_create_leaves_nothing_and_names_its_cause(cloud):
    before = cloud.seen(), {table: await cloud.find(table) for table in ("VmInstanceVO", "UsedIpVO", "VolumeVO")}
    for sim in cloud.sims.values():
        sim.fail("hypervisor.start", OSError("boom"), times=None)
    with pytest.raises(ApiError) as failure:
        await cloud.vm("broken")
    assert failure.value.error.code == "SYS.1006"
    assert failure.value.error.cause is not None
    assert cloud.seen() == before[0]
    for table, rows in before[1].items():
        assert await cloud.find(table) == rows, table


async def test_chosen_uuid(cloud):
    vm = await cloud.vm(resourceUuid="a" * 32)
    assert vm["uuid"] == "a" * 32
    with pytest.raises(ApiError, match="exists already"):
        await cloud.vm(resourceUuid="a" * 32)
    assert (await cloud.get("VmInstanceVO", "a" * 32))["state"] == "Running"
