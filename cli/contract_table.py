"""Reads the contract into the plain table of `declarations.py`: parameters with their bounds, fields, what a uuid names."""

from typing import Any

import controlplane.contract  # noqa: F401  (fills the registry)
from controlplane.contract import queryable
from controlplane.contract.base import Api, Query
from controlplane.contract.parse import containers, wire_name
from controlplane.contract.registry import apis
from controlplane.contract.relations import RELATIONS

Json = dict[str, Any]
_BOUNDS = (("minimum", "≥ "), ("maximum", "≤ "), ("minLength", "length ≥ "), ("maxLength", "length ≤ "))


def read() -> Json:
    queries = [api for api in apis.values() if issubclass(api, Query)]
    tables = {queryable.table_name(api.resource): api.__name__ for api in reversed(queries)}
    targets = {one.target for table in tables for one in queryable.relations(table).values()}
    return {
        "apis": {name: _api(api, queries) for name, api in sorted(apis.items())},
        "resources": {table: _resource(table, tables.get(table)) for table in sorted({*tables, *targets})},
    }


def _api(api: type[Api], queries: list[type[Query]]) -> Json:
    schema = api.model_json_schema()
    kinds = containers(api)
    named = {wire_name(field): resource for field, resource in api.references.items()}
    for key in api.route.path_parameters:
        collection = api.route.path.partition("/{")[0]
        owner: str | None = next((query.resource for query in queries if query.route.path == collection), None)
        if owner and key not in named:
            named[key] = queryable.table_name(owner)
    parameters = {}
    for name, part in dict[str, Json](schema.get("properties", {})).items():
        kind = kinds.get(name)
        parameters[name] = {
            "kind": kind.__name__ if kind else None,
            "required": name in schema.get("required", ()) or name in api.route.path_parameters,
            "type": _type(part),
            "values": _values(part),
            "of": named.get(name) or _NAMED.get(name.removesuffix("s")),
        }
    return {
        "method": api.route.method,
        "path": api.route.path,
        "pathParameters": list(api.route.path_parameters),
        "action": api.route.action,
        "public": api.public,
        "doc": (vars(api).get("__doc__") or "").strip(),
        "parameters": parameters,
        "secrets": {wire_name(name): how for name, how in api.secrets.items()},
        "resource": queryable.table_name(api.resource) if issubclass(api, Query) else None,
    }


def _resource(table: str, query: str | None) -> Json:
    fields = {name: _NAMED.get(name) for name in queryable.fields(table)}
    if "uuid" in fields:
        fields["uuid"] = table
    return {
        "query": query,
        "fields": fields,
        "lists": [*queryable.lists(table), *(queryable.TAGS if "uuid" in fields else ())],
        "relations": {name: relation.target for name, relation in queryable.relations(table).items()},
    }


# What a field of that name names, wherever it stands: hostUuid → HostVO.
_NAMED = {
    wire_name(relation.own): relation.target
    for relations in RELATIONS.values()
    for relation in relations.values()
    if relation.own.endswith("_uuid") and relation.own != "resource_uuid"
}


def _values(part: Json) -> list[str]:
    for each in part.get("anyOf", (part,)):
        each = each.get("items", each)
        if "enum" in each or "const" in each:
            return [str(value) for value in each.get("enum", [each.get("const")])]
        if each.get("type") == "boolean":
            return ["true", "false"]
    return []


def _type(part: Json) -> str:
    if "anyOf" in part:
        return " or ".join(_type(each) for each in part["anyOf"] if each.get("type") != "null")
    if "const" in part:
        words = str(part["const"])
    elif "enum" in part:
        words = "|".join(map(str, part["enum"]))
    elif part.get("pattern") == r"^[0-9a-f]{32}$":
        words = "uuid"
    elif part.get("type") == "array":
        words = f"list of {_type(part.get('items', {}))}"
    else:
        words = "map" if part.get("type") == "object" else str(part.get("type", "value"))
    bounds = [f"{sign}{part[key]}" for key, sign in _BOUNDS if key in part]
    default = [f"default {part['default']}"] if part.get("default") not in (None, []) else []
    extra = ", ".join(bounds + default)
    return f"{words} ({extra})" if extra else words
