"""steppe_local_storage: a directory on every host, for volumes."""

from provider.framework import validate
from provider.framework.schema import Schema, computed, required
from provider.framework.types import NUMBER, STRING
from provider.resources.base import Links, Table, identity, reference, references, timeouts
from provider.resources.enablement import state


class LocalStorage(Table):
    type_name = "steppe_local_storage"
    collection = "primary-storage"
    create_api = ("AddLocalPrimaryStorage", "/primary-storage/local-storage")
    update_action = "updatePrimaryStorage"
    delete_api = "DeletePrimaryStorage"
    state_action = "changePrimaryStorageState"
    creates_with = ("url", "zone_uuid")
    links = (
        Links(
            "cluster_uuids",
            "attachedClusterUuids",
            "clusters/{target}/primary-storage/{uuid}",
            "AttachPrimaryStorageToCluster",
            "DetachPrimaryStorageFromCluster",
        ),
    )
    schema = Schema(
        identity("storage")
        | {
            "url": required(
                STRING,
                "Absolute path of a directory, the same on every host, e.g. `/var/lib/steppe/storage`.",
                replace=True,
                validators=(validate.matches(r"/.*", "an absolute path"), validate.length(1, 2048)),
            ),
            "zone_uuid": reference("the zone that the storage lies in"),
            "cluster_uuids": references("", "UUIDs of the clusters whose hosts use the storage."),
            "total_capacity": computed(NUMBER, "Size on all connected hosts together, in bytes.", keep=False),
        }
        | state("No volume is made on a disabled one or moved to it.")
        | timeouts(),
        "A local primary storage: one directory on each host, which holds the volumes of the VMs there.",
    )
