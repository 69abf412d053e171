"""Conditions of a query as SQL: fields of the inventory, elements of its lists, of related resources (`host.name`), tags.

Text matches whatever the case of its ASCII letters. A condition through a relation or on a list holds when one of the
related rows meets it, also a negative one; a negative one on tags holds when no tag matches. What is null meets `is null`
only. A date without fraction stands for its whole second, as dates are shown. An unknown field or operator and a value
that cannot be are SYS.1007 and say what is possible. Values are bound parameters; the joins are IN, which both databases
turn round to begin with the rarer rows.
"""

from dataclasses import dataclass
from functools import cache
from operator import ge, gt, le, lt
from typing import Any

from sqlalchemy import Boolean, ColumnElement, FromClause, and_, exists, or_, select

from controlplane.contract.base import Condition
from controlplane.contract.error import ApiError, invalid
from controlplane.contract.queryable import OPERATORS, TAGS, fields, lists, possible, relations, table_name
from controlplane.store import tables
from controlplane.store.ownership import Viewer, visible
from controlplane.store.relations import LISTS
from controlplane.store.text import Text, is_text
from controlplane.store.value import Bad, second, value_of

DEEPEST = 4  # relations in one condition
LONGEST = 65_536  # characters of a value
LONGEST_PATTERN = 10_000  # SQLite takes 50,000 bytes
_OPPOSITE = {"!=": "=", "not in": "in", "not like": "like"}
_ORDER = {">": gt, ">=": ge, "<": lt, "<=": le}


def check(wanted: Condition) -> None:
    """What can be said of a condition without its field. Raises SYS.1007."""
    if wanted.op not in OPERATORS:
        raise _wrong(wanted, f"the operator {wanted.op[:40]!r} is unknown; possible are {', '.join(OPERATORS)}")
    if (wanted.value is None) != (wanted.op in ("is null", "is not null")):
        raise _wrong(wanted, f"the operator {wanted.op!r} takes {'no' if wanted.value is not None else 'a'} value")
    if "\0" in (wanted.value or ""):
        raise _wrong(wanted, "the value holds a NUL character, which no stored text does")
    if len(wanted.value or "") > LONGEST:
        raise _wrong(wanted, f"the value is longer than {LONGEST} characters")
    if wanted.op in ("like", "not like") and len(wanted.value or "") > LONGEST_PATTERN:
        raise _wrong(wanted, f"the pattern is longer than {LONGEST_PATTERN} characters")


@dataclass(frozen=True)
class Asked:
    """A condition that was checked; `given` begins the names of its bound values."""

    wanted: Condition
    given: str
    viewer: Viewer


def condition(resource_type: str, source: FromClause, asked: Asked, *, alone: bool) -> ColumnElement[bool]:
    """One condition on the rows of `source`, the table of that resource; `alone`: the query has no other. What the viewer
    may not see meets none, however it is reached."""
    wanted = asked.wanted
    path = wanted.name.split(".")
    if len(path) > DEEPEST + 1:
        raise _wrong(wanted, f"the field leads through more than {DEEPEST} relations")
    if path == ["state"] and not alone and "state" in source.c:  # a few values, shared by very many rows
        return _compare(source.c.state, asked, wanted.op, indexed=False)
    return _follow(table_name(resource_type), source, path, asked)


@cache
def _alias(table: str, left: int) -> FromClause:
    """The table within a condition, `left` steps before the end of its path: made once, as it costs more than a query."""
    return tables.table(table).alias()


