"""From an API and its parameters to one HTTP request, as the declaration says: path, query string or body."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from cli.words import Problem
from controlplane.contract.base import Api, Condition, Query
from controlplane.contract.condition import condition_text


@dataclass(frozen=True)
class Request:
    method: str
    target: str  # below /v1
    body: dict[str, Any] | None


def request_for(api: type[Api], raw: dict[str, Any]) -> Request:
    """Raises `Problem` for a missing parameter of the path."""
    rest = dict(raw)
    path = api.route.path
    for name in api.route.path_parameters:
        value = rest.pop(name, None)
        if not value:
            raise Problem(f'{api.api_name()} needs the parameter "{name}"')
        path = path.replace(f"{{{name}}}", quote(str(value), safe=""))
    if issubclass(api, Query):
        return Request("GET", _with_query(path, _query_words(rest)), None)
    if api.route.method in ("GET", "DELETE"):
        return Request(api.route.method, _with_query(path, _flat(rest)), None)
    return Request(api.route.method, path, {api.route.action or "params": rest})


def _with_query(path: str, pairs: list[tuple[str, str]]) -> str:
    return f"{path}?{urlencode(pairs)}" if pairs else path


def _query_words(rest: dict[str, Any]) -> list[tuple[str, str]]:
    pairs = [("q", condition_text(Condition.model_validate(each))) for each in rest.pop("conditions", ())]
    if by := rest.pop("sortBy", None):
        pairs.append(("sort", ("-" if rest.pop("sortDirection", "asc") == "desc" else "+") + by))
    if fields := rest.pop("fields", None):
        pairs.append(("fields", ",".join(fields)))
    return pairs + _flat(rest)


def _flat(rest: dict[str, Any]) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for key, value in rest.items():
        if isinstance(value, dict):
            for part, inner in value.items():
                pairs += [(f"{key}.{part}", str(each)) for each in (inner if isinstance(inner, list) else [inner])]
        else:
            pairs += [(key, str(each)) for each in (value if isinstance(value, list) else [value])]
    return pairs
