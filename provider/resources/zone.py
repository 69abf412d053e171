"""steppe_zone: the outermost container."""

from provider.framework.schema import Schema
from provider.resources.base import Table, identity, timeouts


class Zone(Table):
    type_name = "steppe_zone"
    collection = "zones"
    create_api = ("CreateZone", "/zones")
    update_action = "updateZone"
    delete_api = "DeleteZone"
    schema = Schema(
        identity("zone") | timeouts(),
        "A zone: the outermost container, of clusters, storages and networks.",
    )
