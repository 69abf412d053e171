"""The lists of an inventory (`vmNics`, `attachedClusterUuids`): which table they come from, and how they are filled.

Queries read them to compare with a list's elements, answers to show them; one statement for each list, however many rows.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from controlplane.contract.relations import BS_ZONE, L2_CLUSTER, PS_CLUSTER
from controlplane.store import rows
from controlplane.store.database import Tx
from controlplane.store.rows import Row


@dataclass(frozen=True)
class Shown:
    """A list of an inventory: the rows of `table` whose `theirs` is the resource's uuid."""

    table: str
    theirs: str
    order: str = "id"
    value: str | None = None


LISTS: dict[str, dict[str, Shown]] = {
    "PrimaryStorageVO": {"attached_cluster_uuids": Shown(*PS_CLUSTER[:2], value="cluster_uuid")},
    "BackupStorageVO": {"attached_zone_uuids": Shown(*BS_ZONE[:2], value="zone_uuid")},
    "ImageVO": {"backup_storage_refs": Shown("ImageBackupStorageRefVO", "image_uuid")},
    "L2NetworkVO": {"attached_cluster_uuids": Shown(*L2_CLUSTER[:2], value="cluster_uuid")},
    "L3NetworkVO": {
        "dns": Shown("L3NetworkDnsVO", "l3_network_uuid", value="dns"),
        "ip_ranges": Shown("IpRangeVO", "l3_network_uuid", order="create_date"),
        "network_services": Shown("NetworkServiceL3NetworkRefVO", "l3_network_uuid"),
    },
    "NetworkServiceProviderVO": {
        "network_service_types": Shown("NetworkServiceTypeVO", "network_service_provider_uuid", value="type"),
        "attached_l2_network_uuids": Shown(
            "NetworkServiceProviderL2NetworkRefVO", "network_service_provider_uuid", value="l2_network_uuid"
        ),
    },
    "VmInstanceVO": {
        "vm_nics": Shown("VmNicVO", "vm_instance_uuid", order="device_id"),
        "all_volumes": Shown("VolumeVO", "vm_instance_uuid", order="device_id"),
    },
    "VolumeSnapshotGroupVO": {"volume_snapshots": Shown("VolumeSnapshotVO", "group_uuid", order="create_date")},
}


def fill(tx: Tx, resource_type: str, found: list[Row], wanted: Iterable[str] | None = None) -> list[Row]:
    """Add the lists of the inventory (all, or those `wanted`) to the rows: one statement for each list, however many rows."""
    for name, shown in LISTS.get(resource_type, {}).items():
        if wanted is not None and name not in wanted:
            continue
        lists: dict[str, list[Any]] = {row["uuid"]: row.setdefault(name, []) for row in found}
        uuids = list(lists)
        for start in range(0, len(uuids), 500):
            some = {shown.theirs: uuids[start : start + 500]}
            for row in rows.find(tx, shown.table, order_by=(shown.order,), **some):
                lists[row[shown.theirs]].append(row[shown.value] if shown.value else row)
    return found
