"""Data volumes made from a snapshot: a copy on the same host that owes nothing to it afterwards."""

from typing import Any

from controlplane.contract.error import invalid, refused
from controlplane.contract.snapshot import CreateDataVolumeFromVolumeSnapshot
from controlplane.operations.interface import Operation
from controlplane.store import rows
from controlplane.store.database import Tx
from controlplane.workflows import volume_rows
from controlplane.workflows.inventories import must_get
from controlplane.workflows.snapshot import LONG, queue_of
from controlplane.workflows.vm import on_host
from controlplane.workflows.vm_spec import delete_volume, make_volume
from controlplane.workflows.volume_rows import READY, claim, let_go
from controlplane.workflows.world import World, workflow

_COPYING = "Copying"  # the snapshot's volume meanwhile, so that its chain stays as it is
Json = dict[str, Any]


@workflow(CreateDataVolumeFromVolumeSnapshot, queue_in=lambda tx, message: queue_of(tx, message.volume_snapshot_uuid))
async def create(op: Operation[World], message: CreateDataVolumeFromVolumeSnapshot) -> Json:
    uuid = message.resource_uuid or op.derive("VolumeVO")

    def begin(tx: Tx) -> Json:
        snapshot, source = check_copy(tx, message)
        claim(tx, source, _COPYING)
        ref = must_get(tx, "LocalStorageResourceRefVO", snapshot["uuid"])
        volume_rows.insert(tx, uuid, source["size"], name=message.name, description=message.description)
        told = volume_rows.give_place(tx, uuid, ref["primary_storage_uuid"], ref["host_uuid"])
        return told | {"copy_of": volume_rows.snapshot_path(snapshot), "source": source["uuid"]}

    def abandon(tx: Tx, told: Json) -> None:
        volume_rows.take_place(tx, uuid)
        rows.delete(tx, "VolumeVO", uuid)
        let_go(tx, told["source"], _COPYING)

    async def copy() -> int:
        return await make_volume(op.world, told["host_uuid"], told, None)

    async def delete() -> None:
        await delete_volume(op.world, told["host_uuid"], told)

    def publish(tx: Tx) -> Json:
        let_go(tx, told["source"], _COPYING)
        rows.update(tx, "VolumeVO", uuid, status=READY, actual_size=taken)
        return volume_rows.show(tx, uuid)

    told = await op.tx_step("begin", begin, abandon)
    taken = await op.step("copy", on_host(op, told["host_uuid"], copy), delete, timeout=LONG)
    return await op.commit("publish", publish)


def check_copy(tx: Tx, message: CreateDataVolumeFromVolumeSnapshot, settled: bool = True) -> tuple[rows.Row, rows.Row]:
    """(snapshot, its volume)"""
    snapshot = must_get(tx, "VolumeSnapshotVO", message.volume_snapshot_uuid)
    volume = volume_rows.must_get(tx, snapshot["volume_uuid"])
    volume_rows.must_be(volume, READY, settled=settled)
    if snapshot["state"] != "Enabled" or snapshot["status"] != "Ready":
        raise refused(
            f"snapshot {snapshot['name']} ({snapshot['uuid']}) is {snapshot['state']} and {snapshot['status']}"
        )
    if message.primary_storage_uuid not in (None, snapshot["primary_storage_uuid"]):
        raise invalid(
            f"the snapshot lies on primary storage {snapshot['primary_storage_uuid']}; a copy can be made there only",
            "primaryStorageUuid",
        )
    ref = rows.get(tx, "LocalStorageResourceRefVO", snapshot["uuid"])
    if ref:
        volume_rows.check_place(tx, ref["primary_storage_uuid"], ref["host_uuid"])
    return snapshot, volume
