"""L2 and L3 networks, address ranges and addresses, network services."""

from sqlalchemy import UniqueConstraint

from controlplane.store.tables import columns as c

c.resource(
    "L2NetworkVO",
    *c.named(),
    c.uuid("zone_uuid", null=False),
    c.text("physical_interface", 64, null=False),
    c.text("type", 64),
    c.integer("vlan", null=True),
    index=("zone_uuid", "name"),
)

c.refs(
    "L2NetworkClusterRefVO",
    c.uuid("l2_network_uuid", null=False),
    c.uuid("cluster_uuid", null=False),
    UniqueConstraint("l2_network_uuid", "cluster_uuid"),
    index=("cluster_uuid",),
)

c.resource(
    "L3NetworkVO",
    *c.named(),
    c.uuid("zone_uuid", null=False),
    c.uuid("l2_network_uuid", null=False),
    c.text("type", 64),
    c.text("state", 32),
    c.text("dns_domain"),
    c.boolean("system"),
    c.text("service_ip", 64),
    c.text("service_mac", 17),
    c.integer("mtu", default=1500),
    index=("zone_uuid", "l2_network_uuid", "name"),
)

c.refs(
    "L3NetworkDnsVO",
    c.uuid("l3_network_uuid", null=False),
    c.text("dns", 64, null=False),
    UniqueConstraint("l3_network_uuid", "dns"),
)

c.resource(
    "IpRangeVO",
    *c.named(),
    c.uuid("l3_network_uuid", null=False),
    c.text("start_ip", 64, null=False),
    c.text("end_ip", 64, null=False),
    c.text("netmask", 64),
    c.text("gateway", 64),
    c.text("network_cidr", 64),
    c.size("lowest_free"),  # no address below this one is free
    index=("l3_network_uuid", "name"),
)

c.resource(
    "UsedIpVO",
    c.uuid("ip_range_uuid"),
    c.uuid("l3_network_uuid", null=False),
    c.text("ip", 64, null=False),
    c.size("ip_in_long"),
    c.text("netmask", 64),
    c.text("gateway", 64),
    c.text("used_for", 64),
    UniqueConstraint("l3_network_uuid", "ip_in_long"),
    index=("ip_range_uuid",),
)

c.resource("NetworkServiceProviderVO", *c.named(), c.text("type", 64, null=False), UniqueConstraint("type"))

c.refs(
    "NetworkServiceTypeVO",  # what a provider can do
    c.uuid("network_service_provider_uuid", null=False),
    c.text("type", 64, null=False),
    UniqueConstraint("network_service_provider_uuid", "type"),
)

c.refs(
    "NetworkServiceProviderL2NetworkRefVO",
    c.uuid("network_service_provider_uuid", null=False),
    c.uuid("l2_network_uuid", null=False),
    UniqueConstraint("network_service_provider_uuid", "l2_network_uuid"),
    index=("l2_network_uuid",),
)

c.refs(
    "NetworkServiceL3NetworkRefVO",
    c.uuid("l3_network_uuid", null=False),
    c.uuid("network_service_provider_uuid", null=False),
    c.text("network_service_type", 64, null=False),
    UniqueConstraint("l3_network_uuid", "network_service_type"),
    index=("network_service_provider_uuid",),
)
