"""What callers may ask and what they get: every API once. Importing this package fills `registry.apis`."""

from controlplane.contract import (
    account,
    cluster,
    global_config,
    host,
    image,
    ip_range,
    l2_network,
    l3_network,
    migration,
    network_service,
    offering,
    storage,
    tag,
    vm,
    volume,
    zone,
)

__all__ = [
    "account",
    "cluster",
    "global_config",
    "host",
    "image",
    "ip_range",
    "l2_network",
    "l3_network",
    "migration",
    "network_service",
    "offering",
    "storage",
    "tag",
    "vm",
    "volume",
    "zone",
]
