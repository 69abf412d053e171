"""Running VMs go from one simulated host to another: what is refused, what changes, what a failure leaves alone."""

import asyncio

import pytest

from controlplane.contract.error import ApiError
from controlplane.rules.cpu import GuestCpu, difference
from controlplane.workflows import host_connection
from hostagent.contract.error import broken, temporary
from tests.controlplane.cloud import PATIENCE
from tests.controlplane.moving import (
    allow_live,
    domains,
    files,
    lose,
    migrate,
    places,
    put,
    refused,
    snapshot,
    stored,
)


def nics(cloud, host):
    return [port.mac for net in cloud.sims[cloud.hosts[host]].network.snapshot.networks for port in net.ports]


async def test_everything_of_a_running_vm_goes(live):
    vm = await live.vm(hostUuid=live.hosts[0], dataDiskOfferingUuids=[live.disk], systemTags=["userdata::x"])
    taken = await snapshot(live, vm["rootVolumeUuid"])
    await live.call("RequestConsoleAccess", vmInstanceUuid=vm["uuid"])
    here, source = files(live, 0), await live.get("HostVO", live.hosts[0])
    moved = await migrate(live, vm)
    assert (moved["state"], moved["hostUuid"], moved["lastHostUuid"]) == ("Running", live.hosts[1], live.hosts[1])
    assert moved["vmNics"][0]["ip"] == vm["vmNics"][0]["ip"]
    assert domains(live) == [{}, {vm["uuid"]: "running"}]
    assert (files(live, 0), files(live, 1)) == (set(), here)
    assert (nics(live, 0), nics(live, 1)) == ([], [vm["vmNics"][0]["mac"]])
    uuids = [volume["uuid"] for volume in moved["allVolumes"]]
    assert await places(live, [*uuids, taken]) == {live.hosts[1]}
    assert await live.find("ConsoleAccessVO") == [], "console sessions end"
    after = [await live.get("HostVO", uuid) for uuid in live.hosts]
    assert [host["memory_used"] for host in after] == [0, source["memory_used"]]
    assert [host["cpu_used"] for host in after] == [0, source["cpu_used"]]
    for sim in live.sims.values():
        assert (sim.snapshot()["exports"], sim.snapshot()["imports"]) == ([], [])
    later = await snapshot(live, vm["rootVolumeUuid"])
    assert await places(live, [later]) == {live.hosts[1]}
    await live.call("StopVmInstance", uuid=vm["uuid"])
    assert (await live.call("StartVmInstance", uuid=vm["uuid"]))["hostUuid"] == live.hosts[1]


async def test_there_and_back_leaves_the_world_as_it_was(live):
    vm = await live.vm(hostUuid=live.hosts[0])
    await migrate(live, vm)
    await migrate(live, vm, host=0)
    before, seen = stored(live), live.seen()
    await migrate(live, vm)
    await migrate(live, vm, host=0)
    assert (stored(live), live.seen()) == (before, seen)


async def test_without_a_host_the_least_used_fit_one_is_chosen(tmp_path):
    from tests.controlplane.cloud import cloud

    async with cloud(tmp_path, hosts=4) as made:
        await allow_live(made)
        vm = await made.vm(hostUuid=made.hosts[0])
        await made.vm("other", hostUuid=made.hosts[1])
        await put(made, "HostVO", made.hosts[3], state="Disabled")
        assert (await made.call("MigrateVm", vmInstanceUuid=vm["uuid"]))["hostUuid"] == made.hosts[2]
        for host in (0, 1):
            await put(made, "HostVO", made.hosts[host], state="Disabled")
        with pytest.raises(ApiError) as error:
            await made.call("MigrateVm", vmInstanceUuid=vm["uuid"])
        assert error.value.error.code == "HOST_ALLOCATION.1000"
        for name in ("host0", "host1", "host3"):
            assert f"host {name}: " in error.value.error.details


async def test_a_dry_run_says_what_would_be_copied_and_does_nothing(live):
    vm = await live.vm(hostUuid=live.hosts[0])
    before, seen = stored(live), live.seen()
    shown = await migrate(live, vm, dryRun=True)
    assert (shown["hostUuid"], shown["plan"]["destHostName"]) == (live.hosts[0], "host1")
    assert (shown["plan"]["bytes"], shown["plan"]["needsStop"]) == (196_608, False)
    assert (stored(live), live.seen()) == (before, seen)


