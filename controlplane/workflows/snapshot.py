"""Snapshots of volumes: taken of running guests too, of all disks of a VM at one instant, reverted to.

Taking one freezes the volume's file, which becomes the snapshot, and puts a new file on top, which becomes the volume. After
`volumeSnapshot/incrementalSnapshot.maxNum` of them in a row the next is whole and begins a tree of its own.
"""

import posixpath
from typing import Any

from controlplane.contract.error import ApiError, invalid, refused
from controlplane.contract.snapshot import (
    CreateVolumeSnapshot,
    CreateVolumeSnapshotGroup,
    RevertVolumeFromSnapshot,
    UpdateVolumeSnapshot,
    VolumeSnapshotGroupInventory,
    VolumeSnapshotInventory,
)
from controlplane.operations.interface import Operation
from controlplane.rules.vm_state import must_allow
from controlplane.store import allocation, rows
from controlplane.store.database import Tx
from controlplane.store.relations import fill
from controlplane.workflows import volume_rows
from controlplane.workflows.inventories import must_get
from controlplane.workflows.vm import on_host
from controlplane.workflows.vm_end import collect
from controlplane.workflows.vm_spec import data_path, delete_volume, root_path, volume_path
from controlplane.workflows.volume_rows import READY, claim, let_go, name_of
from controlplane.workflows.volume_spec import put_volume, put_volumes, volume_spec
from controlplane.workflows.world import World, workflow

LONG = 4 * 3600.0  # seconds to copy or merge a large disk
_HOST = 300.0
_SNAPSHOTTING, _REVERTING = "Snapshotting", "Reverting"
_MOST = 16  # snapshots in a row
Json = dict[str, Any]


def show(tx: Tx, uuid: str) -> Json:
    return {"inventory": VolumeSnapshotInventory.model_validate(must_get(tx, "VolumeSnapshotVO", uuid)).wire()}


@workflow(CreateVolumeSnapshot, queue_in=lambda tx, message: volume_rows.queue(tx, message.volume_uuid))
async def create(op: Operation[World], message: CreateVolumeSnapshot) -> Json:
    uuid = message.resource_uuid or op.derive("VolumeSnapshotVO")
    named = {"name": message.name, "description": message.description}

    def plan(tx: Tx) -> list[Json]:
        return [{"volume_uuid": message.volume_uuid, "uuid": uuid, **named}]

    def finish(tx: Tx) -> Json:
        return show(tx, uuid)

    return await _take(op, plan, finish)


@workflow(CreateVolumeSnapshotGroup, queue_in=lambda tx, message: volume_rows.queue(tx, message.root_volume_uuid))
async def create_group(op: Operation[World], message: CreateVolumeSnapshotGroup) -> Json:
    group = message.resource_uuid or op.derive("VolumeSnapshotGroupVO")
    named = {"name": message.name, "description": message.description}

    def plan(tx: Tx) -> list[Json]:
        vm_uuid = check_group(tx, message.root_volume_uuid)["vm_instance_uuid"]
        disks = rows.find(tx, "VolumeVO", vm_instance_uuid=vm_uuid, order_by=("device_id",))
        return [
            {
                "volume_uuid": disk["uuid"],
                "uuid": op.derive(f"snapshot of {disk['uuid']}"),
                "group_uuid": group,
                **named,
            }
            for disk in disks
        ]

    def finish(tx: Tx) -> Json:
        vm_uuid = volume_rows.must_get(tx, message.root_volume_uuid)["vm_instance_uuid"]
        count = rows.count(tx, "VolumeSnapshotVO", group_uuid=group)
        made = rows.insert(
            tx, "VolumeSnapshotGroupVO", uuid=group, vm_instance_uuid=vm_uuid, snapshot_count=count, **named
        )
        (shown,) = fill(tx, "VolumeSnapshotGroupVO", [made])
        return {"inventory": VolumeSnapshotGroupInventory.model_validate(shown).wire()}

    return await _take(op, plan, finish)


