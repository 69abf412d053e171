"""Volumes go from one simulated host to another: every rule in its order, what changes, what a failure leaves alone."""

import asyncio
import contextlib

import pytest

from controlplane.contract.error import ApiError
from controlplane.rules.migration import Target, unfit
from controlplane.store import rows
from controlplane.store.tables import now
from controlplane.workflows.migration_copy import PATIENCE as PATIENCE_WITH_HOSTS
from hostagent.contract.error import broken, temporary
from hostagent.sim.peers import SimPeers
from tests.controlplane.cloud import ADMIN, PATIENCE, image_row
from tests.controlplane.harness import database_snapshot

VOLATILE = frozenset({"generation", "network_generation", "last"})


def stored(cloud):
    """All rows but the record of who did what, which only grows."""
    found = database_snapshot(cloud.world.db, VOLATILE)
    del found["AuditVO"]
    return found


async def stopped(cloud, host=0, **parameters):
    return await cloud.vm(hostUuid=cloud.hosts[host], strategy="CreateStopped", **parameters)


async def detached(cloud):
    """A data volume on the first host that no VM has."""
    vm = await stopped(cloud, dataDiskOfferingUuids=[cloud.disk])
    (volume,) = await cloud.find("VolumeVO", vm_instance_uuid=vm["uuid"], type="Data")
    await cloud.call("DestroyVmInstance", uuid=vm["uuid"])
    return volume["uuid"]


async def move(cloud, volume, host=1, **parameters):
    return await cloud.call(
        "LocalStorageMigrateVolume", volumeUuid=volume, destHostUuid=cloud.hosts[host], **parameters
    )


def files(cloud, host):
    return {path for path in cloud.sims[cloud.hosts[host]].disks.files if "/imagecache/" not in path}


async def put(cloud, table, uuid, **values):
    await cloud.world.db.write(lambda tx: rows.update(tx, table, uuid, **values))


async def test_stop_move_start(cloud):
    vm = await cloud.vm(hostUuid=cloud.hosts[0], systemTags=["userdata::x"])
    here = files(cloud, 0)
    await cloud.call("StopVmInstance", uuid=vm["uuid"])
    ref = await move(cloud, vm["rootVolumeUuid"])
    assert ref["resourceUuid"] == vm["rootVolumeUuid"]
    assert ref["resourceType"] == "VolumeVO"
    assert ref["hostUuid"] == cloud.hosts[1]
    assert (files(cloud, 0), files(cloud, 1)) == (set(), here)
    assert (await cloud.get("VolumeVO", vm["rootVolumeUuid"]))["status"] == "Ready"
    (shown,) = await cloud.call(
        "QueryLocalStorageResourceRef", conditions=[{"name": "hostUuid", "op": "=", "value": cloud.hosts[1]}]
    )
    assert shown["resourceUuid"] == vm["rootVolumeUuid"]
    started = await cloud.call("StartVmInstance", uuid=vm["uuid"])
    assert started["hostUuid"] == cloud.hosts[1]
    assert started["vmNics"][0]["ip"] == vm["vmNics"][0]["ip"]
    assert started["vmNics"][0]["mac"] == vm["vmNics"][0]["mac"]
    for sim in cloud.sims.values():
        assert (sim.snapshot()["exports"], sim.snapshot()["imports"]) == ([], [])


async def test_there_and_back_leaves_the_world_as_it_was(cloud):
    vm, volume = await stopped(cloud), await detached(cloud)
    await move(cloud, vm["rootVolumeUuid"])  # the base image is on both hosts from now on
    await move(cloud, vm["rootVolumeUuid"], host=0)
    before, seen = stored(cloud), cloud.seen()
    for uuid in (vm["rootVolumeUuid"], volume):
        await move(cloud, uuid)
        assert stored(cloud) != before
        await move(cloud, uuid, host=0)
    assert stored(cloud) == before
    assert cloud.seen() == seen


