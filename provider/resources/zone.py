"""steppe_zone: the outermost container."""

from provider.framework.schema import Schema
from provider.resources.base import Table, identity, timeouts
from provider.resources.enablement import state


class Zone(Table):
    type_name = "steppe_zone"
    collection = "zones"
    create_api = ("CreateZone", "/zones")
    update_action = "updateZone"
    delete_api = "DeleteZone"
    state_action = "changeZoneState"
    schema = Schema(
        identity("zone")
        | state("No VM is placed or started in a disabled zone; those that run there go on.")
        | timeouts(),
        "A zone: the outermost container, of clusters, storages and networks.",
    )
