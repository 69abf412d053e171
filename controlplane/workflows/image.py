"""What the image APIs do: fetch into a store, verify, publish; delete in two stages, so that a mistake can be undone."""

import asyncio
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from controlplane.contract.error import ApiError, Temporary, not_found, refused
from controlplane.contract.image import (
    AddImage,
    ChangeImageState,
    DeleteImage,
    ExpungeImage,
    ImageInventory,
    RecoverImage,
    UpdateImage,
)
from controlplane.operations.interface import Operation
from controlplane.store import rows
from controlplane.store.database import Tx
from controlplane.store.tables import now
from controlplane.workflows import global_config
from controlplane.workflows.image_source import Copy, await_upload, in_thread, uploaded
from controlplane.workflows.image_store import directory, inspect, install_path, remove_image
from controlplane.workflows.world import World, workflow

_STATES = {"enable": "Enabled", "disable": "Disabled"}
_HOURS = 3600.0


def show(tx: Tx, uuid: str) -> dict[str, Any]:
    row = image_row(tx, uuid)
    refs = rows.find(tx, "ImageBackupStorageRefVO", image_uuid=uuid, order_by=["id"])
    return {"inventory": ImageInventory.model_validate(row | {"backup_storage_refs": refs}).wire()}


def image_row(tx: Tx, uuid: str) -> rows.Row:
    row = rows.get(tx, "ImageVO", uuid)
    if row is None:
        raise not_found(f"there is no image {uuid}")
    return row


def usable_stores(tx: Tx, uuids: list[str]) -> list[rows.Row]:
    """In the order given; SYS.1006 when none is Enabled and Connected."""
    found = [rows.get(tx, "BackupStorageVO", uuid) for uuid in dict.fromkeys(uuids)]
    usable = [row for row in found if row and row["state"] == "Enabled" and row["status"] == "Connected"]
    if not usable:
        said = ", ".join(f"{row['name']} is {row['state']} and {row['status']}" for row in found if row)
        raise refused(f"no backup storage can take the image: {said or 'none exists'}")
    return usable


@workflow(AddImage)
async def add(op: Operation[World], message: AddImage) -> dict[str, Any]:
    uuid = message.resource_uuid or op.derive("ImageVO")
    path = install_path(uuid, message.format)

    def insert(tx: Tx) -> list[str]:
        stores = usable_stores(tx, message.backup_storage_uuids)
        told = {"name", "description", "url", "guest_os_type", "system", "platform", "format", "type"}
        media_type = message.media_type or ("ISO" if message.format == "iso" else "RootVolumeTemplate")
        values = message.model_dump(include=told) | {"media_type": media_type}
        rows.insert(tx, "ImageVO", uuid=uuid, state="Enabled", status="Downloading", **values)
        for store in stores:
            ref = {"image_uuid": uuid, "backup_storage_uuid": store["uuid"], "install_path": path}
            rows.insert(tx, "ImageBackupStorageRefVO", status="Downloading", **ref)
        return [store["url"] for store in stores]

    async def fetch() -> dict[str, Any]:
        return await _fetch(op, message, stores[0] / path)

    async def copy() -> None:
        for store in stores[1:]:
            await asyncio.to_thread(link_or_copy, stores[0] / path, store / path)

    async def discard() -> None:
        for store in stores:
            await asyncio.to_thread(remove_image, store, uuid)

    def publish(tx: Tx) -> dict[str, Any]:
        rows.update(tx, "ImageVO", uuid, status="Ready", **facts)
        rows.update_where(tx, "ImageBackupStorageRefVO", {"image_uuid": uuid}, status="Ready")
        return show(tx, uuid)

    urls = await op.tx_step("insert", insert, lambda tx, _: delete_rows(tx, uuid))
    stores = [directory(op.world.settings.state_dir, url) for url in urls]
    facts = await op.step("fetch", fetch, discard, timeout=24 * _HOURS)
    await op.step("copy", copy, discard, timeout=4 * _HOURS)
    return await op.commit("publish", publish)


async def _fetch(op: Operation[World], message: AddImage, final: Path) -> dict[str, Any]:
    """Columns of the image, once its verified file has its final name."""

    async def progress(done: int, total: int) -> None:
        await op.progress(done, total, "uploading" if is_upload else "downloading")

    part, is_upload = final.with_name("part"), urlsplit(message.url).scheme == "upload"
    if is_upload:
        digest = await await_upload(part, progress)
        part = uploaded(part)
    else:
        digest = await in_thread(Copy(message.url, part, op.world.settings.file_image_dirs), progress)
    sha256 = digest.sha256.hexdigest()
    if message.sha256 and message.sha256 != sha256:
        raise ApiError("IMG.1000", f"the file's sha256 is {sha256}, {message.sha256} was expected", field="sha256")
    size = await asyncio.to_thread(inspect, part, message.format)
    await asyncio.to_thread(settle, part, final)
    await op.progress(digest.size, digest.size, "verified")
    return {"size": size, "actual_size": digest.size, "sha256": sha256, "md5_sum": digest.md5.hexdigest()}


def settle(part: Path, final: Path) -> None:
    """The final name appears only when the bytes are on disk."""
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(final)


def link_or_copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = target.with_name("part")
    part.unlink(missing_ok=True)
    try:
        part.hardlink_to(source)
    except OSError:
        try:
            shutil.copyfile(source, part)
        except OSError as error:
            raise ApiError("BS.1000", f"cannot copy the image to {target.parent.parent}: {error.strerror}") from error
    settle(part, target)


def delete_rows(tx: Tx, uuid: str) -> None:
    rows.delete_where(tx, "ImageBackupStorageRefVO", image_uuid=uuid)
    rows.delete(tx, "ImageVO", uuid)


