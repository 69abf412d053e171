"""Zones, clusters, hosts and their agents."""

from sqlalchemy import UniqueConstraint

from controlplane.store.tables import columns as c

c.resource("ZoneVO", *c.named(), c.text("state", 32), c.text("type", 64), index=("name",))

c.resource(
    "ClusterVO",
    *c.named(),
    c.uuid("zone_uuid", null=False),
    c.text("state", 32),
    c.text("type", 64),
    c.text("hypervisor_type", 64),
    index=("zone_uuid", "name"),
)

c.resource(
    "HostVO",
    *c.named(),
    c.uuid("zone_uuid", null=False),
    c.uuid("cluster_uuid", null=False),
    c.text("management_ip", null=False),
    c.text("hypervisor_type", 64),
    c.text("state", 32),
    c.text("status", 32),
    c.text("username"),
    c.integer("cpu_num"),
    c.size("total_cpu_capacity"),
    c.size("available_cpu_capacity"),
    c.size("total_memory_capacity"),
    c.size("available_memory_capacity"),
    c.size("cpu_used"),
    c.size("memory_used"),
    c.uuid("agent_uuid"),
    c.text("agent_boot_id", 64),
    c.size("network_generation"),
    c.text("domain_type", 16),
    c.text("kvm_reason", 2048),
    c.text("cpu_model"),
    c.text("agent_version", 64),
    c.time("status_date"),  # since when the status is what it is
    c.text("status_reason", 2048),
    c.boolean("vlan_supported"),
    c.long_text("facts"),  # JSON of the agent's HostFacts
    UniqueConstraint("management_ip"),
    UniqueConstraint("agent_uuid"),
    index=("zone_uuid", "cluster_uuid", "name"),
)

c.resource(
    "HostAgentVO",  # enrolled agents, whether a host was added for them or not
    c.text("management_ip", null=False),
    c.integer("port"),
    c.text("certificate_fingerprint", 128),
    c.long_text("certificate"),
    UniqueConstraint("management_ip"),
)

c.resource(
    "EnrollmentTokenVO",
    c.text("token_hash", 128, null=False),
    c.text("management_ip"),  # the only address it is good for, if any
    c.time("expires_at", null=False),
    c.time("used_at"),
    UniqueConstraint("token_hash"),
)