async def test_a_base_image_that_the_store_has_lost_comes_from_the_source(cloud):
    gone = await cloud.world.db.write(lambda tx: image_row(tx, "gone", "qcow2", "RootVolumeTemplate"))
    vm = await stopped(cloud, imageUuid=gone)
    await cloud.world.db.write(lambda tx: rows.delete(tx, "ImageVO", gone))
    calls = cloud.sims[cloud.hosts[1]].record()
    await move(cloud, vm["rootVolumeUuid"])
    assert calls["peers.pull"] == 2
    assert "downloads.fetch" not in calls
    base = f"/var/lib/steppe/imagecache/template/{gone}/{gone}.qcow2"
    for host in cloud.sims.values():
        assert base in host.disks.files


async def test_a_vm_moves_with_its_data_volumes(cloud):
    vm = await stopped(cloud, dataDiskOfferingUuids=[cloud.disk, cloud.disk])
    here = files(cloud, 0)
    shown = await cloud.call("LocalStorageMigrateVm", vmInstanceUuid=vm["uuid"], destHostUuid=cloud.hosts[1])
    assert shown["uuid"] == vm["uuid"]
    assert (files(cloud, 0), files(cloud, 1)) == (set(), here)
    assert (await cloud.call("StartVmInstance", uuid=vm["uuid"]))["hostUuid"] == cloud.hosts[1]


async def test_a_dry_run_says_what_would_be_copied_and_does_nothing(cloud):
    vm = await cloud.vm(hostUuid=cloud.hosts[0])
    before, seen = stored(cloud), cloud.seen()
    shown = await move(cloud, vm["rootVolumeUuid"], dryRun=True)
    assert shown["hostUuid"] == cloud.hosts[0]
    plan = shown["plan"]
    assert (plan["sourceHostName"], plan["destHostName"], plan["needsStop"]) == ("host0", "host1", True)
    assert plan["bytes"] == sum(file["bytes"] for file in plan["files"]) == 196_608
    asked = {"vmInstanceUuid": vm["uuid"], "destHostUuid": cloud.hosts[1], "dryRun": True}
    assert (await cloud.call("LocalStorageMigrateVm", **asked))["plan"] == plan
    assert (stored(cloud), cloud.seen()) == (before, seen)


async def test_prepared_it_runs_on_while_what_it_needs_is_brought(cloud):
    iso = await cloud.world.db.write(lambda tx: image_row(tx, "tools", "iso", "ISO"))
    vm = await cloud.vm(hostUuid=cloud.hosts[0])
    await cloud.call("AttachIsoToVmInstance", vmInstanceUuid=vm["uuid"], isoUuid=iso)
    before, asked = stored(cloud), {"vmInstanceUuid": vm["uuid"], "destHostUuid": cloud.hosts[1]}
    for _ in range(2):
        assert (await cloud.call("LocalStorageMigrateVm", **asked, prepare=True))["state"] == "Running"
    assert stored(cloud) == before
    cache = {path for path in cloud.sims[cloud.hosts[1]].disks.files if "/imagecache/" in path}
    assert len(cache) == 2 and any(iso in path for path in cache)
    assert cloud.sims[cloud.hosts[0]].hypervisor.domains[vm["uuid"]].state == "running"

    calls = cloud.sims[cloud.hosts[1]].record()
    await cloud.call("StopVmInstance", uuid=vm["uuid"])
    await cloud.call("LocalStorageMigrateVm", **asked)
    assert (await cloud.call("StartVmInstance", uuid=vm["uuid"]))["hostUuid"] == cloud.hosts[1]
    assert (calls["peers.pull"], "downloads.fetch" in calls) == (1, False)


# -- rules -------------------------------------------------------------------------------------------------------


async def refused(code, match, call):
    with pytest.raises(ApiError, match=match) as error:
        await call
    assert error.value.error.code == code


