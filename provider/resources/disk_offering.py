"""steppe_disk_offering: a size for volumes."""

from provider.framework import validate
from provider.framework.schema import Schema, computed, required
from provider.framework.types import NUMBER, STRING
from provider.resources.base import Table, identity, timeouts


class DiskOffering(Table):
    type_name = "steppe_disk_offering"
    collection = "disk-offerings"
    create_api = ("CreateDiskOffering", "/disk-offerings")
    update_action = "updateDiskOffering"
    delete_api = "DeleteDiskOffering"
    creates_with = ("disk_size",)
    schema = Schema(
        identity("offering")
        | {
            "disk_size": required(
                NUMBER, "Size of the volumes, in bytes.", replace=True, validators=(validate.between(1, 2**63 - 1),)
            ),
            "state": computed(STRING, "`Enabled` or `Disabled`."),
        }
        | timeouts(),
        "A disk offering: the size of a volume.",
    )
