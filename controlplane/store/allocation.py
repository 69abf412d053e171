"""What is taken from a limited stock: addresses, capacity of hosts and storages, numbers.

Each function is one or two indexed statements, whatever the size of the stock, and decides in the statement itself
(`UPDATE … WHERE enough is left`), so that nodes side by side cannot take the same twice. Statements are built once.
"""

from dataclasses import dataclass
from functools import cache

from sqlalchemy import and_, bindparam, exists, false, func, literal_column, select, update

from controlplane.rules.placement import Candidate
from controlplane.store import rows, tables
from controlplane.store.database import Tx
from controlplane.store.prepared import Prepared

_HOST = tables.table("HostVO").c
_USED = tables.table("UsedIpVO")
_REF = tables.table("LocalStorageHostRefVO").c
_STORAGE = tables.table("PrimaryStorageVO").c
_TAG = tables.table("SystemTagVO").c
_COUNTER = tables.table("CounterVO")
_NEXT = Prepared(
    update(_COUNTER)
    .where(_COUNTER.c.name == bindparam("counter"))
    .values(last=_COUNTER.c.last + 1)
    .returning(_COUNTER.c.last)
)
_NEXT_GENERATION = Prepared(
    update(tables.table("HostVO"))
    .where(_HOST.uuid == bindparam("host"))
    .values(network_generation=_HOST.network_generation + 1)
    .returning(_HOST.network_generation)
)
_IS_USED = Prepared(
    select(_USED.c.uuid).where(_USED.c.l3_network_uuid == bindparam("l3"), _USED.c.ip_in_long == bindparam("ip"))
)


def next_network_generation(tx: Tx, host_uuid: str) -> int | None:
    """Of the host's network; None when there is no such host."""
    found = _NEXT_GENERATION.first(tx, {"host": host_uuid})
    return int(found[0]) if found else None


def next_number(tx: Tx, name: str) -> int:
    """1, 2, 3, … never the same twice."""
    if found := _NEXT.first(tx, {"counter": name}):
        return int(found[0])
    rows.insert(tx, "CounterVO", name=name, last=1)
    return 1


# -- addresses -------------------------------------------------------------------------------------------------------


def lowest_free_ip(tx: Tx, l3_uuid: str, start: int, end: int) -> int | None:
    """The lowest address from `start` to `end` that is not used; walks over the run of used ones at `start` only."""
    if not _is_used(tx, l3_uuid, start):
        return start
    found = _gap(1).first(tx, {"l3": l3_uuid, "low": start, "high": end - 1})
    return int(found[0]) if found else None


def highest_free_ip(tx: Tx, l3_uuid: str, start: int, end: int) -> int | None:
    if not _is_used(tx, l3_uuid, end):
        return end
    found = _gap(-1).first(tx, {"l3": l3_uuid, "low": start + 1, "high": end})
    return int(found[0]) if found else None


def used_ips(tx: Tx, l3_uuid: str, start: int, end: int) -> set[int]:
    """The used addresses from `start` to `end`."""
    query = select(_USED.c.ip_in_long).where(_USED.c.l3_network_uuid == l3_uuid, _USED.c.ip_in_long.between(start, end))
    return set(tx.execute(query).scalars())


def count_used_ips(tx: Tx, ip_range_uuids: list[str]) -> int:
    query = select(func.count()).select_from(_USED).where(_USED.c.ip_range_uuid.in_(ip_range_uuids))
    return int(tx.execute(query).scalar_one())


@cache
def _gap(step: int) -> Prepared:
    """The first free address beside a used one from `low` to `high`, upwards (1) or downwards (-1)."""
    beside, ip = _USED.alias(), _USED.c.ip_in_long
    taken = exists().where(beside.c.l3_network_uuid == bindparam("l3"), beside.c.ip_in_long == ip + step)
    among = and_(_USED.c.l3_network_uuid == bindparam("l3"), ip.between(bindparam("low"), bindparam("high")))
    return Prepared(select(ip + step).where(among, ~taken).order_by(ip if step > 0 else ip.desc()).limit(1))


def _is_used(tx: Tx, l3_uuid: str, ip: int) -> bool:
    return _IS_USED.first(tx, {"l3": l3_uuid, "ip": ip}) is not None


# -- capacity --------------------------------------------------------------------------------------------------------

