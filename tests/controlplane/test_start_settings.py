"""What a VM was started with beside what its next start gives: told without asking a host."""

import pytest

from controlplane.contract.error import ApiError

GIB = 1 << 30
ISO_FIRST = ["CdRom", "HardDisk"]


@pytest.fixture
def settings(cloud):
    async def ask(vm):
        return await cloud.call("GetVmStartSettings", uuid=vm["uuid"])

    return ask


async def test_what_waits_for_a_restart_is_named_and_a_restart_gives_it(cloud, settings):
    vm = await cloud.vm()
    size = {"instanceOfferingUuid": cloud.offering}
    first = {"bootOrder": ["HardDisk"], "cpuMode": "none", "consoleMode": "vnc", **size}
    told = await settings(vm)
    assert (told["running"], told["next"], told["restartRequired"]) == (first, first, [])
    for tag in ("cpuMode::host-model", "consoleMode::spice"):
        await cloud.call("CreateSystemTag", resourceUuid=vm["uuid"], resourceType="VmInstanceVO", tag=tag)
    await cloud.call("SetVmBootOrder", uuid=vm["uuid"], bootOrder=ISO_FIRST)
    told = await settings(vm)
    assert told["running"] == first
    assert told["next"] == {"bootOrder": ISO_FIRST, "cpuMode": "host-model", "consoleMode": "spice", **size}
    assert told["restartRequired"] == ["bootOrder", "cpuMode", "consoleMode"]
    await cloud.call("RebootVmInstance", uuid=vm["uuid"])
    told = await settings(vm)
    assert told["running"] == told["next"]
    assert (told["restartRequired"], told["bootOrder"]) == ([], ISO_FIRST)
    await cloud.call("StopVmInstance", uuid=vm["uuid"])
    assert "running" not in await settings(vm)
    await cloud.call("StartVmInstance", uuid=vm["uuid"])
    assert (await settings(vm))["running"]["consoleMode"] == "spice"


async def test_a_change_of_the_global_configuration_waits_too(cloud, settings):
    vm = await cloud.vm()
    await cloud.call("UpdateGlobalConfig", category="kvm", name="vm.consoleMode", value="vncAndSpice")
    assert (await settings(vm))["restartRequired"] == ["consoleMode"]


async def test_the_very_next_boot_has_its_own_order(cloud, settings):
    vm = await cloud.vm("installs", imageUuid=cloud.iso, rootDiskOfferingUuid=cloud.disk)
    told = await settings(vm)
    assert "bootOrder" not in told
    assert (told["nextBootOrder"], told["next"]["bootOrder"]) == (ISO_FIRST, ["HardDisk"])
    await cloud.call("SetVmBootOrder", uuid=vm["uuid"], bootOrderOnce=["Network"])
    told = await settings(vm)
    assert (told["bootOrderOnce"], told["nextBootOrder"], told["restartRequired"]) == (["Network"], ["Network"], [])


async def test_many_are_told_as_each_alone(cloud, settings):
    vms = [
        await cloud.vm("one"),
        await cloud.vm("two"),
        await cloud.vm("installs", imageUuid=cloud.iso, rootDiskOfferingUuid=cloud.disk),
    ]
    tag = {"resourceUuid": vms[0]["uuid"], "resourceType": "VmInstanceVO", "tag": "cpuMode::host-model"}
    await cloud.call("CreateSystemTag", **tag)
    alone = [{"vmInstanceUuid": vm["uuid"], **await settings(vm)} for vm in vms]
    told = await cloud.call("ListVmStartSettings", replyWithCount=True)
    assert told == alone
    some = await cloud.call("ListVmStartSettings", vmInstanceUuids=[vms[1]["uuid"], "0" * 32])
    assert some == alone[1:2]
    page = await cloud.call("ListVmStartSettings", limit=1, start=1)
    assert page == alone[1:2]


async def room(cloud):
    (host,) = await cloud.find("HostVO", uuid=cloud.hosts[0])
    return host["available_cpu_capacity"], host["available_memory_capacity"]


@pytest.fixture
async def larger(cloud):
    return (await cloud.call("CreateInstanceOffering", name="larger", cpuNum=3, memorySize=4 * GIB))["uuid"]


