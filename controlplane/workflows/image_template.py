"""Images made of volumes: the host that holds the volume sends it, flat, into an image store."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from controlplane.contract.error import refused
from controlplane.contract.image import (
    CreateDataVolumeTemplateFromVolume,
    CreateRootVolumeTemplateFromRootVolume,
    CreateRootVolumeTemplateFromVolumeSnapshot,
)
from controlplane.operations.interface import Operation
from controlplane.rules.vm_state import must_allow
from controlplane.store import rows
from controlplane.store.database import Tx
from controlplane.workflows import volume_rows
from controlplane.workflows.image import delete_rows, link_or_copy, settle, show, usable_stores
from controlplane.workflows.image_source import digest_of, uploaded
from controlplane.workflows.image_store import directory, inspect, install_path, remove_image
from controlplane.workflows.inventories import must_get
from controlplane.workflows.snapshot import LONG, queue_of
from controlplane.workflows.vm import on_host
from controlplane.workflows.vm_spec import volume_path
from controlplane.workflows.volume_rows import READY, claim, let_go, name_of
from controlplane.workflows.world import World, workflow
from hostagent.contract import UploadSpec

FROM_VOLUME = "volume://"  # scheme of such an image's url
_COPYING = "Copying"
Json = dict[str, Any]
Source = tuple[rows.Row, str]  # the volume, and the file to read, relative to the storage
Message = (
    CreateRootVolumeTemplateFromRootVolume
    | CreateRootVolumeTemplateFromVolumeSnapshot
    | CreateDataVolumeTemplateFromVolume
)


def upload_subject(image_uuid: str) -> str:
    """What the token of a host that sends an image is for."""
    return f"upload {image_uuid}"


@workflow(
    CreateRootVolumeTemplateFromRootVolume,
    queue_in=lambda tx, message: volume_rows.queue(tx, message.root_volume_uuid),
)
async def from_root(op: Operation[World], message: CreateRootVolumeTemplateFromRootVolume) -> Json:
    return await _make(op, message, lambda tx: check_volume(tx, message.root_volume_uuid, message))


@workflow(CreateDataVolumeTemplateFromVolume, queue_in=lambda tx, message: volume_rows.queue(tx, message.volume_uuid))
async def from_volume(op: Operation[World], message: CreateDataVolumeTemplateFromVolume) -> Json:
    return await _make(op, message, lambda tx: check_volume(tx, message.volume_uuid, message))


@workflow(CreateRootVolumeTemplateFromVolumeSnapshot, queue_in=lambda tx, message: queue_of(tx, message.snapshot_uuid))
async def from_snapshot(op: Operation[World], message: CreateRootVolumeTemplateFromVolumeSnapshot) -> Json:
    return await _make(op, message, lambda tx: check_snapshot(tx, message.snapshot_uuid))


def check_volume(tx: Tx, uuid: str, message: Message, settled: bool = True) -> Source:
    volume = volume_rows.must_get(tx, uuid)
    if isinstance(message, CreateRootVolumeTemplateFromRootVolume) and volume["type"] != "Root":
        raise refused(f"{name_of(volume)} is a data volume; use CreateDataVolumeTemplateFromVolume")
    volume_rows.must_be(volume, READY, settled=settled)
    if volume["state"] != "Enabled":
        raise refused(f"{name_of(volume)} is {volume['state']}, it must be Enabled")
    if settled and volume["vm_instance_uuid"]:
        vm = must_get(tx, "VmInstanceVO", volume["vm_instance_uuid"])
        must_allow(message.api_name(), vm["uuid"], vm["state"])
    return volume, volume_path(volume)


def check_snapshot(tx: Tx, uuid: str, settled: bool = True) -> Source:
    snapshot = must_get(tx, "VolumeSnapshotVO", uuid)
    volume = volume_rows.must_get(tx, snapshot["volume_uuid"])
    if volume["type"] != "Root":
        raise refused(f"snapshot {snapshot['name']} ({uuid}) is one of a data volume, {name_of(volume)}")
    volume_rows.must_be(volume, READY, settled=settled)
    return volume, volume_rows.snapshot_path(snapshot)


def stores_for(tx: Tx, message: Message, volume: rows.Row) -> list[rows.Row]:
    """Those asked for, or all of the volume's zone."""
    if message.backup_storage_uuids:
        return usable_stores(tx, message.backup_storage_uuids)
    storage = must_get(tx, "PrimaryStorageVO", volume["primary_storage_uuid"])
    attached = rows.find(tx, "BackupStorageZoneRefVO", zone_uuid=storage["zone_uuid"], order_by=["id"])
    if not attached:
        raise refused("no backup storage is attached to the volume's zone; name one in backupStorageUuids")
    return usable_stores(tx, [ref["backup_storage_uuid"] for ref in attached])


