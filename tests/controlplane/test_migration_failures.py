"""Volumes on their way from one simulated host to another: what a failure, a cancel, or somebody else's wish leaves alone."""

import asyncio
import contextlib

import pytest

from controlplane.contract.error import ApiError
from hostagent.contract.error import broken, temporary
from tests.controlplane.cloud import PATIENCE
from tests.controlplane.moving import begin, files, lose, move, put, stopped, stored


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
    await lose(cloud, cloud.hosts[1])
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
