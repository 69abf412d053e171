"""Statements of queries that differ in their values only, made once: making one costs more than an index's answer.

A condition on a text binds its values by name (`given_0_same`), so a statement serves every query of its *shape*: the same
fields, conditions but for their values, order and viewer. A statement in which a condition's value is not bound so
(numbers, dates, lists) is never kept. The caller bounds limit and start, which are always bound.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select

from controlplane.contract.base import Query
from controlplane.store.ownership import Viewer
from controlplane.store.prepared import Prepared
from controlplane.store.text import given_values

MOST = 512  # statements kept; callers choose shapes
_OPERATORS = ("=", "!=", "like", "not like", "is null", "is not null")
_kept: dict[Any, Prepared] = {}


def given(number: int) -> str:
    """What the names begin with that a query's condition of that number binds."""
    return f"given_{number}_"


def values(message: Query) -> dict[str, str]:
    return {
        given(number) + kind: value
        for number, one in enumerate(message.conditions)
        if one.value is not None and one.op in _OPERATORS
        for kind, value in given_values(one.op, one.value).items()
    }


def shape(message: Query, names: Sequence[str], viewer: Viewer, bound: dict[str, str]) -> Any:
    """None: a statement of that kind is made anew each time."""
    if message.group_by is not None or any(one.op not in _OPERATORS for one in message.conditions):
        return None
    conditions = tuple((one.name, one.op, one.value is None) for one in message.conditions)
    filled = tuple(name for name, value in bound.items() if value)  # a pattern may have no bounds, or nothing but them
    return type(message), tuple(names), conditions, filled, message.sort_by, message.sort_direction, viewer


def kept(shape: Any) -> Prepared | None:
    return _kept.get(shape)


def keep(shape: Any, statement: Select[Any], message: Query) -> None:
    if shape is None:
        return
    binds = statement.compile().params
    with_values = [number for number, one in enumerate(message.conditions) if one.value is not None]
    if all(any(name.startswith(given(number)) for name in binds) for number in with_values):
        if len(_kept) >= MOST:
            _kept.clear()
        _kept[shape] = Prepared(statement)