def _follow(table: str, source: FromClause, path: list[str], asked: Asked) -> ColumnElement[bool]:
    name, wanted, viewer = path[0], asked.wanted, asked.viewer
    if len(path) > 1:
        relation = relations(table).get(name)
        if relation is None:
            raise _unknown(table, name, wanted)
        target = _alias(relation.target, len(path))
        inner = _follow(relation.target, target, path[1:], asked)
        if viewer is not None:
            inner = and_(inner, visible(viewer, relation.target, target))
        found = select(target.c[relation.theirs]).where(inner)
        if relation.through:
            refs = _alias(relation.through.table, len(path))
            found = select(refs.c[relation.through.own]).where(refs.c[relation.through.theirs].in_(found))
        return source.c[relation.own].in_(found)
    if name in fields(table) and fields(table)[name] in source.c:
        return _compare(source.c[fields(table)[name]], asked, wanted.op)
    if name in lists(table):
        shown = LISTS[table][lists(table)[name]]
        part = _alias(shown.table, 0)
        if wanted.value is None:
            some = exists().where(part.c[shown.theirs] == source.c.uuid)
            return ~some if wanted.op == "is null" else some
        meets = _compare(part.c[shown.value or ""], asked, wanted.op)
        return source.c.uuid.in_(select(part.c[shown.theirs]).where(meets))
    if name in TAGS and "uuid" in source.c:
        return _tagged(table, source, TAGS[name], asked)
    raise _unknown(table, name, wanted)


def _tagged(table: str, source: FromClause, tag_table: str, asked: Asked) -> ColumnElement[bool]:
    """Resources that have such a tag of their own type; a negative operator: those that have none such."""
    tag = _alias(tag_table, 0)
    wanted, viewer = asked.wanted, asked.viewer
    own = tag.c.resource_type == table
    if viewer is not None:
        own = and_(own, visible(viewer, tag_table, tag))
    negative = wanted.op in _OPPOSITE or wanted.op == "is null"
    positive = _OPPOSITE.get(wanted.op, wanted.op)
    matches = own if wanted.value is None else and_(own, _compare(tag.c.tag, asked, positive))
    if negative or wanted.value is None:
        some = exists().where(tag.c.resource_uuid == source.c.uuid, matches)
        return ~some if negative else some
    return source.c.uuid.in_(select(tag.c.resource_uuid).where(matches))


def _compare(column: ColumnElement[Any], asked: Asked, op: str, indexed: bool = True) -> ColumnElement[bool]:
    wanted, text = asked.wanted, asked.wanted.value
    if text is None:
        return column.is_(None) if op == "is null" else column.is_not(None)
    if op in _OPPOSITE:
        return ~_compare(column, asked, _OPPOSITE[op], indexed)
    if op == "like":
        if not is_text(column):
            raise _wrong(wanted, f"{op!r} needs a text field, and this one is not")
        return Text.of(column, indexed).like(text, asked.given)
    if op == "=" and is_text(column):
        return Text.of(column, indexed).equals(text, asked.given)
    parts = [part.strip() for part in text.split(",")] if op == "in" else [text]
    if is_text(column):
        left = Text.of(column, indexed)
        return left.ordered(_ORDER[op], text) if op in _ORDER else left.is_one_of(parts)
    if isinstance(column.type, Boolean) and op in _ORDER:
        raise _wrong(wanted, f"{op!r} needs an order, and this field is true or false")
    try:
        values = [value_of(column, part) for part in parts]
    except Bad as bad:
        raise _wrong(wanted, str(bad)) from None
    if isinstance(column.type, tables.Utc):
        return _dated(column, op, values)
    return _ORDER[op](column, values[0]) if op in _ORDER else column.in_(values)


def _dated(column: ColumnElement[Any], op: str, values: list[Any]) -> ColumnElement[bool]:
    spans = [(value, second(value)) for value in values]
    (begin, end) = spans[0]
    if op in _ORDER:  # `end` is the first instant after the second, or None when the value is exact
        limits = {">": (ge, end) if end else (gt, begin), "<=": (lt, end) if end else (le, begin)}
        compare, limit = limits.get(op, (_ORDER[op], begin))
        return compare(column, limit)  # type: ignore[no-any-return]
    return or_(*(and_(column >= one, column < end) if end else column == one for one, end in spans))


def _unknown(table: str, name: str, wanted: Condition) -> ApiError:
    return _wrong(wanted, f"{table} has no field {name[:100]!r} here; it has {', '.join(possible(table))}")


def _wrong(wanted: Condition, problem: str) -> ApiError:
    return invalid(f"condition on {wanted.name[:100]!r}: {problem}", "conditions")
