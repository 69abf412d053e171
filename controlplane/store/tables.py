"""Every table, named by its resource type; columns are the scalar fields of the inventory in snake_case.

Sizes are bytes in BIGINT, times are aware UTC datetimes, JSON is text. Resources have `uuid` as primary key; tables of
references have a number of their own (`id`) and a unique constraint. A reference between resources is a plain column
with an index: what must exist is a rule of the services, checked in the transaction that stores the change.
"""

import datetime
from collections.abc import Iterable
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import TypeDecorator, TypeEngine

from controlplane.store.text import folded, head, is_text

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class Utc(TypeDecorator[datetime.datetime]):
    """An aware datetime in Python, the same instant without zone, in UTC, in the database."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime.datetime | None, dialect: Dialect) -> datetime.datetime | None:
        return value.astimezone(datetime.UTC).replace(tzinfo=None) if value else None

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime.datetime | None:
        return value.replace(tzinfo=datetime.UTC) if value else None


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


_SERIAL = BigInteger().with_variant(Integer, "sqlite")


# Text is compared and ordered by code points on both databases, and "C" lets an index serve `LIKE 'abc%'`.
def _string(length: int) -> TypeEngine[str]:
    return String(length).with_variant(postgresql.VARCHAR(length, collation="C"), "postgresql")


def _uuid(name: str, null: bool = True) -> Column[Any]:
    return Column(name, _string(32), nullable=null)


def _text(name: str, length: int = 255, null: bool = True, default: str | None = None) -> Column[Any]:
    return Column(name, _string(length), nullable=null, default=default)


def _long_text(name: str) -> Column[Any]:
    return Column(name, Text().with_variant(postgresql.TEXT(collation="C"), "postgresql"))


def _size(name: str, null: bool = False) -> Column[Any]:
    return Column(name, BigInteger, nullable=null, default=None if null else 0)


def _int(name: str, null: bool = False, default: int | None = 0) -> Column[Any]:
    return Column(name, Integer, nullable=null, default=None if null else default)


def _bool(name: str, default: bool = False) -> Column[Any]:
    return Column(name, Boolean, nullable=False, default=default)


def _time(name: str, null: bool = True) -> Column[Any]:
    return Column(name, Utc, nullable=null)


def _dates() -> list[Column[Any]]:
    return [
        Column("create_date", Utc, nullable=False, default=now),
        Column("last_op_date", Utc, nullable=False, default=now),
    ]


def _named() -> list[Column[Any]]:
    return [_text("name", null=False), _text("description", 2048)]


Columns = str | tuple[str, ...]


def _indexes(table: Table, wanted: Iterable[Columns]) -> Table:
    """A column for look-ups by its exact value; a tuple, and `name`, as queries compare and order: in lower case."""
    for entry in wanted:
        names = (entry,) if isinstance(entry, str) else entry
        asked = entry == "name" or not isinstance(entry, str)
        columns = [folded(table.c[name]) if asked and is_text(table.c[name]) else table.c[name] for name in names]
        Index(f"ix_{table.name}_{'_'.join(names)}", *columns)
    return table


def _resource(name: str, *parts: Any, index: tuple[Columns, ...] = ()) -> Table:
    """A table whose rows are resources: uuid, own columns, create_date, last_op_date."""
    key = Column("uuid", _string(32), primary_key=True)
    return _indexes(Table(name, metadata, key, *parts, *_dates()), index)


def _refs(name: str, *parts: Any, index: tuple[Columns, ...] = ()) -> Table:
    """A table of references: a number as key, own columns, create_date, last_op_date."""
    key = Column("id", _SERIAL, primary_key=True, autoincrement=True)
    return _indexes(Table(name, metadata, key, *parts, *_dates()), index)


_BY_AGE = ("create_date", "uuid")  # the order of a query that asks for none
_BY_STATE = ("state", *_BY_AGE)


def table(resource_type: str) -> Table:
    """The table of that name. `KeyError` names the unknown type: a fault of the code, never of a caller's input."""
    return metadata.tables[resource_type]


# -- places ----------------------------------------------------------------------------------------------------------

_resource("ZoneVO", *_named(), _text("state", 32), _text("type", 64), index=("name",))

_resource(
    "ClusterVO",
    *_named(),
    _uuid("zone_uuid", null=False),
    _text("state", 32),
    _text("type", 64),
    _text("hypervisor_type", 64),
    index=("zone_uuid", "name"),
)

