"""What the storage APIs do: primary storages are directories on hosts, image stores are directories of the control plane."""

import asyncio
import posixpath
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from controlplane.contract.error import ApiError, Temporary, invalid, not_found, refused
from controlplane.contract.storage import (
    AddImageStoreBackupStorage,
    AddLocalPrimaryStorage,
    AddSftpBackupStorage,
    AttachBackupStorageToZone,
    AttachPrimaryStorageToCluster,
    BackupStorageInventory,
    ChangeBackupStorageState,
    ChangePrimaryStorageState,
    DeleteBackupStorage,
    DeletePrimaryStorage,
    DetachBackupStorageFromZone,
    DetachPrimaryStorageFromCluster,
    PrimaryStorageInventory,
    ReconnectBackupStorage,
    ReconnectPrimaryStorage,
    ReconnectSftpBackupStorage,
    UpdateBackupStorage,
    UpdatePrimaryStorage,
)
from controlplane.operations.interface import Operation
from controlplane.store import rows
from controlplane.store.database import Tx
from controlplane.workflows.host_connection import ensure_storage, sum_capacity
from controlplane.workflows.image_store import directory, remove_image
from controlplane.workflows.world import World, workflow

_STATES = {"enable": "Enabled", "disable": "Disabled"}


def show(tx: Tx, uuid: str) -> dict[str, Any]:
    row = rows.get(tx, "PrimaryStorageVO", uuid)
    if row is None:
        raise not_found(f"there is no primary storage {uuid}")
    refs = rows.find(tx, "PrimaryStorageClusterRefVO", primary_storage_uuid=uuid, order_by=["id"])
    clusters = [ref["cluster_uuid"] for ref in refs]
    return {"inventory": PrimaryStorageInventory.model_validate(row | {"attached_cluster_uuids": clusters}).wire()}


def show_store(tx: Tx, uuid: str) -> dict[str, Any]:
    row = rows.get(tx, "BackupStorageVO", uuid)
    if row is None:
        raise not_found(f"there is no backup storage {uuid}")
    refs = rows.find(tx, "BackupStorageZoneRefVO", backup_storage_uuid=uuid, order_by=["id"])
    zones = [ref["zone_uuid"] for ref in refs]
    return {"inventory": BackupStorageInventory.model_validate(row | {"attached_zone_uuids": zones}).wire()}


# -- primary storage ---------------------------------------------------------------------------------------------


def mount_path(url: str) -> str:
    """The directory on hosts; SYS.1007 when it cannot be one."""
    path = posixpath.normpath(f"/{url.lstrip('/')}")
    if not url.startswith("/") or path == "/":
        raise invalid(f"field[url]: {url!r} must be an absolute directory other than /", "url")
    return path


@workflow(AddLocalPrimaryStorage)
async def add(op: Operation[World], message: AddLocalPrimaryStorage) -> dict[str, Any]:
    uuid = message.resource_uuid or op.derive("PrimaryStorageVO")
    path = mount_path(message.url)

    def insert(tx: Tx) -> dict[str, Any]:
        values = message.model_dump(include={"name", "description", "zone_uuid"})
        kind = {"type": "LocalStorage", "state": "Enabled", "status": "Connecting"}
        rows.insert(tx, "PrimaryStorageVO", uuid=uuid, url=path, mount_path=path, **values, **kind)
        return show(tx, uuid)

    return await op.commit("insert", insert)


def hosts_of(tx: Tx, cluster_uuids: Iterable[str]) -> list[str]:
    hosts = rows.find(tx, "HostVO", cluster_uuid=list(cluster_uuids), status="Connected")
    return [host["uuid"] for host in hosts]


@workflow(AttachPrimaryStorageToCluster, queue=lambda message: f"storage:{message.primary_storage_uuid}")
async def attach(op: Operation[World], message: AttachPrimaryStorageToCluster) -> dict[str, Any]:
    """The reference comes first: a host that connects meanwhile sees it."""
    uuid, cluster = message.primary_storage_uuid, message.cluster_uuid

    def refer(tx: Tx) -> list[str]:
        check_attach(tx, uuid, cluster)
        rows.insert(tx, "PrimaryStorageClusterRefVO", primary_storage_uuid=uuid, cluster_uuid=cluster)
        return hosts_of(tx, [cluster])

    async def prepare() -> None:
        await _on_each_host(op.world, uuid, hosts)

    async def forget() -> None:
        with suppress(Temporary, ApiError):  # a host that does not answer is told when it connects again
            await _forget(op.world, uuid, hosts)

    hosts = await op.tx_step("refer", refer, lambda tx, _: _unrefer(tx, uuid, cluster))
    await op.step("prepare hosts", prepare, forget, timeout=120)
    return await op.world.db.read(lambda tx: show(tx, uuid))


