"""From the words of a command line to an API and its parameters: `CreateZone name=z1 userTags=a,b`.

Values stay text where the server can tell their type; lists are split at commas (or are JSON), maps are JSON or Python
literals, `key=@file` is the file's content (`@@` begins a plain text with @). The words of a query are its conditions.
"""

import ast
import hashlib
import json
import re
from pathlib import Path
from typing import Any

from controlplane.contract.base import Api, Query
from controlplane.contract.condition import parse_condition
from controlplane.contract.error import ApiError
from controlplane.contract.parse import containers, suggestion, wire_name, wire_names
from controlplane.contract.registry import apis

_ASSIGNMENT = re.compile(r"([A-Za-z]\w*)=(.*)", re.DOTALL)
_UNESCAPED_COMMA = re.compile(r"(?<!\\),")
_QUERY_WORDS = frozenset({"limit", "start", "count", "replyWithCount", "sortBy", "sortDirection", "fields"})


class Problem(Exception):
    """Something wrong on this side of the wire; exit status 1."""


def find(name: str) -> type[Api]:
    if name in apis:
        return apis[name]
    raise Problem(f'"{name}" is not an API message{suggestion(name, apis)}')


def parameters(api: type[Api], words: list[str]) -> dict[str, Any]:
    """Raises `Problem` for a word that is none of the API's parameters."""
    query = issubclass(api, Query)
    kinds = containers(api)
    secrets = {wire_name(name): how for name, how in api.secrets.items()}
    raw: dict[str, Any] = {}
    for word in words:
        found = _ASSIGNMENT.fullmatch(word)
        if query and not (found and found[1] in _QUERY_WORDS):
            raw.setdefault("conditions", []).append(_condition(word))
            continue
        if not found:
            raise Problem(f'"{word}" is not of the form key=value')
        key = found[1]
        if key not in kinds:
            known = wire_names(api)
            hint = suggestion(key, known) or f"; it takes {', '.join(known) or 'no parameters'}"
            raise Problem(f'{api.api_name()} has no parameter "{key}"{hint}')
        if key in raw:
            raise Problem(f'the parameter "{key}" is given twice')
        raw[key] = _value(key, kinds[key], _content(found[2], strip=key in secrets))
        if secrets.get(key) == "sha512":
            raw[key] = hashlib.sha512(raw[key].encode()).hexdigest()
    return raw


def _content(text: str, *, strip: bool) -> str:
    if text.startswith("@@"):
        return text[1:]
    if not text.startswith("@"):
        return text
    try:
        content = Path(text[1:]).expanduser().read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Problem(f"cannot read {text[1:]}: {error}") from None
    return content.rstrip("\n") if strip else content


def _value(key: str, kind: type | None, text: str) -> Any:
    if kind is dict or (kind is list and text.lstrip().startswith("[")):
        parsed = _literal(text)
        if isinstance(parsed, kind):
            return parsed
        if kind is dict:
            raise Problem(f'the parameter "{key}" is a map, e.g. {key}=\'{{"a": ["b"]}}\'')
    if kind is not list:
        return text
    if key == "systemTags":  # pieces that are no tag of their own are joined again by the control plane
        return text.split(",")
    return [part.replace("\\,", ",") for part in _UNESCAPED_COMMA.split(text)]


def _literal(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        pass
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None


def _condition(word: str) -> dict[str, Any]:
    try:
        condition = parse_condition(word)
    except ApiError as error:
        raise Problem(error.error.details) from None
    if condition.value == "null" and condition.op in ("=", "!="):
        condition = condition.model_copy(
            update={"op": "is null" if condition.op == "=" else "is not null", "value": None}
        )
    if condition.op in ("like", "not like") and condition.value is not None and not re.search("[%_]", condition.value):
        condition = condition.model_copy(update={"value": f"%{condition.value}%"})
    return condition.wire()
