"""Primary storages with their parts on hosts, image stores, images."""

from sqlalchemy import Column, Table, UniqueConstraint

from controlplane.store.tables import columns as c

c.resource(
    "PrimaryStorageVO",
    *c.named(),
    c.uuid("zone_uuid", null=False),
    c.text("url", 2048),
    c.text("mount_path", 2048),
    c.text("type", 64),
    c.text("state", 32),
    c.text("status", 32),
    c.size("total_capacity"),
    c.size("available_capacity"),
    c.size("total_physical_capacity"),
    c.size("available_physical_capacity"),
    c.size("system_used_capacity"),
    index=("zone_uuid", "name"),
)

c.refs(
    "PrimaryStorageClusterRefVO",
    c.uuid("primary_storage_uuid", null=False),
    c.uuid("cluster_uuid", null=False),
    UniqueConstraint("primary_storage_uuid", "cluster_uuid"),
    index=("cluster_uuid",),
)

c.refs(
    "LocalStorageHostRefVO",
    c.uuid("primary_storage_uuid", null=False),
    c.uuid("host_uuid", null=False),
    c.size("total_capacity"),
    c.size("available_capacity"),
    c.size("total_physical_capacity"),
    c.size("available_physical_capacity"),
    c.size("system_used_capacity"),
    UniqueConstraint("primary_storage_uuid", "host_uuid"),
    index=("host_uuid",),
)

c.indexes(
    Table(
        "LocalStorageResourceRefVO",  # where a volume, image copy or snapshot lies
        c.metadata,
        Column("resource_uuid", c.string(32), primary_key=True),
        c.uuid("primary_storage_uuid", null=False),
        c.uuid("host_uuid", null=False),
        c.size("size"),
        c.text("resource_type", 64, null=False),
        *c.dates(),
    ),
    ("host_uuid", "primary_storage_uuid"),
)

c.resource(
    "BackupStorageVO",
    *c.named(),
    c.text("url", 2048),
    c.text("hostname"),
    c.text("username"),
    c.integer("ssh_port", default=22),
    c.text("type", 64),
    c.text("state", 32),
    c.text("status", 32),
    c.size("total_capacity"),
    c.size("available_capacity"),
    index=("name",),
)

c.refs(
    "BackupStorageZoneRefVO",
    c.uuid("backup_storage_uuid", null=False),
    c.uuid("zone_uuid", null=False),
    UniqueConstraint("backup_storage_uuid", "zone_uuid"),
    index=("zone_uuid",),
)

c.resource(
    "ImageVO",
    *c.named(),
    c.text("state", 32),
    c.text("status", 32),
    c.size("size"),
    c.size("actual_size"),
    c.text("md5_sum", 64),
    c.text("sha256", 64),
    c.text("url", 2048),
    c.text("media_type", 64),
    c.text("guest_os_type"),
    c.text("type", 64),
    c.text("platform", 64),
    c.text("format", 64),
    c.boolean("system"),
    c.time("deleted_at"),  # since when an expunge is due
    index=("name", "deleted_at"),
)

c.refs(
    "ImageBackupStorageRefVO",
    c.uuid("image_uuid", null=False),
    c.uuid("backup_storage_uuid", null=False),
    c.text("install_path", 2048),  # where the store keeps the file
    c.text("status", 32),
    UniqueConstraint("image_uuid", "backup_storage_uuid"),
    index=("backup_storage_uuid",),
)