def sized(cloud, vm):
    """What the host was asked for."""
    spec = cloud.sims[vm["hostUuid"]].hypervisor.domains[vm["uuid"]].running
    return spec.cpu_num, spec.memory_bytes


async def resize(cloud, vm, offering):
    return await cloud.call("ChangeInstanceOffering", vmInstanceUuid=vm["uuid"], instanceOfferingUuid=offering)


async def test_a_stopped_vm_has_its_new_offering_at_once(cloud, larger):
    before = await room(cloud)
    vm = await cloud.vm(hostUuid=cloud.hosts[0], strategy="CreateStopped")
    changed = await resize(cloud, vm, larger)
    assert (changed["cpuNum"], changed["memorySize"], changed["instanceOfferingUuid"]) == (3, 4 * GIB, larger)
    assert await room(cloud) == before, "a stopped VM takes nothing"
    vm = await cloud.call("StartVmInstance", uuid=vm["uuid"])
    assert sized(cloud, vm) == (3, 4 * GIB)
    assert await room(cloud) == (before[0] - 3, before[1] - 4 * GIB)


@pytest.mark.parametrize("how", ["reboot", "stop"])
async def test_a_running_vm_has_its_new_offering_after_a_restart(cloud, settings, larger, how):
    vm = await cloud.vm(hostUuid=cloud.hosts[0])
    cpus, memory = await room(cloud)
    changed = await resize(cloud, vm, larger)
    assert (changed["cpuNum"], changed["instanceOfferingUuid"]) == (1, cloud.offering), "what runs is not what waits"
    told = await settings(vm)
    assert (told["next"]["instanceOfferingUuid"], told["restartRequired"]) == (larger, ["instanceOfferingUuid"])
    assert (sized(cloud, vm), await room(cloud)) == ((1, GIB), (cpus, memory))
    if how == "reboot":
        vm = await cloud.call("RebootVmInstance", uuid=vm["uuid"])
    else:
        stopped = await cloud.call("StopVmInstance", uuid=vm["uuid"])
        assert (stopped["cpuNum"], await room(cloud)) == (3, (cpus + 1, memory + GIB))
        vm = await cloud.call("StartVmInstance", uuid=vm["uuid"])
    assert (vm["cpuNum"], vm["instanceOfferingUuid"], sized(cloud, vm)) == (3, larger, (3, 4 * GIB))
    assert await room(cloud) == (cpus - 2, memory - 3 * GIB)
    assert (await settings(vm))["restartRequired"] == []
    await cloud.call("DestroyVmInstance", uuid=vm["uuid"])
    assert await room(cloud) == (cpus + 1, memory + GIB)


async def test_the_old_offering_again_waits_for_nothing(cloud, settings, larger):
    vm = await cloud.vm()
    await resize(cloud, vm, larger)
    await resize(cloud, vm, cloud.offering)
    assert (await settings(vm))["restartRequired"] == []


async def test_a_reboot_without_room_for_the_new_offering_changes_nothing(cloud, settings):
    vm = await cloud.vm(hostUuid=cloud.hosts[0])
    huge = (await cloud.call("CreateInstanceOffering", name="huge", cpuNum=1, memorySize=1024 * GIB))["uuid"]
    await resize(cloud, vm, huge)
    before = await room(cloud)
    with pytest.raises(ApiError) as error:
        await cloud.call("RebootVmInstance", uuid=vm["uuid"])
    assert "bytes of memory; stop the VM" in str(error.value)
    row = await cloud.get("VmInstanceVO", vm["uuid"])
    assert (row["state"], row["memory_size"], await room(cloud)) == ("Running", GIB, before)
    assert (await settings(vm))["restartRequired"] == ["instanceOfferingUuid"]


async def test_an_offering_that_is_disabled_is_refused(cloud, larger):
    vm = await cloud.vm()
    await cloud.call("ChangeInstanceOfferingState", uuid=larger, stateEvent="disable")
    with pytest.raises(ApiError, match=r"larger .* is Disabled, it must be Enabled"):
        await resize(cloud, vm, larger)