async def test_what_is_refused(cloud):
    vm = await cloud.vm(hostUuid=cloud.hosts[0])
    dest = cloud.hosts[1]
    await refused("SYS.1006", "liveMigrationWithStorage.allow does not let it move", migrate(cloud, vm))
    await allow_live(cloud)
    await refused("SYS.1007", "is on host .* already", migrate(cloud, vm, host=0))
    await put(cloud, "HostVO", dest, state="Disabled")
    await refused("SYS.1006", "host host1 .* is Disabled", migrate(cloud, vm))
    await put(cloud, "HostVO", dest, state="Enabled", status="Connecting")
    await refused("SYS.1006", "host host1 .* is Connecting", migrate(cloud, vm))
    memory = (await cloud.get("HostVO", dest))["available_memory_capacity"]
    await put(cloud, "HostVO", dest, status="Connected", available_memory_capacity=1 << 29)
    await refused("HOST_ALLOCATION.1000", "could not run there", migrate(cloud, vm))
    await put(cloud, "HostVO", dest, available_memory_capacity=(1 << 30) + 1)  # kvm/reservedMemory is not for VMs
    await refused("SYS.1006", "the last CPUs or memory", migrate(cloud, vm))
    await put(cloud, "HostVO", dest, available_memory_capacity=memory)
    await cloud.call("StopVmInstance", uuid=vm["uuid"])
    await refused("VM.1008", "the VM is Stopped", migrate(cloud, vm))
    await cloud.call("StartVmInstance", uuid=vm["uuid"])
    assert (await migrate(cloud, vm))["hostUuid"] == dest


async def test_candidates_and_why_not_the_others(live):
    vm = await live.vm(hostUuid=live.hosts[0])
    ask = {"vmInstanceUuid": vm["uuid"]}
    found = await live.answer("GetVmMigrationCandidateHosts", **ask)
    assert ([host["uuid"] for host in found["inventories"]], found["excluded"]) == ([live.hosts[1]], [])
    await put(live, "HostVO", live.hosts[1], state="Disabled")
    found = await live.answer("GetVmMigrationCandidateHosts", **ask)
    assert found["inventories"] == []
    (excluded,) = found["excluded"]
    assert excluded["hostUuid"] == live.hosts[1]
    assert "is Disabled, it must be Enabled" in excluded["reason"]
    await live.call("StopVmInstance", uuid=vm["uuid"])
    await refused("VM.1008", "the VM is Stopped", live.answer("GetVmMigrationCandidateHosts", **ask))


async def test_a_host_to_which_a_vm_is_on_its_way_stays(live):
    vm = await live.vm(hostUuid=live.hosts[0])
    live.sims[live.hosts[0]].delay("hypervisor.migrate", 1, times=1)
    moving = asyncio.ensure_future(migrate(live, vm))
    while (await live.get("VmInstanceVO", vm["uuid"]))["state"] != "Migrating":
        await asyncio.sleep(0.01)
    await refused("SYS.1006", "on their way to this host: vm", live.call("DeleteHost", uuid=live.hosts[1]))
    maintain = live.call("ChangeHostState", uuid=live.hosts[1], stateEvent="maintain")
    await refused("SYS.1006", "is on its way here", maintain)
    assert (await moving)["hostUuid"] == live.hosts[1]


# -- the CPU -----------------------------------------------------------------------------------------------------


def cpu(host, *features, model="EPYC", domain_type="kvm", qemu="7.2.0"):
    return GuestCpu(host, model, frozenset(features), domain_type, qemu)


@pytest.mark.parametrize(
    ("mode", "dest", "reason"),
    [
        ("none", cpu("b"), None),
        ("none", cpu("b", domain_type="qemu"), "a runs guests by kvm, b by qemu"),
        ("none", cpu("b", qemu="6.2.0"), "b has QEMU 6.2.0, older than 7.2.0 of a"),
        ("none", cpu("b", qemu="10.0.1"), None),
        ("host-model", cpu("b", "avx", "avx2", "sse2", model="other"), None),
        ("host-model", cpu("b", "sse2"), "the CPU of b lacks avx, which a gives its guests"),
        ("host-passthrough", cpu("b", "avx", "sse2"), None),
        ("host-passthrough", cpu("b", "avx", "sse2", model="Xeon"), "the guest sees the CPU of a, EPYC; b has Xeon"),
        ("host-passthrough", cpu("b", "avx", "avx2", "sse2"), "b has avx2 on top of a"),
        ("maximum", cpu("b", "sse2"), "lacks avx"),
    ],
)
def test_the_difference_is_named(mode, dest, reason):
    found = difference(mode, cpu("a", "avx", "sse2"), dest)
    assert (found is None) == (reason is None)
    assert (reason or "") in (found or "")


async def test_a_host_that_lacks_what_the_guest_uses_is_refused_before_anything_happens(live):
    for number, features in enumerate((["avx2", "sse2"], ["sse2"])):
        live.sims[live.hosts[number]].hypervisor.cpu_features = features
        await host_connection.connect(live.world, live.hosts[number])
    plain = await live.vm("plain", hostUuid=live.hosts[0])
    modern = await live.vm("modern", hostUuid=live.hosts[0], systemTags=["cpuMode::host-model"])
    before, seen = stored(live), live.seen()
    await refused("SYS.1006", "cannot go on on host host1: the CPU of host1 lacks avx2", migrate(live, modern))
    assert (stored(live), live.seen()) == (before, seen)
    assert (await migrate(live, plain))["hostUuid"] == live.hosts[1]
    await live.call("StopVmInstance", uuid=modern["uuid"])
    await live.call("LocalStorageMigrateVm", vmInstanceUuid=modern["uuid"], destHostUuid=live.hosts[1])
    assert (await live.call("StartVmInstance", uuid=modern["uuid"]))["hostUuid"] == live.hosts[1], "it boots anew"


