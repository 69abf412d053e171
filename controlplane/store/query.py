"""Answers the query APIs: one statement for the rows and one for each list of the inventory; never a call to a host."""

from typing import Any

from pydantic.alias_generators import to_camel
from sqlalchemy import ColumnElement, FromClause, func, select

from controlplane.contract.base import Inventory, Query
from controlplane.contract.error import invalid
from controlplane.store import tables
from controlplane.store.condition import PARTS, condition, fields, table_name
from controlplane.store.database import Tx
from controlplane.store.ownership import Viewer, visible
from controlplane.store.relations import fill
from controlplane.store.rows import Row


def run(tx: Tx, message: Query, viewer: Viewer) -> dict[str, Any]:
    """`{"inventories": […]}`, with `total` when asked for; with `count` the total only. Raises SYS.1007."""
    source = tables.table(table_name(message.resource))
    where = [condition(message.resource, source, one, viewer) for one in message.conditions]
    if viewer is not None:
        where.append(visible(viewer, table_name(message.resource), source))
    if message.resource in PARTS:
        where.append(source.c.type == PARTS[message.resource][1])
    answer: dict[str, Any] = {}
    if message.count or message.reply_with_count:
        answer["total"] = int(tx.execute(select(func.count()).select_from(source).where(*where)).scalar_one())
    if message.count:
        return answer
    return {"inventories": _inventories(tx, message, source, where), **answer}


def _inventories(tx: Tx, message: Query, source: FromClause, where: list[ColumnElement[bool]]) -> list[dict[str, Any]]:
    known = fields(message.resource)
    shown = [_field(message, name, known, "fields") for name in message.fields or ()]
    statement = select(*(source.c[known[name]] for name in shown)) if shown else select(source)
    statement = statement.where(*where).order_by(*_order(message, source, known))
    found = [dict(row) for row in tx.execute(statement.limit(message.limit).offset(message.start)).mappings()]
    model = message.result
    assert model is not None and issubclass(model, Inventory), f"{message.api_name()} declares no inventory"
    if shown:
        return [_part(model, row) for row in found]
    fill(tx, table_name(message.resource), found)
    return [model.model_validate(row).wire() for row in found]


def _order(message: Query, source: FromClause, known: dict[str, str]) -> list[ColumnElement[Any]]:
    """A total order, so that pages neither overlap nor leave a gap."""
    (key,) = source.primary_key
    order: list[ColumnElement[Any]] = [key]
    if message.sort_by is not None:
        column = source.c[known[_field(message, message.sort_by, known, "sortBy")]]
        order = [column.desc() if message.sort_direction == "desc" else column.asc(), key]
    elif "create_date" in source.c:
        order = [source.c.create_date, key]
    return order


def _field(message: Query, name: str, known: dict[str, str], parameter: str) -> str:
    wire = to_camel(name) if "_" in name else name
    if wire not in known:
        possible = ", ".join(known)
        raise invalid(f"{message.api_name()} cannot take {name[:100]!r} here; possible are {possible}", parameter)
    return wire


def _part(model: type[Inventory], row: Row) -> dict[str, Any]:
    """Some fields of an inventory, written as the whole would be."""
    return model.model_construct(_fields_set=set(row), **row).model_dump(
        mode="json", by_alias=True, exclude_none=True, include=set(row)
    )
