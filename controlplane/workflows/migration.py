"""Moving volumes from one host's local storage to another's.

The destination's room is reserved and the volumes are Migrating; then their files are copied and verified; one transaction
makes the destination their place, and only then are the source's files garbage. Before that transaction nothing of the
source was touched, after it nothing of it is needed: at any instant there is exactly one good copy on record.
"""

from typing import Any

from controlplane.contract.error import ApiError, refused
from controlplane.contract.migration import (
    LocalStorageMigrateVm,
    LocalStorageMigrateVolume,
    MigratedRefInventory,
    MigrationPlan,
    MovedFile,
)
from controlplane.operations.interface import Operation
from controlplane.store import allocation, rows
from controlplane.store.database import Tx
from controlplane.workflows import inventories
from controlplane.workflows.migration_copy import Copy
from controlplane.workflows.migration_rules import Move, move_vm, move_volume, no_room
from controlplane.workflows.vm import failing
from controlplane.workflows.vm_end import collect
from controlplane.workflows.world import World, workflow

MIGRATING, READY = "Migrating", "Ready"
RESERVATION = "MigrationReservation"  # resource type of the room taken on the destination meanwhile
_IMAGE, _COPY, _CALL = 4 * 3600.0, 7 * 86_400.0, 120.0  # seconds
Json = dict[str, Any]


def volume_queue(tx: Tx, message: LocalStorageMigrateVolume) -> str:
    """What is done to an attached volume is done to its VM, one after the other: a start waits."""
    volume = rows.get(tx, "VolumeVO", message.volume_uuid)
    vm = volume and volume["vm_instance_uuid"]
    return f"vm:{vm}" if vm else f"volume:{message.volume_uuid}"


@workflow(LocalStorageMigrateVolume, queue_in=volume_queue)
async def migrate_volume(op: Operation[World], message: LocalStorageMigrateVolume) -> Json:
    uuid = message.volume_uuid

    def check(tx: Tx) -> Move:
        return move_volume(tx, uuid, message.dest_host_uuid, may_run=message.dry_run)

    def show(tx: Tx) -> Json:
        ref = rows.get(tx, "LocalStorageResourceRefVO", uuid)
        assert ref
        return {"inventory": MigratedRefInventory.model_validate(ref).wire()}

    with failing("SYS.1006", f"cannot migrate volume {uuid}"):
        if message.dry_run:
            return _with_plan(await op.world.db.read(show), await _plan(op, check))
        return await _migrate(op, check, show, message.bandwidth)


@workflow(LocalStorageMigrateVm, queue=lambda message: f"vm:{message.vm_instance_uuid}")
async def migrate_vm(op: Operation[World], message: LocalStorageMigrateVm) -> Json:
    uuid = message.vm_instance_uuid

    def check(tx: Tx) -> Move:
        return move_vm(tx, uuid, message.dest_host_uuid, may_run=message.dry_run)

    def show(tx: Tx) -> Json:
        return inventories.vm(tx, uuid)

    with failing("SYS.1006", f"cannot migrate VM {uuid}"):
        if message.dry_run:
            return _with_plan(await op.world.db.read(show), await _plan(op, check))
        return await _migrate(op, check, show, message.bandwidth)


def _with_plan(shown: Json, plan: MigrationPlan) -> Json:
    return {"inventory": shown["inventory"] | {"plan": plan.wire()}}


async def _plan(op: Operation[World], check: Any) -> MigrationPlan:
    move: Move = await op.world.db.read(check)
    host = op.world.hosts.get(move.source["uuid"])
    files = []
    for file in move.files:
        status = await host.get_volume(file.uuid, move.storage_uuid, file.path)
        files.append(MovedFile(path=file.path, bytes=status.actual_size))
    return MigrationPlan(
        source_host_uuid=move.source["uuid"],
        source_host_name=move.source["name"],
        dest_host_uuid=move.dest["uuid"],
        dest_host_name=move.dest["name"],
        bytes=sum(file.bytes for file in files),
        files=files,
        needs_stop=move.needs_stop,
    )


async def _migrate(op: Operation[World], check: Any, show: Any, bandwidth: int | None) -> Json:
    begun = await op.tx_step("begin", lambda tx: _begin(op, tx, check(tx)), lambda tx, begun: _abandon(op, tx, begun))
    copy = Copy(op, begun, bandwidth)
    name = f"{begun['name']} to {begun['dest_name']}"

    async def clear() -> None:
        await collect(op.world, begun["leftovers"])
        if await op.world.db.read(lambda tx: rows.exists(tx, "VolumeGarbageVO", uuid=begun["leftovers"])):
            raise refused(f"host {begun['dest_name']} still has files of this volume that it could not delete")

    async def close() -> None:
        await copy.if_up(begun["source"], copy.close)  # it expires by itself

    async def take_back() -> None:
        if not await copy.if_up(begun["dest"], copy.take_back):
            await op.world.db.write(lambda tx: _leave_behind(op, tx, begun))

    if begun["leftovers"]:
        await op.step("clear", copy.while_up(clear), timeout=_CALL)
    files = await op.step("export", copy.while_up(copy.look), close, timeout=_CALL)
    await op.step("base images", copy.while_up(lambda: copy.fetch_bases(files)), timeout=_IMAGE)
    await op.step("copy", copy.while_up(lambda: copy.bring(files, name)), take_back, timeout=_COPY)

    def finish(tx: Tx) -> Json:
        garbage = _flip(op, tx, begun)
        return {"garbage": garbage, "result": show(tx)}

    done = await op.commit("flip", finish)
    await op.afterwards("keep", copy.keep)
    await op.afterwards("close", copy.close)
    await op.afterwards("delete", lambda: collect(op.world, done["garbage"]))
    result: Json = done["result"]
    return result


