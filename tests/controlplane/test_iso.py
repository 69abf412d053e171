"""ISO images in CD drives and the boot order, on simulated hosts."""

import asyncio

import pytest

from controlplane.contract.error import ApiError
from controlplane.reconcilers.host import HostReconciler
from controlplane.store import rows
from tests.controlplane.cloud import image_row

INSTALL = ["CdRom", "HardDisk"]


def domain(cloud, vm):
    return cloud.sims[vm["hostUuid"]].hypervisor.domains[vm["uuid"]]


def inserted(cloud, vm):
    return [cd and cd.split("/")[-2] for cd in domain(cloud, vm).running.cds]


async def iso(cloud, name="second"):
    return await cloud.world.db.write(lambda tx: image_row(tx, name, "iso", "ISO"))


async def attach(cloud, vm, image):
    return await cloud.call("AttachIsoToVmInstance", vmInstanceUuid=vm["uuid"], isoUuid=image)


async def detach(cloud, vm, **parameters):
    return await cloud.call("DetachIsoFromVmInstance", vmInstanceUuid=vm["uuid"], **parameters)


async def order(cloud, vm):
    reply = await cloud.call("GetVmBootOrder", uuid=vm["uuid"])
    assert reply["order"] == reply["orders"]
    return reply["order"]


async def refusal(call, code="SYS.1006"):
    with pytest.raises(ApiError) as refused:
        await call
    assert refused.value.error.code == code
    return refused.value.error


async def test_an_iso_goes_in_and_out_of_a_running_vm(cloud):
    vm = await cloud.vm()
    assert inserted(cloud, vm) == [None]
    await attach(cloud, vm, cloud.iso)
    assert inserted(cloud, vm) == [cloud.iso]
    assert await order(cloud, vm) == ["HardDisk"]
    await cloud.call("RebootVmInstance", uuid=vm["uuid"])
    assert inserted(cloud, vm) == [cloud.iso]
    assert domain(cloud, vm).running.boot_order == ("HardDisk",)
    await cloud.call("StopVmInstance", uuid=vm["uuid"])
    await cloud.call("StartVmInstance", uuid=vm["uuid"])
    assert inserted(cloud, vm) == [cloud.iso]
    await detach(cloud, vm)
    assert inserted(cloud, vm) == [None]
    await detach(cloud, vm)  # nothing there is a success
    await detach(cloud, vm, isoUuid=cloud.iso)


async def test_a_stopped_vm_gets_its_iso_at_the_next_start(cloud):
    vm = await cloud.vm()
    await cloud.call("StopVmInstance", uuid=vm["uuid"])
    await attach(cloud, vm, cloud.iso)
    await cloud.call("StartVmInstance", uuid=vm["uuid"])
    assert inserted(cloud, vm) == [cloud.iso]


async def test_one_drive_by_default_and_up_to_three(cloud):
    vm, second = await cloud.vm(), await iso(cloud)
    await attach(cloud, vm, cloud.iso)
    error = await refusal(attach(cloud, vm, second))
    assert cloud.iso in error.details
    await cloud.call("UpdateGlobalConfig", category="vm", name="cdRom.number", value="2")
    error = await refusal(attach(cloud, vm, second))  # the guest runs with one drive
    assert "restart it" in error.details
    assert inserted(cloud, vm) == [cloud.iso]
    await cloud.call("RebootVmInstance", uuid=vm["uuid"])
    await attach(cloud, vm, second)
    assert inserted(cloud, vm) == [cloud.iso, second]
    assert "isoUuid must say which" in (await refusal(detach(cloud, vm), "SYS.1007")).details
    await detach(cloud, vm, isoUuid=cloud.iso)
    assert inserted(cloud, vm) == [None, second]
    await attach(cloud, vm, cloud.iso)
    assert inserted(cloud, vm) == [cloud.iso, second]
    three = await cloud.vm("three", systemTags=["cdRoms::3"])
    assert inserted(cloud, three) == [None, None, None]


async def test_what_cannot_be_attached(cloud):
    vm = await cloud.vm()
    assert "RootVolumeTemplate" in (await refusal(attach(cloud, vm, cloud.image), "SYS.1007")).details
    await attach(cloud, vm, cloud.iso)
    assert "already" in (await refusal(attach(cloud, vm, cloud.iso))).details
    second = await iso(cloud)
    await cloud.call("ChangeImageState", uuid=second, stateEvent="disable")
    assert "Disabled" in (await refusal(attach(cloud, vm, second))).details
    await cloud.call("DestroyVmInstance", uuid=vm["uuid"])
    for call in (attach(cloud, vm, second), detach(cloud, vm)):
        assert (await refusal(call)).cause.code == "VM.1010"


