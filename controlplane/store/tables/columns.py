"""What tables are made of: columns by their kinds, dates, indexes, and the registry of all tables (`metadata`)."""

import datetime
from collections.abc import Iterable
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import TypeDecorator, TypeEngine

from controlplane.store.text import folded, is_text

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class Utc(TypeDecorator[datetime.datetime]):
    """An aware datetime in Python, the same instant without zone, in UTC, in the database."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime.datetime | None, dialect: Dialect) -> datetime.datetime | None:
        return value.astimezone(datetime.UTC).replace(tzinfo=None) if value else None

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime.datetime | None:
        return value.replace(tzinfo=datetime.UTC) if value else None

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:
        """SQLite keeps dates as text, and Python reads that faster than SQLAlchemy does."""
        return _from_text if dialect.name == "sqlite" else super().result_processor(dialect, coltype)


def _from_text(value: str | None) -> datetime.datetime | None:
    return datetime.datetime.fromisoformat(value).replace(tzinfo=datetime.UTC) if value else None


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


SERIAL = BigInteger().with_variant(Integer, "sqlite")


# Text is compared and ordered by code points on both databases, and "C" lets an index serve `LIKE 'abc%'`.
def string(length: int) -> TypeEngine[str]:
    return String(length).with_variant(postgresql.VARCHAR(length, collation="C"), "postgresql")


def uuid(name: str, null: bool = True) -> Column[Any]:
    return Column(name, string(32), nullable=null)


def text(name: str, length: int = 255, null: bool = True, default: str | None = None) -> Column[Any]:
    return Column(name, string(length), nullable=null, default=default)


def long_text(name: str) -> Column[Any]:
    return Column(name, Text().with_variant(postgresql.TEXT(collation="C"), "postgresql"))


def size(name: str, null: bool = False) -> Column[Any]:
    return Column(name, BigInteger, nullable=null, default=None if null else 0)


def integer(name: str, null: bool = False, default: int | None = 0) -> Column[Any]:
    return Column(name, Integer, nullable=null, default=None if null else default)


def boolean(name: str, default: bool = False) -> Column[Any]:
    return Column(name, Boolean, nullable=False, default=default)


def time(name: str, null: bool = True) -> Column[Any]:
    return Column(name, Utc, nullable=null)


def dates() -> list[Column[Any]]:
    return [
        Column("create_date", Utc, nullable=False, default=now),
        Column("last_op_date", Utc, nullable=False, default=now),
    ]


def named() -> list[Column[Any]]:
    return [text("name", null=False), text("description", 2048)]


Columns = str | tuple[str, ...]


def indexes(table: Table, wanted: Iterable[Columns]) -> Table:
    """A column for look-ups by its exact value; a tuple, and `name`, as queries compare and order: in lower case."""
    for entry in wanted:
        names = (entry,) if isinstance(entry, str) else entry
        asked = entry == "name" or not isinstance(entry, str)
        columns = [folded(table.c[name]) if asked and is_text(table.c[name]) else table.c[name] for name in names]
        Index(f"ix_{table.name}_{'_'.join(names)}", *columns)
    return table


def resource(name: str, *parts: Any, index: tuple[Columns, ...] = ()) -> Table:
    """A table whose rows are resources: uuid, own columns, create_date, last_op_date."""
    key = Column("uuid", string(32), primary_key=True)
    return indexes(Table(name, metadata, key, *parts, *dates()), index)


def refs(name: str, *parts: Any, index: tuple[Columns, ...] = ()) -> Table:
    """A table of references: a number as key, own columns, create_date, last_op_date."""
    key = Column("id", SERIAL, primary_key=True, autoincrement=True)
    return indexes(Table(name, metadata, key, *parts, *dates()), index)


BY_AGE = ("create_date", "uuid")  # the order of a query that asks for none
BY_STATE = ("state", *BY_AGE)


def table(resource_type: str) -> Table:
    """The table of that name. `KeyError` names the unknown type: a fault of the code, never of a caller's input."""
    return metadata.tables[resource_type]
