"""Data volumes: made blank or from a template, renamed, deleted in two stages so that a mistake can be undone."""

from typing import Any

from controlplane.contract.error import invalid, refused
from controlplane.contract.volume import (
    ChangeVolumeState,
    CreateDataVolume,
    CreateDataVolumeFromVolumeTemplate,
    DeleteDataVolume,
    ExpungeDataVolume,
    RecoverDataVolume,
    UpdateVolume,
)
from controlplane.operations.interface import Operation
from controlplane.rules import system_tag
from controlplane.store import rows
from controlplane.store.database import Tx
from controlplane.store.tables import now
from controlplane.workflows import global_config, volume_rows
from controlplane.workflows.inventories import must_get
from controlplane.workflows.vm import on_host
from controlplane.workflows.vm_end import collect
from controlplane.workflows.vm_spec import delete_volume, make_volume
from controlplane.workflows.volume_attachment import detach_rows, unplug
from controlplane.workflows.volume_rows import DELETED, NOT_INSTANTIATED, READY, claim, discard, let_go
from controlplane.workflows.world import World, workflow

_COPY = 4 * 3600.0  # seconds for a large image to reach its host
_DELETING = "Deleting"
_STATES = {"enable": "Enabled", "disable": "Disabled"}
Json = dict[str, Any]


@workflow(CreateDataVolume)
async def create(op: Operation[World], message: CreateDataVolume) -> Json:
    uuid = message.resource_uuid or op.derive("VolumeVO")
    place = wished_place(message)

    def insert(tx: Tx) -> None:
        offering = must_get(tx, "DiskOfferingVO", message.disk_offering_uuid) if message.disk_offering_uuid else None
        size = message.disk_size or (offering["disk_size"] if offering else 0)
        values = {"name": message.name, "description": message.description}
        volume_rows.insert(tx, uuid, size, disk_offering_uuid=message.disk_offering_uuid, **values)

    def insert_and_show(tx: Tx) -> Json:
        insert(tx)
        return volume_rows.show(tx, uuid)

    def insert_with_place(tx: Tx) -> Json:
        insert(tx)
        assert place
        return volume_rows.give_place(tx, uuid, *place)

    if place is None:
        return await op.commit("insert", insert_and_show)
    told = await op.tx_step("insert", insert_with_place, lambda tx, _: _forget(tx, uuid))
    return await _make(op, told, None)


@workflow(CreateDataVolumeFromVolumeTemplate)
async def create_from_template(op: Operation[World], message: CreateDataVolumeFromVolumeTemplate) -> Json:
    uuid = message.resource_uuid or op.derive("VolumeVO")
    place = wished_place(message)
    assert place

    def insert(tx: Tx) -> Json:
        image = must_get(tx, "ImageVO", message.image_uuid)
        check_template(image)
        values = {"name": message.name, "description": message.description}
        volume_rows.insert(tx, uuid, image["size"], root_image_uuid=image["uuid"], **values)
        told = volume_rows.give_place(tx, uuid, *place)
        return told | {"image": {key: image[key] for key in ("uuid", "sha256", "actual_size", "format")}}

    told = await op.tx_step("insert", insert, lambda tx, _: _forget(tx, uuid))
    return await _make(op, told, told["image"])


def wished_place(message: CreateDataVolume | CreateDataVolumeFromVolumeTemplate) -> tuple[str, str] | None:
    """(primary storage, host), or None for a volume that gets its file when it is first attached."""
    tags = system_tag.joined("VolumeVO", message.system_tags or ())
    tagged = [system_tag.host_wish(text) for text in tags if system_tag.prefix(text) == "localStorage"]
    hosts = {*tagged, *([message.host_uuid] if message.host_uuid else [])}
    if len(hosts) > 1:
        raise invalid("hostUuid and the system tag localStorage::hostUuid:: name different hosts", "hostUuid")
    if message.primary_storage_uuid and not hosts:
        raise invalid(
            "hostUuid is needed with primaryStorageUuid: a local storage has a part on each of its hosts", "hostUuid"
        )
    if hosts and not message.primary_storage_uuid:
        raise invalid("primaryStorageUuid is needed with hostUuid", "primaryStorageUuid")
    return (message.primary_storage_uuid, hosts.pop()) if message.primary_storage_uuid else None


def check_template(image: rows.Row) -> None:
    what = f"image {image['name']} ({image['uuid']})"
    if image["media_type"] != "DataVolumeTemplate":
        raise invalid(f"{what} is a {image['media_type']}, it must be a DataVolumeTemplate", "imageUuid")
    if image["state"] != "Enabled" or image["status"] != "Ready":
        raise refused(f"{what} is {image['state']} and {image['status']}, it must be Enabled and Ready")


