"""Deleting one snapshot: what rests on it takes over what it needs, so nothing else changes.

Files that rested on the snapshot come to rest on what it rested on itself; only then is it forgotten, and its file garbage.
While a guest runs, the file directly under its own can be merged into that, and so can branches that the guest does not use.
"""

from collections.abc import Callable
from typing import Any

from controlplane.contract.error import refused
from controlplane.contract.snapshot import DeleteVolumeSnapshot
from controlplane.operations.interface import Operation
from controlplane.rules.vm_state import RUNNING, must_allow
from controlplane.store import allocation, rows
from controlplane.store.database import Tx
from controlplane.workflows import tag, volume_rows
from controlplane.workflows.inventories import must_get
from controlplane.workflows.snapshot import LONG, queue_of
from controlplane.workflows.vm import on_host
from controlplane.workflows.vm_end import collect
from controlplane.workflows.vm_placement import release_disk
from controlplane.workflows.volume_rows import READY, claim, let_go, snapshot_path
from controlplane.workflows.volume_spec import put_volume, volume_spec
from controlplane.workflows.world import World, workflow

_MERGING = "Merging"
Json = dict[str, Any]


@workflow(DeleteVolumeSnapshot, queue_in=lambda tx, message: queue_of(tx, message.uuid))
async def delete(op: Operation[World], message: DeleteVolumeSnapshot) -> Json:
    uuid = message.uuid

    def begin(tx: Tx) -> Json | None:
        checked = check_delete(tx, uuid)
        if checked is None:
            return None
        snapshot, volume = checked
        generation = claim(tx, volume, _MERGING)
        rows.update(tx, "VolumeSnapshotVO", uuid, status="Deleting")
        ref = must_get(tx, "LocalStorageResourceRefVO", uuid)
        return {
            "volume_uuid": volume["uuid"],
            "host_uuid": ref["host_uuid"],
            "heirs": _heirs(tx, snapshot, volume_spec(tx, volume["uuid"]) | {"generation": generation, "size": 0}),
        }

    def abandon(tx: Tx, begun: Json | None) -> None:
        if begun:
            rows.update_where(tx, "VolumeSnapshotVO", {"uuid": uuid, "status": "Deleting"}, status=READY)
            let_go(tx, begun["volume_uuid"], _MERGING)

    begun = await op.tx_step("begin", begin, abandon)
    if begun is None:
        return {}

    async def merge() -> list[int]:
        found = []
        for heir in begun["heirs"]:
            status = await put_volume(op.world, host, heir["uuid"], heir["after"])
            found.append(status["actual_size"])
        return found

    async def part() -> None:
        for heir in begun["heirs"]:
            await put_volume(op.world, host, heir["uuid"], heir["before"])

    def record(tx: Tx) -> list[str]:
        for heir, size in zip(begun["heirs"], sizes, strict=True):
            if heir["uuid"] != begun["volume_uuid"]:  # the volume itself has its whole size taken
                _resize(tx, heir["uuid"], size)
        forget(tx, must_get(tx, "VolumeSnapshotVO", uuid), op.derive)
        let_go(tx, begun["volume_uuid"], _MERGING)
        return [uuid]

    host = begun["host_uuid"]
    sizes: list[int] = []
    if begun["heirs"]:
        sizes = await op.step("merge", on_host(op, host, merge), part, timeout=LONG)
    garbage = await op.commit("record", record)
    await op.afterwards("files", lambda: collect(op.world, garbage))
    return {}


def _heirs(tx: Tx, snapshot: rows.Row, spec: Json) -> list[Json]:
    """Files that rest on the snapshot: what they are told to rest on, before and after. `spec` is the volume's."""
    lower = [snapshot_path(row) for row in volume_rows.lineage(tx, snapshot)]
    before, after = {"below": lower}, {"below": lower[:-1]}
    children = rows.find(tx, "VolumeSnapshotVO", parent_uuid=snapshot["uuid"], order_by=("create_date",))
    heirs = []
    for child in children:
        own = spec | {"path": snapshot_path(child), "vm_uuid": None}
        heirs.append({"uuid": child["uuid"], "before": own | before, "after": own | after})
    if snapshot["latest"]:
        heirs.append({"uuid": snapshot["volume_uuid"], "before": spec | before, "after": spec | after})
    return heirs