async def test_candidates(cloud):
    vm, second = await cloud.vm(), await iso(cloud)

    async def names():
        found = await cloud.call("GetCandidateIsoForAttachingVm", vmInstanceUuid=vm["uuid"])
        return {image["uuid"] for image in found}

    assert await names() == {cloud.iso, second}
    await attach(cloud, vm, cloud.iso)
    assert await names() == {second}


async def test_a_locked_tray_is_said_and_forced(cloud):
    vm = await cloud.vm()
    await attach(cloud, vm, cloud.iso)
    cloud.sims[vm["hostUuid"]].hypervisor.locked.add(vm["uuid"])
    assert "locked the tray" in (await refusal(detach(cloud, vm))).details
    assert inserted(cloud, vm) == [cloud.iso]
    assert len(await cloud.find("SystemTagVO", resource_uuid=vm["uuid"], inherent=True)) == 1
    await detach(cloud, vm, force=True)
    assert inserted(cloud, vm) == [None]


async def test_an_iso_in_use_is_not_deleted_unless_enforced_and_then_stops_no_start(cloud):
    vm = await cloud.vm("user")
    await attach(cloud, vm, cloud.iso)
    error = await refusal(cloud.call("DeleteImage", uuid=cloud.iso))
    assert f"user ({vm['uuid']})" in error.details
    await cloud.call("DeleteImage", uuid=cloud.iso, deleteMode="Enforcing")
    await cloud.call("StopVmInstance", uuid=vm["uuid"])
    await cloud.call("StartVmInstance", uuid=vm["uuid"])
    assert inserted(cloud, vm) == [None]
    await detach(cloud, vm)
    assert await cloud.find("SystemTagVO", resource_uuid=vm["uuid"], inherent=True) == []


async def test_the_iso_of_a_destroyed_vm_may_be_deleted(cloud):
    vm = await cloud.vm()
    await attach(cloud, vm, cloud.iso)
    await cloud.call("DestroyVmInstance", uuid=vm["uuid"])
    await cloud.call("DeleteImage", uuid=cloud.iso)


# -- boot order --------------------------------------------------------------------------------------------------------


async def from_iso(cloud, **parameters):
    return await cloud.vm("installs", imageUuid=cloud.iso, rootDiskOfferingUuid=cloud.disk, **parameters)


@pytest.mark.parametrize("how", ["reboot", "stop-start"])
async def test_a_vm_from_an_iso_boots_from_it_once(cloud, how):
    vm = await from_iso(cloud)
    running = domain(cloud, vm).running
    assert (list(running.boot_once), list(running.boot_order)) == (INSTALL, ["HardDisk"])
    assert await order(cloud, vm) == INSTALL
    if how == "reboot":
        await cloud.call("RebootVmInstance", uuid=vm["uuid"])
    else:
        await cloud.call("StopVmInstance", uuid=vm["uuid"])
        assert await order(cloud, vm) == ["HardDisk"]
        await cloud.call("StartVmInstance", uuid=vm["uuid"])
    running = domain(cloud, vm).running
    assert (list(running.boot_once), list(running.boot_order)) == ([], ["HardDisk"])
    assert await order(cloud, vm) == ["HardDisk"]
    assert inserted(cloud, vm) == [cloud.iso]


async def test_a_reboot_of_the_guest_itself_ends_the_installation(cloud):
    vm = await from_iso(cloud)
    watching = asyncio.create_task(HostReconciler(cloud.world, look=0.05).run())
    try:
        async with asyncio.timeout(10):
            while await order(cloud, vm) != ["HardDisk"]:
                cloud.sims[vm["hostUuid"]].guest_reboots(vm["uuid"])
                await asyncio.sleep(0.1)
    finally:
        watching.cancel()
    assert (await cloud.get("VmInstanceVO", vm["uuid"]))["state"] == "Running"


async def test_a_vm_made_stopped_installs_at_its_first_start(cloud):
    vm = await from_iso(cloud, strategy="CreateStopped")
    assert await order(cloud, vm) == INSTALL
    started = await cloud.call("StartVmInstance", uuid=vm["uuid"])
    assert list(domain(cloud, started).running.boot_once) == INSTALL


