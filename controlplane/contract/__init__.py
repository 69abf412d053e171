"""What callers may ask and what they get: every API once. Importing this package fills `registry.apis`."""

from controlplane.contract import account, cluster, offering, zone

__all__ = ["account", "cluster", "offering", "zone"]