def check_group(tx: Tx, root_volume_uuid: str) -> rows.Row:
    volume = volume_rows.must_get(tx, root_volume_uuid)
    if volume["type"] != "Root" or not volume["vm_instance_uuid"]:
        raise invalid(f"{name_of(volume)} is not the root volume of a VM", "rootVolumeUuid")
    return volume


def check_take(tx: Tx, volume_uuid: str, settled: bool = True) -> rows.Row:
    """The volume, if a snapshot of it may be taken. `settled`: the operation's turn has come."""
    volume = volume_rows.must_get(tx, volume_uuid)
    volume_rows.must_be(volume, READY, settled=settled)
    if settled and volume["vm_instance_uuid"]:
        vm = must_get(tx, "VmInstanceVO", volume["vm_instance_uuid"])
        must_allow("CreateVolumeSnapshot", vm["uuid"], vm["state"])
    return volume


async def _take(op: Operation[World], plan: Any, finish: Any) -> Json:
    """All that `plan(tx)` says, at one instant: volume, uuid, name, description and group of each."""

    def look(tx: Tx) -> list[Json]:
        wished = plan(tx)
        for one in wished:
            volume, ref = check_take(tx, one["volume_uuid"]), _ref(tx, one["volume_uuid"])
            one |= {"host_uuid": ref["host_uuid"], "storage_uuid": ref["primary_storage_uuid"]}
            one |= {"path": volume_path(volume)}
        return list(wished)

    async def measure() -> list[int]:
        client = op.world.hosts.get(wished[0]["host_uuid"])
        found = [await client.get_volume(one["volume_uuid"], one["storage_uuid"], one["path"]) for one in wished]
        return [status.actual_size for status in found]

    def begin(tx: Tx) -> list[Json]:
        return [_begin(tx, one, size) for one, size in zip(wished, sizes, strict=True)]

    def abandon(tx: Tx, begun: list[Json]) -> None:
        for one in begun:
            allocation.take_disk(tx, one["storage_uuid"], one["host_uuid"], -one["taken"])
            let_go(tx, one["volume_uuid"], _SNAPSHOTTING)

    async def flatten() -> None:
        for one in whole:
            await put_volume(op.world, host, one["volume_uuid"], one["before"] | {"below": []})

    async def flat_no_more() -> None:
        for one in whole:
            await put_volume(op.world, host, one["volume_uuid"], one["before"])

    async def freeze() -> list[Json]:
        if len(begun) > 1:
            return await put_volumes(op.world, host, {one["volume_uuid"]: one["after"] for one in begun})
        return [await put_volume(op.world, host, one["volume_uuid"], one["after"]) for one in begun]

    async def thaw() -> None:
        for one in begun:
            folded = {"fold": one["after"]["path"], "below": None, "size": 0}
            await put_volume(op.world, host, one["volume_uuid"], one["before"] | folded)

    def record(tx: Tx) -> Json:
        for one, status in zip(begun, frozen, strict=True):
            _record(tx, one, status["chain"][-2]["actual_size"])
            rows.update(tx, "VolumeVO", one["volume_uuid"], actual_size=status["actual_size"])
        shown: Json = finish(tx)
        return shown

    wished = await op.tx_step("look", look, lambda _tx, _: None)
    host = wished[0]["host_uuid"]
    sizes = await op.step("measure", on_host(op, host, measure), timeout=_HOST)
    begun = await op.tx_step("begin", begin, abandon)
    whole = [one for one in begun if one["is_whole"]]
    if whole:
        await op.step("flatten", on_host(op, host, flatten), flat_no_more, timeout=LONG)
    frozen = await op.step("freeze", on_host(op, host, freeze), thaw, timeout=_HOST)
    return await op.commit("record", record)


