"""How resources hang together: one table, read by queries both to join (`host.name=…`) and to fill an inventory's lists.

A relation leads from a column of its own table to one of the target's, where need be through a table of references.
`shown` is the inventory's list that it fills, `value` the column of which that list consists (else whole rows).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from controlplane.store import rows
from controlplane.store.database import Tx
from controlplane.store.rows import Row


@dataclass(frozen=True)
class Through:
    """A table of references: `own` and `theirs` are its columns for the two ends."""

    table: str
    own: str
    theirs: str


@dataclass(frozen=True)
class Relation:
    target: str
    own: str = "uuid"
    theirs: str = "uuid"
    through: Through | None = None


@dataclass(frozen=True)
class Shown:
    """A list of an inventory: the rows of `table` whose `theirs` is the resource's uuid."""

    table: str
    theirs: str
    order: str = "id"
    value: str | None = None


def _one(target: str, own: str) -> Relation:
    return Relation(target, own=own)


def _many(target: str, theirs: str) -> Relation:
    return Relation(target, theirs=theirs)


def _refs(target: str, table: str, own: str, theirs: str) -> Relation:
    return Relation(target, through=Through(table, own, theirs))


_L2_CLUSTER = ("L2NetworkClusterRefVO", "l2_network_uuid", "cluster_uuid")
_PS_CLUSTER = ("PrimaryStorageClusterRefVO", "primary_storage_uuid", "cluster_uuid")
_BS_ZONE = ("BackupStorageZoneRefVO", "backup_storage_uuid", "zone_uuid")
_BS_IMAGE = ("ImageBackupStorageRefVO", "backup_storage_uuid", "image_uuid")


def _back(reference: tuple[str, str, str]) -> tuple[str, str, str]:
    table, own, theirs = reference
    return table, theirs, own


# The names are those of the wire, in snake_case.
RELATIONS: dict[str, dict[str, Relation]] = {
    "ZoneVO": {
        "vm_instance": _many("VmInstanceVO", "zone_uuid"),
        "cluster": _many("ClusterVO", "zone_uuid"),
        "host": _many("HostVO", "zone_uuid"),
        "primary_storage": _many("PrimaryStorageVO", "zone_uuid"),
        "l2_network": _many("L2NetworkVO", "zone_uuid"),
        "l3_network": _many("L3NetworkVO", "zone_uuid"),
        "backup_storage": _refs("BackupStorageVO", *_back(_BS_ZONE)),
    },
    "ClusterVO": {
        "zone": _one("ZoneVO", "zone_uuid"),
        "host": _many("HostVO", "cluster_uuid"),
        "vm_instance": _many("VmInstanceVO", "cluster_uuid"),
        "l2_network": _refs("L2NetworkVO", *_back(_L2_CLUSTER)),
        "primary_storage": _refs("PrimaryStorageVO", *_back(_PS_CLUSTER)),
    },
    "HostVO": {
        "zone": _one("ZoneVO", "zone_uuid"),
        "cluster": _one("ClusterVO", "cluster_uuid"),
        "vm_instance": _many("VmInstanceVO", "host_uuid"),
    },
    "VmInstanceVO": {
        "zone": _one("ZoneVO", "zone_uuid"),
        "cluster": _one("ClusterVO", "cluster_uuid"),
        "host": _one("HostVO", "host_uuid"),
        "image": _one("ImageVO", "image_uuid"),
        "instance_offering": _one("InstanceOfferingVO", "instance_offering_uuid"),
        "root_volume": _one("VolumeVO", "root_volume_uuid"),
        "vm_nics": _many("VmNicVO", "vm_instance_uuid"),
        "all_volumes": _many("VolumeVO", "vm_instance_uuid"),
    },
    "VmNicVO": {
        "vm_instance": _one("VmInstanceVO", "vm_instance_uuid"),
        "l3_network": _one("L3NetworkVO", "l3_network_uuid"),
    },
    "VolumeVO": {
        "vm_instance": _one("VmInstanceVO", "vm_instance_uuid"),
        "disk_offering": _one("DiskOfferingVO", "disk_offering_uuid"),
        "primary_storage": _one("PrimaryStorageVO", "primary_storage_uuid"),
        "image": _one("ImageVO", "root_image_uuid"),
        "local_storage_host_ref": _many("LocalStorageResourceRefVO", "resource_uuid"),
    },
    "ImageVO": {
        "backup_storage": _refs("BackupStorageVO", *_back(_BS_IMAGE)),
        "volume": _many("VolumeVO", "root_image_uuid"),
    },
    "PrimaryStorageVO": {
        "zone": _one("ZoneVO", "zone_uuid"),
        "volume": _many("VolumeVO", "primary_storage_uuid"),
        "cluster": _refs("ClusterVO", *_PS_CLUSTER),
    },
    "BackupStorageVO": {"zone": _refs("ZoneVO", *_BS_ZONE), "image": _refs("ImageVO", *_BS_IMAGE)},
    "L2NetworkVO": {
        "zone": _one("ZoneVO", "zone_uuid"),
        "l3_network": _many("L3NetworkVO", "l2_network_uuid"),
        "cluster": _refs("ClusterVO", *_L2_CLUSTER),
    },
    "L3NetworkVO": {
        "zone": _one("ZoneVO", "zone_uuid"),
        "l2_network": _one("L2NetworkVO", "l2_network_uuid"),
        "vm_nic": _many("VmNicVO", "l3_network_uuid"),
        "ip_ranges": _many("IpRangeVO", "l3_network_uuid"),
        "network_services": _many("NetworkServiceL3NetworkRefVO", "l3_network_uuid"),
        "service_provider": _refs(
            "NetworkServiceProviderVO",
            "NetworkServiceL3NetworkRefVO",
            "l3_network_uuid",
            "network_service_provider_uuid",
        ),
    },
    "IpRangeVO": {"l3_network": _one("L3NetworkVO", "l3_network_uuid")},
    "InstanceOfferingVO": {"vm_instance": _many("VmInstanceVO", "instance_offering_uuid")},
    "DiskOfferingVO": {"volume": _many("VolumeVO", "disk_offering_uuid")},
    "LocalStorageResourceRefVO": {
        "volume": _one("VolumeVO", "resource_uuid"),
        "image": _one("ImageVO", "resource_uuid"),
    },
}

LISTS: dict[str, dict[str, Shown]] = {
    "PrimaryStorageVO": {"attached_cluster_uuids": Shown(*_PS_CLUSTER[:2], value="cluster_uuid")},
    "BackupStorageVO": {"attached_zone_uuids": Shown(*_BS_ZONE[:2], value="zone_uuid")},
    "ImageVO": {"backup_storage_refs": Shown("ImageBackupStorageRefVO", "image_uuid")},
    "L2NetworkVO": {"attached_cluster_uuids": Shown(*_L2_CLUSTER[:2], value="cluster_uuid")},
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