async def test_the_rules_in_their_order(cloud):
    vm = await cloud.vm(hostUuid=cloud.hosts[0], dataDiskOfferingUuids=[cloud.disk])
    root = vm["rootVolumeUuid"]
    (data,) = await cloud.find("VolumeVO", vm_instance_uuid=vm["uuid"], type="Data")
    dest, storage = cloud.hosts[1], cloud.storage
    part = await cloud.world.db.read(lambda tx: rows.find_one(tx, "LocalStorageHostRefVO", host_uuid=dest))
    ref = await cloud.get("LocalStorageResourceRefVO", root)
    await put(cloud, "HostVO", dest, state="Disabled", status="Connecting")
    await put(cloud, "PrimaryStorageVO", storage, state="Disabled")
    await put(cloud, "VolumeVO", root, status="Creating")
    await cloud.world.db.write(lambda tx: rows.delete(tx, "LocalStorageHostRefVO", part["id"]))
    await cloud.world.db.write(lambda tx: rows.delete(tx, "LocalStorageResourceRefVO", root))

    await refused("SYS.1003", "there is no VolumeVO", move(cloud, "f" * 32))
    await refused("SYS.1007", "is not on a local storage", move(cloud, root))
    await cloud.world.db.write(lambda tx: rows.insert(tx, "LocalStorageResourceRefVO", **ref))
    await refused("SYS.1007", "is on host .* already", move(cloud, root, host=0))
    await refused("SYS.1007", "has no part of primary storage", move(cloud, root))
    await cloud.world.db.write(lambda tx: rows.insert(tx, "LocalStorageHostRefVO", **part))
    await refused("SYS.1007", "is Creating, it must be Ready", move(cloud, root))
    await put(cloud, "VolumeVO", root, status="Ready")
    await refused("SYS.1007", "is attached to VM", move(cloud, data["uuid"]))
    await refused("SYS.1006", "is Running, it must be Stopped", move(cloud, root))
    await cloud.call("StopVmInstance", uuid=vm["uuid"])
    await refused("SYS.1006", "still has volume DATA-for-vm", move(cloud, root))
    await put(cloud, "VolumeVO", data["uuid"], vm_instance_uuid=None)
    await refused("SYS.1006", "primary storage .* is Disabled", move(cloud, root))
    await put(cloud, "PrimaryStorageVO", storage, state="Enabled")
    await refused("SYS.1006", "host host1 .* is Disabled", move(cloud, root))
    await put(cloud, "HostVO", dest, state="Enabled")
    await refused("SYS.1006", "host host1 .* is Connecting", move(cloud, root))
    await put(cloud, "HostVO", dest, status="Connected")
    await put(cloud, "LocalStorageHostRefVO", part["id"], available_capacity=1000)
    await refused("SYS.1006", "has 1000 bytes available, 1073741824 are needed", move(cloud, root))
    await put(cloud, "LocalStorageHostRefVO", part["id"], available_capacity=part["available_capacity"])
    await refused("SYS.1007", "bandwidth", move(cloud, root, bandwidth=10))
    assert (await move(cloud, root, bandwidth=1 << 30))["hostUuid"] == dest


async def test_a_vm_goes_only_where_it_could_run(cloud):
    vm = await stopped(cloud)
    await put(cloud, "HostVO", cloud.hosts[1], available_memory_capacity=1 << 29)
    asked = {"vmInstanceUuid": vm["uuid"], "destHostUuid": cloud.hosts[1]}
    await refused("HOST_ALLOCATION.1000", "could not run there", cloud.call("LocalStorageMigrateVm", **asked))


async def test_migratable_hosts_and_why_not_the_others(cloud):
    vm = await stopped(cloud)
    answer = await cloud.world.db.read(lambda tx: rows.find_one(tx, "LocalStorageHostRefVO", host_uuid=cloud.hosts[1]))
    ask = {"volumeUuid": vm["rootVolumeUuid"]}

    async def hosts():
        from controlplane.contract.migration import LocalStorageGetVolumeMigratableHosts
        from controlplane.services.dispatch import dispatch

        message = LocalStorageGetVolumeMigratableHosts.model_validate(ask)
        found = await dispatch(cloud.world, cloud.engine, ADMIN, message)
        return [host["uuid"] for host in found["inventories"]], {x["hostUuid"]: x["reason"] for x in found["excluded"]}

    first = {cloud.hosts[0]: "the volume lies there already"}
    assert await hosts() == ([cloud.hosts[1]], first)
    await put(cloud, "LocalStorageHostRefVO", answer["id"], available_capacity=1 << 20)
    assert await hosts() == ([], first | {cloud.hosts[1]: "1024 MiB are needed, 1 are available"})
    await put(cloud, "HostVO", cloud.hosts[1], status="Disconnected")
    assert await hosts() == ([], first | {cloud.hosts[1]: "it is Disconnected"})
    await cloud.world.db.write(lambda tx: rows.delete(tx, "LocalStorageResourceRefVO", vm["rootVolumeUuid"]))
    assert await hosts() == ([], {})


