"""What is refused of a storage before anything is stored, and what is answered about capacities."""

from typing import Any

from controlplane.contract.error import invalid, refused
from controlplane.contract.storage import (
    AddImageStoreBackupStorage,
    AddLocalPrimaryStorage,
    AddSftpBackupStorage,
    AttachPrimaryStorageToCluster,
    DeleteBackupStorage,
    DeletePrimaryStorage,
    DetachPrimaryStorageFromCluster,
    GetBackupStorageCapacity,
    GetLocalStorageHostDiskCapacity,
    GetPrimaryStorageCapacity,
    HostDiskCapacity,
)
from controlplane.services.host import check_address
from controlplane.services.registry import Caller, answers, checks
from controlplane.store import rows
from controlplane.store.database import Tx
from controlplane.workflows.image_store import relative_directory
from controlplane.workflows.storage import check_attach, check_delete, check_delete_store, check_detach, mount_path
from controlplane.workflows.world import World

_PHYSICAL = ("total_capacity", "available_capacity", "total_physical_capacity", "available_physical_capacity")
_WIRE = ("totalCapacity", "availableCapacity", "totalPhysicalCapacity", "availablePhysicalCapacity")


@checks(AddLocalPrimaryStorage)
def can_be_added(_tx: Tx, message: AddLocalPrimaryStorage) -> None:
    mount_path(message.url)
    if message.type not in (None, "LocalStorage"):
        raise invalid(f"field[type]: {message.type!r} is not LocalStorage", "type")


@checks(AttachPrimaryStorageToCluster)
def can_be_attached(tx: Tx, message: AttachPrimaryStorageToCluster) -> None:
    cluster = rows.get(tx, "ClusterVO", message.cluster_uuid)
    storage = rows.get(tx, "PrimaryStorageVO", message.primary_storage_uuid)
    if cluster and storage and cluster["zone_uuid"] != storage["zone_uuid"]:
        raise invalid(f"primary storage {storage['uuid']} and cluster {cluster['uuid']} are in different zones")
    check_attach(tx, message.primary_storage_uuid, message.cluster_uuid)


@checks(DetachPrimaryStorageFromCluster)
def can_be_detached(tx: Tx, message: DetachPrimaryStorageFromCluster) -> None:
    where = {"primary_storage_uuid": message.primary_storage_uuid, "cluster_uuid": message.cluster_uuid}
    if not rows.exists(tx, "PrimaryStorageClusterRefVO", **where):
        raise invalid(
            f"primary storage {message.primary_storage_uuid} is not attached to cluster {message.cluster_uuid}"
        )
    check_detach(tx, message.primary_storage_uuid, message.cluster_uuid)


@checks(DeletePrimaryStorage)
def can_be_deleted(tx: Tx, message: DeletePrimaryStorage) -> None:
    check_delete(tx, message.uuid)


@checks(AddImageStoreBackupStorage)
def store_can_be_added(tx: Tx, message: AddImageStoreBackupStorage) -> None:
    wanted = relative_directory(message.url)
    for other in rows.find(tx, "BackupStorageVO"):
        theirs = relative_directory(other["url"])
        if f"{wanted}/".startswith(f"{theirs}/") or f"{theirs}/".startswith(f"{wanted}/"):
            raise refused(
                f"url {message.url!r}: backup storage {other['name']} ({other['uuid']}) uses {other['url']!r}"
            )


@checks(AddSftpBackupStorage)
def sftp_can_be_added(tx: Tx, message: AddSftpBackupStorage) -> None:
    check_address(message.hostname, "hostname")
    if message.type not in (None, "SftpBackupStorage"):
        raise invalid(f"field[type]: {message.type!r} is not SftpBackupStorage", "type")
    if other := rows.find_one(tx, "BackupStorageVO", hostname=message.hostname):
        raise refused(f"backup storage {other['name']} ({other['uuid']}) has the host name {message.hostname} already")
    store_can_be_added(tx, AddImageStoreBackupStorage(name=message.name, url=message.url))


@checks(DeleteBackupStorage)
def store_can_be_deleted(tx: Tx, message: DeleteBackupStorage) -> None:
    check_delete_store(tx, message.uuid, message.delete_mode == "Enforcing")


# -- answers -----------------------------------------------------------------------------------------------------


@answers(GetPrimaryStorageCapacity)
async def primary_capacity(world: World, _caller: Caller, message: GetPrimaryStorageCapacity) -> dict[str, Any]:
    if not (message.zone_uuids or message.cluster_uuids or message.primary_storage_uuids or message.all):
        raise invalid("one of zoneUuids, clusterUuids and primaryStorageUuids is needed, or all=true")

    def read(tx: Tx) -> dict[str, Any]:
        where: dict[str, Any] = {}
        uuids = set(message.primary_storage_uuids or ())
        if message.cluster_uuids:
            refs = rows.find(tx, "PrimaryStorageClusterRefVO", cluster_uuid=message.cluster_uuids)
            attached = {ref["primary_storage_uuid"] for ref in refs}
            uuids = uuids & attached if uuids else attached
        if message.zone_uuids:
            where["zone_uuid"] = message.zone_uuids
        if uuids or message.cluster_uuids:
            where["uuid"] = uuids
        storages = rows.find(tx, "PrimaryStorageVO", **where)
        return {wire: sum(row[name] for row in storages) for wire, name in zip(_WIRE, _PHYSICAL, strict=True)}

    return await world.db.read(read)


@answers(GetLocalStorageHostDiskCapacity)
async def host_capacity(world: World, _caller: Caller, message: GetLocalStorageHostDiskCapacity) -> dict[str, Any]:
    where = {"primary_storage_uuid": message.primary_storage_uuid}
    if message.host_uuid:
        where["host_uuid"] = message.host_uuid
    refs = await world.db.read(lambda tx: rows.find(tx, "LocalStorageHostRefVO", order_by=["id"], **where))
    if message.host_uuid and not refs:
        raise refused(f"host {message.host_uuid} has no part of primary storage {message.primary_storage_uuid}")
    shown = [HostDiskCapacity.model_validate({name: ref[name] for name in ("host_uuid", *_PHYSICAL)}) for ref in refs]
    only = shown[0].wire() if message.host_uuid else {}
    return {"inventories": [capacity.wire() for capacity in shown]} | only


@answers(GetBackupStorageCapacity)
async def store_capacity(world: World, _caller: Caller, message: GetBackupStorageCapacity) -> dict[str, Any]:
    if not (message.zone_uuids or message.backup_storage_uuids or message.all):
        raise invalid("one of zoneUuids and backupStorageUuids is needed, or all=true")

    def read(tx: Tx) -> dict[str, Any]:
        uuids = set(message.backup_storage_uuids or ())
        if message.zone_uuids:
            refs = rows.find(tx, "BackupStorageZoneRefVO", zone_uuid=message.zone_uuids)
            attached = {ref["backup_storage_uuid"] for ref in refs}
            uuids = uuids & attached if uuids else attached
        where: dict[str, Any] = {"uuid": uuids} if message.zone_uuids or message.backup_storage_uuids else {}
        stores = rows.find(tx, "BackupStorageVO", **where)
        names = {"totalCapacity": "total_capacity", "availableCapacity": "available_capacity"}
        return {wire: sum(row[name] for row in stores) for wire, name in names.items()}

    return await world.db.read(read)