def _begin(tx: Tx, one: Json, size: int) -> Json:
    """Room for the snapshot is taken and the volume claimed. Adds what the host is told: `before` and `after`."""
    uuid = one["volume_uuid"]
    volume, below = check_take(tx, uuid), volume_rows.chain(tx, uuid)
    generation = claim(tx, volume, _SNAPSHOTTING)
    if not allocation.take_disk(tx, one["storage_uuid"], one["host_uuid"], size):
        raise ApiError("PS.1000", f"host {one['host_uuid']} has no {size} bytes for a snapshot of {name_of(volume)}")
    is_whole = len(below) >= _most(tx)
    before = volume_spec(tx, uuid) | {"generation": generation}
    under = [*([] if is_whole else below), before["path"]]
    after = before | {"path": f"{folder(volume)}/snapshots/{one['uuid']}.qcow2", "below": under}
    return one | {"taken": size, "is_whole": is_whole, "before": before, "after": after}


def _record(tx: Tx, one: Json, size: int) -> None:
    volume, parent = volume_rows.must_get(tx, one["volume_uuid"]), volume_rows.latest(tx, one["volume_uuid"])
    allocation.record_disk(tx, one["storage_uuid"], one["host_uuid"], size - one["taken"])
    if parent is None or one["is_whole"]:
        parent, tree = None, one["uuid"]  # the tree is named after its first snapshot
        rows.update_where(tx, "VolumeSnapshotTreeVO", {"volume_uuid": volume["uuid"]}, current=False)
        rows.insert(tx, "VolumeSnapshotTreeVO", uuid=tree, volume_uuid=volume["uuid"], current=True)
    else:
        tree = parent["tree_uuid"]
    rows.update_where(tx, "VolumeSnapshotVO", {"volume_uuid": volume["uuid"], "latest": True}, latest=False)
    rows.insert(
        tx,
        "VolumeSnapshotVO",
        uuid=one["uuid"],
        name=one["name"],
        description=one["description"],
        type="Hypervisor",
        volume_uuid=volume["uuid"],
        tree_uuid=tree,
        parent_uuid=parent["uuid"] if parent else None,
        group_uuid=one.get("group_uuid"),
        primary_storage_uuid=one["storage_uuid"],
        primary_storage_install_path=volume["install_path"],
        volume_type=volume["type"],
        format=volume["format"],
        latest=True,
        size=size,
        state="Enabled",
        status="Ready",
    )
    where = {"primary_storage_uuid": one["storage_uuid"], "host_uuid": one["host_uuid"]}
    rows.insert(
        tx, "LocalStorageResourceRefVO", resource_uuid=one["uuid"], resource_type="VolumeSnapshotVO", size=size, **where
    )
    set_file(tx, volume, one["after"]["path"])


def set_file(tx: Tx, volume: rows.Row, path: str) -> None:
    """The volume is Ready and its file this one, relative to the storage."""
    storage = must_get(tx, "PrimaryStorageVO", volume["primary_storage_uuid"])
    rows.update(tx, "VolumeVO", volume["uuid"], install_path=f"{storage['url'].rstrip('/')}/{path}", status=READY)


def folder(volume: rows.Row) -> str:
    """Of the volume's files, relative to the storage."""
    path_of = root_path if volume["type"] == "Root" else data_path
    return posixpath.dirname(path_of(volume["uuid"]))


def _ref(tx: Tx, uuid: str) -> rows.Row:
    ref = rows.get(tx, "LocalStorageResourceRefVO", uuid)
    if ref is None:
        raise refused(f"no host holds volume {uuid}")
    return ref


def _most(tx: Tx) -> int:
    row = rows.find_one(tx, "GlobalConfigVO", category="volumeSnapshot", name="incrementalSnapshot.maxNum")
    return int(row["value"]) if row and row["value"] else _MOST


