"""The agent's HTTP interface: one route for each call in `hostagent.contract`, JSON in and out.

Plain Starlette routes: a host answers thousands of these a minute beside its guests. Every error is a `Problem`.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar, get_args

import structlog
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from hostagent.api.console import Consoles
from hostagent.contract import (
    ArrivalSpec,
    DepartureSpec,
    ErrorClass,
    ExportSpec,
    HostError,
    ImageSpec,
    ImportSpec,
    Model,
    Problem,
    SnapshotSpec,
    StorageSpec,
    UploadSpec,
    VmSpec,
    VolumeSpec,
    VolumesSpec,
)
from hostagent.contract.error import rejected
from hostagent.contract.vm import ConsoleKind
from hostagent.ensure.agent import Agent

M = TypeVar("M", bound=Model)
Handler = Callable[[Request], Awaitable[Response]]
STATUS = {ErrorClass.rejected: 422, ErrorClass.temporary: 503, ErrorClass.broken: 500}
LONGEST_WAIT = 60.0  # seconds
LARGEST_BODY = 32 << 20  # bytes; a snapshot of some thousand NICs with user data stays well below
NODE, OLDEST = "x-steppe-node-generation", "x-steppe-oldest-node-generation"
log = structlog.get_logger("hostagent.api")


def create_app(agent: Agent) -> Starlette:
    """The application for `agent`; the server in front of it decides who may call (mutual TLS)."""
    calls = _Calls(agent)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        await agent.open()
        try:
            yield
        finally:
            await agent.close()

    return Starlette(
        lifespan=lifespan,
        routes=[
            _route("/v1/vms/{uuid}", GET=calls.get_vm, PUT=calls.put_vm, DELETE=calls.delete_vm),
            _route("/v1/volumes/{uuid}", GET=calls.get_volume, PUT=calls.put_volume, DELETE=calls.delete_volume),
            _route("/v1/volumes", PUT=calls.put_volumes),
            _route("/v1/network", GET=calls.get_network, PUT=calls.put_network),
            _route("/v1/exports/{uuid}", PUT=calls.put_export, DELETE=calls.delete_export),
            _route("/v1/imports/{uuid}", GET=calls.get_import, PUT=calls.put_import, DELETE=calls.delete_import),
            _route("/v1/arrivals/{uuid}", PUT=calls.put_arrival, DELETE=calls.delete_arrival),
            _route("/v1/departures/{uuid}", PUT=calls.put_departure, DELETE=calls.delete_departure),
            _route("/v1/events", GET=calls.get_events),
            _route("/v1/vms", GET=calls.list_vms),
            _route("/v1/images/{uuid}", GET=calls.get_image, PUT=calls.put_image, DELETE=calls.delete_image),
            _route("/v1/uploads/{uuid}", PUT=calls.put_upload, DELETE=calls.delete_upload),
            _route("/v1/storages/{uuid}", GET=calls.get_storage, PUT=calls.put_storage, DELETE=calls.delete_storage),
            _route("/v1/storages", GET=calls.list_storages),
            _route("/v1/host", GET=calls.get_host),
            _route("/v1/vms/{uuid}/screenshot", GET=calls.get_screenshot),
            WebSocketRoute("/v1/vms/{uuid}/consoles/{kind}", calls.console),
        ],
    )


class _Calls:
    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._consoles = Consoles(agent)

    async def get_host(self, request: Request) -> Response:
        return _json(await self._agent.host.get())

    async def get_events(self, request: Request) -> Response:
        after, wait = int(_number(request, "after", 0)), _number(request, "wait", 0)
        return _json(await self._agent.events.get(after, min(wait, LONGEST_WAIT)))

    async def get_network(self, request: Request) -> Response:
        return _json(await self._agent.network.get())

    async def put_network(self, request: Request) -> Response:
        return _json(await self._agent.network.put(await self._spec(request, SnapshotSpec)))

    async def list_storages(self, request: Request) -> Response:
        return _json_list(await self._agent.storage.list())

    async def get_storage(self, request: Request) -> Response:
        return _json(await self._agent.storage.get(_uuid(request)))

    async def put_storage(self, request: Request) -> Response:
        return _json(await self._agent.storage.put(_uuid(request), await self._spec(request, StorageSpec)))

    async def delete_storage(self, request: Request) -> Response:
        self._check_node(request)
        await self._agent.image.leave(_uuid(request))
        await self._agent.storage.delete(_uuid(request))
        return Response(status_code=204)

    async def get_image(self, request: Request) -> Response:
        return _json(await self._agent.image.get(_uuid(request), _parameter(request, "storage_uuid")))

    async def put_image(self, request: Request) -> Response:
        spec, wait = await self._spec(request, ImageSpec), _number(request, "wait", 20)
        return _json(await self._agent.image.put(_uuid(request), spec, min(wait, LONGEST_WAIT)))

    async def delete_image(self, request: Request) -> Response:
        self._check_node(request)
        await self._agent.image.delete(_uuid(request), _parameter(request, "storage_uuid"))
        return Response(status_code=204)

    async def get_volume(self, request: Request) -> Response:
        storage, path = _parameter(request, "storage_uuid"), _parameter(request, "path")
        return _json(await self._agent.volume.get(_uuid(request), storage, path))

    async def put_volume(self, request: Request) -> Response:
        spec, wait = await self._spec(request, VolumeSpec), _number(request, "wait", 20)
        return _json(await self._agent.volume.put(_uuid(request), spec, min(wait, LONGEST_WAIT)))

    async def put_volumes(self, request: Request) -> Response:
        return _json_list(await self._agent.volume.put_together(await self._spec(request, VolumesSpec)))

    async def delete_volume(self, request: Request) -> Response:
        self._check_node(request)
        storage, path = _parameter(request, "storage_uuid"), _parameter(request, "path")
        await self._agent.volume.delete(_uuid(request), storage, path)
        return Response(status_code=204)

    async def put_export(self, request: Request) -> Response:
        return _json(await self._agent.exports.put(_uuid(request), await self._spec(request, ExportSpec)))

    async def delete_export(self, request: Request) -> Response:
        self._check_node(request)
        await self._agent.exports.delete(_uuid(request))
        return Response(status_code=204)

    async def get_import(self, request: Request) -> Response:
        return _json(await self._agent.imports.get(_uuid(request)))

    async def put_import(self, request: Request) -> Response:
        spec, wait = await self._spec(request, ImportSpec), _number(request, "wait", 20)
        return _json(await self._agent.imports.put(_uuid(request), spec, min(wait, LONGEST_WAIT)))

    async def delete_import(self, request: Request) -> Response:
        self._check_node(request)
        files = _parameter(request, "files")
        if files not in ("keep", "remove"):
            raise rejected("invalid_spec", "query parameter files must be keep or remove")
        await self._agent.imports.delete(_uuid(request), keep=files == "keep")
        return Response(status_code=204)

    async def put_arrival(self, request: Request) -> Response:
        return _json(await self._agent.arrivals.put(_uuid(request), await self._spec(request, ArrivalSpec)))

    async def delete_arrival(self, request: Request) -> Response:
        self._check_node(request)
        await self._agent.arrivals.delete(_uuid(request))
        return Response(status_code=204)

    async def put_departure(self, request: Request) -> Response:
        spec, wait = await self._spec(request, DepartureSpec), _number(request, "wait", 20)
        return _json(await self._agent.departures.put(_uuid(request), spec, min(wait, LONGEST_WAIT)))

    async def delete_departure(self, request: Request) -> Response:
        self._check_node(request)
        await self._agent.departures.delete(_uuid(request))
        return Response(status_code=204)

    async def put_upload(self, request: Request) -> Response:
        spec, wait = await self._spec(request, UploadSpec), _number(request, "wait", 20)
        return _json(await self._agent.upload.put(_uuid(request), spec, min(wait, LONGEST_WAIT)))

    async def delete_upload(self, request: Request) -> Response:
        self._check_node(request)
        await self._agent.upload.delete(_uuid(request))
        return Response(status_code=204)

    async def list_vms(self, request: Request) -> Response:
        return _json_list(await self._agent.vm.list())

    async def get_vm(self, request: Request) -> Response:
        return _json(await self._agent.vm.get(_uuid(request)))

    async def put_vm(self, request: Request) -> Response:
        return _json(await self._agent.vm.put(_uuid(request), await self._spec(request, VmSpec)))

    async def delete_vm(self, request: Request) -> Response:
        self._check_node(request)
        await self._agent.vm.delete(_uuid(request))
        return Response(status_code=204)

    async def get_screenshot(self, request: Request) -> Response:
        return Response(await self._agent.vm.screenshot(_uuid(request)), media_type="image/png")

    async def console(self, websocket: WebSocket) -> None:
        try:
            self._check_node(websocket)
            kind = websocket.path_params["kind"]
            if kind not in get_args(ConsoleKind):
                raise rejected("invalid_spec", f"there is no console {kind[:20]!r}")
            await self._consoles.serve(websocket, _uuid(websocket), kind)
        except HostError as error:
            await websocket.send_denial_response(_problem(error.problem))

    async def _spec(self, request: Request, model: type[M]) -> M:
        """The body as a model. Raises: invalid_spec naming each wrong attribute (never its value)."""
        self._check_node(request)
        if int(request.headers.get("content-length") or 0) > LARGEST_BODY:
            raise rejected("invalid_spec", f"the body is larger than {LARGEST_BODY} bytes")
        try:
            return model.model_validate_json(await request.body())
        except ValidationError as error:
            wrong = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'body'}: {e['msg']}" for e in error.errors())
            raise rejected("invalid_spec", f"{model.__name__}: {wrong}") from None

    def _check_node(self, request: HTTPConnection) -> None:
        own = request.headers.get(NODE)
        if own is None:
            return
        try:
            generation, oldest = int(own), int(request.headers.get(OLDEST, own))
        except ValueError:
            raise rejected("invalid_spec", f"header {NODE} must be a whole number") from None
        self._agent.generations.check_node(generation, oldest)


def _route(path: str, **handlers: Handler) -> Route:
    """One route for a path: Starlette looks at routes one by one, so fewer are quicker."""

    async def endpoint(request: Request) -> Response:
        try:
            return await handlers[request.method](request)
        except HostError as error:
            return _problem(error.problem)
        except Exception:
            log.exception("call failed", method=request.method, path=request.url.path)
            return _problem(Problem(error_class=ErrorClass.broken, code="internal", message="see the agent's log"))

    return Route(path, endpoint, methods=list(handlers))


def _json(model: Model) -> Response:
    return Response(model.__pydantic_serializer__.to_json(model), media_type="application/json")


def _json_list(models: list[M]) -> Response:
    body = b"[" + b",".join(model.__pydantic_serializer__.to_json(model) for model in models) + b"]"
    return Response(body, media_type="application/json")


def _problem(problem: Problem) -> Response:
    return Response(problem.model_dump_json(), status_code=STATUS[problem.error_class], media_type="application/json")


def _uuid(request: HTTPConnection) -> str:
    uuid = str(request.path_params["uuid"])
    if len(uuid) != 32 or set(uuid) - set("0123456789abcdef"):
        raise rejected("invalid_spec", f"uuid {uuid[:40]!r} must be 32 lower-case hex digits")
    return uuid


def _parameter(request: Request, name: str) -> str:
    value = request.query_params.get(name)
    if not value:
        raise rejected("invalid_spec", f"query parameter {name} is missing")
    return value


def _number(request: Request, name: str, default: float) -> float:
    text = request.query_params.get(name)
    try:
        number = default if text is None else float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < 1 << 53:
        raise rejected("invalid_spec", f"query parameter {name} must be a number from 0, not {str(text)[:40]!r}")
    return number
