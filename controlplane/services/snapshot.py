"""What is refused of a snapshot before anything is stored, and the trees of snapshots."""

from typing import Any

from controlplane.contract.error import invalid
from controlplane.contract.snapshot import (
    CreateDataVolumeFromVolumeSnapshot,
    CreateVolumeSnapshot,
    CreateVolumeSnapshotGroup,
    DeleteVolumeSnapshot,
    GetVolumeSnapshotTree,
    QueryVolumeSnapshotTree,
    RevertVolumeFromSnapshot,
    SnapshotLeaf,
    VolumeSnapshotInventory,
    VolumeSnapshotTreeInventory,
)
from controlplane.services.registry import Caller, answers, checks
from controlplane.store import query, rows
from controlplane.store.database import Tx
from controlplane.workflows.snapshot import check_group, check_revert, check_take
from controlplane.workflows.snapshot_end import check_delete
from controlplane.workflows.volume_copy import check_copy
from controlplane.workflows.world import World


@checks(CreateVolumeSnapshot)
def can_be_taken(tx: Tx, message: CreateVolumeSnapshot) -> None:
    check_take(tx, message.volume_uuid, settled=False)


@checks(CreateVolumeSnapshotGroup)
def can_be_taken_together(tx: Tx, message: CreateVolumeSnapshotGroup) -> None:
    check_group(tx, message.root_volume_uuid)


@checks(RevertVolumeFromSnapshot)
def can_be_reverted(tx: Tx, message: RevertVolumeFromSnapshot) -> None:
    check_revert(tx, message.uuid, settled=False)


@checks(DeleteVolumeSnapshot)
def can_be_deleted(tx: Tx, message: DeleteVolumeSnapshot) -> None:
    check_delete(tx, message.uuid, settled=False)


@checks(CreateDataVolumeFromVolumeSnapshot)
def can_be_copied(tx: Tx, message: CreateDataVolumeFromVolumeSnapshot) -> None:
    check_copy(tx, message, settled=False)


# -- answers ---------------------------------------------------------------------------------------------------------


@answers(QueryVolumeSnapshotTree)
async def query_trees(world: World, caller: Caller, message: QueryVolumeSnapshotTree) -> dict[str, Any]:
    def read(tx: Tx) -> dict[str, Any]:
        answer = query.run(tx, message, caller.viewer)
        if not message.fields:
            for tree in answer.get("inventories", ()):
                tree["tree"] = leaf(tx, tree["uuid"]).wire()
        return answer

    return await world.db.read(read)


@answers(GetVolumeSnapshotTree)
async def get_trees(world: World, _caller: Caller, message: GetVolumeSnapshotTree) -> dict[str, Any]:
    wanted = {"volume_uuid": message.volume_uuid, "uuid": message.tree_uuid}
    where = {name: value for name, value in wanted.items() if value}
    if not where:
        raise invalid("one of volumeUuid and treeUuid is needed", "volumeUuid")

    def read(tx: Tx) -> list[dict[str, Any]]:
        found = rows.find(tx, "VolumeSnapshotTreeVO", order_by=("create_date",), **where)
        return [
            VolumeSnapshotTreeInventory.model_validate(row | {"tree": leaf(tx, row["uuid"])}).wire() for row in found
        ]

    return {"inventories": await world.db.read(read)}


def leaf(tx: Tx, tree_uuid: str) -> SnapshotLeaf:
    """The first snapshot of the tree, with all that were taken after it."""
    found = rows.find(tx, "VolumeSnapshotVO", tree_uuid=tree_uuid, order_by=("create_date",))
    leaves = {
        row["uuid"]: SnapshotLeaf(inventory=VolumeSnapshotInventory.model_validate(row), parent_uuid=row["parent_uuid"])
        for row in found
    }
    first = None
    for one in leaves.values():
        if one.parent_uuid is None:
            first = one
        else:
            leaves[one.parent_uuid].children.append(one)
    assert first is not None  # a tree goes with its last snapshot
    return first