_resource(
    "HostVO",
    *_named(),
    _uuid("zone_uuid", null=False),
    _uuid("cluster_uuid", null=False),
    _text("management_ip", null=False),
    _text("hypervisor_type", 64),
    _text("state", 32),
    _text("status", 32),
    _text("username"),
    _int("cpu_num"),
    _size("total_cpu_capacity"),
    _size("available_cpu_capacity"),
    _size("total_memory_capacity"),
    _size("available_memory_capacity"),
    _size("cpu_used"),
    _size("memory_used"),
    _uuid("agent_uuid"),
    _text("agent_boot_id", 64),
    _size("network_generation"),
    _text("domain_type", 16),
    _text("kvm_reason", 2048),
    _text("cpu_model"),
    _text("agent_version", 64),
    _time("status_date"),  # since when the status is what it is
    _text("status_reason", 2048),
    _bool("vlan_supported"),
    _long_text("facts"),  # JSON of the agent's HostFacts
    UniqueConstraint("management_ip"),
    UniqueConstraint("agent_uuid"),
    index=("zone_uuid", "cluster_uuid", "name"),
)

_resource(
    "HostAgentVO",  # enrolled agents, whether a host was added for them or not
    _text("management_ip", null=False),
    _int("port"),
    _text("certificate_fingerprint", 128),
    _long_text("certificate"),
    UniqueConstraint("management_ip"),
)

_resource(
    "EnrollmentTokenVO",
    _text("token_hash", 128, null=False),
    _text("management_ip"),  # the only address it is good for, if any
    _time("expires_at", null=False),
    _time("used_at"),
    UniqueConstraint("token_hash"),
)

# -- storage ---------------------------------------------------------------------------------------------------------

_resource(
    "PrimaryStorageVO",
    *_named(),
    _uuid("zone_uuid", null=False),
    _text("url", 2048),
    _text("mount_path", 2048),
    _text("type", 64),
    _text("state", 32),
    _text("status", 32),
    _size("total_capacity"),
    _size("available_capacity"),
    _size("total_physical_capacity"),
    _size("available_physical_capacity"),
    _size("system_used_capacity"),
    index=("zone_uuid", "name"),
)

_refs(
    "PrimaryStorageClusterRefVO",
    _uuid("primary_storage_uuid", null=False),
    _uuid("cluster_uuid", null=False),
    UniqueConstraint("primary_storage_uuid", "cluster_uuid"),
    index=("cluster_uuid",),
)

_refs(
    "LocalStorageHostRefVO",
    _uuid("primary_storage_uuid", null=False),
    _uuid("host_uuid", null=False),
    _size("total_capacity"),
    _size("available_capacity"),
    _size("total_physical_capacity"),
    _size("available_physical_capacity"),
    _size("system_used_capacity"),
    UniqueConstraint("primary_storage_uuid", "host_uuid"),
    index=("host_uuid",),
)

_indexes(
    Table(
        "LocalStorageResourceRefVO",  # where a volume, image copy or snapshot lies
        metadata,
        Column("resource_uuid", _string(32), primary_key=True),
        _uuid("primary_storage_uuid", null=False),
        _uuid("host_uuid", null=False),
        _size("size"),
        _text("resource_type", 64, null=False),
        *_dates(),
    ),
    ("host_uuid", "primary_storage_uuid"),
)

_resource(
    "BackupStorageVO",
    *_named(),
    _text("url", 2048),
    _text("hostname"),
    _text("username"),
    _int("ssh_port", default=22),
    _text("type", 64),
    _text("state", 32),
    _text("status", 32),
    _size("total_capacity"),
    _size("available_capacity"),
    index=("name",),
)

_refs(
    "BackupStorageZoneRefVO",
    _uuid("backup_storage_uuid", null=False),
    _uuid("zone_uuid", null=False),
    UniqueConstraint("backup_storage_uuid", "zone_uuid"),
    index=("zone_uuid",),
)

_resource(
    "ImageVO",
    *_named(),
    _text("state", 32),
    _text("status", 32),
    _size("size"),
    _size("actual_size"),
    _text("md5_sum", 64),
    _text("sha256", 64),
    _text("url", 2048),
    _text("media_type", 64),
    _text("guest_os_type"),
    _text("type", 64),
    _text("platform", 64),
    _text("format", 64),
    _bool("system"),
    _time("deleted_at"),  # since when an expunge is due
    index=("name", "deleted_at"),
)

_refs(
    "ImageBackupStorageRefVO",
    _uuid("image_uuid", null=False),
    _uuid("backup_storage_uuid", null=False),
    _text("install_path", 2048),  # where the store keeps the file
    _text("status", 32),
    UniqueConstraint("image_uuid", "backup_storage_uuid"),
    index=("backup_storage_uuid",),
)

