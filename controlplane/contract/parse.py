"""From what a caller wrote to a message, or to `SYS.1007` that names the field, the value and what is allowed.

Strict about names (a misspelt parameter is refused, with a suggestion), generous about forms: numbers and booleans may
be text, a null is as good as absent. Knows no transport: REST, JSON messages and the CLI all come through here.
"""

import difflib
import re
import types
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import ValidationError
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails

from controlplane.contract.base import UUID_PATTERN, Api
from controlplane.contract.error import ApiError

M = TypeVar("M", bound=Api)
_SHOWN = 120  # characters of an offending value
# Members of every message in some client of the reference; they say nothing about the resource.
_ENVELOPE = frozenset({"session", "sessionId", "timeout", "requestIp", "tagUuids"})

_SURROGATE = re.compile("[\ud800-\udfff]")


def wire_name(field: str) -> str:
    return to_camel(field)


@cache
def wire_names(cls: type[Api]) -> tuple[str, ...]:
    return tuple(map(wire_name, cls.model_fields))


def containers(cls: type[Api]) -> dict[str, type | None]:
    """Which parameters (as on the wire) are a list or a dict; None for the others."""
    return {wire_name(name): _container(field.annotation) for name, field in cls.model_fields.items()}


def _container(annotation: Any) -> type | None:
    if get_origin(annotation) in (Union, types.UnionType):
        return next((kind for inner in get_args(annotation) if (kind := _container(inner))), None)
    if get_origin(annotation) is Annotated:
        return _container(get_args(annotation)[0])
    origin = get_origin(annotation) or annotation
    return origin if origin in (list, dict) else None


def known(cls: type[Api], raw: Mapping[str, Any]) -> dict[str, Any]:
    """What of it are parameters of that API: some clients send members that are none."""
    names = {*wire_names(cls), *cls.model_fields}
    return {key: value for key, value in raw.items() if key in names}


def parse(cls: type[M], raw: Mapping[str, Any]) -> M:
    """The message; raises `ApiError` SYS.1007 with `field` set to the first offending parameter."""
    names = {*wire_names(cls), *cls.model_fields}
    given = {key: value for key, value in raw.items() if value is not None and (key in names or key not in _ENVELOPE)}
    for key, value in given.items():
        if found := _unstorable(value):
            raise ApiError("SYS.1007", f"field[{key}] of {cls.__name__} contains {found}", field=key)
    try:
        return cls.model_validate(given)
    except ValidationError as failure:
        errors = failure.errors(include_url=False, include_context=True)
        problems = [_problem(cls, error) for error in errors]
        raise ApiError("SYS.1007", "; ".join(problems), field=_field(errors[0])) from None


def suggestion(word: str, known: Iterable[str]) -> str:
    """`, did you mean "x"?` or nothing."""
    close = difflib.get_close_matches(word, list(known), 1)
    return f', did you mean "{close[0]}"?' if close else ""


def _unstorable(value: Any) -> str:
    """What no text of a resource holds: PostgreSQL stores no NUL, and half a surrogate pair has no UTF-8."""
    if isinstance(value, str):
        if "\0" in value:
            return "a NUL character"
        return (
            "" if value.isascii() or not _SURROGATE.search(value) else "half of a surrogate pair, which is no character"
        )
    parts = [part for item in value.items() for part in item] if isinstance(value, dict) else value
    return next(filter(None, map(_unstorable, parts)), "") if isinstance(parts, list) else ""


def _field(error: ErrorDetails) -> str:
    return wire_name(str(error["loc"][0])) if error["loc"] else ""


def _problem(cls: type[Api], error: ErrorDetails) -> str:
    field = _field(error)
    where = f"field[{field}] of {cls.__name__}"
    if error["type"] == "missing" and len(error["loc"]) == 1:
        return f"{where} is mandatory"
    if error["type"] == "extra_forbidden" and len(error["loc"]) == 1:
        names = wire_names(cls)
        hint = suggestion(field, names) or f"; it takes {', '.join(names) or 'no parameters'}"
        return f"{where} does not exist{hint}"
    if not error["loc"]:
        return f"{cls.__name__}: {_reason(error)}"
    inner = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error["loc"][1:])
    shown = "its value" if any(name in cls.secrets for name in error["loc"]) else _show(error["input"])
    return f"{where}: {inner + ' ' if inner else ''}{shown} is not allowed: {_reason(error)}"


def _show(value: Any) -> str:
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({len(text)} characters)"


def _reason(error: ErrorDetails) -> str:
    if error["type"] == "string_pattern_mismatch" and error["ctx"]["pattern"] == UUID_PATTERN:
        return "a uuid has 32 lower-case hex digits and no dashes"
    return error["msg"].removeprefix("Value error, ").replace("Input should be", "it should be", 1)
