"""steppe_disk_offering: a size for volumes."""

from provider.framework import validate
from provider.framework.schema import Schema, required
from provider.framework.types import NUMBER
from provider.resources.base import Table, identity, timeouts
from provider.resources.enablement import state


class DiskOffering(Table):
    type_name = "steppe_disk_offering"
    collection = "disk-offerings"
    create_api = ("CreateDiskOffering", "/disk-offerings")
    update_action = "updateDiskOffering"
    delete_api = "DeleteDiskOffering"
    state_action = "changeDiskOfferingState"
    creates_with = ("disk_size",)
    schema = Schema(
        identity("offering")
        | {
            "disk_size": required(
                NUMBER, "Size of the volumes, in bytes.", replace=True, validators=(validate.between(1, 2**63 - 1),)
            ),
        }
        | state("A disabled one makes no new volumes.")
        | timeouts(),
        "A disk offering: the size of a volume.",
    )
