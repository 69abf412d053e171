"""Rows as dicts: generic access to any table by its resource type, within a transaction.

A condition `column=value` means equality; a list, tuple or set means IN; None means IS NULL. `uuid` in the signatures is
the value of the primary key, whatever the column is called. An unknown table or column raises `KeyError` naming it.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Column, ColumnElement, Select, bindparam, func, select
from sqlalchemy import delete as sql_delete
from sqlalchemy import insert as sql_insert
from sqlalchemy import update as sql_update

from controlplane.store import tables
from controlplane.store.database import Tx
from controlplane.store.prepared import Prepared, among

Row = dict[str, Any]
Shape = tuple[tuple[str, str], ...]  # of conditions: column, and how it is compared


def get(tx: Tx, resource_type: str, uuid: Any) -> Row | None:
    return find_one(tx, resource_type, **{_key(resource_type).name: uuid})


def find(
    tx: Tx, resource_type: str, /, *, order_by: Sequence[str] = (), only: Sequence[str] = (), **equals: Any
) -> list[Row]:
    """All rows that meet every condition; in the order of the columns named by `order_by`; whole, or `only` these columns."""
    shape, bound = _split(equals)
    names = tuple(only) or _names(resource_type)
    found = _all(resource_type, shape, tuple(order_by), names).all(tx, bound)
    return [dict(zip(names, row, strict=True)) for row in found]


def find_one(tx: Tx, resource_type: str, /, **equals: Any) -> Row | None:
    """One row that meets the conditions, or None; which one is open when several do."""
    shape, bound = _split(equals)
    return _first(tx, resource_type, _one(resource_type, shape), bound)


def exists(tx: Tx, resource_type: str, /, **equals: Any) -> bool:
    shape, bound = _split(equals)
    return _some_key(resource_type, shape).first(tx, bound) is not None


def count(tx: Tx, resource_type: str, /, **equals: Any) -> int:
    shape, bound = _split(equals)
    (number,) = _count(resource_type, shape).first(tx, bound) or (0,)
    return int(number)


def insert(tx: Tx, resource_type: str, /, **values: Any) -> Row:
    """Store a row and return the whole of it, defaults and dates included.

    `create_date` and `last_op_date` are the same instant unless given. Raises `IntegrityError` for a duplicate."""
    row: Row = dict.fromkeys(_names(resource_type))
    moment = tables.now()
    for name, default in _defaults(resource_type).items():
        row[name] = moment if name in ("create_date", "last_op_date") else default
    for name in values.keys() - row.keys():
        _column(resource_type, name)
    row.update(values)
    if _key(resource_type).name == "id" and row["id"] is None:
        del row["id"]
        (number,) = _insert(resource_type, True).first(tx, row) or (None,)
        return {"id": number, **row}
    _insert(resource_type, False).change(tx, row)
    return row


def update(tx: Tx, resource_type: str, uuid: Any, /, **values: Any) -> Row | None:
    """Change one row by its key; `last_op_date` follows unless given. Returns the row as it is now, None if absent."""
    shape, bound = _split({_key(resource_type).name: uuid})
    values = _changed(resource_type, values)
    return _first(tx, resource_type, _update(resource_type, shape, tuple(values), True), bound | _new(values))


def update_where(tx: Tx, resource_type: str, where: dict[str, Any], /, **values: Any) -> int:
    """Change all rows that meet the conditions; returns how many."""
    shape, bound = _split(where)
    values = _changed(resource_type, values)
    return _update(resource_type, shape, tuple(values), False).change(tx, bound | _new(values))


def delete(tx: Tx, resource_type: str, uuid: Any) -> int:
    """Remove one row by its key; returns 0 when it was absent."""
    return delete_where(tx, resource_type, **{_key(resource_type).name: uuid})


def delete_where(tx: Tx, resource_type: str, /, **equals: Any) -> int:
    """Remove all rows that meet the conditions; returns how many. Without a condition it refuses (ValueError)."""
    if not equals:
        raise ValueError(f"delete_where on {resource_type} needs a condition")
    shape, bound = _split(equals)
    return _delete(resource_type, shape).change(tx, bound)


def lock(tx: Tx, resource_type: str, uuid: Any) -> Row | None:
    """The row, kept from other writers until the transaction ends (SQLite has one writer at a time anyway)."""
    shape, bound = _split({_key(resource_type).name: uuid})
    return _first(tx, resource_type, _locked(resource_type, shape), bound)


def _first(tx: Tx, resource_type: str, statement: Prepared, bound: Row) -> Row | None:
    row = statement.first(tx, bound)
    return None if row is None else dict(zip(_names(resource_type), row, strict=True))


# -- statements ----------------------------------------------------------------------------------------------------------
# Each shape is built once: making a statement costs many times what running it does.


def _split(equals: dict[str, Any]) -> tuple[Shape, Row]:
    """Conditions as their shape and the values to bind."""
    shape, bound = [], {}
    for name, value in equals.items():
        if value is None:
            shape.append((name, "null"))
        elif isinstance(value, list | tuple | set | frozenset):
            shape.append((name, "in"))
            bound[f"is_{name}"] = list(value)
        else:
            shape.append((name, "="))
            bound[f"is_{name}"] = value
    return tuple(shape), bound


def _new(values: Row) -> Row:
    return {f"new_{name}": value for name, value in values.items()}


def _where(resource_type: str, shape: Shape) -> Iterator[ColumnElement[bool]]:
    for name, kind in shape:
        column = _column(resource_type, name)
        if kind == "null":
            yield column.is_(None)
        elif kind == "in":
            yield among(column, f"is_{name}")
        else:
            yield column == bindparam(f"is_{name}")


def _select(resource_type: str, shape: Shape, names: tuple[str, ...]) -> Select[Any]:
    columns = [_column(resource_type, name) for name in names]
    return select(*columns).where(*_where(resource_type, shape))


@cache
def _all(resource_type: str, shape: Shape, order_by: tuple[str, ...], names: tuple[str, ...]) -> Prepared:
    order = [_column(resource_type, name) for name in order_by]
    return Prepared(_select(resource_type, shape, names).order_by(*order))


@cache
def _one(resource_type: str, shape: Shape) -> Prepared:
    return Prepared(_select(resource_type, shape, _names(resource_type)).limit(1))


@cache
def _locked(resource_type: str, shape: Shape) -> Prepared:
    return Prepared(_select(resource_type, shape, _names(resource_type)).with_for_update())


@cache
def _some_key(resource_type: str, shape: Shape) -> Prepared:
    return Prepared(_select(resource_type, shape, (_key(resource_type).name,)).limit(1))


@cache
def _count(resource_type: str, shape: Shape) -> Prepared:
    table = tables.table(resource_type)
    return Prepared(select(func.count()).select_from(table).where(*_where(resource_type, shape)))


@cache
def _insert(resource_type: str, numbered: bool) -> Prepared:
    """`numbered`: the database chooses the key, and tells it."""
    table, key = tables.table(resource_type), _key(resource_type)
    if numbered:
        return Prepared(sql_insert(table).returning(key), [name for name in _names(resource_type) if name != key.name])
    return Prepared(sql_insert(table), _names(resource_type))


@cache
def _update(resource_type: str, shape: Shape, names: tuple[str, ...], returning: bool) -> Prepared:
    table = tables.table(resource_type)
    new: dict[Any, Any] = {_column(resource_type, name): bindparam(f"new_{name}") for name in names}
    statement = sql_update(table).where(*_where(resource_type, shape)).values(new)
    return Prepared(statement.returning(*table.c) if returning else statement)


@cache
def _delete(resource_type: str, shape: Shape) -> Prepared:
    return Prepared(sql_delete(tables.table(resource_type)).where(*_where(resource_type, shape)))


def _column(resource_type: str, name: str) -> Column[Any]:
    table = tables.table(resource_type)
    if name not in table.c:
        raise KeyError(f"{resource_type} has no column {name!r}; it has {', '.join(table.c.keys())}")
    return table.c[name]


def _changed(resource_type: str, values: Row) -> Row:
    return {"last_op_date": tables.now(), **values} if "last_op_date" in _names(resource_type) else values


@cache
def _names(resource_type: str) -> tuple[str, ...]:
    return tuple(tables.table(resource_type).c.keys())


@cache
def _key(resource_type: str) -> Column[Any]:
    (key,) = tables.table(resource_type).primary_key.columns
    return key


@cache
def _defaults(resource_type: str) -> dict[str, Any]:
    """Columns with a default: its value, or None for one that is computed (the dates)."""
    columns = tables.table(resource_type).c
    return {c.name: c.default.arg if c.default.is_scalar else None for c in columns if c.default is not None}  # type: ignore[attr-defined]