async def test_an_explicit_order_wins_for_good(cloud):
    vm = await from_iso(cloud)
    await cloud.call("SetVmBootOrder", uuid=vm["uuid"], bootOrder=INSTALL)
    for _ in range(2):
        await cloud.call("RebootVmInstance", uuid=vm["uuid"])
        running = domain(cloud, vm).running
        assert (list(running.boot_once), list(running.boot_order)) == ([], INSTALL)
        assert await order(cloud, vm) == INSTALL
    await cloud.call("SetVmBootOrder", uuid=vm["uuid"])
    assert await order(cloud, vm) == ["HardDisk"]


async def test_an_order_for_one_boot(cloud):
    vm = await cloud.vm()
    await cloud.call("SetVmBootOrder", uuid=vm["uuid"], bootOrder=["HardDisk", "Network"])
    await cloud.call("SetVmBootOrder", uuid=vm["uuid"], bootOrderOnce=["CdRom"])
    reply = await cloud.call("GetVmBootOrder", uuid=vm["uuid"])
    assert (reply["order"], reply["bootOrderOnce"]) == (["HardDisk", "Network"], ["CdRom"])
    await cloud.call("StopVmInstance", uuid=vm["uuid"])
    await cloud.call("StartVmInstance", uuid=vm["uuid"])
    assert list(domain(cloud, vm).running.boot_once) == ["CdRom"]
    await cloud.call("RebootVmInstance", uuid=vm["uuid"])
    running = domain(cloud, vm).running
    assert (list(running.boot_once), list(running.boot_order)) == ([], ["HardDisk", "Network"])
    await cloud.call("SetVmBootOrder", uuid=vm["uuid"], bootOrder=["CdRom"], systemTags=["bootOrderOnce::true"])
    assert await order(cloud, vm) == ["HardDisk", "Network"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [(["Floppy"], "HardDisk"), (["CdRom", "CdRom"], "twice"), ([], "at least 1"), (["cdrom"], "CdRom")],
)
async def test_wrong_orders_are_refused(cloud, wrong, said):
    vm = await cloud.vm()
    assert said in (await refusal(cloud.call("SetVmBootOrder", uuid=vm["uuid"], bootOrder=wrong), "SYS.1007")).details


async def test_a_start_that_fails_keeps_the_order_for_one_boot(cloud):
    vm = await cloud.vm()
    await cloud.call("StopVmInstance", uuid=vm["uuid"])
    await cloud.call("SetVmBootOrder", uuid=vm["uuid"], bootOrderOnce=["CdRom"])
    sim = cloud.sims[vm["hostUuid"]]
    path = next(iter(sim.snapshot()["volumes"]))
    lost = sim.disks.files.pop(path)
    await refusal(cloud.call("StartVmInstance", uuid=vm["uuid"]), "VM.1001")
    sim.disks.files[path] = lost
    await cloud.call("StartVmInstance", uuid=vm["uuid"])
    assert list(domain(cloud, vm).running.boot_once) == ["CdRom"]


# -- modes of one VM ---------------------------------------------------------------------------------------------------


async def test_tags_of_a_vm_go_before_the_global_configuration(cloud):
    await cloud.call("UpdateGlobalConfig", category="kvm", name="vm.consoleMode", value="spice")
    vm = await cloud.vm(systemTags=["cpuMode::host-passthrough", "consoleMode::vncAndSpice"])
    running = domain(cloud, vm).running
    assert (running.cpu_mode, running.console_mode) == ("host-passthrough", "vncAndSpice")
    for tag in await cloud.find("SystemTagVO", resource_uuid=vm["uuid"], inherent=False):
        await cloud.call("DeleteTag", uuid=tag["uuid"])
    await cloud.call("RebootVmInstance", uuid=vm["uuid"])
    running = domain(cloud, vm).running
    assert (running.cpu_mode, running.console_mode) == ("none", "spice")
    for tag in ("cpuMode::fast", "consoleMode::", "cdRoms::4"):
        await refusal(
            cloud.call("CreateSystemTag", resourceUuid=vm["uuid"], resourceType="VmInstanceVO", tag=tag), "SYS.1007"
        )
    assert await cloud.world.db.read(lambda tx: rows.count(tx, "SystemTagVO", resource_uuid=vm["uuid"])) == 0
