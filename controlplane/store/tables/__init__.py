"""Every table, named by its resource type; columns are the scalar fields of the inventory in snake_case.

Sizes are bytes in BIGINT, times are aware UTC datetimes, JSON is text. Resources have `uuid` as primary key; tables of
references have a number of their own (`id`) and a unique constraint. A reference between resources is a plain column
with an index: what must exist is a rule of the services, checked in the transaction that stores the change.
"""

from controlplane.store.tables import account, engine, machine, network, place, storage
from controlplane.store.tables.columns import Utc, metadata, now, table

__all__ = ["Utc", "account", "engine", "machine", "metadata", "network", "now", "place", "storage", "table"]
