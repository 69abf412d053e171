"""Volumes go from one simulated host to another: every rule in its order, what changes."""

from controlplane.rules.migration import Target, unfit
from controlplane.store import rows
from tests.controlplane.cloud import ADMIN, image_row
from tests.controlplane.moving import detached, files, move, put, refused, stopped, stored


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