def check_attach(tx: Tx, storage_uuid: str, cluster_uuid: str) -> None:
    """One local storage for each cluster: volumes have one place to be."""
    attached = rows.find(tx, "PrimaryStorageClusterRefVO", cluster_uuid=cluster_uuid)
    if any(ref["primary_storage_uuid"] == storage_uuid for ref in attached):
        raise refused(f"primary storage {storage_uuid} is attached to cluster {cluster_uuid} already")
    if attached:
        other = attached[0]["primary_storage_uuid"]
        raise refused(f"cluster {cluster_uuid} has the local storage {other} already; a cluster can have only one")


def _unrefer(tx: Tx, storage_uuid: str, cluster_uuid: str) -> None:
    rows.delete_where(tx, "PrimaryStorageClusterRefVO", primary_storage_uuid=storage_uuid, cluster_uuid=cluster_uuid)
    hosts = [host["uuid"] for host in rows.find(tx, "HostVO", cluster_uuid=cluster_uuid)]
    if hosts:
        rows.delete_where(tx, "LocalStorageHostRefVO", primary_storage_uuid=storage_uuid, host_uuid=hosts)
    sum_capacity(tx, storage_uuid)


async def _on_each_host(world: World, storage_uuid: str, hosts: list[str]) -> None:
    storage = await world.db.read(lambda tx: rows.get(tx, "PrimaryStorageVO", storage_uuid))
    if storage is None:
        raise not_found(f"there is no primary storage {storage_uuid}")
    await asyncio.gather(*(ensure_storage(world, host, storage) for host in hosts))


async def _forget(world: World, storage_uuid: str, hosts: list[str]) -> None:
    calls = (world.hosts.get(host).delete_storage(storage_uuid) for host in hosts)
    failures = [failure for failure in await asyncio.gather(*calls, return_exceptions=True) if failure]
    if failures:
        raise failures[0]


@workflow(DetachPrimaryStorageFromCluster, queue=lambda message: f"storage:{message.primary_storage_uuid}")
async def detach(op: Operation[World], message: DetachPrimaryStorageFromCluster) -> dict[str, Any]:
    uuid, cluster = message.primary_storage_uuid, message.cluster_uuid

    def unrefer(tx: Tx) -> list[str]:
        check_detach(tx, uuid, cluster)
        _unrefer(tx, uuid, cluster)
        return hosts_of(tx, [cluster])

    async def forget() -> None:
        await _forget(op.world, uuid, hosts)

    hosts = await op.commit("unrefer", unrefer)
    await op.afterwards("forget on hosts", forget)
    return await op.world.db.read(lambda tx: show(tx, uuid))


def check_detach(tx: Tx, storage_uuid: str, cluster_uuid: str) -> None:
    hosts = [host["uuid"] for host in rows.find(tx, "HostVO", cluster_uuid=cluster_uuid)]
    refs = rows.find(tx, "LocalStorageResourceRefVO", primary_storage_uuid=storage_uuid, resource_type="VolumeVO")
    here = [ref["resource_uuid"] for ref in refs if ref["host_uuid"] in hosts]
    if here:
        raise refused(f"{_volumes(tx, here)} of cluster {cluster_uuid} lie on primary storage {storage_uuid}")


def _volumes(tx: Tx, uuids: list[str]) -> str:
    shown = ", ".join(f"{row['name']} ({row['uuid']})" for row in rows.find(tx, "VolumeVO", uuid=uuids[:5]))
    return f"{len(uuids)} volumes ({shown}{', …' if len(uuids) > 5 else ''})"


