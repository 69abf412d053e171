"""What a migration changes in the database: the room it takes on the destination, the flip, what is garbage afterwards.

`begun` is what `begin` returned: `Move.json()` with the names and what is left over of earlier tries.
"""

from typing import Any

from controlplane.contract.error import ApiError, refused
from controlplane.operations.interface import Operation
from controlplane.store import allocation, rows
from controlplane.store.database import Tx
from controlplane.workflows.migration_rules import Move, no_room
from controlplane.workflows.world import World

MIGRATING, READY = "Migrating", "Ready"
RESERVATION = "MigrationReservation"  # resource type of the room taken on the destination meanwhile
Json = dict[str, Any]


def begin(op: Operation[World], tx: Tx, move: Move) -> Json:
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


def abandon(op: Operation[World], tx: Tx, begun: Json) -> None:
    for volume in begun["volumes"]:
        rows.update_where(tx, "VolumeVO", {"uuid": volume, "status": MIGRATING}, status=READY)
    reserved = rows.get(tx, "LocalStorageResourceRefVO", op.derive("reservation"))
    if reserved:
        allocation.take_disk(tx, reserved["primary_storage_uuid"], reserved["host_uuid"], -reserved["size"])
        rows.delete(tx, "LocalStorageResourceRefVO", reserved["resource_uuid"])


def flip(op: Operation[World], tx: Tx, begun: Json) -> list[str]:
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


def leave_behind(op: Operation[World], tx: Tx, begun: Json) -> None:
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
