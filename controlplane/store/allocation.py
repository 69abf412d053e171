"""What is taken from a limited stock: addresses, capacity of hosts and storages, numbers.

Each function is one or two indexed statements, whatever the size of the stock, and decides in the statement itself
(`UPDATE … WHERE enough is left`), so that nodes side by side cannot take the same twice.
"""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, exists, func, literal_column, select, update
from sqlalchemy import insert as sql_insert

from controlplane.store import rows, tables
from controlplane.store.database import Tx

_HOST = tables.table("HostVO").c
_USED = tables.table("UsedIpVO")
_REF = tables.table("LocalStorageHostRefVO").c
_STORAGE = tables.table("PrimaryStorageVO").c
_TAG = tables.table("SystemTagVO").c
_COUNTER = tables.table("CounterVO")


def next_number(tx: Tx, name: str) -> int:
    """1, 2, 3, … never the same twice."""
    step = update(_COUNTER).where(_COUNTER.c.name == name).values(last=_COUNTER.c.last + 1)
    found = tx.execute(step.returning(_COUNTER.c.last)).scalar_one_or_none()
    if found is None:
        tx.execute(sql_insert(_COUNTER), {"name": name, "last": 1})
    return int(found or 1)


# -- addresses -------------------------------------------------------------------------------------------------------


def lowest_free_ip(tx: Tx, l3_uuid: str, start: int, end: int) -> int | None:
    """The lowest address from `start` to `end` that is not used; walks over the run of used ones at `start` only."""
    if not _is_used(tx, l3_uuid, start):
        return start
    after = _USED.alias()
    gap = (
        select(_USED.c.ip_in_long + 1)
        .where(_USED.c.l3_network_uuid == l3_uuid, _USED.c.ip_in_long >= start, _USED.c.ip_in_long < end)
        .where(~exists().where(after.c.l3_network_uuid == l3_uuid, after.c.ip_in_long == _USED.c.ip_in_long + 1))
        .order_by(_USED.c.ip_in_long)
        .limit(1)
    )
    found = tx.execute(gap).scalar_one_or_none()
    return None if found is None else int(found)


def highest_free_ip(tx: Tx, l3_uuid: str, start: int, end: int) -> int | None:
    if not _is_used(tx, l3_uuid, end):
        return end
    before = _USED.alias()
    gap = (
        select(_USED.c.ip_in_long - 1)
        .where(_USED.c.l3_network_uuid == l3_uuid, _USED.c.ip_in_long <= end, _USED.c.ip_in_long > start)
        .where(~exists().where(before.c.l3_network_uuid == l3_uuid, before.c.ip_in_long == _USED.c.ip_in_long - 1))
        .order_by(_USED.c.ip_in_long.desc())
        .limit(1)
    )
    found = tx.execute(gap).scalar_one_or_none()
    return None if found is None else int(found)


def used_ips(tx: Tx, l3_uuid: str, start: int, end: int) -> set[int]:
    """The used addresses from `start` to `end`."""
    query = select(_USED.c.ip_in_long).where(_USED.c.l3_network_uuid == l3_uuid, _USED.c.ip_in_long.between(start, end))
    return set(tx.execute(query).scalars())


def count_used_ips(tx: Tx, ip_range_uuids: list[str]) -> int:
    query = select(func.count()).select_from(_USED).where(_USED.c.ip_range_uuid.in_(ip_range_uuids))
    return int(tx.execute(query).scalar_one())


def _is_used(tx: Tx, l3_uuid: str, ip: int) -> bool:
    query = select(_USED.c.uuid).where(_USED.c.l3_network_uuid == l3_uuid, _USED.c.ip_in_long == ip)
    return tx.execute(query).first() is not None


# -- capacity --------------------------------------------------------------------------------------------------------


def take_host(tx: Tx, host_uuid: str, cpu: int, memory: int, reserved_memory: int | None) -> bool:
    """CPUs and bytes of memory; False when that would leave less than `reserved_memory` (None: take in any case)."""
    enough: list[ColumnElement[bool]] = []
    if reserved_memory is not None:
        enough = [_HOST.available_cpu_capacity >= cpu, _HOST.available_memory_capacity >= memory + reserved_memory]
    change = (
        update(tables.table("HostVO"))
        .where(_HOST.uuid == host_uuid, *enough)
        .values(
            cpu_used=_HOST.cpu_used + cpu,
            memory_used=_HOST.memory_used + memory,
            available_cpu_capacity=_HOST.available_cpu_capacity - cpu,
            available_memory_capacity=_HOST.available_memory_capacity - memory,
        )
    )
    return tx.execute(change).rowcount == 1


