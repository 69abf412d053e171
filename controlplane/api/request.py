"""From an HTTP request to the raw parameters of an API: bodies, query strings, headers. Types are judged later."""

import json
import re
from typing import Any

from fastapi import Request

from controlplane.api.status import BadRequest
from controlplane.contract.base import Api, Query
from controlplane.contract.condition import parse_condition
from controlplane.contract.parse import containers, suggestion
from controlplane.services.access_key import SignedCall

MAX_BODY = 4 * 1024**2  # bytes
MAX_DEPTH = 32
_WAIT = re.compile(r"(?:^|[,;])\s*wait=(\d{1,9})\s*(?:[,;]|$)", re.IGNORECASE)
_UUID = re.compile(r"[0-9a-f]{32}")
_SIBLINGS = ("systemTags", "userTags")  # beside `params` or the action, or inside: both are in use
Raw = dict[str, Any]


async def read_json(request: Request) -> Raw:
    """The body as an object ({} when empty); 413 over 4 MiB, 400 when it is none."""
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared[:20]) > MAX_BODY:
        raise _too_large()  # before a byte of it was read
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise _too_large()
    if not body:
        return {}
    try:
        value = json.loads(bytes(body))
        if b"\\u" in body:
            json.dumps(value, ensure_ascii=False).encode()  # half of a surrogate pair is no text
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"the body is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise BadRequest("the body is not a JSON object")
    if body.count(b"[") + body.count(b"{") > MAX_DEPTH and _depth(value) > MAX_DEPTH:
        raise BadRequest(f"the body is nested more than {MAX_DEPTH} levels deep")
    return value


def _too_large() -> BadRequest:
    return BadRequest(f"the body is larger than {MAX_BODY // 1024**2} MiB", 413)


def _depth(value: Any) -> int:
    depth, level = 0, [value]
    while level:
        depth += 1
        parts = [part for part in level if isinstance(part, dict | list)]
        level = [inner for part in parts for inner in (part.values() if isinstance(part, dict) else part)]
    return depth


def from_params(api: type[Api], body: Raw) -> Raw:
    """POST: `{"params": {…}, "systemTags": […]}`."""
    if api.route.no_body:
        return {}
    return _inside(body, "params", {"params", *_SIBLINGS, "resourceUuid"})


def from_action(actions: dict[str, type[Api]], body: Raw) -> tuple[type[Api], Raw]:
    """PUT: `{"<action>": {…}, "systemTags": […]}`; 400 for an action that the path does not have."""
    named = [key for key in body if key in actions]
    if len(named) != 1:
        given = next((key for key in body if key not in _SIBLINGS), None)
        problem = "the body names two actions" if named else f"the body names no action of this path: {given}"
        hint = suggestion(given, actions) if given else ""
        raise BadRequest(f'{problem}{hint}; expected {{"<action>": {{…}}}} with one of {", ".join(sorted(actions))}')
    return actions[named[0]], _inside(body, named[0], {named[0], *_SIBLINGS})


def _inside(body: Raw, key: str, allowed: set[str]) -> Raw:
    if extra := sorted(set(body) - allowed - {"sessionId", "session"}):
        raise BadRequest(f'the body has the unknown member {extra[0]}; parameters belong into {{"{key}": {{…}}}}')
    inner = body.get(key)
    if inner is None:
        inner = {}
    if not isinstance(inner, dict):
        raise BadRequest(f"the member {key} of the body is not an object")
    return inner | {name: body[name] for name in allowed - {key} if body.get(name) is not None}


def from_query_string(api: type[Api], request: Request) -> Raw:
    """Lists by repetition or `name.0=`, maps as `name.<key>=`; for queries `q=`, `sort=` and `fields=a,b`."""
    raw: Raw = {}
    kinds = containers(api)
    for key, value in request.query_params.multi_items():
        name, _, part = key.partition(".")
        if issubclass(api, Query) and key == "q":
            raw.setdefault("conditions", []).append(parse_condition(value).wire())
        elif issubclass(api, Query) and key == "sort":
            raw["sortDirection"] = "desc" if value.startswith("-") else "asc"
            raw["sortBy"] = value.lstrip("+- ")
        elif issubclass(api, Query) and key == "fields":
            raw.setdefault("fields", []).extend(word.strip() for word in value.split(",") if word.strip())
        elif kinds.get(name) is list and (not part or part.isdecimal()):
            raw.setdefault(name, []).append(value)
        elif kinds.get(name) is dict and part:
            raw.setdefault(name, {}).setdefault(part, []).append(value)
        else:
            raw[key] = value
    return raw


def credentials(request: Request) -> str | SignedCall:
    """`Authorization: OAuth <session>` or `ZStack <key id>:<signature>`; "" without the header; 400 for another scheme."""
    header = request.headers.get("authorization", "")
    scheme, _, value = header.partition(" ")
    value = value.strip()
    if scheme.lower() == "zstack" and ":" in value:
        return SignedCall(value, request.headers.get("date", ""), request.method, request.url.path)
    if header and (scheme.lower() != "oauth" or not value):
        raise BadRequest(
            "the header Authorization is not of the form: OAuth <session uuid>, or ZStack <access key id>:<signature>",
            code="ID.1001",
        )
    return value


def preferred_wait(request: Request) -> int:
    """Seconds of `Prefer: wait=N` (RFC 7240, 4.3), else 0. A preference that is not understood is none (section 2)."""
    found = _WAIT.search(",".join(request.headers.getlist("prefer")))
    return int(found[1]) if found else 0


def job_uuid(request: Request) -> str | None:
    value = request.headers.get("x-job-uuid")
    if value is not None and not _UUID.fullmatch(value):
        raise BadRequest("the header X-Job-UUID is not a uuid of 32 lower-case hex digits")
    return value


def number(text: str | None, what: str, most: float) -> float | None:
    """A number of seconds from a header or a query string, cut to `most`; 400 when it is none."""
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not value >= 0:
        raise BadRequest(f"{what} is not a number of seconds: {text[:40]!r}")
    return min(value, most)
