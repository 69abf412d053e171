"""steppe_volume_attachment: a data volume in a VM, which may run or not. It has the uuid of its volume, which has one at most."""

from collections.abc import Sequence

from provider.client import pending
from provider.client.control_plane import ControlPlane, Inventory
from provider.framework.diagnostics import Refused
from provider.framework.plan import Object
from provider.framework.resource import Context
from provider.framework.schema import Schema, computed
from provider.framework.types import NUMBER, STRING
from provider.resources.base import Table, reference, timeouts
from provider.resources.placement import PLACES, host_of
from provider.resources.volume import device_path


class VolumeAttachment(Table):
    type_name = "steppe_volume_attachment"
    collection = "volumes"
    delete_api = "DetachDataVolumeFromVm"
    named = ()
    names = {"vm_uuid": "vmInstanceUuid", "volume_uuid": "uuid"}
    schema = Schema(
        {
            "uuid": computed(STRING, "UUID of the volume, which has one attachment at most. Use it to import."),
            "volume_uuid": reference("the data volume"),
            "vm_uuid": reference("the VM; the volume lies on the same host, or has no file yet"),
            "device_id": computed(NUMBER, "Number of the disk in the VM, from 1."),
            "running_host_uuid": computed(STRING, "UUID of the host that holds the volume."),
            "device_path": computed(STRING, "Where a Linux guest finds the disk: `/dev/disk/by-id/…`."),
        }
        | timeouts(),
        "A data volume that is attached to a VM. A running guest gets it at once, and must let go of it when this is "
        "destroyed.",
    )

    def make(self, context: Context, planned: Object) -> str:
        client, notes = context.client, pending.here()
        volume, vm = planned["volume_uuid"], planned["vm_uuid"]
        path, limit = f"/volumes/{volume}/vm-instances/{vm}", self.limit("create", planned)
        wanted = [client.endpoint, path]
        note = notes.abandoned(wanted)
        if note is not None:
            client.settle(note.job, limit)
            if self._attached_to(client, volume) == vm:
                return str(volume)
            notes.forget(note.resource)
        elif self._attached_to(client, volume) == vm:
            detail = f"It is in this VM already: import {volume}, or state it in one place only."
            raise Refused("The volume is attached", detail, ("volume_uuid",))
        note = notes.begin(wanted)
        with notes.while_made(note):
            client.create("AttachDataVolumeToVm", path, {}, job=note.job, timeout=limit)
        return str(volume)

    def _attached_to(self, client: ControlPlane, volume_uuid: str) -> str | None:
        return (client.find(self.collection, volume_uuid) or {}).get("vmInstanceUuid")

    def update(self, context: Context, prior: Object, planned: Object) -> Object:
        """Nothing but the time-outs changes in place."""
        return self._present(context, prior["uuid"], planned)

    def read(self, context: Context, state: Object) -> Object | None:
        found = super().read(context, state)
        return found if found and found["vm_uuid"] == state["vm_uuid"] else None

    def delete(self, context: Context, state: Object) -> None:
        """From this VM; a volume that is in another meanwhile stays there."""
        uuid, vm = state["uuid"], state["vm_uuid"]
        if self._attached_to(context.client, uuid) == vm:
            path = f"/volumes/{uuid}/vm-instances?vmUuid={vm}"
            context.client.delete(self.delete_api, path, timeout=self.limit("delete", state))

    def gone(self, inventory: Inventory) -> bool:
        attached = inventory.get("vmInstanceUuid") and inventory.get("type") == "Data"
        return not attached or inventory.get("status") == "Deleted"

    def foresee(self, context: Context, inventories: Sequence[Inventory]) -> None:
        context.client.foresee(PLACES, [one["uuid"] for one in inventories])

    def merge(self, context: Context, inventory: Inventory, state: Object) -> Object:
        uuid = inventory["uuid"]
        facts = {"device_path": device_path(uuid), "running_host_uuid": host_of(context.client, uuid)}
        return super().merge(context, inventory, state) | facts
