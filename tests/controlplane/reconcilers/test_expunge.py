"""Destroyed VMs go when their time has come; files a host could not delete go when it can."""

from datetime import timedelta

from controlplane.reconcilers.expunge import Expunger
from controlplane.store import rows
from controlplane.store.tables import now
from hostagent.contract.error import rejected


async def age(cloud, uuid, seconds):
    when = now() - timedelta(seconds=seconds)
    await cloud.world.db.write(lambda tx: rows.update(tx, "VmInstanceVO", uuid, destroyed_at=when))


async def test_only_what_is_due_goes(cloud):
    old, young, alive = [(await cloud.vm(name))["uuid"] for name in ("old", "young", "alive")]
    for uuid in (old, young):
        await cloud.call("DestroyVmInstance", uuid=uuid)
    await age(cloud, old, 86_401)
    await Expunger(cloud.world, cloud.engine).once()
    assert {vm["uuid"] for vm in await cloud.find("VmInstanceVO")} == {young, alive}
    files = [path for host in cloud.seen().values() for path in host["volumes"]]
    assert len(files) == 2


async def test_policy_never_keeps_them(cloud):
    vm = await cloud.vm()
    await cloud.call("DestroyVmInstance", uuid=vm["uuid"])
    await age(cloud, vm["uuid"], 10**6)
    await cloud.call("UpdateGlobalConfig", category="vm", name="deletionPolicy", value="Never")
    await Expunger(cloud.world, cloud.engine).once()
    assert len(await cloud.find("VmInstanceVO")) == 1


async def test_files_of_a_host_that_refused_are_deleted_later(cloud):
    vm = await cloud.vm()
    sim = cloud.sims[vm["hostUuid"]]
    await cloud.call("DestroyVmInstance", uuid=vm["uuid"])
    sim.fail("volume.delete", rejected("in_use", "held open by a backup"))
    await cloud.call("ExpungeVmInstance", uuid=vm["uuid"])
    assert len(await cloud.find("VolumeGarbageVO")) == 1
    assert sim.snapshot()["volumes"]
    await Expunger(cloud.world, cloud.engine).once()
    assert await cloud.find("VolumeGarbageVO") == []
    assert sim.snapshot()["volumes"] == {}
