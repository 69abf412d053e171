"""How much an account has of what is limited by a quota: one indexed statement each."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import ColumnElement, FromClause, func, select

from controlplane.store import tables
from controlplane.store.database import Tx
from controlplane.store.ownership import REF

_IDLE = ("Stopped", "Destroying", "Destroyed", "Expunging")


def _all(_source: FromClause) -> ColumnElement[int]:
    return func.count()


def _sum(column: str) -> Callable[[FromClause], ColumnElement[int]]:
    return lambda source: func.coalesce(func.sum(source.c[column]), 0)


def _there(source: FromClause) -> ColumnElement[bool]:
    """Whatever its state, until it is deleted."""
    return source.c.status != "Deleted"


def _kept(source: FromClause) -> ColumnElement[bool]:
    return source.c.state.not_in(("Destroyed", "Expunging"))


def _busy(source: FromClause) -> ColumnElement[bool]:
    return source.c.state.not_in((*_IDLE, "Created"))


def _data(source: FromClause) -> ColumnElement[bool]:
    return _there(source) & (source.c.type == "Data")


# quota → (table, what is added up, of which rows)
_USED: dict[str, tuple[str, Callable[[Any], Any], Callable[[Any], Any]]] = {
    "vm.totalNum": ("VmInstanceVO", _all, _kept),
    "vm.num": ("VmInstanceVO", _all, _busy),
    "vm.cpuNum": ("VmInstanceVO", _sum("cpu_num"), _busy),
    "vm.memorySize": ("VmInstanceVO", _sum("memory_size"), _busy),
    "volume.data.num": ("VolumeVO", _all, _data),
    "volume.capacity": ("VolumeVO", _sum("size"), _there),
    "snapshot.volume.num": ("VolumeSnapshotVO", _all, _there),
    "image.num": ("ImageVO", _all, _there),
    "image.size": ("ImageVO", _sum("size"), _there),
}


def used(tx: Tx, account: str, name: str) -> int:
    resource, amount, which = _USED[name]
    if resource not in tables.metadata.tables:
        return 0
    source = tables.table(resource)
    owned = (REF.c.resource_uuid == source.c.uuid) & (REF.c.account_uuid == account) & (REF.c.resource_type == resource)
    statement = select(amount(source)).select_from(source.join(REF, owned)).where(which(source))
    return int(tx.execute(statement).scalar_one())
