"""Conditions of a query as SQL: fields of the inventory, of related resources (`host.name`), and tags.

Text matches whatever its case. Values are bound parameters, converted to the column's type; a value that cannot be, an
unknown field and an unknown operator are SYS.1007 and say what is possible.
"""

import datetime
from functools import cache
from operator import eq, ge, gt, le, lt, ne
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.alias_generators import to_camel
from sqlalchemy import Boolean, ColumnElement, FromClause, Integer, String, and_, exists, func

from controlplane.contract.base import Condition, Date, Query
from controlplane.contract.error import ApiError, invalid
from controlplane.contract.registry import apis
from controlplane.store import tables
from controlplane.store.ownership import Viewer, visible
from controlplane.store.relations import RELATIONS, Relation

OPERATORS = ("=", "!=", ">", ">=", "<", "<=", "in", "not in", "is null", "is not null", "like", "not like")
TAGS = {"__systemTag__": "SystemTagVO", "__userTag__": "UserTagVO"}
_DEEPEST = 4  # relations in one condition
_MOST_VALUES = 10_000  # of one `in`: a database takes so many bound parameters
_OPPOSITE = {"!=": "=", "not in": "in", "not like": "like"}
_COMPARE = {"=": eq, "!=": ne, ">": gt, ">=": ge, "<": lt, "<=": le}
_DATE: TypeAdapter[datetime.datetime] = TypeAdapter(Date)
_TRUTH = {"true": True, "1": True, "false": False, "0": False}


@cache
def table_name(resource_type: str) -> str:
    """Where a queried resource is stored: some are the part of a table that has one type."""
    return PARTS[resource_type][0] if resource_type in PARTS else resource_type


PARTS = {"L2VlanNetworkVO": ("L2NetworkVO", "L2VlanNetwork")}


@cache
def fields(resource_type: str) -> dict[str, str]:
    """What may be asked of a resource: name on the wire → column. Only what its inventory shows."""
    columns = tables.table(table_name(resource_type)).c
    for api in apis.values():
        if issubclass(api, Query) and api is not Query and table_name(api.resource) == table_name(resource_type):
            shown: type[BaseModel] | None = api.result
            names = shown.model_fields if shown else {}
            return {to_camel(name): name for name in names if name in columns}
    raise KeyError(f"no query API shows {resource_type}")


def condition(resource_type: str, source: FromClause, wanted: Condition, viewer: Viewer) -> ColumnElement[bool]:
    """One condition on the rows of `source`, which is the table of that resource or an alias of it; what the viewer may
    not see meets none, however it is reached."""
    if wanted.op not in OPERATORS:
        raise _wrong(wanted, f"the operator {wanted.op!r} is unknown; possible are {', '.join(OPERATORS)}")
    if (wanted.value is None) != (wanted.op in ("is null", "is not null")):
        raise _wrong(wanted, f"the operator {wanted.op!r} takes {'no' if wanted.value is not None else 'a'} value")
    path = wanted.name.split(".")
    if "\0" in (wanted.value or ""):
        raise _wrong(wanted, "the value holds a NUL character, which no stored text does")
    if len(path) > _DEEPEST + 1:
        raise _wrong(wanted, f"the field leads through more than {_DEEPEST} relations")
    return _follow(table_name(resource_type), source, path, wanted, viewer)


def _follow(
    resource: str, source: FromClause, path: list[str], wanted: Condition, viewer: Viewer
) -> ColumnElement[bool]:
    relations = {to_camel(name): relation for name, relation in RELATIONS.get(resource, {}).items()}
    if len(path) > 1:
        relation = relations.get(path[0])
        if relation is None:
            raise _unknown(resource, path[0], wanted)
        target = tables.table(relation.target).alias()
        inner = _follow(relation.target, target, path[1:], wanted, viewer)
        if viewer is not None:
            inner = and_(inner, visible(viewer, relation.target, target))
        return exists().where(_joined(source, relation, target), inner)
    if path[0] in TAGS:
        return _tagged(resource, source, TAGS[path[0]], wanted, viewer)
    column = fields(resource).get(path[0])
    if column is None:
        raise _unknown(resource, path[0], wanted)
    return _compare(source.c[column], wanted)


