"""Answers the query APIs: one statement for the rows and one for each list of the inventory; never a call to a host.

`groupBy` leaves of the rows that are alike in a field the one with the lowest uuid. What a query may ask for is bounded, so
that no caller keeps the database to themselves.
"""

from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any

from pydantic.alias_generators import to_camel
from sqlalchemy import ColumnElement, FromClause, Integer, Select, bindparam, func, select, type_coerce
from sqlalchemy.types import DateTime

from controlplane.contract.base import Query
from controlplane.contract.error import invalid
from controlplane.contract.queryable import PARTS, fields, inventory_of, table_name
from controlplane.contract.shown import is_date, writer
from controlplane.store import query_shape, tables
from controlplane.store.condition import Asked, check, condition
from controlplane.store.database import Tx
from controlplane.store.ownership import Viewer, visible
from controlplane.store.relations import LISTS, Shown
from controlplane.store.text import compared

MOST_VALUES = 10_000  # of all `in` lists together
_AT_ONCE = 1000  # resources whose lists one statement reads


def run(tx: Tx, message: Query, viewer: Viewer) -> dict[str, Any]:
    """`{"inventories": […]}`, with `total` when asked for; with `count` the total only. Raises SYS.1007."""
    for one in message.conditions:
        check(one)
    source = tables.table(table_name(message.resource))
    answer: dict[str, Any] = {}
    if message.count or message.reply_with_count:
        where = _where(message, source, viewer)
        answer["total"] = int(tx.execute(select(func.count()).select_from(source).where(*where)).scalar_one())
    if message.count:
        return answer
    return {"inventories": _inventories(tx, message, source, viewer), **answer}


def _where(message: Query, source: FromClause, viewer: Viewer) -> list[ColumnElement[bool]]:
    values = sum((one.value or "").count(",") + 1 for one in message.conditions if one.op in ("in", "not in"))
    if values > MOST_VALUES:
        raise invalid(f"{message.api_name()} takes {MOST_VALUES} values in lists at most, not {values}", "conditions")
    alone = len(message.conditions) == 1
    asked = [Asked(one, query_shape.given(number), viewer) for number, one in enumerate(message.conditions)]
    where = [condition(message.resource, source, one, alone=alone) for one in asked]
    if viewer is not None:
        where.append(visible(viewer, table_name(message.resource), source))
    if message.resource in PARTS:
        where.append(source.c.type == PARTS[message.resource][1])
    if message.group_by is not None:
        (key,) = source.primary_key
        alike = compared(source.c[_field(message, message.group_by, "groupBy")])
        where = [key.in_(select(func.min(key)).where(*where).group_by(alike))]
    return where


def _inventories(tx: Tx, message: Query, source: FromClause, viewer: Viewer) -> list[dict[str, Any]]:
    table = table_name(message.resource)
    wanted = list(dict.fromkeys(_field(message, name, "fields") for name in message.fields or ()))
    names = tuple(wanted or shown_columns(table))
    given = query_shape.values(message)
    shape = query_shape.shape(message, names, viewer, given)
    page = {"limit": message.limit, "start": message.start}
    rows: Sequence[Sequence[Any]]
    if prepared := query_shape.kept(shape):
        rows = prepared.all(tx, page | given)
    else:
        ordered = _selected(table, names).where(*_where(message, source, viewer)).order_by(*_order(message, source))
        statement = ordered.limit(bindparam("limit", type_=Integer)).offset(bindparam("start", type_=Integer))
        query_shape.keep(shape, statement, message)
        rows = tx.execute(statement, page | given).fetchall()
    write = writer(inventory_of(table), names)
    found = [write(row) for row in rows]
    if not wanted:
        for start in range(0, len(found), _AT_ONCE):
            _fill(tx, table, found[start : start + _AT_ONCE])
    return found


@cache
def shown_columns(table: str) -> tuple[str, ...]:
    return tuple(name for name in fields(table).values() if name in tables.table(table).c)


@cache
def _by_wire(table: str) -> dict[str, str]:
    known = shown_columns(table)
    return {wire: column for wire, column in fields(table).items() if column in known}


@lru_cache(1024)  # a caller chooses the fields and their order
def _selected(table: str, names: tuple[str, ...]) -> Select[Any]:
    return select(*_columns(table, names))


def _columns(table: str, names: Sequence[str]) -> list[ColumnElement[Any]]:
    """Dates are read as they are stored, in UTC without zone: that is how they are written."""
    model, source = inventory_of(table), tables.table(table)
    return [type_coerce(source.c[name], DateTime) if is_date(model, name) else source.c[name] for name in names]


def _fill(tx: Tx, table: str, found: list[dict[str, Any]]) -> None:
    """By a list of values and not `among`, which makes SQLite sort what the index has in order."""
    for name, shown in LISTS.get(table, {}).items():
        wire = to_camel(name)
        lists: dict[str, list[Any]] = {row["uuid"]: row.setdefault(wire, []) for row in found}
        rows = tx.execute(_listed(shown).where(tables.table(shown.table).c[shown.theirs].in_(list(lists)))).fetchall()
        if shown.value:
            for value, uuid in rows:
                lists[uuid].append(value)
            continue
        write = writer(inventory_of(shown.table), shown_columns(shown.table))
        for row in rows:
            lists[row[-1]].append(write(row[:-1]))


@cache
def _listed(shown: Shown) -> Select[Any]:
    """What a list shows, and last whose it is."""
    part = tables.table(shown.table)
    belongs = part.c[shown.theirs]
    statement = select(part.c[shown.value]) if shown.value else _selected(shown.table, shown_columns(shown.table))
    return statement.add_columns(belongs).order_by(belongs, part.c[shown.order], *part.primary_key)


def _order(message: Query, source: FromClause) -> list[ColumnElement[Any]]:
    """A total order, so that pages neither overlap nor leave a gap; null comes before every value."""
    (key,) = source.primary_key
    if message.sort_by is None:
        return [source.c.create_date, key] if "create_date" in source.c else [key]
    column = source.c[_field(message, message.sort_by, "sortBy")]
    by = compared(column)
    descending = message.sort_direction == "desc"
    if column.nullable:  # said only where it matters: an index serves the database's own order
        return [by.desc().nulls_last() if descending else by.asc().nulls_first(), key]
    return [by.desc() if descending else by, key]


def _field(message: Query, name: str, parameter: str) -> str:
    by_wire = _by_wire(table_name(message.resource))
    wire = to_camel(name) if "_" in name else name
    if wire not in by_wire:
        possible = ", ".join(by_wire)
        raise invalid(f"{message.api_name()} cannot take {name[:100]!r} here; possible are {possible}", parameter)
    return by_wire[wire]