def _resize(tx: Tx, uuid: str, size: int) -> None:
    ref = must_get(tx, "LocalStorageResourceRefVO", uuid)
    allocation.record_disk(tx, ref["primary_storage_uuid"], ref["host_uuid"], size - ref["size"])
    rows.update(tx, "LocalStorageResourceRefVO", uuid, size=size)
    rows.update(tx, "VolumeSnapshotVO", uuid, size=size)


def forget(tx: Tx, snapshot: rows.Row, derive: Callable[[str], str]) -> None:
    """Its children are its parent's now; a tree whose first snapshot goes lives on in each of the first's children."""
    uuid, parent = snapshot["uuid"], snapshot["parent_uuid"]
    children = rows.find(tx, "VolumeSnapshotVO", parent_uuid=uuid, order_by=("create_date",))
    for child in children:
        rows.update(tx, "VolumeSnapshotVO", child["uuid"], parent_uuid=parent)
    if snapshot["latest"] and parent:
        rows.update(tx, "VolumeSnapshotVO", parent, latest=True)
    volume_rows.throw_away(tx, uuid, snapshot_path(snapshot), must_get(tx, "LocalStorageResourceRefVO", uuid))
    release_disk(tx, uuid)
    tag.remove_all(tx, uuid)
    rows.delete(tx, "VolumeSnapshotVO", uuid)
    if snapshot["group_uuid"]:
        volume_rows.leave_group(tx, snapshot["group_uuid"], 1)
    if parent is None:
        for child in children[1:]:
            tree = derive(f"tree of {child['uuid']}")
            rows.insert(tx, "VolumeSnapshotTreeVO", uuid=tree, volume_uuid=snapshot["volume_uuid"], current=False)
            _move(tx, child["uuid"], tree)
        if not children:
            rows.delete(tx, "VolumeSnapshotTreeVO", snapshot["tree_uuid"])
    latest = volume_rows.latest(tx, snapshot["volume_uuid"])
    rows.update_where(tx, "VolumeSnapshotTreeVO", {"volume_uuid": snapshot["volume_uuid"]}, current=False)
    if latest:
        rows.update(tx, "VolumeSnapshotTreeVO", latest["tree_uuid"], current=True)


def _move(tx: Tx, uuid: str, tree: str) -> None:
    """A snapshot and all that were taken after it belong to that tree."""
    moving = [uuid]
    while moving:
        one = moving.pop()
        rows.update(tx, "VolumeSnapshotVO", one, tree_uuid=tree)
        moving += [child["uuid"] for child in rows.find(tx, "VolumeSnapshotVO", parent_uuid=one)]


def check_delete(tx: Tx, uuid: str, settled: bool = True) -> tuple[rows.Row, rows.Row] | None:
    """(snapshot, volume); None when it is absent already."""
    snapshot = rows.get(tx, "VolumeSnapshotVO", uuid)
    if snapshot is None:
        return None
    volume = volume_rows.must_get(tx, snapshot["volume_uuid"])
    volume_rows.must_be(volume, READY, settled=settled)
    vm = rows.get(tx, "VmInstanceVO", volume["vm_instance_uuid"]) if volume["vm_instance_uuid"] else None
    if vm is None or not settled:
        return snapshot, volume
    must_allow("DeleteVolumeSnapshot", vm["uuid"], vm["state"])
    in_use = {row["uuid"] for row in volume_rows.lineage(tx, volume_rows.latest(tx, volume["uuid"]))}
    if vm["state"] == RUNNING and uuid in in_use and not snapshot["latest"]:
        raise refused(
            f"snapshot {snapshot['name']} ({uuid}) lies between others that the running VM {vm['name']} rests on; "
            "stop the VM, or delete the newer snapshots first"
        )
    return snapshot, volume