def _joined(source: FromClause, relation: Relation, target: FromClause) -> ColumnElement[bool]:
    if relation.through is None:
        return source.c[relation.own] == target.c[relation.theirs]
    refs = tables.table(relation.through.table).alias()
    ours = refs.c[relation.through.own] == source.c[relation.own]
    return exists().where(ours, refs.c[relation.through.theirs] == target.c[relation.theirs])


def _tagged(
    resource: str, source: FromClause, tag_table: str, wanted: Condition, viewer: Viewer
) -> ColumnElement[bool]:
    """Resources that have such a tag of their own type; a negative operator: those that have none such."""
    tag = tables.table(tag_table).alias()
    own = and_(tag.c.resource_uuid == source.c.uuid, tag.c.resource_type == resource)
    if viewer is not None:
        own = and_(own, visible(viewer, tag_table, tag))
    if wanted.op in ("is null", "is not null"):
        found = exists().where(own)
        return ~found if wanted.op == "is null" else found
    positive = wanted.model_copy(update={"op": _OPPOSITE.get(wanted.op, wanted.op)})
    found = exists().where(own, _compare(tag.c.tag, positive))
    return ~found if wanted.op in _OPPOSITE else found


def _compare(column: ColumnElement[Any], wanted: Condition) -> ColumnElement[bool]:
    op, value = wanted.op, wanted.value
    if value is None:
        return column.is_(None) if op == "is null" else column.is_not(None)
    is_text = isinstance(column.type, String)
    left = func.lower(column) if is_text and not _lower_already(column) else column
    if op in ("like", "not like"):
        if not is_text:
            raise _wrong(wanted, f"{op!r} needs a text field, and this one is not")
        trailing = len(value) - len(value.rstrip("\\"))
        matches = left.like(value.lower() + "\\" * (trailing % 2), escape="\\")
        return matches if op == "like" else ~matches
    if op in ("in", "not in"):
        if value.count(",") >= _MOST_VALUES:
            raise _wrong(wanted, f"more than {_MOST_VALUES} values; ask several times")
        values = [_value(column, part.strip(), wanted) for part in value.split(",")]
        return left.in_(values) if op == "in" else left.not_in(values)
    compared: ColumnElement[bool] = _COMPARE[op](left, _value(column, value, wanted))
    return compared


def _lower_already(column: ColumnElement[Any]) -> bool:
    """Stored in lower case: then the column's own index serves."""
    name = str(getattr(column, "name", ""))
    return name.endswith("uuid") or name in ("mac", "ip")


def _value(column: ColumnElement[Any], text: str, wanted: Condition) -> Any:
    if isinstance(column.type, Boolean):
        if text.lower() not in _TRUTH:
            raise _wrong(wanted, f"{text[:100]!r} is neither true nor false")
        return _TRUTH[text.lower()]
    if isinstance(column.type, Integer):
        try:
            number = int(text)
        except ValueError:
            raise _wrong(wanted, f"{text[:100]!r} is not an integer") from None
        if abs(number) >= 2**63:
            raise _wrong(wanted, f"{text[:100]!r} is larger than any stored number")
        return number
    if isinstance(column.type, tables.Utc):
        try:
            date = _DATE.validate_python(text)
        except ValidationError:
            problem = f"{text[:100]!r} is no date like 2016-01-30T15:01:03Z or Jan 30, 2016 3:01:03 PM"
            raise _wrong(wanted, problem) from None
        return date if date.tzinfo else date.replace(tzinfo=datetime.UTC)
    return text.lower()


def _unknown(resource: str, name: str, wanted: Condition) -> ApiError:
    possible = [*fields(resource), *(f"{to_camel(one)}.…" for one in RELATIONS.get(resource, {})), *TAGS]
    return _wrong(wanted, f"{resource} has no field {name[:100]!r}; it has {', '.join(possible)}")


def _wrong(wanted: Condition, problem: str) -> ApiError:
    return invalid(f"condition on {wanted.name[:100]!r}: {problem}", "conditions")