# -- offerings -------------------------------------------------------------------------------------------------------

_resource(
    "InstanceOfferingVO",
    *_named(),
    _int("cpu_num", default=1),
    _int("cpu_speed"),
    _size("memory_size"),
    _text("type", 64),
    _text("allocator_strategy", 64),
    _int("sort_key"),
    _text("state", 32),
    index=("name",),
)

_resource(
    "DiskOfferingVO",
    *_named(),
    _size("disk_size"),
    _text("type", 64),
    _text("allocator_strategy", 64),
    _int("sort_key"),
    _text("state", 32),
    index=("name",),
)

# -- networks --------------------------------------------------------------------------------------------------------

_resource(
    "L2NetworkVO",
    *_named(),
    _uuid("zone_uuid", null=False),
    _text("physical_interface", 64, null=False),
    _text("type", 64),
    _int("vlan", null=True),
    index=("zone_uuid", "name"),
)

_refs(
    "L2NetworkClusterRefVO",
    _uuid("l2_network_uuid", null=False),
    _uuid("cluster_uuid", null=False),
    UniqueConstraint("l2_network_uuid", "cluster_uuid"),
    index=("cluster_uuid",),
)

_resource(
    "L3NetworkVO",
    *_named(),
    _uuid("zone_uuid", null=False),
    _uuid("l2_network_uuid", null=False),
    _text("type", 64),
    _text("state", 32),
    _text("dns_domain"),
    _bool("system"),
    _text("service_ip", 64),
    _text("service_mac", 17),
    _int("mtu", default=1500),
    index=("zone_uuid", "l2_network_uuid", "name"),
)

_refs(
    "L3NetworkDnsVO",
    _uuid("l3_network_uuid", null=False),
    _text("dns", 64, null=False),
    UniqueConstraint("l3_network_uuid", "dns"),
)

_resource(
    "IpRangeVO",
    *_named(),
    _uuid("l3_network_uuid", null=False),
    _text("start_ip", 64, null=False),
    _text("end_ip", 64, null=False),
    _text("netmask", 64),
    _text("gateway", 64),
    _text("network_cidr", 64),
    _size("lowest_free"),  # no address below this one is free
    index=("l3_network_uuid", "name"),
)

_resource(
    "UsedIpVO",
    _uuid("ip_range_uuid"),
    _uuid("l3_network_uuid", null=False),
    _text("ip", 64, null=False),
    _size("ip_in_long"),
    _text("netmask", 64),
    _text("gateway", 64),
    _text("used_for", 64),
    UniqueConstraint("l3_network_uuid", "ip_in_long"),
    index=("ip_range_uuid",),
)

_resource("NetworkServiceProviderVO", *_named(), _text("type", 64, null=False), UniqueConstraint("type"))

_refs(
    "NetworkServiceTypeVO",  # what a provider can do
    _uuid("network_service_provider_uuid", null=False),
    _text("type", 64, null=False),
    UniqueConstraint("network_service_provider_uuid", "type"),
)

_refs(
    "NetworkServiceProviderL2NetworkRefVO",
    _uuid("network_service_provider_uuid", null=False),
    _uuid("l2_network_uuid", null=False),
    UniqueConstraint("network_service_provider_uuid", "l2_network_uuid"),
    index=("l2_network_uuid",),
)

_refs(
    "NetworkServiceL3NetworkRefVO",
    _uuid("l3_network_uuid", null=False),
    _uuid("network_service_provider_uuid", null=False),
    _text("network_service_type", 64, null=False),
    UniqueConstraint("l3_network_uuid", "network_service_type"),
    index=("network_service_provider_uuid",),
)

# -- machines --------------------------------------------------------------------------------------------------------

