"""steppe_volume_revert."""

from provider.actions.call import Call, timeout
from provider.framework import validate
from provider.framework.schema import Schema, required
from provider.framework.types import STRING


class VolumeRevert(Call):
    type_name = "steppe_volume_revert"
    collection = "volume-snapshots"
    noun = "snapshot"
    target = "snapshot_uuid"
    action = "revertVolumeFromSnapshot"
    doing = "Reverting a volume to"
    limit = "1h"
    schema = Schema(
        {"snapshot_uuid": required(STRING, "UUID of the snapshot.", validators=(validate.uuid,))} | timeout("1h"),
        "Reverts a volume to a snapshot of it: what it has held since is lost. Its VM must be stopped.",
    )
