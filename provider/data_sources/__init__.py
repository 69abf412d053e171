"""Data sources: every resource can be looked up by uuid or name and listed by conditions; anything can be queried."""

from provider.data_sources.boot_order import BootOrder
from provider.data_sources.console_address import ConsoleAddress
from provider.data_sources.global_config import GlobalConfigEntry
from provider.data_sources.inventories import Inventories
from provider.data_sources.listing import LISTINGS
from provider.data_sources.lookup import Lookup
from provider.data_sources.migratable_hosts import MigratableHosts
from provider.data_sources.query import Query
from provider.data_sources.snapshot_trees import SnapshotTrees

__all__ = [
    "LISTINGS",
    "BootOrder",
    "ConsoleAddress",
    "GlobalConfigEntry",
    "Inventories",
    "Lookup",
    "MigratableHosts",
    "Query",
    "SnapshotTrees",
]