# -- deletion ----------------------------------------------------------------------------------------------------


@workflow(DeleteImage, queue=lambda message: f"image:{message.uuid}")
async def delete(op: Operation[World], message: DeleteImage) -> dict[str, Any]:
    def mark(tx: Tx) -> list[str]:
        image = rows.get(tx, "ImageVO", message.uuid)
        if image is None or image["status"] == "Deleted":
            return []
        if image["status"] != "Ready":
            raise refused(f"image {message.uuid} is {image['status']}; cancel the job that adds it instead")
        _mark(tx, message.uuid, message.backup_storage_uuids, "Deleted")
        at_once = message.expunge or global_config.value(tx, "image", "deletionPolicy") == "Direct"
        return _remove_rows(tx, message.uuid, message.backup_storage_uuids) if at_once else []

    await _remove_files(op, message.uuid, await op.commit("mark", mark))
    return {}


@workflow(RecoverImage, queue=lambda message: f"image:{message.image_uuid}")
async def recover(op: Operation[World], message: RecoverImage) -> dict[str, Any]:
    def mark(tx: Tx) -> dict[str, Any]:
        _mark(tx, message.image_uuid, message.backup_storage_uuids, "Ready")
        return show(tx, message.image_uuid)

    return await op.commit("mark", mark)


def _mark(tx: Tx, uuid: str, stores: list[str] | None, status: str) -> None:
    """An image is ready as long as one store has it."""
    where: dict[str, Any] = {"image_uuid": uuid} | ({"backup_storage_uuid": stores} if stores else {})
    rows.update_where(tx, "ImageBackupStorageRefVO", where, status=status)
    ready = rows.exists(tx, "ImageBackupStorageRefVO", image_uuid=uuid, status="Ready")
    rows.update(tx, "ImageVO", uuid, status="Ready" if ready else "Deleted", deleted_at=None if ready else now())


@workflow(ExpungeImage, queue=lambda message: f"image:{message.image_uuid}")
async def expunge(op: Operation[World], message: ExpungeImage) -> dict[str, Any]:
    """Rows first: nobody finds an image whose file is going. Hosts drop their copies unless volumes rest on them."""
    uuid, stores = message.image_uuid, message.backup_storage_uuids
    urls = await op.commit("remove", lambda tx: _remove_rows(tx, uuid, stores))
    await _remove_files(op, uuid, urls)
    return {}


def _remove_rows(tx: Tx, uuid: str, wanted: list[str] | None) -> list[str]:
    """Returns the directories of the stores that have a file to remove."""
    if rows.get(tx, "ImageVO", uuid) is None:
        return []
    stores = check_expunge(tx, uuid, wanted)
    rows.delete_where(tx, "ImageBackupStorageRefVO", image_uuid=uuid, backup_storage_uuid=stores)
    if not rows.exists(tx, "ImageBackupStorageRefVO", image_uuid=uuid):
        delete_rows(tx, uuid)
    return [store["url"] for store in rows.find(tx, "BackupStorageVO", uuid=stores)]


async def _remove_files(op: Operation[World], uuid: str, urls: list[str]) -> None:
    def remove() -> None:
        for url in urls:
            remove_image(directory(op.world.settings.state_dir, url), uuid)

    if urls:
        await op.afterwards("remove files", lambda: asyncio.to_thread(remove), timeout=600)
        await op.afterwards("remove copies", lambda: _remove_copies(op.world, uuid))


def check_expunge(tx: Tx, uuid: str, stores: list[str] | None) -> list[str]:
    """The stores whose copy is deleted; SYS.1006 when there is none."""
    refs = rows.find(tx, "ImageBackupStorageRefVO", image_uuid=uuid, status="Deleted")
    found = [ref["backup_storage_uuid"] for ref in refs if not stores or ref["backup_storage_uuid"] in stores]
    if not found:
        raise refused(f"image {uuid} is not deleted; only a deleted image can be expunged")
    return found


async def _remove_copies(world: World, uuid: str) -> None:
    def places(tx: Tx) -> list[tuple[str, str]]:
        if rows.exists(tx, "ImageVO", uuid=uuid):
            return []
        refs = rows.find(tx, "LocalStorageHostRefVO")
        up = {host["uuid"] for host in rows.find(tx, "HostVO", status="Connected")}
        return [(ref["host_uuid"], ref["primary_storage_uuid"]) for ref in refs if ref["host_uuid"] in up]

    async def forget(host: str, storage: str) -> None:
        with suppress(ApiError, Temporary):  # in use, or out of reach: a copy too many does no harm
            await world.hosts.get(host).delete_image(uuid, storage)

    await asyncio.gather(*(forget(host, storage) for host, storage in await world.db.read(places)))


# -- what needs no file ------------------------------------------------------------------------------------------


@workflow(UpdateImage, queue=lambda message: f"image:{message.uuid}")
async def update(op: Operation[World], message: UpdateImage) -> dict[str, Any]:
    return await op.commit("update", lambda tx: _changed(tx, message.uuid, message.model_dump(exclude={"uuid"})))


@workflow(ChangeImageState, queue=lambda message: f"image:{message.uuid}")
async def change_state(op: Operation[World], message: ChangeImageState) -> dict[str, Any]:
    return await op.commit("change", lambda tx: _changed(tx, message.uuid, {"state": _STATES[message.state_event]}))


def _changed(tx: Tx, uuid: str, values: dict[str, Any]) -> dict[str, Any]:
    rows.update(tx, "ImageVO", uuid, **{name: value for name, value in values.items() if value is not None})
    return show(tx, uuid)
