"""Rows as dicts: generic access to any table by its resource type, within a transaction.

A condition `column=value` means equality; a list, tuple or set means IN; None means IS NULL. `uuid` in the signatures is
the value of the primary key, whatever the column is called. An unknown table or column raises `KeyError` naming it.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import Column, ColumnElement, func, select
from sqlalchemy import delete as sql_delete
from sqlalchemy import insert as sql_insert
from sqlalchemy import update as sql_update

from controlplane.store import tables
from controlplane.store.database import Tx

Row = dict[str, Any]


def get(tx: Tx, resource_type: str, uuid: Any) -> Row | None:
    table = tables.table(resource_type)
    row = tx.execute(select(table).where(_key(resource_type) == uuid)).mappings().first()
    return dict(row) if row else None


def find(tx: Tx, resource_type: str, /, *, order_by: Sequence[str] = (), **equals: Any) -> list[Row]:
    """All rows that meet every condition; in the order of the columns named by `order_by`."""
    statement = select(tables.table(resource_type)).where(*_conditions(resource_type, equals))
    if order_by:
        statement = statement.order_by(*(_column(resource_type, name) for name in order_by))
    return [dict(row) for row in tx.execute(statement).mappings()]


def find_one(tx: Tx, resource_type: str, /, **equals: Any) -> Row | None:
    """One row that meets the conditions, or None; which one is open when several do."""
    statement = select(tables.table(resource_type)).where(*_conditions(resource_type, equals)).limit(1)
    row = tx.execute(statement).mappings().first()
    return dict(row) if row else None


def exists(tx: Tx, resource_type: str, /, **equals: Any) -> bool:
    key = _key(resource_type)
    return tx.execute(select(key).where(*_conditions(resource_type, equals)).limit(1)).first() is not None


def count(tx: Tx, resource_type: str, /, **equals: Any) -> int:
    table = tables.table(resource_type)
    statement = select(func.count()).select_from(table).where(*_conditions(resource_type, equals))
    return int(tx.execute(statement).scalar_one())


def insert(tx: Tx, resource_type: str, /, **values: Any) -> Row:
    """Store a row and return the whole of it, defaults and dates included.

    `create_date` and `last_op_date` are the same instant unless given. Raises `IntegrityError` for a duplicate."""
    row: Row = dict.fromkeys(tables.table(resource_type).c.keys())
    moment = tables.now()
    for name, default in _defaults(resource_type).items():
        row[name] = moment if name in ("create_date", "last_op_date") else default
    for name in values:
        _column(resource_type, name)
    row.update(values)
    key = _key(resource_type)
    if key.name == "id" and row["id"] is None:
        del row["id"]
        result = tx.execute(sql_insert(key.table), row)
        return {"id": result.inserted_primary_key[0], **row}  # type: ignore[index]
    tx.execute(sql_insert(key.table), row)
    return row


def update(tx: Tx, resource_type: str, uuid: Any, /, **values: Any) -> Row | None:
    """Change one row by its key; `last_op_date` follows unless given. Returns the row as it is now, None if absent."""
    table = tables.table(resource_type)
    statement = sql_update(table).where(_key(resource_type) == uuid).values(_changed(resource_type, values))
    row = tx.execute(statement.returning(*table.c)).mappings().first()
    return dict(row) if row else None


def update_where(tx: Tx, resource_type: str, where: dict[str, Any], /, **values: Any) -> int:
    """Change all rows that meet the conditions; returns how many."""
    statement = sql_update(tables.table(resource_type)).where(*_conditions(resource_type, where))
    return int(tx.execute(statement.values(_changed(resource_type, values))).rowcount)


def delete(tx: Tx, resource_type: str, uuid: Any) -> int:
    """Remove one row by its key; returns 0 when it was absent."""
    return delete_where(tx, resource_type, **{_key(resource_type).name: uuid})


def delete_where(tx: Tx, resource_type: str, /, **equals: Any) -> int:
    """Remove all rows that meet the conditions; returns how many. Without a condition it refuses (ValueError)."""
    if not equals:
        raise ValueError(f"delete_where on {resource_type} needs a condition")
    statement = sql_delete(tables.table(resource_type)).where(*_conditions(resource_type, equals))
    return int(tx.execute(statement).rowcount)


def lock(tx: Tx, resource_type: str, uuid: Any) -> Row | None:
    """The row, kept from other writers until the transaction ends (SQLite has one writer at a time anyway)."""
    table = tables.table(resource_type)
    row = tx.execute(select(table).where(_key(resource_type) == uuid).with_for_update()).mappings().first()
    return dict(row) if row else None


def _column(resource_type: str, name: str) -> Column[Any]:
    table = tables.table(resource_type)
    if name not in table.c:
        raise KeyError(f"{resource_type} has no column {name!r}; it has {', '.join(table.c.keys())}")
    return table.c[name]


def _changed(resource_type: str, values: Row) -> Row:
    for name in values:
        _column(resource_type, name)
    return {"last_op_date": tables.now(), **values} if "last_op_date" in tables.table(resource_type).c else values


def _conditions(resource_type: str, equals: dict[str, Any]) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    for name, value in equals.items():
        column = _column(resource_type, name)
        if isinstance(value, list | tuple | set | frozenset):
            conditions.append(column.in_(list(value)))
        else:
            conditions.append(column.is_(None) if value is None else column == value)
    return conditions


@cache
def _key(resource_type: str) -> Column[Any]:
    (key,) = tables.table(resource_type).primary_key.columns
    return key


@cache
def _defaults(resource_type: str) -> dict[str, Any]:
    """Columns with a default: its value, or None for one that is computed (the dates)."""
    columns = tables.table(resource_type).c
    return {c.name: c.default.arg if c.default.is_scalar else None for c in columns if c.default is not None}  # type: ignore[attr-defined]