def test_a_host_whose_disk_is_nearly_full_is_no_candidate():
    target = Target("b", "Enabled", "Connected", True, available=1 << 40, total_physical=1000, available_physical=99)
    assert unfit(target, "a", 1) == "its file system is more than 90% full"


# -- failures ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", ["no_space", "checksum_mismatch"])
async def test_a_copy_that_fails_changes_nothing(cloud, code):
    vm = await stopped(cloud)
    await cloud.world.db.read(lambda tx: None)
    before, seen = stored(cloud), cloud.seen()
    cloud.sims[cloud.hosts[1]].fail("peers.pull", broken(code, "it did not work"))
    with pytest.raises(ApiError, match="it did not work") as error:
        await move(cloud, vm["rootVolumeUuid"])
    assert error.value.error.code == "SYS.1006"
    assert error.value.error.cause.code == "PS.1000"
    assert (stored(cloud), cloud.seen()) == (before, seen)
    assert (await cloud.call("StartVmInstance", uuid=vm["uuid"]))["hostUuid"] == cloud.hosts[0]


async def test_an_interrupted_copy_goes_on(cloud):
    vm = await stopped(cloud)
    cloud.sims[cloud.hosts[1]].fail("peers.pull", temporary("unreachable", "the cable"), times=2)
    cloud.sims[cloud.hosts[0]].lose_reply("exports.put", times=1)
    assert (await move(cloud, vm["rootVolumeUuid"]))["hostUuid"] == cloud.hosts[1]


async def begin(cloud, volume, host=1):
    """A migration whose copy has begun; returns its job."""
    job = asyncio.ensure_future(move(cloud, volume, host))
    while (await cloud.get("VolumeVO", volume))["status"] != "Migrating":
        await asyncio.sleep(0.01)
    return job


async def test_a_destination_that_is_lost_ends_the_migration_and_is_cleaned_later(cloud):
    vm = await stopped(cloud)
    dest = cloud.sims[cloud.hosts[1]]
    dest.delay("peers.pull", 60)
    job = await begin(cloud, vm["rootVolumeUuid"])
    while not dest.snapshot()["imports"]:
        await asyncio.sleep(0.01)
    dest.disks.files[f"{next(iter(files(cloud, 0)))}.part"] = next(iter(dest.disks.files.values()), None)
    for call in ("imports.put", "imports.delete"):
        dest.fail(call, temporary("unreachable", "silence"), times=None)
    await put(cloud, "HostVO", cloud.hosts[1], status="Disconnected", status_date=now() - 2 * PATIENCE_WITH_HOSTS)
    with pytest.raises(ApiError, match="host1 was lost"):
        async with asyncio.timeout(PATIENCE):
            await job
    assert (await cloud.get("VolumeVO", vm["rootVolumeUuid"]))["status"] == "Ready"
    assert len(await cloud.find("VolumeGarbageVO", host_uuid=cloud.hosts[1])) == 2
    assert (await cloud.call("StartVmInstance", uuid=vm["uuid"]))["hostUuid"] == cloud.hosts[0]
    await cloud.call("StopVmInstance", uuid=vm["uuid"])

    dest.heal()
    await put(cloud, "HostVO", cloud.hosts[1], status="Connected")
    dest.disks.files.pop(next(path for path in dest.disks.files if path.endswith(".part")))
    assert (await move(cloud, vm["rootVolumeUuid"]))["hostUuid"] == cloud.hosts[1]
    assert await cloud.find("VolumeGarbageVO") == []