_resource(
    "VmInstanceVO",
    *_named(),
    _uuid("zone_uuid"),
    _uuid("cluster_uuid"),
    _uuid("host_uuid"),
    _uuid("last_host_uuid"),
    _uuid("image_uuid"),
    _uuid("instance_offering_uuid"),
    _uuid("root_volume_uuid"),
    _uuid("default_l3_network_uuid"),
    _text("platform", 64),
    _text("type", 64),
    _text("hypervisor_type", 64),
    _text("allocator_strategy", 64),
    _text("state", 32),
    _int("cpu_num", default=1),
    _size("cpu_speed"),
    _size("memory_size"),
    _size("internal_id"),
    _size("generation"),  # of the wish sent to the host
    _text("boot_token", 64),
    _text("boot_order"),
    _text("cpu_mode", 32),  # that runs, by its host's choice
    _text("cpu_model"),
    _text("boot_order_once"),  # for the next start or reboot
    _bool("has_rebooted"),  # of itself, since it was made
    _time("destroyed_at"),  # since when an expunge is due
    _int("cloud_init_runs"),  # how often a rerun was asked for: part of the instance id
    _long_text("revoked_keys"),  # public keys taken away by tag, one a line: the guest must forget them
    index=(
        "host_uuid", "cluster_uuid", "zone_uuid", "image_uuid", "default_l3_network_uuid", "instance_offering_uuid",
        "root_volume_uuid", "state", "name", "destroyed_at", _BY_STATE, _BY_AGE,
    ),
)  # fmt: skip

_resource(
    "VmNicVO",
    _uuid("vm_instance_uuid", null=False),
    _uuid("l3_network_uuid", null=False),
    _uuid("used_ip_uuid"),
    _text("ip", 64),
    _text("mac", 17, null=False),
    _text("netmask", 64),
    _text("gateway", 64),
    _text("meta_data", 255),
    _text("internal_name", 64),
    _text("tap", 15),
    _text("driver_type", 32),
    _int("device_id"),
    UniqueConstraint("mac"),
    index=("vm_instance_uuid", "l3_network_uuid", "ip", _BY_AGE),
)

_resource(
    "VolumeVO",
    *_named(),
    _uuid("account_uuid"),
    _uuid("primary_storage_uuid"),
    _uuid("vm_instance_uuid"),
    _uuid("disk_offering_uuid"),
    _uuid("root_image_uuid"),
    _text("install_path", 2048),
    _text("type", 32),
    _text("format", 32),
    _size("size"),
    _size("actual_size"),
    _int("device_id", null=True),
    _bool("is_shareable"),
    _text("state", 32),
    _text("status", 32),
    _uuid("last_vm_instance_uuid"),
    _time("last_attach_date"),
    _time("last_detach_date"),
    Column("generation", BigInteger, nullable=False, default=1),  # of the wish sent to the host
    _time("destroyed_at"),
    index=(
        "vm_instance_uuid", "primary_storage_uuid", "root_image_uuid", "disk_offering_uuid", "name", "account_uuid",
        "destroyed_at", _BY_AGE,
    ),
)  # fmt: skip

_resource(
    "VolumeSnapshotVO",
    *_named(),
    _text("type", 32),
    _uuid("volume_uuid", null=False),
    _uuid("tree_uuid", null=False),
    _uuid("parent_uuid"),
    _uuid("group_uuid"),
    _uuid("primary_storage_uuid"),
    _text("primary_storage_install_path", 2048),
    _text("volume_type", 32),
    _text("format", 32),
    _bool("latest"),  # the volume rests on it
    _size("size"),
    _text("state", 32),
    _text("status", 32),
    index=("volume_uuid", "tree_uuid", "parent_uuid", "group_uuid", "primary_storage_uuid", "name"),
)

_resource("VolumeSnapshotTreeVO", _uuid("volume_uuid", null=False), _bool("current"), index=("volume_uuid",))

_resource(
    "VolumeSnapshotGroupVO",
    *_named(),
    _uuid("vm_instance_uuid", null=False),
    _int("snapshot_count"),
    index=("vm_instance_uuid", "name"),
)

Table("CounterVO", metadata, Column("name", _string(64), primary_key=True), _size("last"))

_resource(
    "VolumeGarbageVO",  # files of no volume any more, until their host has deleted them
    _uuid("primary_storage_uuid", null=False),
    _uuid("host_uuid", null=False),
    _text("path", 2048, null=False),
    index=("host_uuid",),
)

# -- words and people ------------------------------------------------------------------------------------------------

for _tag in ("SystemTagVO", "UserTagVO"):
    _resource(
        _tag,
        _uuid("resource_uuid", null=False),
        _text("resource_type", 64, null=False),
        _long_text("tag"),
        _text("type", 32),
        _bool("inherent"),
        index=("resource_uuid", _BY_AGE),
    )
    Index(f"ix_{_tag}_head", head(table(_tag).c.tag), table(_tag).c.resource_uuid)

_resource(
    "AccountVO",
    *_named(),
    _text("type", 64),
    _text("password_hash"),  # salted; the form says with which function
    UniqueConstraint("name"),
)

_resource(
    "SessionVO",
    _text("token_hash", 128),
    _uuid("account_uuid", null=False),
    _uuid("user_uuid"),
    _time("expired_date", null=False),
    UniqueConstraint("token_hash"),
    index=("account_uuid", "expired_date"),
)

