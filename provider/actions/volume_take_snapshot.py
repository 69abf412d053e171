"""steppe_volume_take_snapshot: a snapshot that no state keeps, e.g. before every change of the VM."""

from provider.actions.call import Call, timeout
from provider.client.control_plane import ControlPlane, Inventory
from provider.framework import validate
from provider.framework.plan import Object
from provider.framework.schema import Schema, optional, required
from provider.framework.types import STRING


class VolumeTakeSnapshot(Call):
    type_name = "steppe_volume_take_snapshot"
    collection = "volumes"
    noun = "volume"
    target = "volume_uuid"
    doing = "Taking a snapshot of"
    limit = "1h"
    schema = Schema(
        {
            "volume_uuid": required(
                STRING,
                "UUID of the volume: a data volume, or the `root_volume_uuid` of a VM.",
                validators=(validate.uuid,),
            ),
            "name": required(
                STRING, "Name of the snapshot, 1 to 255 characters.", validators=(validate.length(1, 255),)
            ),
            "description": optional(
                STRING, "Any text, at most 2048 characters.", validators=(validate.length(0, 2048),)
            ),
        }
        | timeout("1h"),
        "Takes a snapshot of a volume, whether its VM runs or not. It stays until somebody deletes it: Terraform knows "
        "nothing of it. `steppe_volume_snapshot` is one that Terraform keeps.",
    )

    def run(self, client: ControlPlane, config: Object, found: Inventory, limit: float) -> None:
        parameters = {"name": config["name"], "description": config["description"]}
        path = f"/volumes/{found['uuid']}/volume-snapshots"
        client.create("CreateVolumeSnapshot", path, parameters, user_tags=client.default_tags, timeout=limit)