async def _make(op: Operation[World], message: Message, find: Callable[[Tx], Source]) -> Json:
    uuid = message.resource_uuid or op.derive("ImageVO")
    path = install_path(uuid, "qcow2")

    def begin(tx: Tx) -> Json:
        volume, file = find(tx)
        stores, ref = stores_for(tx, message, volume), must_get(tx, "LocalStorageResourceRefVO", volume["uuid"])
        claim(tx, volume, _COPYING)
        _insert(tx, uuid, message, volume, [(store["uuid"], path) for store in stores])
        where = {"host_uuid": ref["host_uuid"], "storage_uuid": ref["primary_storage_uuid"]}
        return {"urls": [store["url"] for store in stores], "volume_uuid": volume["uuid"], "file": file, **where}

    def abandon(tx: Tx, begun: Json) -> None:
        delete_rows(tx, uuid)
        let_go(tx, begun["volume_uuid"], _COPYING)

    async def export() -> Json:
        return await _export(op, uuid, begun, stores[0] / path)

    async def discard() -> None:
        await op.world.hosts.get(host).delete_upload(uuid)
        await remove()

    async def copy() -> None:
        for store in stores[1:]:
            await asyncio.to_thread(link_or_copy, stores[0] / path, store / path)

    async def remove() -> None:
        for store in stores:
            await asyncio.to_thread(remove_image, store, uuid)

    def publish(tx: Tx) -> Json:
        let_go(tx, begun["volume_uuid"], _COPYING)
        rows.update(tx, "ImageVO", uuid, status="Ready", **facts)
        rows.update_where(tx, "ImageBackupStorageRefVO", {"image_uuid": uuid}, status="Ready")
        return show(tx, uuid)

    begun = await op.tx_step("begin", begin, abandon)
    host = begun["host_uuid"]
    stores = [directory(op.world.settings.state_dir, url) for url in begun["urls"]]
    facts = await op.step("export", on_host(op, host, export), discard, timeout=LONG)
    await op.step("copy", copy, remove, timeout=LONG)
    return await op.commit("publish", publish)


def _insert(tx: Tx, uuid: str, message: Message, volume: rows.Row, places: list[tuple[str, str]]) -> None:
    is_data = isinstance(message, CreateDataVolumeTemplateFromVolume)
    image = rows.get(tx, "ImageVO", volume["root_image_uuid"]) if volume["root_image_uuid"] else None
    told = message.model_dump(include={"guest_os_type", "platform"}, exclude_none=True)
    known = {name: image[name] for name in ("guest_os_type", "platform")} if image else {}
    rows.insert(
        tx,
        "ImageVO",
        uuid=uuid,
        name=message.name,
        description=message.description,
        url=FROM_VOLUME + volume["uuid"],
        format="qcow2",
        type="zstack",
        state="Enabled",
        status="Downloading",
        media_type="DataVolumeTemplate" if is_data else "RootVolumeTemplate",
        system=getattr(message, "system", False),
        **({"platform": "Linux"} | known | told),
    )
    for store, path in places:
        ref = {"image_uuid": uuid, "backup_storage_uuid": store, "install_path": path}
        rows.insert(tx, "ImageBackupStorageRefVO", status="Downloading", **ref)


async def _export(op: Operation[World], uuid: str, begun: Json, final: Path) -> Json:
    """Columns of the image, once its file has its final name."""

    async def progress(done: int, total: int) -> None:
        await op.progress(done, total, "uploading")

    part, world = uploaded(final), op.world
    if not await asyncio.to_thread(final.exists):
        if not await asyncio.to_thread(part.exists):
            spec = UploadSpec(
                generation=1,
                storage_uuid=begun["storage_uuid"],
                path=begun["file"],
                url=f"{world.settings.public_url}/v1/image-files/{uuid}",
                bearer_token=world.authority.image_token(upload_subject(uuid)) if world.authority else "",
            )
            await world.hosts.get(begun["host_uuid"]).put_upload(uuid, spec, progress)
        await asyncio.to_thread(inspect, part, "qcow2")
        await asyncio.to_thread(settle, part, final)
    digest = await asyncio.to_thread(digest_of, final)
    size = await asyncio.to_thread(inspect, final, "qcow2")
    await op.progress(digest.size, digest.size, "verified")
    return {
        "size": size,
        "actual_size": digest.size,
        "sha256": digest.sha256.hexdigest(),
        "md5_sum": digest.md5.hexdigest(),
    }
