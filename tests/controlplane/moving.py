"""What the tests of moves share: VMs and volumes to move, what is seen of them before and after, and how they are disturbed."""

import asyncio
from datetime import timedelta

import pytest

from controlplane.contract.error import ApiError
from controlplane.store import rows
from controlplane.store.tables import now
from tests.controlplane.harness import database_snapshot

VOLATILE = frozenset({"generation", "network_generation", "last"})
LIVE = {"category": "localStoragePrimaryStorage", "name": "liveMigrationWithStorage.allow", "value": "true"}


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


async def refused(code, match, call):
    with pytest.raises(ApiError, match=match) as error:
        await call
    assert error.value.error.code == code


async def begin(cloud, volume, host=1):
    """A migration whose copy has begun; returns its job."""
    job = asyncio.ensure_future(move(cloud, volume, host))
    while (await cloud.get("VolumeVO", volume))["status"] != "Migrating":
        await asyncio.sleep(0.01)
    return job


async def snapshot(cloud, volume):
    return (await cloud.call("CreateVolumeSnapshot", name="s", volumeUuid=volume))["uuid"]


async def places(cloud, uuids):
    return {(await cloud.get("LocalStorageResourceRefVO", uuid))["host_uuid"] for uuid in uuids}


async def lose(cloud, host):
    """As the reconciler would, hours ago."""
    await put(cloud, "HostVO", host, status="Disconnected", status_date=now() - timedelta(hours=2))


async def allow_live(cloud):
    await cloud.call("UpdateGlobalConfig", **LIVE)


async def migrate(cloud, vm, host=1, **parameters):
    """While it runs."""
    return await cloud.call("MigrateVm", vmInstanceUuid=vm["uuid"], hostUuid=cloud.hosts[host], **parameters)


def domains(cloud):
    """By host number the VMs that it knows, and how they are."""
    return [{uuid: str(domain.state) for uuid, domain in sim.hypervisor.domains.items()} for sim in cloud.sims.values()]