async def _make(op: Operation[World], told: Json, image: Json | None) -> Json:
    """The volume's file is on its host, and the volume Ready."""
    uuid, host = told["uuid"], told["host_uuid"]

    async def make() -> int:
        return await make_volume(op.world, host, told, image)

    async def delete() -> None:
        await delete_volume(op.world, host, told)

    def publish(tx: Tx) -> Json:
        rows.update(tx, "VolumeVO", uuid, status=READY, actual_size=taken)
        return volume_rows.show(tx, uuid)

    taken = await op.step("make", on_host(op, host, make), delete, timeout=_COPY)
    return await op.commit("publish", publish)


def _forget(tx: Tx, uuid: str) -> None:
    volume_rows.take_place(tx, uuid)
    rows.delete(tx, "VolumeVO", uuid)


# -- what needs no host ----------------------------------------------------------------------------------------------


@workflow(UpdateVolume, queue=lambda message: f"volume:{message.uuid}")
async def update(op: Operation[World], message: UpdateVolume) -> Json:
    values = message.model_dump(exclude={"uuid"}, exclude_none=True)
    return await op.commit("update", lambda tx: _changed(tx, message.uuid, values))


@workflow(ChangeVolumeState, queue=lambda message: f"volume:{message.uuid}")
async def change_state(op: Operation[World], message: ChangeVolumeState) -> Json:
    def change(tx: Tx) -> Json:
        check_state_change(tx, message.uuid)
        return _changed(tx, message.uuid, {"state": _STATES[message.state_event]})

    return await op.commit("change", change)


def check_state_change(tx: Tx, uuid: str) -> None:
    volume = volume_rows.must_get(tx, uuid)
    if volume["type"] == "Root":
        raise refused(f"{volume_rows.name_of(volume)} is a root volume; only data volumes have a state of their own")


def _changed(tx: Tx, uuid: str, values: Json) -> Json:
    rows.update(tx, "VolumeVO", uuid, **values)
    return volume_rows.show(tx, uuid)


# -- deletion --------------------------------------------------------------------------------------------------------


@workflow(DeleteDataVolume, queue_in=lambda tx, message: volume_rows.queue(tx, message.uuid))
async def delete(op: Operation[World], message: DeleteDataVolume) -> Json:
    uuid = message.uuid

    def begin(tx: Tx) -> Json | None:
        volume = check_delete(tx, uuid)
        if volume is None:
            return None
        if volume["status"] == READY:
            claim(tx, volume, _DELETING)
        return {"vm_uuid": volume["vm_instance_uuid"]}

    def mark(tx: Tx) -> list[str]:
        detach_rows(tx, uuid)
        rows.update(tx, "VolumeVO", uuid, status=DELETED, destroyed_at=now())
        at_once = message.expunge or global_config.value(tx, "volume", "deletionPolicy") == "Direct"
        return discard(tx, uuid) if at_once else []

    begun = await op.tx_step("begin", begin, lambda tx, _: let_go(tx, uuid, _DELETING))
    if begun is None:
        return {}
    if begun["vm_uuid"]:
        await unplug(op, begun["vm_uuid"], uuid)
    garbage = await op.commit("delete", mark)
    await op.afterwards("files", lambda: collect(op.world, garbage))
    return {}


def check_delete(tx: Tx, uuid: str, settled: bool = True) -> rows.Row | None:
    """None when it is absent already."""
    if not rows.exists(tx, "VolumeVO", uuid=uuid):
        return None
    volume = volume_rows.must_get(tx, uuid)
    if volume["type"] == "Root":
        raise invalid(f"{volume_rows.name_of(volume)} is a root volume; it goes with its VM", "uuid")
    if volume["status"] == DELETED:
        raise refused(f"{volume_rows.name_of(volume)} is deleted already")
    volume_rows.must_be(volume, READY, NOT_INSTANTIATED, settled=settled)
    return volume


@workflow(RecoverDataVolume, queue=lambda message: f"volume:{message.uuid}")
async def recover(op: Operation[World], message: RecoverDataVolume) -> Json:
    def change(tx: Tx) -> Json:
        volume = check_deleted(tx, message.uuid)
        status = READY if volume["install_path"] else NOT_INSTANTIATED
        return _changed(tx, message.uuid, {"status": status, "destroyed_at": None})

    return await op.commit("recover", change)


@workflow(ExpungeDataVolume, queue=lambda message: f"volume:{message.uuid}")
async def expunge(op: Operation[World], message: ExpungeDataVolume) -> Json:
    def remove(tx: Tx) -> list[str]:
        check_deleted(tx, message.uuid)
        return discard(tx, message.uuid)

    garbage = await op.commit("expunge", remove)
    await op.afterwards("files", lambda: collect(op.world, garbage))
    return {}


def check_deleted(tx: Tx, uuid: str) -> rows.Row:
    volume = volume_rows.must_get(tx, uuid)
    if volume["type"] == "Root":
        raise invalid(f"{volume_rows.name_of(volume)} is a root volume; recover or expunge its VM", "uuid")
    volume_rows.must_be(volume, DELETED)
    return volume
