"""From an API and its parameters to one HTTP request, as the declaration says: path, query string or body."""

from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

from cli.declarations import Declaration
from cli.words import Problem


class Request(NamedTuple):
    method: str
    target: str  # below /v1
    body: dict[str, Any] | None


def request_for(api: Declaration, raw: dict[str, Any]) -> Request:
    """Raises `Problem` for a missing parameter of the path."""
    rest = dict(raw)
    path = api.path
    for name in api.path_parameters:
        value = rest.pop(name, None)
        if not value:
            raise Problem(f'{api.name} needs the parameter "{name}"')
        path = path.replace(f"{{{name}}}", quote(str(value), safe=""))
    if api.is_query:
        return Request("GET", _with_query(path, _query_words(rest)), None)
    if api.method in ("GET", "DELETE"):
        return Request(api.method, _with_query(path, _flat(rest)), None)
    return Request(api.method, path, {api.action or "params": rest})


def _with_query(path: str, pairs: list[tuple[str, str]]) -> str:
    return f"{path}?{urlencode(pairs)}" if pairs else path


def _query_words(rest: dict[str, Any]) -> list[tuple[str, str]]:
    pairs = [("q", condition) for condition in rest.pop("conditions", ())]
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
