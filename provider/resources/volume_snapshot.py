"""steppe_volume_snapshot: what a volume held at one moment. Destroying it merges it into what was taken after it."""

from provider.client.control_plane import Inventory
from provider.framework.plan import Object
from provider.framework.resource import Context
from provider.framework.schema import Schema, computed
from provider.framework.types import BOOL, NUMBER, STRING
from provider.resources.base import Table, identity, reference, timeouts


class VolumeSnapshot(Table):
    type_name = "steppe_volume_snapshot"
    collection = "volume-snapshots"
    update_action = "updateVolumeSnapshot"
    delete_api = "DeleteVolumeSnapshot"
    limits = {"create": "1h", "delete": "4h"}
    schema = Schema(
        identity("snapshot")
        | {
            "volume_uuid": reference("the volume, a root volume (`steppe_vm.….root_volume_uuid`) or a data volume"),
            "parent_uuid": computed(STRING, "UUID of the snapshot before it in the tree."),
            "tree_uuid": computed(STRING, "UUID of its tree: of the snapshots that rest on each other."),
            "latest": computed(BOOL, "Whether the volume rests on it."),
            "size": computed(NUMBER, "What its file takes, in bytes."),
            "state": computed(STRING, "`Enabled` or `Disabled`."),
            "status": computed(STRING, "`Ready` when it can be used."),
        }
        | timeouts(create="1h", delete="4h"),
        "A snapshot of a volume, taken while its VM runs or not; it travels with its volume. Destroying it leaves the "
        "volume and all later snapshots as they are.",
    )

    def create_endpoint(self, planned: Object) -> tuple[str, str]:
        return "CreateVolumeSnapshot", f"/volumes/{planned['volume_uuid']}/volume-snapshots"

    def read(self, context: Context, state: Object) -> Object | None:
        """With its volume it is gone, even if both could be recovered."""
        found = super().read(context, state)
        volume: Inventory = (found and context.client.find("volumes", found["volume_uuid"])) or {}
        return found if volume.get("status", "Deleted") != "Deleted" else None

    def delete(self, context: Context, state: Object) -> None:
        if self.read(context, state) is not None:
            super().delete(context, state)
