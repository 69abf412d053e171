"""`steppe help` and `steppe help <API>`, from the declarations."""

from collections.abc import Iterator
from typing import Any

from cli.words import find
from controlplane.contract.base import Query
from controlplane.contract.parse import wire_name
from controlplane.contract.registry import apis

USAGE = """\
steppe [--server URL] [--ca FILE] <API> [key=value …]     call an API of the control plane
steppe console <VM>                                       the VM's serial line in this terminal; Ctrl-] leaves it
steppe help [<API>]                                       list the APIs, or the parameters of one

Lists are comma separated, maps are JSON, key=@file is the content of a file (key=@@… is a text that begins with @).
Queries take conditions: name=web state!=Stopped name~=web% uuid?=a,b description=null, and limit, start, count,
replyWithCount, sortBy, sortDirection, fields. Log in first: steppe LogInByAccount accountName=admin
STEPPE_SERVER (default http://127.0.0.1:8080) and STEPPE_CA_FILE stand for the options.
Exit status: 0 done, 1 a problem on this side, 3 refused by the control plane.
"""


def text(name: str | None) -> str:
    if name is None:
        return USAGE + "\nAPIs:\n" + "".join(f"  {api}\n" for api in sorted(apis))
    return "\n".join(_lines(name)) + "\n"


def _lines(name: str) -> Iterator[str]:
    api = find(name)
    yield name
    if "__doc__" in vars(api) and api.__doc__:
        yield f"    {api.__doc__.strip()}"
    if issubclass(api, Query):
        fields = ", ".join(wire_name(field) for field in (api.result.model_fields if api.result else ()))
        yield f"    conditions on: {fields}"
        return
    schema: dict[str, Any] = api.model_json_schema()
    required = schema.get("required", [])
    for key, part in sorted(schema.get("properties", {}).items(), key=lambda item: item[0] not in required):
        yield f"    {key}{'' if key in required else ' (optional)'}: {_type(part)}"


def _type(part: dict[str, Any]) -> str:
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
        words = {"object": "map"}.get(part.get("type", ""), part.get("type", "value"))
    bounds = [f"{sign}{part[key]}" for key, sign in _BOUNDS if key in part]
    default = [f"default {part['default']}"] if part.get("default") is not None else []
    extra = ", ".join(bounds + default)
    return f"{words} ({extra})" if extra else words


_BOUNDS = (("minimum", "≥ "), ("maximum", "≤ "), ("minLength", "length ≥ "), ("maxLength", "length ≤ "))