@workflow(ReconnectPrimaryStorage, queue=lambda message: f"storage:{message.uuid}")
async def reconnect(op: Operation[World], message: ReconnectPrimaryStorage) -> dict[str, Any]:
    async def prepare() -> None:
        await _on_each_host(op.world, message.uuid, await op.world.db.read(attached))

    def attached(tx: Tx) -> list[str]:
        refs = rows.find(tx, "PrimaryStorageClusterRefVO", primary_storage_uuid=message.uuid)
        return hosts_of(tx, [ref["cluster_uuid"] for ref in refs])

    await op.step("prepare hosts", prepare, timeout=120)
    return await op.world.db.read(lambda tx: show(tx, message.uuid))


@workflow(DeletePrimaryStorage, queue=lambda message: f"storage:{message.uuid}")
async def delete(op: Operation[World], message: DeletePrimaryStorage) -> dict[str, Any]:
    def remove(tx: Tx) -> dict[str, Any]:
        check_delete(tx, message.uuid)
        rows.delete_where(tx, "LocalStorageHostRefVO", primary_storage_uuid=message.uuid)
        rows.delete_where(tx, "LocalStorageResourceRefVO", primary_storage_uuid=message.uuid)
        rows.delete(tx, "PrimaryStorageVO", message.uuid)
        return {}

    return await op.commit("delete", remove)


def check_delete(tx: Tx, uuid: str) -> None:
    if refs := rows.find(tx, "PrimaryStorageClusterRefVO", primary_storage_uuid=uuid):
        clusters = ", ".join(ref["cluster_uuid"] for ref in refs)
        raise refused(f"primary storage {uuid} is still attached to cluster {clusters}; detach it first")
    if volumes := rows.find(tx, "VolumeVO", primary_storage_uuid=uuid):
        raise refused(f"{_volumes(tx, [row['uuid'] for row in volumes])} lie on primary storage {uuid}")


# -- image stores ------------------------------------------------------------------------------------------------


async def _add_store(op: Operation[World], message: Any) -> dict[str, Any]:
    uuid = message.resource_uuid or op.derive("BackupStorageVO")
    path = directory(op.world.settings.state_dir, message.url)
    sftp = isinstance(message, AddSftpBackupStorage)

    def insert(tx: Tx) -> None:
        values = message.model_dump(include={"name", "description", "url", "hostname", "username"})
        kind = {"type": "SftpBackupStorage" if sftp else "ImageStore", "state": "Enabled", "status": "Connecting"}
        rows.insert(tx, "BackupStorageVO", uuid=uuid, **values, **kind)

    async def make() -> None:
        await measure(op.world, uuid, path)

    async def remove() -> None:
        with suppress(OSError):  # an empty directory of ours; another's content stays
            path.rmdir()

    await op.tx_step("insert", insert, lambda tx, _: _drop(tx, "BackupStorageVO", uuid))
    await op.step("make directory", make, remove)
    return await op.world.db.read(lambda tx: show_store(tx, uuid))


def _drop(tx: Tx, table: str, uuid: str) -> None:
    rows.delete(tx, table, uuid)


workflow(AddSftpBackupStorage)(_add_store)
workflow(AddImageStoreBackupStorage)(_add_store)


async def measure(world: World, uuid: str, path: Path) -> None:
    """The directory exists; its file system's size is on record. A problem of the file system is BS.1000."""

    def look() -> shutil._ntuple_diskusage:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        return shutil.disk_usage(path)

    try:
        usage = await asyncio.to_thread(look)
    except OSError as error:
        raise ApiError("BS.1000", f"image directory {path}: {error.strerror}") from error
    size = {"total_capacity": usage.total, "available_capacity": usage.free}
    await world.db.write(lambda tx: rows.update(tx, "BackupStorageVO", uuid, status="Connected", **size))


async def _reconnect_store(op: Operation[World], message: Any) -> dict[str, Any]:
    async def make() -> None:
        store = await op.world.db.read(lambda tx: show_store(tx, message.uuid))
        await measure(op.world, message.uuid, directory(op.world.settings.state_dir, store["inventory"]["url"]))

    await op.step("measure", make)
    return await op.world.db.read(lambda tx: show_store(tx, message.uuid))


workflow(ReconnectBackupStorage)(_reconnect_store)
workflow(ReconnectSftpBackupStorage)(_reconnect_store)


