"""How resources hang together: the expanded fields of queries (`host.name=…`), declared once for store, help and completion.

A relation leads from a column of its own table to one of the target's, where need be through a table of references.
Tables are named by resource type, columns are the fields of the inventory in snake_case.
"""

from dataclasses import dataclass


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


def _one(target: str, own: str) -> Relation:
    return Relation(target, own=own)


def _many(target: str, theirs: str) -> Relation:
    return Relation(target, theirs=theirs)


def _refs(target: str, table: str, own: str, theirs: str) -> Relation:
    return Relation(target, through=Through(table, own, theirs))


L2_CLUSTER = ("L2NetworkClusterRefVO", "l2_network_uuid", "cluster_uuid")
PS_CLUSTER = ("PrimaryStorageClusterRefVO", "primary_storage_uuid", "cluster_uuid")
BS_ZONE = ("BackupStorageZoneRefVO", "backup_storage_uuid", "zone_uuid")
BS_IMAGE = ("ImageBackupStorageRefVO", "backup_storage_uuid", "image_uuid")


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
        "backup_storage": _refs("BackupStorageVO", *_back(BS_ZONE)),
    },
    "ClusterVO": {
        "zone": _one("ZoneVO", "zone_uuid"),
        "host": _many("HostVO", "cluster_uuid"),
        "vm_instance": _many("VmInstanceVO", "cluster_uuid"),
        "l2_network": _refs("L2NetworkVO", *_back(L2_CLUSTER)),
        "primary_storage": _refs("PrimaryStorageVO", *_back(PS_CLUSTER)),
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
        "snapshot": _many("VolumeSnapshotVO", "volume_uuid"),
        "local_storage_host_ref": _many("LocalStorageResourceRefVO", "resource_uuid"),
    },
    "VolumeSnapshotVO": {
        "volume": _one("VolumeVO", "volume_uuid"),
        "tree": _one("VolumeSnapshotTreeVO", "tree_uuid"),
        "primary_storage": _one("PrimaryStorageVO", "primary_storage_uuid"),
        "local_storage_host_ref": _many("LocalStorageResourceRefVO", "resource_uuid"),
    },
    "VolumeSnapshotTreeVO": {
        "volume": _one("VolumeVO", "volume_uuid"),
        "snapshot": _many("VolumeSnapshotVO", "tree_uuid"),
    },
    "VolumeSnapshotGroupVO": {
        "vm_instance": _one("VmInstanceVO", "vm_instance_uuid"),
        "snapshot": _many("VolumeSnapshotVO", "group_uuid"),
    },
    "ImageVO": {
        "backup_storage": _refs("BackupStorageVO", *_back(BS_IMAGE)),
        "backup_storage_ref": _many("ImageBackupStorageRefVO", "image_uuid"),
        "backup_storage_refs": _many("ImageBackupStorageRefVO", "image_uuid"),
        "volume": _many("VolumeVO", "root_image_uuid"),
    },
    "PrimaryStorageVO": {
        "zone": _one("ZoneVO", "zone_uuid"),
        "volume": _many("VolumeVO", "primary_storage_uuid"),
        "volume_snapshot": _many("VolumeSnapshotVO", "primary_storage_uuid"),
        "cluster": _refs("ClusterVO", *PS_CLUSTER),
    },
    "BackupStorageVO": {"zone": _refs("ZoneVO", *BS_ZONE), "image": _refs("ImageVO", *BS_IMAGE)},
    "L2NetworkVO": {
        "zone": _one("ZoneVO", "zone_uuid"),
        "l3_network": _many("L3NetworkVO", "l2_network_uuid"),
        "cluster": _refs("ClusterVO", *L2_CLUSTER),
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
        "snapshot": _one("VolumeSnapshotVO", "resource_uuid"),
    },
}
