"""What a query may ask of a resource, from the inventory that shows it: its fields, its lists, and the fields beyond.

Tables are named by resource type; a name on the wire leads to the same name in snake_case, which is the column's.
"""

import types
from functools import cache
from typing import Annotated, Any, Union, get_args, get_origin

from controlplane.contract.base import Inventory, Query
from controlplane.contract.parse import wire_name
from controlplane.contract.registry import apis
from controlplane.contract.relations import RELATIONS, Relation

# Resources that are the part of a table that has one type.
PARTS = {"L2VlanNetworkVO": ("L2NetworkVO", "L2VlanNetwork")}
TAGS = {"__systemTag__": "SystemTagVO", "__userTag__": "UserTagVO"}
OPERATORS = ("=", "!=", ">", ">=", "<", "<=", "in", "not in", "is null", "is not null", "like", "not like")


def table_name(resource_type: str) -> str:
    return PARTS[resource_type][0] if resource_type in PARTS else resource_type


def element(annotation: Any) -> Any:
    """What a list consists of; None when the annotation is no list."""
    if get_origin(annotation) is Annotated:
        return element(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return next((found for inner in get_args(annotation) if (found := element(inner))), None)
    return get_args(annotation)[0] if get_origin(annotation) is list else None


@cache
def inventory_of(table: str) -> type[Inventory]:
    """Of a query's answer, or of the rows that a list in such an answer shows."""
    nested = None
    for api in apis.values():
        if not (issubclass(api, Query) and api.result and issubclass(api.result, Inventory)):
            continue
        parent = table_name(api.resource)
        if parent == table:
            return api.result
        for name, relation in RELATIONS.get(parent, {}).items():
            if relation.target == table and name in api.result.model_fields:
                nested = element(api.result.model_fields[name].annotation)
    if nested is None:
        raise KeyError(f"no inventory shows {table}")
    return nested  # type: ignore[no-any-return]


@cache
def fields(table: str) -> dict[str, str]:
    """Its own values, by their name on the wire."""
    shown = inventory_of(table).model_fields
    return {wire_name(name): name for name, info in shown.items() if element(info.annotation) is None}


@cache
def lists(table: str) -> dict[str, str]:
    """Its lists of plain values (`dns`, `attachedClusterUuids`): a condition is about one of the elements."""
    shown = inventory_of(table).model_fields
    return {wire_name(name): name for name, info in shown.items() if element(info.annotation) is str}


@cache
def relations(table: str) -> dict[str, Relation]:
    return {wire_name(name): relation for name, relation in RELATIONS.get(table, {}).items()}


def possible(table: str) -> list[str]:
    """The names that a condition on the resource may begin with, for errors and help."""
    own = [*fields(table), *lists(table), *(f"{name}." for name in relations(table))]
    return own + (list(TAGS) if "uuid" in fields(table) else [])
