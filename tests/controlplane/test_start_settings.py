"""What a VM was started with beside what its next start gives: told without asking a host."""

import pytest

ISO_FIRST = ["CdRom", "HardDisk"]


@pytest.fixture
def settings(cloud):
    async def ask(vm):
        return await cloud.call("GetVmStartSettings", uuid=vm["uuid"])

    return ask


async def test_what_waits_for_a_restart_is_named_and_a_restart_gives_it(cloud, settings):
    vm = await cloud.vm()
    first = {"bootOrder": ["HardDisk"], "cpuMode": "none", "consoleMode": "vnc"}
    told = await settings(vm)
    assert (told["running"], told["next"], told["restartRequired"]) == (first, first, [])
    for tag in ("cpuMode::host-model", "consoleMode::spice"):
        await cloud.call("CreateSystemTag", resourceUuid=vm["uuid"], resourceType="VmInstanceVO", tag=tag)
    await cloud.call("SetVmBootOrder", uuid=vm["uuid"], bootOrder=ISO_FIRST)
    told = await settings(vm)
    assert told["running"] == first
    assert told["next"] == {"bootOrder": ISO_FIRST, "cpuMode": "host-model", "consoleMode": "spice"}
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