@workflow(UpdateVolumeSnapshot, queue=lambda message: f"snapshot:{message.uuid}")
async def update(op: Operation[World], message: UpdateVolumeSnapshot) -> Json:
    def change(tx: Tx) -> Json:
        rows.update(tx, "VolumeSnapshotVO", message.uuid, **message.model_dump(exclude={"uuid"}, exclude_none=True))
        return show(tx, message.uuid)

    return await op.commit("update", change)


# -- reverting -------------------------------------------------------------------------------------------------------


def queue_of(tx: Tx, snapshot_uuid: str) -> str:
    snapshot = rows.get(tx, "VolumeSnapshotVO", snapshot_uuid)
    return volume_rows.queue(tx, snapshot["volume_uuid"]) if snapshot else f"snapshot:{snapshot_uuid}"


@workflow(RevertVolumeFromSnapshot, queue_in=lambda tx, message: queue_of(tx, message.uuid))
async def revert(op: Operation[World], message: RevertVolumeFromSnapshot) -> Json:
    garbage = op.derive("what was written since")

    def begin(tx: Tx) -> Json:
        snapshot, volume = check_revert(tx, message.uuid)
        ref, generation = _ref(tx, volume["uuid"]), claim(tx, volume, _REVERTING)
        below = [volume_rows.snapshot_path(row) for row in volume_rows.lineage(tx, snapshot)]
        path = f"{folder(volume)}/{op.derive('file')}.qcow2"
        told = volume_spec(tx, volume["uuid"]) | {"generation": generation, "path": path, "below": below}
        return {"uuid": volume["uuid"], "host_uuid": ref["host_uuid"], "spec": told}

    async def make() -> None:
        await put_volume(op.world, host, begun["uuid"], begun["spec"])

    async def remove() -> None:
        await delete_volume(op.world, host, begun["spec"] | {"uuid": begun["uuid"]})

    def record(tx: Tx) -> Json:
        snapshot, volume = must_get(tx, "VolumeSnapshotVO", message.uuid), volume_rows.must_get(tx, begun["uuid"])
        volume_rows.throw_away(tx, garbage, volume_path(volume), _ref(tx, volume["uuid"]))
        rest_on(tx, snapshot)
        set_file(tx, volume, begun["spec"]["path"])
        return {}

    begun = await op.tx_step("begin", begin, lambda tx, begun: let_go(tx, begun["uuid"], _REVERTING))
    host = begun["host_uuid"]
    await op.step("make", on_host(op, host, make), remove, timeout=_HOST)
    await op.commit("record", record)
    await op.afterwards("files", lambda: collect(op.world, [garbage]))
    return {}


def check_revert(tx: Tx, uuid: str, settled: bool = True) -> tuple[rows.Row, rows.Row]:
    """(snapshot, volume)"""
    snapshot = must_get(tx, "VolumeSnapshotVO", uuid)
    volume = volume_rows.must_get(tx, snapshot["volume_uuid"])
    if snapshot["state"] != "Enabled" or snapshot["status"] != "Ready":
        raise refused(f"snapshot {snapshot['name']} ({uuid}) is {snapshot['state']} and {snapshot['status']}")
    volume_rows.must_be(volume, READY, settled=settled)
    if settled and volume["vm_instance_uuid"]:
        vm = must_get(tx, "VmInstanceVO", volume["vm_instance_uuid"])
        must_allow("RevertVolumeFromSnapshot", vm["uuid"], vm["state"])
    return snapshot, volume


def rest_on(tx: Tx, snapshot: rows.Row) -> None:
    """The volume rests on this snapshot now."""
    of_volume = {"volume_uuid": snapshot["volume_uuid"]}
    rows.update_where(tx, "VolumeSnapshotVO", {**of_volume, "latest": True}, latest=False)
    rows.update(tx, "VolumeSnapshotVO", snapshot["uuid"], latest=True)
    rows.update_where(tx, "VolumeSnapshotTreeVO", {**of_volume, "current": True}, current=False)
    rows.update(tx, "VolumeSnapshotTreeVO", snapshot["tree_uuid"], current=True)