def _begin(op: Operation[World], tx: Tx, move: Move) -> Json:
    """Room on the destination is on record like a volume's, so that whoever counts it anew counts it too."""
    dest = move.dest["uuid"]
    if not allocation.take_disk(tx, move.storage_uuid, dest, move.size):
        raise no_room(move.size, move.dest, 0)
    rows.insert(
        tx,
        "LocalStorageResourceRefVO",
        resource_uuid=op.derive("reservation"),
        primary_storage_uuid=move.storage_uuid,
        host_uuid=dest,
        size=move.size,
        resource_type=RESERVATION,
    )
    for volume in move.volumes:
        rows.update(tx, "VolumeVO", volume["uuid"], status=MIGRATING)
    places = [place for file in move.files for place in _places(file.path)]
    leftovers = rows.find(tx, "VolumeGarbageVO", host_uuid=dest, path=places)
    names = {"name": ", ".join(volume["name"] for volume in move.volumes), "dest_name": move.dest["name"]}
    return move.json() | names | {"leftovers": [row["uuid"] for row in leftovers]}


def _abandon(op: Operation[World], tx: Tx, begun: Json) -> None:
    for volume in begun["volumes"]:
        rows.update_where(tx, "VolumeVO", {"uuid": volume, "status": MIGRATING}, status=READY)
    reserved = rows.get(tx, "LocalStorageResourceRefVO", op.derive("reservation"))
    if reserved:
        allocation.take_disk(tx, reserved["primary_storage_uuid"], reserved["host_uuid"], -reserved["size"])
        rows.delete(tx, "LocalStorageResourceRefVO", reserved["resource_uuid"])


def _flip(op: Operation[World], tx: Tx, begun: Json) -> list[str]:
    """The destination is the place of the volumes; returns the garbage on the source."""
    where = {"primary_storage_uuid": begun["storage_uuid"], "host_uuid": begun["dest"]}
    if not rows.exists(tx, "LocalStorageHostRefVO", **where):
        raise refused(f"host {begun['dest_name']} left primary storage {begun['storage_uuid']} meanwhile")
    for volume in begun["volumes"]:
        if not rows.update_where(tx, "VolumeVO", {"uuid": volume, "status": MIGRATING}, status=READY):
            raise ApiError("SYS.1006", f"volume {volume} was deleted meanwhile")
    rows.delete(tx, "LocalStorageResourceRefVO", op.derive("reservation"))  # its room is the volumes' now
    allocation.take_disk(tx, begun["storage_uuid"], begun["source"], -begun["size"])
    for file in begun["files"]:
        rows.update(tx, "LocalStorageResourceRefVO", file["uuid"], host_uuid=begun["dest"])
    for vm in rows.find(tx, "VmInstanceVO", root_volume_uuid=begun["volumes"]):
        if vm["last_host_uuid"]:  # of a VM that has run it says where it will start again
            rows.update(tx, "VmInstanceVO", vm["uuid"], last_host_uuid=begun["dest"])
    return [_garbage(op, tx, begun, "source", file["path"]) for file in begun["files"]]


def _leave_behind(op: Operation[World], tx: Tx, begun: Json) -> None:
    """What the lost destination has of the copy is deleted when it is back. May run twice."""
    for file in begun["files"]:
        for path in _places(file["path"]):
            if not rows.exists(tx, "VolumeGarbageVO", host_uuid=begun["dest"], path=path):
                _garbage(op, tx, begun, "dest", path)


def _places(path: str) -> tuple[str, str]:
    """Where a copy of that file may lie on its destination: at the end, and while it is made."""
    return path, f"{path}.part"


def _garbage(op: Operation[World], tx: Tx, begun: Json, host: str, path: str) -> str:
    """A file for its host to delete; it has a uuid of its own, for the volume lives on and may leave more behind."""
    where = {"primary_storage_uuid": begun["storage_uuid"], "host_uuid": begun[host], "path": path}
    uuid = op.derive(f"garbage {host} {path}")
    rows.insert(tx, "VolumeGarbageVO", uuid=uuid, **where)
    return uuid