async def test_source_files_that_could_not_be_deleted_never_hurt_a_later_return(cloud):
    vm = await stopped(cloud)
    root, source = vm["rootVolumeUuid"], cloud.sims[cloud.hosts[0]]
    source.fail("volume.delete", broken("internal", "read-only file system"), times=None)
    await move(cloud, root)
    assert [row["host_uuid"] for row in await cloud.find("VolumeGarbageVO")] == [cloud.hosts[0]]
    with pytest.raises(ApiError, match="still has files of this volume"):
        await move(cloud, root, host=0)
    source.heal()
    await move(cloud, root, host=0)
    assert await cloud.find("VolumeGarbageVO") == []
    assert len(files(cloud, 0)) == 1


async def test_two_migrations_of_one_volume_go_one_after_the_other(cloud):
    vm = await stopped(cloud)
    cloud.sims[cloud.hosts[1]].delay("peers.pull", 0.3)
    first = await begin(cloud, vm["rootVolumeUuid"])
    with pytest.raises(ApiError, match="is Migrating, it must be Ready"):
        await move(cloud, vm["rootVolumeUuid"])
    starting = asyncio.ensure_future(cloud.call("StartVmInstance", uuid=vm["uuid"]))
    assert (await first)["hostUuid"] == cloud.hosts[1]
    assert (await starting)["hostUuid"] == cloud.hosts[1], "the start waited for the move"


async def test_cancelled_in_the_middle_of_the_copy(cloud):
    vm = await stopped(cloud)
    before, seen = stored(cloud), cloud.seen()
    cloud.sims[cloud.hosts[1]].delay("peers.pull", 60)
    job = await begin(cloud, vm["rootVolumeUuid"])
    running = await cloud.find("OperationVO", name="LocalStorageMigrateVolume", state="running")
    status = await cloud.engine.get(running[0]["uuid"])
    while status.progress is None:
        await asyncio.sleep(0.05)
        status = await cloud.engine.get(running[0]["uuid"])
    assert (status.progress.text, status.progress.total) == ("copying ROOT-for-vm to host1", 196_608)
    await cloud.engine.cancel(running[0]["uuid"])
    with contextlib.suppress(ApiError):
        await job
    assert (stored(cloud), cloud.seen()) == (before, seen)


# -- snapshots ---------------------------------------------------------------------------------------------------


async def snapshot(cloud, volume):
    return (await cloud.call("CreateVolumeSnapshot", name="s", volumeUuid=volume))["uuid"]


async def branched(cloud, volume):
    """Snapshots of a stopped volume: one, two that rest on it, and a tree of their own after a revert. The one in use is
    the last."""
    first = await snapshot(cloud, volume)
    left = await snapshot(cloud, volume)
    await cloud.call("RevertVolumeFromSnapshot", uuid=first)
    right = await snapshot(cloud, volume)
    return first, left, right


async def places(cloud, uuids):
    return {(await cloud.get("LocalStorageResourceRefVO", uuid))["host_uuid"] for uuid in uuids}


def chains(cloud, host):
    """File → what it rests on, without the cache of images."""
    found = cloud.sims[cloud.hosts[host]].disks.files
    return {path: found[path].backing for path in files(cloud, host)}


async def test_snapshots_travel_with_their_volume_and_work_there(cloud):
    vm = await stopped(cloud)
    root = vm["rootVolumeUuid"]
    first, left, right = await branched(cloud, root)
    here = chains(cloud, 0)
    assert len(here) == 4
    await move(cloud, root)
    assert (chains(cloud, 0), chains(cloud, 1)) == ({}, here)
    assert await places(cloud, (root, first, left, right)) == {cloud.hosts[1]}
    shown = await cloud.call("QueryLocalStorageResourceRef", conditions=[_on(cloud.hosts[1])])
    assert {ref["resourceUuid"] for ref in shown} == {root, first, left, right}

    await cloud.call("RevertVolumeFromSnapshot", uuid=left)
    await cloud.call("DeleteVolumeSnapshot", uuid=right)
    later = await snapshot(cloud, root)
    assert await places(cloud, (root, first, left, later)) == {cloud.hosts[1]}
    assert (await cloud.call("StartVmInstance", uuid=vm["uuid"]))["hostUuid"] == cloud.hosts[1]


