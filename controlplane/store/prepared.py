"""Statements that are compiled once and then run on the driver itself.

SQLAlchemy's execution of a statement costs several times what the database takes for a small one; of that only the conversion
of values is needed here. So whatever runs for each of thousands of operations is `prepared`, and gives plain tuples. Errors
are SQLAlchemy's, without the values; the transaction is the `Connection`'s that it is run with.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic_core import to_json
from sqlalchemy import ARRAY, ColumnElement, Dialect, String, Text, any_, bindparam, func, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.types import Boolean, TypeDecorator, TypeEngine

from controlplane.store.database import Tx

Values = dict[str, Any]
Convert = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class _Compiled:
    """For one kind of database."""

    sql: str
    names: tuple[str, ...]  # of the values, in the order of the statement
    fixed: Values  # values that are part of the statement
    given: tuple[tuple[str, Convert], ...]  # values that are converted
    taken: tuple[tuple[int, Convert], ...]  # columns that are converted
    by_name: bool


class Prepared:
    """`statement`: any SQLAlchemy statement; all its values are named (`bindparam`), or its own. Of an INSERT these `columns`."""

    def __init__(self, statement: Any, columns: Sequence[str] | None = None) -> None:
        self._statement, self._columns = statement, columns
        self._compiled: dict[str, _Compiled] = {}

    def all(self, tx: Tx, values: Values) -> list[Sequence[Any]]:
        cursor, compiled = self._run(tx, values)
        rows: list[Sequence[Any]] = cursor.fetchall()
        cursor.close()
        return [_converted(row, compiled.taken) for row in rows] if compiled.taken else rows

    def first(self, tx: Tx, values: Values) -> Sequence[Any] | None:
        cursor, compiled = self._run(tx, values)
        row: Sequence[Any] | None = cursor.fetchone()
        cursor.close()
        return _converted(row, compiled.taken) if row is not None and compiled.taken else row

    def change(self, tx: Tx, values: Values) -> int:
        """How many rows it changed."""
        cursor, _ = self._run(tx, values)
        count: int = cursor.rowcount
        cursor.close()
        return count

    def _run(self, tx: Tx, values: Values) -> tuple[Any, _Compiled]:
        dialect = tx.dialect
        compiled = self._compiled.get(dialect.name)
        if compiled is None:
            compiled = self._compiled[dialect.name] = self._compile(dialect)
        bound = compiled.fixed | values if compiled.fixed else values
        if compiled.given:
            bound = dict(bound)
            for name, convert in compiled.given:
                bound[name] = convert(bound[name])
        connection = tx.connection
        cursor = connection.cursor()
        try:
            cursor.execute(compiled.sql, bound if compiled.by_name else [bound[name] for name in compiled.names])
        except dialect.loaded_dbapi.Error as error:
            lost = dialect.is_disconnect(error, connection.dbapi_connection, cursor)
            if lost:
                tx.invalidate(error)
            raise DBAPIError.instance(
                compiled.sql,
                None,
                error,
                dialect.loaded_dbapi.Error,
                hide_parameters=True,
                connection_invalidated=lost,
                dialect=dialect,
            ) from error
        return cursor, compiled

    def _compile(self, dialect: Dialect) -> _Compiled:
        made = self._statement.compile(dialect=dialect, column_keys=self._columns)
        assert isinstance(made, SQLCompiler) and not made.prefetch and "[POSTCOMPILE" not in made.string, made.string
        binds = {name: bind for bind, name in made.bind_names.items()}
        converters = ((name, bind.type.dialect_impl(dialect).bind_processor(dialect)) for name, bind in binds.items())
        shown = getattr(self._statement, "exported_columns", ())
        return _Compiled(
            sql=made.string,
            names=tuple(made.positiontup or ()),
            fixed={name: bind.effective_value for name, bind in binds.items() if not bind.required},
            given=tuple((name, convert) for name, convert in converters if convert),
            taken=tuple(_results(shown, dialect)),
            by_name=not made.positional,
        )


def _results(columns: Iterable[Any], dialect: Dialect) -> Iterable[tuple[int, Convert]]:
    coltype = None  # asked for by few types, and told by the driver only
    for index, column in enumerate(columns):
        if convert := column.type.dialect_impl(dialect).result_processor(dialect, coltype):
            yield index, convert


def _converted(row: Sequence[Any], converters: tuple[tuple[int, Convert], ...]) -> list[Any]:
    values = list(row)
    for index, convert in converters:
        values[index] = convert(values[index])
    return values


# -- a list as one value ---------------------------------------------------------------------------------------------


class among(ColumnElement[bool]):
    """`column` is one of a list, bound as `name`: the statement is the same however long that is."""

    inherit_cache = False
    type = Boolean()

    def __init__(self, column: ColumnElement[Any], name: str) -> None:
        self.column, self.name = column, name

    def self_group(self, against: Any = None) -> "among":
        return self  # else it becomes `… = 1` on SQLite, which no index serves


class _List(TypeDecorator[list[Any]]):
    """An array where the database has them, else JSON."""

    impl = Text
    cache_ok = True

    def __init__(self, item: TypeEngine[Any]) -> None:
        super().__init__()
        self.item = String() if isinstance(item, String) else item

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(Text() if dialect.name == "sqlite" else ARRAY(self.item))

    def process_bind_param(self, value: list[Any] | None, dialect: Dialect) -> Any:
        return to_json(value).decode() if dialect.name == "sqlite" else value


@compiles(among)
def _among(element: among, compiler: SQLCompiler, **options: Any) -> str:
    inside: ColumnElement[bool]
    listed: Any = bindparam(element.name, type_=_List(element.column.type))
    if compiler.dialect.name == "sqlite":
        inside = element.column.in_(select(func.json_each(listed).table_valued("value").c.value))
    else:
        inside = element.column == any_(listed)
    return compiler.process(inside, **options)


__all__ = ["Prepared", "among"]
