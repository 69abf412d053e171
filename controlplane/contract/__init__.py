"""What callers may ask and what they get: every API once. Importing this package fills `registry.apis`."""

from controlplane.contract import (
    account,
    cluster,
    host,
    image,
    ip_range,
    l2_network,
    l3_network,
    network_service,
    offering,
    snapshot,
    storage,
    tag,
    vm,
    volume,
    zone,
)

__all__ = [
    "account",
    "cluster",
    "host",
    "image",
    "ip_range",
    "l2_network",
    "l3_network",
    "network_service",
    "offering",
    "snapshot",
    "storage",
    "tag",
    "vm",
    "volume",
    "zone",
]