_resource(
    "ConsoleAccessVO",
    _text("token_hash", 64, null=False),
    _text("role", 16, null=False),  # token | session
    _uuid("vm_instance_uuid", null=False),
    _uuid("host_uuid"),
    _text("kind", 16),
    _time("expired_date", null=False),
    UniqueConstraint("token_hash"),
    index=("vm_instance_uuid",),
)

_refs(
    "AccountResourceRefVO",  # to whom a resource belongs; parts of it (NICs, tags) follow it
    _uuid("account_uuid", null=False),
    _uuid("resource_uuid", null=False),
    _text("resource_type", 64, null=False),
    UniqueConstraint("resource_uuid"),
    Index("ix_AccountResourceRefVO_account", "account_uuid", "resource_type", "resource_uuid"),
)

_refs(
    "SharedResourceVO",  # who may see and use it besides its owner
    _uuid("owner_account_uuid", null=False),
    _uuid("receiver_account_uuid"),  # null: everybody (`to_public`)
    _bool("to_public"),
    _uuid("resource_uuid", null=False),
    _text("resource_type", 64, null=False),
    index=("resource_uuid", "receiver_account_uuid", "owner_account_uuid", "to_public"),
)

_resource(
    "AccessKeyVO",
    _text("description", 2048),
    _uuid("account_uuid", null=False),
    _uuid("user_uuid"),
    _text("access_key_id", 20, null=False),
    _text("sealed_secret", 512, null=False),  # encrypted under a key that is not in the database
    _text("state", 32),
    UniqueConstraint("access_key_id"),
    index=("account_uuid",),
)

_resource(
    "QuotaVO",
    _text("name", null=False),
    _uuid("identity_uuid", null=False),
    _text("identity_type", 64),
    _size("value"),
    UniqueConstraint("identity_uuid", "name"),
)

_indexes(
    Table(
        "AuditVO",  # one row for each call that changes something, refused ones included
        metadata,
        Column("id", _SERIAL, primary_key=True, autoincrement=True),
        _text("api_name", 128, null=False),
        _uuid("account_uuid"),
        _text("account_name"),
        _uuid("job_uuid"),
        _text("resource_uuid", 64),
        _text("resource_type", 64),
        _text("client_ip", 64),
        _long_text("request"),  # JSON, without secrets
        _text("outcome", 16, null=False),
        _text("error_code", 64),
        _long_text("error"),
        Column("create_date", Utc, nullable=False, default=now),
        _time("end_date"),
    ),
    ("account_uuid", "job_uuid", "resource_uuid", "create_date"),
)

_refs(
    "WebHookVO",  # whom to tell that an operation has ended, until they know or have been told often enough
    _uuid("operation_uuid", null=False),
    _text("url", 2048, null=False),
    _bool("inward"),  # it may be on this machine
    _int("attempts"),
    _time("due", null=False),
    UniqueConstraint("operation_uuid"),
)

_refs(
    "GlobalConfigVO",
    _text("name", null=False),
    _text("category", 64, null=False),
    _text("description", 2048),
    _long_text("default_value"),
    _long_text("value"),
    UniqueConstraint("category", "name"),
)

# -- the engine's own ------------------------------------------------------------------------------------------------

_resource(
    "ManagementNodeVO",
    _text("host_name"),
    _size("generation"),
    _size("expires"),  # end of the lease, milliseconds since 1970 by the database's clock
)

_refs(
    "OperationVO",
    _uuid("uuid", null=False),
    _text("name", null=False),
    _int("version"),
    _long_text("arguments"),
    _text("state", 16, null=False),
    _text("queue"),
    _int("queue_limit", default=1),
    _uuid("account_uuid"),  # for whom
    _uuid("owner"),  # the node that runs it, under that generation
    _size("owner_generation"),
    _bool("cancelled"),  # asked for; decided when `verdict` is set
    _text("verdict", 16),
    _long_text("started"),  # JSON list: the steps begun when the verdict fell
    _long_text("result"),
    _long_text("error"),
    _long_text("stuck"),
    UniqueConstraint("uuid"),
    Index("ix_OperationVO_state_owner", "state", "owner"),
    Index("ix_OperationVO_queue_state", "queue", "state"),
)

Table(
    "OperationStepVO",
    metadata,
    Column("operation_uuid", _string(32), primary_key=True),
    Column("name", _string(255), primary_key=True),
    _int("number"),
    _long_text("output"),
    _bool("undone"),
)
