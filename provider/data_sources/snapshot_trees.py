"""steppe_volume_snapshot_trees: how the snapshots of a volume rest on each other, by `GetVolumeSnapshotTree`."""

from collections.abc import Iterator

from provider.client.control_plane import Inventory
from provider.framework import validate
from provider.framework.plan import Object
from provider.framework.resource import Context
from provider.framework.schema import Nested, Schema, computed, required
from provider.framework.types import BOOL, NUMBER, STRING

_SNAPSHOT = Nested(
    "list",
    {
        "uuid": computed(STRING, "UUID of the snapshot."),
        "name": computed(STRING, "Its name."),
        "parent_uuid": computed(STRING, "UUID of the snapshot that it rests on; null for the first."),
        "depth": computed(NUMBER, "How many it rests on."),
        "latest": computed(BOOL, "Whether the volume rests on it."),
        "size": computed(NUMBER, "What its file takes, in bytes."),
    },
)
_TREE = Nested(
    "list",
    {
        "uuid": computed(STRING, "UUID of the tree."),
        "current": computed(BOOL, "Whether the volume rests on a snapshot of it."),
        "snapshots": computed(_SNAPSHOT, "Its snapshots, each after the one that it rests on."),
    },
)


class SnapshotTrees:
    type_name = "steppe_volume_snapshot_trees"
    schema = Schema(
        {
            "volume_uuid": required(STRING, "UUID of the volume.", validators=(validate.uuid,)),
            "trees": computed(_TREE, "The trees; a volume that was reverted has several."),
        },
        "The snapshots of a volume as the trees that they form.",
    )

    def read(self, context: Context, config: Object) -> Object:
        found = context.client.get(f"/volume-snapshot-trees?volumeUuid={config['volume_uuid']}")["inventories"]
        trees = [
            {"uuid": one["uuid"], "current": one["current"], "snapshots": list(_walk(one.get("tree"), 0))}
            for one in found
        ]
        return config | {"trees": trees}


def _walk(leaf: Inventory | None, depth: int) -> Iterator[Object]:
    """A snapshot, then those that rest on it."""
    if leaf is None:
        return
    told = leaf["inventory"]
    yield {
        "depth": depth,
        "parent_uuid": told.get("parentUuid"),
        **{name: told[name] for name in ("uuid", "name", "latest", "size")},
    }
    for child in leaf.get("children", []):
        yield from _walk(child, depth + 1)