def _on(host):
    return {"name": "hostUuid", "op": "=", "value": host}


async def test_snapshots_of_a_detached_data_volume_and_of_a_whole_vm(cloud):
    volume = await detached(cloud)
    taken = await snapshot(cloud, volume)
    await move(cloud, volume)
    assert await places(cloud, (volume, taken)) == {cloud.hosts[1]}

    left = files(cloud, 0)
    vm = await stopped(cloud, dataDiskOfferingUuids=[cloud.disk])
    group = await cloud.call("CreateVolumeSnapshotGroup", name="g", rootVolumeUuid=vm["rootVolumeUuid"])
    members = await cloud.find("VolumeSnapshotVO", group_uuid=group["uuid"])
    assert len(members) == 2
    await cloud.call("LocalStorageMigrateVm", vmInstanceUuid=vm["uuid"], destHostUuid=cloud.hosts[1])
    assert await places(cloud, [member["uuid"] for member in members]) == {cloud.hosts[1]}
    assert files(cloud, 0) == left


async def test_room_is_taken_for_snapshots_too_and_there_and_back_changes_nothing(cloud):
    vm = await stopped(cloud)
    root = vm["rootVolumeUuid"]
    await branched(cloud, root)
    await move(cloud, root)
    await move(cloud, root, host=0)
    before, seen = stored(cloud), cloud.seen()
    volume = (await cloud.get("VolumeVO", root))["size"]
    snapshots = sum(row["size"] for row in await cloud.find("VolumeSnapshotVO", volume_uuid=root))
    assert snapshots > 0
    part = await cloud.world.db.read(lambda tx: rows.find_one(tx, "LocalStorageHostRefVO", host_uuid=cloud.hosts[1]))
    await put(cloud, "LocalStorageHostRefVO", part["id"], available_capacity=volume + snapshots - 1)
    await refused("SYS.1006", f"{volume + snapshots} are needed", move(cloud, root))
    await put(cloud, "LocalStorageHostRefVO", part["id"], available_capacity=part["available_capacity"])
    await move(cloud, root)
    await move(cloud, root, host=0)
    assert (stored(cloud), cloud.seen()) == (before, seen)


async def test_a_copy_with_snapshots_that_fails_half_way_changes_nothing(cloud, monkeypatch):
    vm = await stopped(cloud)
    await branched(cloud, vm["rootVolumeUuid"])
    before, seen = stored(cloud), cloud.seen()
    dest, pulled = cloud.sims[cloud.hosts[1]], []

    def third(source, name, part, gauge):
        pulled.append(name)
        if len(pulled) == 3:
            raise broken("no_space", "it did not work")
        return SimPeers.pull(dest.peers, source, name, part, gauge)

    monkeypatch.setattr(dest.peers, "pull", third)
    with pytest.raises(ApiError, match="it did not work"):
        await move(cloud, vm["rootVolumeUuid"])
    assert len(pulled) == 3
    assert (stored(cloud), cloud.seen()) == (before, seen)


async def test_a_volume_that_moves_has_no_snapshot_taken_meanwhile(cloud):
    vm = await stopped(cloud)
    root = vm["rootVolumeUuid"]
    taken = await snapshot(cloud, root)
    cloud.sims[cloud.hosts[1]].delay("peers.pull", 0.3)
    job = await begin(cloud, root)
    for api, parameters in (
        ("CreateVolumeSnapshot", {"name": "s", "volumeUuid": root}),
        ("DeleteVolumeSnapshot", {"uuid": taken}),
        ("RevertVolumeFromSnapshot", {"uuid": taken}),
    ):
        with pytest.raises(ApiError, match="is Migrating, it must be Ready"):
            await cloud.call(api, **parameters)
    assert (await job)["hostUuid"] == cloud.hosts[1]
    assert await places(cloud, (root, await snapshot(cloud, root))) == {cloud.hosts[1]}
