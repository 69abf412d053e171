"""Offerings, VMs, NICs, volumes, snapshots, and files that wait to be deleted."""

from sqlalchemy import BigInteger, Column, Table, UniqueConstraint

from controlplane.store.tables import columns as c

c.resource(
    "InstanceOfferingVO",
    *c.named(),
    c.integer("cpu_num", default=1),
    c.integer("cpu_speed"),
    c.size("memory_size"),
    c.text("type", 64),
    c.text("allocator_strategy", 64),
    c.integer("sort_key"),
    c.text("state", 32),
    index=("name",),
)

c.resource(
    "DiskOfferingVO",
    *c.named(),
    c.size("disk_size"),
    c.text("type", 64),
    c.text("allocator_strategy", 64),
    c.integer("sort_key"),
    c.text("state", 32),
    index=("name",),
)

c.resource(
    "VmInstanceVO",
    *c.named(),
    c.uuid("zone_uuid"),
    c.uuid("cluster_uuid"),
    c.uuid("host_uuid"),
    c.uuid("last_host_uuid"),
    c.uuid("dest_host_uuid"),  # where it is on its way to, running; that host's network knows it already
    c.boolean("stands_still"),  # it arrived there, and has not been seen to go on
    c.uuid("image_uuid"),
    c.uuid("instance_offering_uuid"),
    c.uuid("root_volume_uuid"),
    c.uuid("default_l3_network_uuid"),
    c.text("platform", 64),
    c.text("type", 64),
    c.text("hypervisor_type", 64),
    c.text("allocator_strategy", 64),
    c.text("state", 32),
    c.integer("cpu_num", default=1),
    c.size("cpu_speed"),
    c.size("memory_size"),
    c.size("internal_id"),
    c.size("generation"),  # of the wish sent to the host
    c.text("boot_token", 64),
    c.text("boot_order"),
    c.text("cpu_mode", 32),  # that runs, by its host's choice
    c.text("cpu_model"),
    c.text("boot_order_once"),  # for the next start or reboot
    c.text("started_boot_order"),  # what its last start or reboot gave it
    c.text("started_cpu_mode", 32),
    c.text("started_console_mode", 32),
    c.long_text("next_offering"),  # JSON, of columns: CPUs and memory that wait for its next stop or reboot
    c.boolean("has_rebooted"),  # of itself, since it was made
    c.time("destroyed_at"),  # since when an expunge is due
    c.integer("cloud_init_runs"),  # how often a rerun was asked for: part of the instance id
    c.long_text("revoked_keys"),  # public keys taken away by tag, one a line: the guest must forget them
    index=(
        "host_uuid", "dest_host_uuid", "cluster_uuid", "zone_uuid", "image_uuid", "default_l3_network_uuid", "instance_offering_uuid",
        "root_volume_uuid", "state", "name", "destroyed_at", c.BY_STATE, c.BY_AGE,
    ),
)  # fmt: skip

c.resource(
    "VmNicVO",
    c.uuid("vm_instance_uuid", null=False),
    c.uuid("l3_network_uuid", null=False),
    c.uuid("used_ip_uuid"),
    c.text("ip", 64),
    c.text("mac", 17, null=False),
    c.text("netmask", 64),
    c.text("gateway", 64),
    c.text("meta_data", 255),
    c.text("internal_name", 64),
    c.text("tap", 15),
    c.text("driver_type", 32),
    c.integer("device_id"),
    UniqueConstraint("mac"),
    index=("vm_instance_uuid", "l3_network_uuid", "ip", c.BY_AGE),
)

c.resource(
    "VolumeVO",
    *c.named(),
    c.uuid("primary_storage_uuid"),
    c.uuid("vm_instance_uuid"),
    c.uuid("disk_offering_uuid"),
    c.uuid("root_image_uuid"),
    c.text("install_path", 2048),
    c.text("type", 32),
    c.text("format", 32),
    c.size("size"),
    c.size("actual_size"),
    c.integer("device_id", null=True),
    c.boolean("is_shareable"),
    c.text("state", 32),
    c.text("status", 32),
    c.uuid("last_vm_instance_uuid"),
    c.time("last_attach_date"),
    c.time("last_detach_date"),
    Column("generation", BigInteger, nullable=False, default=1),  # of the wish sent to the host
    c.time("destroyed_at"),
    index=(
        "vm_instance_uuid", "primary_storage_uuid", "root_image_uuid", "disk_offering_uuid", "name",
        "destroyed_at", c.BY_AGE,
    ),
)  # fmt: skip

c.resource(
    "VolumeSnapshotVO",
    *c.named(),
    c.text("type", 32),
    c.uuid("volume_uuid", null=False),
    c.uuid("tree_uuid", null=False),
    c.uuid("parent_uuid"),
    c.uuid("group_uuid"),
    c.uuid("primary_storage_uuid"),
    c.text("primary_storage_install_path", 2048),
    c.text("volume_type", 32),
    c.text("format", 32),
    c.boolean("latest"),  # the volume rests on it
    c.size("size"),
    c.text("state", 32),
    c.text("status", 32),
    index=("volume_uuid", "tree_uuid", "parent_uuid", "group_uuid", "primary_storage_uuid", "name"),
)

c.resource("VolumeSnapshotTreeVO", c.uuid("volume_uuid", null=False), c.boolean("current"), index=("volume_uuid",))

c.resource(
    "VolumeSnapshotGroupVO",
    *c.named(),
    c.uuid("vm_instance_uuid", null=False),
    c.integer("snapshot_count"),
    index=("vm_instance_uuid", "name"),
)

Table("CounterVO", c.metadata, Column("name", c.string(64), primary_key=True), c.size("last"))

c.resource(
    "VolumeGarbageVO",  # files of no volume any more, until their host has deleted them
    c.uuid("primary_storage_uuid", null=False),
    c.uuid("host_uuid", null=False),
    c.text("path", 2048, null=False),
    index=("host_uuid",),
)
