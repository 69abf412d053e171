"""The rows of volumes: where a volume lies, what its files are, what it takes of its host's storage.

A volume takes its virtual size of its host's part of the storage (thin files may grow to it), from the transaction that
gives it a place to the one that discards it; each of its snapshots takes what its file has. Whoever works on a volume's files claims it by a status of its own, so that
nobody else works on them meanwhile.
"""

from typing import Any

from controlplane.contract.error import ApiError, invalid, not_found, refused
from controlplane.contract.volume import VolumeInventory
from controlplane.rules.volume import whole_sectors
from controlplane.store import allocation, rows
from controlplane.store.database import Tx
from controlplane.workflows import tag
from controlplane.workflows.vm_placement import release_disk
from controlplane.workflows.vm_spec import data_path, volume_path

Json = dict[str, Any]
CREATING, READY, NOT_INSTANTIATED, DELETED = "Creating", "Ready", "NotInstantiated", "Deleted"
_SETTLED = (READY, NOT_INSTANTIATED, DELETED)  # the others are those of an operation under way


def show(tx: Tx, uuid: str) -> Json:
    return {"inventory": VolumeInventory.model_validate(must_get(tx, uuid)).wire()}


def must_get(tx: Tx, uuid: str) -> rows.Row:
    """SYS.1003 when there is none."""
    volume = rows.get(tx, "VolumeVO", uuid)
    if volume is None:
        raise not_found(f"there is no volume {uuid}")
    return volume


def name_of(volume: rows.Row) -> str:
    return f"volume {volume['name']} ({volume['uuid']})"


def queue(tx: Tx, uuid: str) -> str:
    """What is done to an attached volume is done to its VM, one after the other."""
    volume = rows.get(tx, "VolumeVO", uuid)
    return f"vm:{volume['vm_instance_uuid']}" if volume and volume["vm_instance_uuid"] else f"volume:{uuid}"


def must_be(volume: rows.Row, *statuses: str, settled: bool = True) -> None:
    """Not `settled`: the operation's turn has yet to come, so a volume that another works on is refused only then."""
    if volume["status"] not in statuses and (settled or volume["status"] in _SETTLED):
        raise refused(f"{name_of(volume)} is {volume['status']}, it must be {' or '.join(statuses)}")


def claim(tx: Tx, volume: rows.Row, status: str) -> int:
    """The volume is Ready and now has that status; returns the generation of the next wish. Undone by `let_go`."""
    must_be(volume, READY)
    generation: int = volume["generation"] + 1
    rows.update(tx, "VolumeVO", volume["uuid"], status=status, generation=generation)
    return generation


def let_go(tx: Tx, uuid: str, status: str, **values: Any) -> None:
    rows.update_where(tx, "VolumeVO", {"uuid": uuid, "status": status}, status=READY, **values)


# -- places ----------------------------------------------------------------------------------------------------------


def insert(tx: Tx, uuid: str, size: int, **values: Any) -> None:
    """A data volume that has no place yet."""
    rows.insert(
        tx,
        "VolumeVO",
        uuid=uuid,
        type="Data",
        format="qcow2",
        size=whole_sectors(size),
        state="Enabled",
        status=NOT_INSTANTIATED,
        **values,
    )


def give_place(tx: Tx, uuid: str, storage_uuid: str, host_uuid: str) -> Json:
    """Room for a data volume's file on that host is taken. Returns what the host is told of the volume."""
    volume, storage = must_get(tx, uuid), check_place(tx, storage_uuid, host_uuid)
    if not allocation.take_disk(tx, storage_uuid, host_uuid, volume["size"]):
        free = rows.find_one(tx, "LocalStorageHostRefVO", primary_storage_uuid=storage_uuid, host_uuid=host_uuid)
        raise ApiError(
            "PS.1000",
            f"{volume['size']} bytes are needed on primary storage {storage['name']} of host {host_uuid}, "
            f"{max(free['available_capacity'], 0) if free else 0} are free",
        )
    path = data_path(uuid)
    where = {"primary_storage_uuid": storage_uuid, "host_uuid": host_uuid}
    rows.insert(
        tx, "LocalStorageResourceRefVO", resource_uuid=uuid, resource_type="VolumeVO", size=volume["size"], **where
    )
    rows.update(
        tx,
        "VolumeVO",
        uuid,
        primary_storage_uuid=storage_uuid,
        install_path=f"{storage['url'].rstrip('/')}/{path}",
        status=CREATING,
    )
    return {"uuid": uuid, "storage_uuid": storage_uuid, "host_uuid": host_uuid, "path": path, "size": volume["size"]}


