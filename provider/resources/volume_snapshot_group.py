"""steppe_volume_snapshot_group: what all disks of a VM held at one instant. Destroying it deletes its snapshots, each of
which is merged into what was taken after it.
"""

from dataclasses import replace

from provider.client.control_plane import Inventory
from provider.framework.plan import Object
from provider.framework.resource import Context
from provider.framework.schema import Nested, Schema, computed
from provider.framework.types import NUMBER, STRING
from provider.resources.base import Table, identity, reference, timeouts

_SNAPSHOT = Nested(
    "list",
    {
        "uuid": computed(STRING, "UUID of the snapshot: `snapshot_uuid` of what is made from it."),
        "volume_uuid": computed(STRING, "UUID of its volume."),
        "volume_type": computed(STRING, "`Root` or `Data`."),
        "size": computed(NUMBER, "What its file takes, in bytes."),
    },
)


class VolumeSnapshotGroup(Table):
    type_name = "steppe_volume_snapshot_group"
    collection = "volume-snapshots/group"
    create_api = ("CreateVolumeSnapshotGroup", "/volume-snapshots/group")
    delete_api = "DeleteVolumeSnapshot"
    creates_with = ("root_volume_uuid",)
    names = {"vm_uuid": "vmInstanceUuid"}
    limits = {"create": "1h", "delete": "4h"}
    schema = Schema(
        {
            name: one if one.computed else replace(one, replace=True)  # the instant is past
            for name, one in identity("group").items()
        }
        | {
            "root_volume_uuid": reference("the VM's root volume (`steppe_vm.….root_volume_uuid`)"),
            "vm_uuid": computed(STRING, "UUID of the VM."),
            "snapshot_count": computed(
                NUMBER, "How many snapshots it has: fewer when others deleted some.", keep=False
            ),
            "snapshots": computed(_SNAPSHOT, "Its snapshots, that of the root volume first.", keep=False),
        }
        | timeouts(create="1h", delete="4h"),
        "Snapshots of all disks of a VM, taken at one instant, while it runs or not. Nothing of it changes in place but its "
        "time-outs: whatever else changes takes new snapshots and deletes these. Destroying it leaves the volumes as they are.",
    )

    def update(self, context: Context, prior: Object, planned: Object) -> Object:
        return self._present(context, prior["uuid"], planned)

    def read(self, context: Context, state: Object) -> Object | None:
        """With its root volume it is gone, even if both could be recovered."""
        found = super().read(context, state)
        root: Inventory = (found and context.client.find("volumes", found["root_volume_uuid"])) or {}
        return found if root.get("status", "Deleted") != "Deleted" else None

    def merge(self, context: Context, inventory: Inventory, state: Object) -> Object:
        taken = sorted(inventory["volumeSnapshots"], key=lambda one: (one["volumeType"] != "Root", one["volumeUuid"]))
        told = [{name: one[field] for name, field in _FIELDS.items()} for one in taken]
        root = next((one["volumeUuid"] for one in taken if one["volumeType"] == "Root"), state.get("root_volume_uuid"))
        merged = super().merge(context, inventory, state)
        return merged | {"snapshots": told, "root_volume_uuid": root}

    def delete(self, context: Context, state: Object) -> None:
        inventory = context.client.find(self.collection, state["uuid"])
        if inventory is None or self.read(context, state) is None:
            return
        for one in inventory["volumeSnapshots"]:
            path = f"/volume-snapshots/{one['uuid']}"
            context.client.delete(self.delete_api, path, timeout=self.limit("delete", state))


_FIELDS = {"uuid": "uuid", "volume_uuid": "volumeUuid", "volume_type": "volumeType", "size": "size"}
