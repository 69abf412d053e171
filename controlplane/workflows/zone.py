"""What the zone APIs do."""

from controlplane.contract.zone import ChangeZoneState, CreateZone, DeleteZone, UpdateZone, ZoneInventory
from controlplane.workflows.plain import Plain

zone = Plain(
    "ZoneVO",
    ZoneInventory,
    needed_by=(("ClusterVO", "zone_uuid"), ("PrimaryStorageVO", "zone_uuid"), ("L2NetworkVO", "zone_uuid")),
    attached_by=(("BackupStorageZoneRefVO", "zone_uuid"),),
)
zone.creates(CreateZone)
zone.updates(UpdateZone)
zone.changes_state(ChangeZoneState)
zone.deletes(DeleteZone)
