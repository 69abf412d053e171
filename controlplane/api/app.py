"""The control plane's HTTP: every API of the registry under `/v1` and `/zstack/v1`, jobs, messages, OpenAPI, health.

Paths are grouped: the APIs that share one (the actions of a resource) share an endpoint. Literal paths come before those
with parameters, so `/l3-networks/ip-ranges` is no network's uuid.
"""

import re
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Match, Route
from starlette.types import Receive, Scope, Send

from controlplane.api import message, openapi, status
from controlplane.api.call import Door
from controlplane.api.request import from_action, from_params, from_query_string, read_json
from controlplane.contract.base import Api, Query
from controlplane.contract.registry import apis
from controlplane.operations.engine import Engine
from controlplane.workflows.world import World

PREFIXES = ("/zstack/v1", "/v1")
Endpoint = Callable[[Request], Awaitable[Response]]


def create_app(world: World, engine: Engine[World], routers: Iterable[APIRouter] = ()) -> FastAPI:
    """`routers` serve what is no API of the registry (image files, enrolment)."""
    app = FastAPI(
        title="Steppe",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        telemetry={"tracing": False, "metrics": False, "logs": False},  # else it looks for providers at each request
    )
    status.install(app)
    door = Door(world, engine)
    for prefix in PREFIXES:
        app.router.routes.append(_Apis(prefix, _routes(door)))
    for router in routers:
        app.include_router(router)
    app.router.routes.extend(message.routes(door))

    async def healthz(_request: Request) -> Response:
        await world.db.read(lambda _tx: None)
        return JSONResponse({"status": "ok"})

    app.router.routes.append(Route("/healthz", healthz, methods=["GET"]))
    return app


class _Apis(BaseRoute):
    """Routes below a prefix by the first segment of their path: a router tries one after the other, and there are hundreds.
    What is none of them is left to the routes that follow."""

    def __init__(self, prefix: str, routes: list[Route]) -> None:
        self._prefix = prefix
        self._routes: dict[str, list[Route]] = {}
        for route in routes:
            self._routes.setdefault(route.path.split("/")[1], []).append(route)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        best: tuple[Match, Scope] = (Match.NONE, {})
        below, slash, path = scope.get("path", "").partition(f"{self._prefix}/")
        if below or not slash or scope["type"] != "http":
            return best
        inside = {"root_path": self._prefix}
        for route in self._routes.get(path.partition("/")[0], ()):
            match, found = route.matches({**scope, **inside})
            if match.value > best[0].value:
                best = match, {**found, **inside, "steppe.route": route}
            if match is Match.FULL:
                break
        return best

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        await scope["steppe.route"].handle(scope, receive, send)


def _routes(door: Door) -> list[Route]:
    grouped: dict[tuple[str, str], dict[str, type[Api]]] = {}
    first_spelling: dict[str, str] = {}  # actions of one resource may name its uuid differently
    for name, api in apis.items():
        for path in (api.route.path, *api.route.also):
            if api.route.method == "PUT":
                path = first_spelling.setdefault(re.sub(r"{\w+}", "{}", path), path)
            grouped.setdefault((api.route.method, path), {})[api.route.action or name] = api
    endpoints: dict[tuple[str, str], Endpoint] = {("GET", "/openapi.json"): _openapi}
    endpoints |= {key: _endpoint(door, key[0], group) for key, group in grouped.items()}
    for (method, path), group in grouped.items():
        for api in group.values():
            if issubclass(api, Query):
                endpoints.setdefault((method, f"{path}/{{uuid}}"), _one(door, api))
    endpoints[("GET", "/api-jobs/{jobUuid}")] = door.job
    endpoints[("DELETE", "/api-jobs/{jobUuid}")] = door.cancel
    ordered = sorted(endpoints.items(), key=lambda item: _order(item[0][1]))
    return [Route(path, endpoint, methods=[method]) for (method, path), endpoint in ordered]


def _order(path: str) -> list[tuple[bool, str]]:
    return [("{" in segment, segment) for segment in path.split("/")]


def _endpoint(door: Door, method: str, group: dict[str, type[Api]]) -> Endpoint:
    if method == "PUT":

        async def act(request: Request) -> Response:
            api, raw = from_action(group, await read_json(request))
            named = zip(api.route.path_parameters, request.path_params.values(), strict=True)
            return await door.call(request, api, raw | dict(named))

        return act
    if len(group) > 1:
        raise ValueError(f"these APIs share one path and verb: {', '.join(group)}")
    (api,) = group.values()
    if method == "POST":

        async def create(request: Request) -> Response:
            return await door.call(request, api, from_params(api, await read_json(request)) | request.path_params)

        return create

    async def plain(request: Request) -> Response:
        return await door.call(request, api, from_query_string(api, request) | request.path_params)

    return plain


def _one(door: Door, api: type[Query]) -> Endpoint:
    """`GET /x/{uuid}`: a query for that uuid."""

    async def one(request: Request) -> Response:
        raw: dict[str, Any] = from_query_string(api, request)
        condition = {"name": "uuid", "op": "=", "value": request.path_params["uuid"]}
        return await door.call(request, api, raw | {"conditions": [condition, *raw.get("conditions", [])]})

    return one


async def _openapi(_request: Request) -> Response:
    return JSONResponse(openapi.document())


__all__ = ["create_app"]