# -- failures ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["hypervisor.migrate", "arrivals.put", "volume.put", "links.apply"])
async def test_a_move_that_fails_changes_nothing(live, call):
    vm = await live.vm(hostUuid=live.hosts[0])
    await snapshot(live, vm["rootVolumeUuid"])
    before, seen = stored(live), live.seen()
    failing = live.sims[live.hosts[0 if call == "hypervisor.migrate" else 1]]
    failing.fail(call, broken("libvirt", "it did not work"))
    with pytest.raises(ApiError, match="it did not work"):
        await migrate(live, vm)
    assert (stored(live), live.seen()) == (before, seen)
    assert (await migrate(live, vm))["hostUuid"] == live.hosts[1]


async def test_an_interrupted_move_is_begun_anew(live):
    vm = await live.vm(hostUuid=live.hosts[0])
    live.sims[live.hosts[0]].fail("peers.open_tunnel", temporary("unreachable", "the cable"), times=2)
    live.sims[live.hosts[0]].lose_reply("departures.put", times=2)
    assert (await migrate(live, vm))["hostUuid"] == live.hosts[1]


async def set_out(cloud, vm):
    """A move that lasts; returns its job once the guest is on its way."""
    cloud.sims[cloud.hosts[0]].delay("hypervisor.migrate", 60)
    calls = cloud.sims[cloud.hosts[0]].record()
    job = asyncio.ensure_future(migrate(cloud, vm))
    async with asyncio.timeout(PATIENCE):
        while "hypervisor.migrate" not in calls:
            await asyncio.sleep(0.01)
    return job


async def test_cancelled_in_the_middle(live):
    vm = await live.vm(hostUuid=live.hosts[0])
    before, seen = stored(live), live.seen()
    job = await set_out(live, vm)
    assert (await live.get("VmInstanceVO", vm["uuid"]))["state"] == "Migrating"
    assert nics(live, 1) == [vm["vmNics"][0]["mac"]], "the destination's network is ready before the guest comes"
    (running,) = await live.find("OperationVO", name="MigrateVm", state="running")
    await live.engine.cancel(running["uuid"])
    with pytest.raises(ApiError):
        await job
    assert (stored(live), live.seen()) == (before, seen)


async def test_a_stop_waits_for_the_move(live):
    vm = await live.vm(hostUuid=live.hosts[0])
    live.sims[live.hosts[0]].delay("hypervisor.migrate", 0.3, times=1)
    moving = asyncio.ensure_future(migrate(live, vm))
    while (await live.get("VmInstanceVO", vm["uuid"]))["state"] != "Migrating":
        await asyncio.sleep(0.01)
    stopping = asyncio.ensure_future(live.call("StopVmInstance", uuid=vm["uuid"]))
    assert (await moving)["hostUuid"] == live.hosts[1]
    assert (await stopping)["state"] == "Stopped"
    assert domains(live) == [{}, {}]


async def test_a_guest_that_shuts_down_on_the_way_stays(live):
    vm = await live.vm(hostUuid=live.hosts[0])
    source = live.sims[live.hosts[0]]

    async def down(*_):
        source.guest_shuts_down(vm["uuid"])
        raise broken("libvirt", "domain is not running")

    source.hypervisor.migrate = down
    with pytest.raises(ApiError, match="is not running"):
        await migrate(live, vm)
    assert domains(live) == [{vm["uuid"]: "stopped"}, {}]
    assert (files(live, 1), nics(live, 1)) == (set(), [])


async def test_a_destination_that_is_lost_ends_the_move_and_is_cleaned_later(live):
    vm = await live.vm(hostUuid=live.hosts[0])
    job = await set_out(live, vm)
    source, dest = (live.sims[uuid] for uuid in live.hosts)
    dest.fail("*", temporary("unreachable", "silence"), times=None)
    source.heal()
    source.fail("departures.put", temporary("unreachable", "it waits for the other"), times=None)
    source.fail("hypervisor.migrate", temporary("unreachable", "silence"), times=None)
    await lose(live, live.hosts[1])
    running = await live.find("OperationVO", name="MigrateVm", state="running")
    await live.engine.cancel(running[0]["uuid"])
    with pytest.raises(ApiError):
        async with asyncio.timeout(PATIENCE):
            await job
    assert (await live.get("VmInstanceVO", vm["uuid"]))["state"] == "Running"
    assert domains(live)[0] == {vm["uuid"]: "running"}
    assert await live.find("VolumeGarbageVO", host_uuid=live.hosts[1])

    for sim in (source, dest):
        sim.heal()
    await put(live, "HostVO", live.hosts[1], status="Connected")
    assert (await migrate(live, vm))["hostUuid"] == live.hosts[1]
    assert await live.find("VolumeGarbageVO") == []
    assert domains(live) == [{}, {vm["uuid"]: "running"}]