def take_place(tx: Tx, uuid: str) -> None:
    """Undo of `give_place`: the volume has no file."""
    release_disk(tx, uuid)
    rows.update(tx, "VolumeVO", uuid, primary_storage_uuid=None, install_path=None, status=NOT_INSTANTIATED)


def check_place(tx: Tx, storage_uuid: str, host_uuid: str) -> rows.Row:
    """The storage, if a new file may be made on that host's part of it."""
    storage, host = rows.get(tx, "PrimaryStorageVO", storage_uuid), rows.get(tx, "HostVO", host_uuid)
    if storage is None or host is None:
        raise not_found(f"primary storage {storage_uuid} or host {host_uuid} does not exist any more")
    if not rows.exists(tx, "LocalStorageHostRefVO", primary_storage_uuid=storage_uuid, host_uuid=host_uuid):
        raise invalid(
            f"host {host['name']} ({host_uuid}) has no part of primary storage {storage['name']} ({storage_uuid})",
            "hostUuid",
        )
    if storage["state"] != "Enabled":
        raise refused(f"primary storage {storage['name']} ({storage_uuid}) is {storage['state']}, it must be Enabled")
    if host["status"] != "Connected":
        raise refused(f"host {host['name']} ({host_uuid}) is {host['status']}, it must be Connected")
    return storage


# -- the end ---------------------------------------------------------------------------------------------------------


def discard(tx: Tx, uuid: str) -> list[str]:
    """The volume's rows go; its files become garbage, whose uuids are returned."""
    volume, ref = rows.get(tx, "VolumeVO", uuid), rows.get(tx, "LocalStorageResourceRefVO", uuid)
    if volume is None:
        return []
    files = {uuid: volume_path(volume)} if ref else {}
    snapshots = rows.find(tx, "VolumeSnapshotVO", volume_uuid=uuid)
    files |= {snapshot["uuid"]: snapshot_path(snapshot) for snapshot in snapshots}
    for file, path in files.items():
        assert ref
        throw_away(tx, file, path, ref)
    for one in files:
        release_disk(tx, one)
        tag.remove_all(tx, one)
    for group in {snapshot["group_uuid"] for snapshot in snapshots if snapshot["group_uuid"]}:
        leave_group(tx, group, len([row for row in snapshots if row["group_uuid"] == group]))
    rows.delete_where(tx, "VolumeSnapshotVO", volume_uuid=uuid)
    rows.delete_where(tx, "VolumeSnapshotTreeVO", volume_uuid=uuid)
    tag.remove_all(tx, uuid)
    rows.delete(tx, "VolumeVO", uuid)
    return list(files)


def throw_away(tx: Tx, garbage_uuid: str, path: str, ref: rows.Row) -> None:
    """The file, which lies where `ref` says, belongs to nobody from now on."""
    where = {key: ref[key] for key in ("primary_storage_uuid", "host_uuid")}
    rows.insert(tx, "VolumeGarbageVO", uuid=garbage_uuid, path=path, **where)


def leave_group(tx: Tx, group_uuid: str, count: int) -> None:
    """So many snapshots of the group go; it goes with its last."""
    group = rows.get(tx, "VolumeSnapshotGroupVO", group_uuid)
    if group and group["snapshot_count"] > count:
        rows.update(tx, "VolumeSnapshotGroupVO", group_uuid, snapshot_count=group["snapshot_count"] - count)
    elif group:
        tag.remove_all(tx, group_uuid)
        rows.delete(tx, "VolumeSnapshotGroupVO", group_uuid)


# -- chains ----------------------------------------------------------------------------------------------------------


def snapshot_path(snapshot: rows.Row) -> str:
    """Relative to the storage."""
    return volume_path({"type": snapshot["volume_type"], "install_path": snapshot["primary_storage_install_path"]})


def latest(tx: Tx, volume_uuid: str) -> rows.Row | None:
    """The snapshot on which the volume rests."""
    return rows.find_one(tx, "VolumeSnapshotVO", volume_uuid=volume_uuid, latest=True)


def lineage(tx: Tx, snapshot: rows.Row | None) -> list[rows.Row]:
    """The snapshot and what it rests on, lowest first."""
    found: list[rows.Row] = []
    while snapshot is not None:
        found.insert(0, snapshot)
        snapshot = rows.get(tx, "VolumeSnapshotVO", snapshot["parent_uuid"]) if snapshot["parent_uuid"] else None
    return found


def chain(tx: Tx, volume_uuid: str) -> list[str]:
    """The files under the volume's own, lowest first, relative to the storage."""
    return [snapshot_path(snapshot) for snapshot in lineage(tx, latest(tx, volume_uuid))]