_CHANGE_HOST = (
    update(tables.table("HostVO"))
    .where(_HOST.uuid == bindparam("host"))
    .values(
        cpu_used=_HOST.cpu_used + bindparam("cpu"),
        memory_used=_HOST.memory_used + bindparam("memory"),
        available_cpu_capacity=_HOST.available_cpu_capacity - bindparam("cpu"),
        available_memory_capacity=_HOST.available_memory_capacity - bindparam("memory"),
    )
)
_TAKE_HOST = Prepared(_CHANGE_HOST)
_TAKE_IF_ENOUGH = Prepared(
    _CHANGE_HOST.where(
        _HOST.available_cpu_capacity >= bindparam("cpu"), _HOST.available_memory_capacity >= bindparam("memory_needed")
    )
)
_CHANGE = (
    update(tables.table("LocalStorageHostRefVO"))
    .where(_REF.primary_storage_uuid == bindparam("storage"), _REF.host_uuid == bindparam("host"))
    .values(available_capacity=_REF.available_capacity - bindparam("size"))
)
_CHANGE_PART, _TAKE_PART = Prepared(_CHANGE), Prepared(_CHANGE.where(_REF.available_capacity >= bindparam("size")))
_CHANGE_WHOLE = Prepared(  # the sum is over connected hosts
    update(tables.table("PrimaryStorageVO"))
    .where(_STORAGE.uuid == bindparam("storage"))
    .where(exists().where(_HOST.uuid == bindparam("host"), _HOST.status == "Connected"))
    .values(available_capacity=_STORAGE.available_capacity - bindparam("size"))
)


def take_host(tx: Tx, host_uuid: str, cpu: int, memory: int, reserved_memory: int | None) -> bool:
    """CPUs and bytes of memory; False when that would leave less than `reserved_memory` (None: take in any case)."""
    bound = {"host": host_uuid, "cpu": cpu, "memory": memory}
    if reserved_memory is None:
        return _TAKE_HOST.change(tx, bound) == 1
    return _TAKE_IF_ENOUGH.change(tx, bound | {"memory_needed": memory + reserved_memory}) == 1


def return_host(tx: Tx, host_uuid: str, cpu: int, memory: int) -> None:
    take_host(tx, host_uuid, -cpu, -memory, None)


def take_disk(tx: Tx, storage_uuid: str, host_uuid: str, size: int) -> bool:
    """Bytes of a host's part of a storage; a negative size returns them, and that always succeeds."""
    return _change_disk(tx, storage_uuid, host_uuid, size, _TAKE_PART if size > 0 else _CHANGE_PART)


def record_disk(tx: Tx, storage_uuid: str, host_uuid: str, size: int) -> None:
    """The same for bytes that are taken already, whether there is room or not."""
    _change_disk(tx, storage_uuid, host_uuid, size, _CHANGE_PART)


def _change_disk(tx: Tx, storage_uuid: str, host_uuid: str, size: int, part: Prepared) -> bool:
    bound = {"storage": storage_uuid, "host": host_uuid, "size": size}
    if part.change(tx, bound) != 1:
        return False
    _CHANGE_WHOLE.change(tx, bound)
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


def hosts_with_storage(tx: Tx, scope: Scope) -> list[Candidate]:
    """Each host of the scope, once for each of its storages."""
    narrowest = {"uuid": scope.host_uuid, "cluster_uuid": scope.cluster_uuid, "zone_uuid": scope.zone_uuid}
    column, uuid = next(((name, uuid) for name, uuid in narrowest.items() if uuid), ("", None))
    return [Candidate._make(row) for row in _hosts(column).all(tx, {"narrowest": uuid} if column else {})]


@cache
def _hosts(column: str) -> Prepared:
    host, cluster, zone = (tables.table(name) for name in ("HostVO", "ClusterVO", "ZoneVO"))
    ref, storage = tables.table("LocalStorageHostRefVO"), tables.table("PrimaryStorageVO")
    attached = tables.table("PrimaryStorageClusterRefVO")
    usable = and_(
        attached.c.cluster_uuid == host.c.cluster_uuid, attached.c.primary_storage_uuid == ref.c.primary_storage_uuid
    )
    query = (
        select(
            host.c.uuid,  # in the order of a Candidate
            host.c.name,
            host.c.cluster_uuid,
            host.c.state,
            host.c.status,
            cluster.c.state,
            host.c.total_memory_capacity,
            host.c.available_cpu_capacity,
            host.c.available_memory_capacity,
            attached.c.primary_storage_uuid,
            func.coalesce(storage.c.url, ""),
            func.coalesce(storage.c.state == "Enabled", false()),
            func.coalesce(ref.c.available_capacity, 0),
            zone.c.state,
        )
        .join(cluster, cluster.c.uuid == host.c.cluster_uuid)
        .join(zone, zone.c.uuid == host.c.zone_uuid)
        .outerjoin(ref, ref.c.host_uuid == host.c.uuid)
        .outerjoin(attached, usable)
        .outerjoin(storage, storage.c.uuid == attached.c.primary_storage_uuid)
    )
    return Prepared(query.where(host.c[column] == bindparam("narrowest")) if column else query)