@workflow(AttachBackupStorageToZone, queue=lambda message: f"store:{message.backup_storage_uuid}")
async def attach_store(op: Operation[World], message: AttachBackupStorageToZone) -> dict[str, Any]:
    where = {"backup_storage_uuid": message.backup_storage_uuid, "zone_uuid": message.zone_uuid}

    def refer(tx: Tx) -> dict[str, Any]:
        if rows.exists(tx, "BackupStorageZoneRefVO", **where):
            raise refused(
                f"backup storage {message.backup_storage_uuid} is attached to zone {message.zone_uuid} already"
            )
        rows.insert(tx, "BackupStorageZoneRefVO", **where)
        return show_store(tx, message.backup_storage_uuid)

    return await op.commit("refer", refer)


@workflow(DetachBackupStorageFromZone, queue=lambda message: f"store:{message.backup_storage_uuid}")
async def detach_store(op: Operation[World], message: DetachBackupStorageFromZone) -> dict[str, Any]:
    where = {"backup_storage_uuid": message.backup_storage_uuid, "zone_uuid": message.zone_uuid}

    def unrefer(tx: Tx) -> dict[str, Any]:
        if not rows.delete_where(tx, "BackupStorageZoneRefVO", **where):
            raise refused(f"backup storage {message.backup_storage_uuid} is not attached to zone {message.zone_uuid}")
        return show_store(tx, message.backup_storage_uuid)

    return await op.commit("unrefer", unrefer)


@workflow(DeleteBackupStorage, queue=lambda message: f"store:{message.uuid}")
async def delete_store(op: Operation[World], message: DeleteBackupStorage) -> dict[str, Any]:
    """Deleted images go with it; the directory goes when nothing else is in it."""

    def remove(tx: Tx) -> tuple[str, list[str]] | None:
        store = rows.get(tx, "BackupStorageVO", message.uuid)
        if store is None:
            return None
        check_delete_store(tx, message.uuid, message.delete_mode == "Enforcing")
        refs = rows.find(tx, "ImageBackupStorageRefVO", backup_storage_uuid=message.uuid)
        for ref in refs:
            rows.delete(tx, "ImageBackupStorageRefVO", ref["id"])
            if not rows.exists(tx, "ImageBackupStorageRefVO", image_uuid=ref["image_uuid"]):
                rows.delete(tx, "ImageVO", ref["image_uuid"])
        rows.delete_where(tx, "BackupStorageZoneRefVO", backup_storage_uuid=message.uuid)
        rows.delete(tx, "BackupStorageVO", message.uuid)
        return store["url"], [ref["image_uuid"] for ref in refs]

    def remove_files(url: str, images: list[str]) -> None:
        path = directory(op.world.settings.state_dir, url)
        for image in images:
            remove_image(path, image)
        with suppress(OSError):  # what is not ours stays
            path.rmdir()

    if found := await op.commit("delete", remove):
        await op.afterwards("remove files", lambda: asyncio.to_thread(remove_files, *found), timeout=600)
    return {}


def check_delete_store(tx: Tx, uuid: str, enforcing: bool) -> None:
    refs = rows.find(tx, "ImageBackupStorageRefVO", backup_storage_uuid=uuid)
    images = rows.find(tx, "ImageVO", uuid=[ref["image_uuid"] for ref in refs]) if refs else []
    alive = [f"{row['name']} ({row['uuid']})" for row in images if row["status"] != "Deleted"]
    if alive and not enforcing:
        shown = ", ".join(alive[:5])
        raise refused(f"backup storage {uuid} holds {len(alive)} images: {shown}; delete them first")


# -- what needs no host ------------------------------------------------------------------------------------------


def _changes(api: Any, table: str, shown: Any) -> None:
    @workflow(api, queue=lambda message: f"{table}:{message.uuid}")
    async def change(op: Operation[World], message: Any) -> dict[str, Any]:
        if hasattr(message, "state_event"):
            values = {"state": _STATES[message.state_event]}
        else:
            values = message.model_dump(exclude={"uuid"}, exclude_none=True)

        def update(tx: Tx) -> dict[str, Any]:
            rows.update(tx, table, message.uuid, **values)
            found: dict[str, Any] = shown(tx, message.uuid)
            return found

        return await op.commit("update", update)


_changes(UpdatePrimaryStorage, "PrimaryStorageVO", show)
_changes(ChangePrimaryStorageState, "PrimaryStorageVO", show)
_changes(UpdateBackupStorage, "BackupStorageVO", show_store)
_changes(ChangeBackupStorageState, "BackupStorageVO", show_store)