def return_host(tx: Tx, host_uuid: str, cpu: int, memory: int) -> None:
    take_host(tx, host_uuid, -cpu, -memory, None)


def take_disk(tx: Tx, storage_uuid: str, host_uuid: str, size: int) -> bool:
    """Bytes of a host's part of a storage; a negative size returns them, and that always succeeds."""
    return _change_disk(tx, storage_uuid, host_uuid, size, [_REF.available_capacity >= size] if size > 0 else [])


def record_disk(tx: Tx, storage_uuid: str, host_uuid: str, size: int) -> None:
    """The same for bytes that are taken already, whether there is room or not."""
    _change_disk(tx, storage_uuid, host_uuid, size, [])


def _change_disk(tx: Tx, storage_uuid: str, host_uuid: str, size: int, enough: list[ColumnElement[bool]]) -> bool:
    where = [_REF.primary_storage_uuid == storage_uuid, _REF.host_uuid == host_uuid, *enough]
    part = update(tables.table("LocalStorageHostRefVO")).where(*where)
    change = part.values(available_capacity=_REF.available_capacity - size)
    if tx.execute(change).rowcount != 1:
        return False
    counted = exists().where(_HOST.uuid == host_uuid, _HOST.status == "Connected")  # the sum is over connected hosts
    whole = update(tables.table("PrimaryStorageVO")).where(_STORAGE.uuid == storage_uuid, counted)
    tx.execute(whole.values(available_capacity=_STORAGE.available_capacity - size))
    return True


def resources_tagged(tx: Tx, tag: str) -> list[str]:
    """The uuids of the resources that have exactly this system tag."""
    head = func.substr(_TAG.tag, literal_column("1"), literal_column("100"))  # as the index has it
    query = select(_TAG.resource_uuid).where(head == tag[:100], _TAG.tag == tag)
    return list(tx.execute(query).scalars())


# -- hosts to choose from --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Scope:
    """What the caller asked for; the narrowest decides, None means anywhere."""

    zone_uuid: str | None = None
    cluster_uuid: str | None = None
    host_uuid: str | None = None


def hosts_with_storage(tx: Tx, scope: Scope) -> list[rows.Row]:
    """Each host of the scope, once for each of its storages (storage columns None when it has none)."""
    host, cluster = tables.table("HostVO"), tables.table("ClusterVO")
    ref, storage = tables.table("LocalStorageHostRefVO"), tables.table("PrimaryStorageVO")
    attached = tables.table("PrimaryStorageClusterRefVO")
    usable = and_(
        attached.c.cluster_uuid == host.c.cluster_uuid, attached.c.primary_storage_uuid == ref.c.primary_storage_uuid
    )
    query = (
        select(
            host.c.uuid.label("host_uuid"),
            host.c.name,
            host.c.zone_uuid,
            host.c.cluster_uuid,
            host.c.state,
            host.c.status,
            cluster.c.state.label("cluster_state"),
            host.c.total_memory_capacity.label("total_memory"),
            host.c.available_cpu_capacity.label("available_cpu"),
            host.c.available_memory_capacity.label("available_memory"),
            attached.c.primary_storage_uuid.label("storage_uuid"),
            storage.c.url.label("storage_url"),
            storage.c.state.label("storage_state"),
            ref.c.available_capacity.label("available_disk"),
        )
        .join(cluster, cluster.c.uuid == host.c.cluster_uuid)
        .outerjoin(ref, ref.c.host_uuid == host.c.uuid)
        .outerjoin(attached, usable)
        .outerjoin(storage, storage.c.uuid == attached.c.primary_storage_uuid)
    )
    if scope.host_uuid:
        query = query.where(host.c.uuid == scope.host_uuid)
    elif scope.cluster_uuid:
        query = query.where(host.c.cluster_uuid == scope.cluster_uuid)
    elif scope.zone_uuid:
        query = query.where(host.c.zone_uuid == scope.zone_uuid)
    return [dict(row) for row in tx.execute(query).mappings()]
