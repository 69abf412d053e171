"""Consoles in a browser and for WebSocket clients: pages, and a proxy from here to the VM's host.

`GET /console?token=` uses a one-time token up, and sets a cookie that lets this one page (and its reloads) into this VM's
console: `GET /console/<vm>/`, `WebSocket /console/<vm>/stream`. A client without cookies takes its one connection with
`WebSocket /console/stream?token=`. Nothing here trusts an origin it did not serve.
"""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from fastapi import APIRouter, Request, WebSocket
from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.websockets import WebSocketDisconnect

from controlplane.agents.client import ConsoleEnded, ConsoleLine
from controlplane.contract.error import ApiError, Temporary
from controlplane.services import console
from controlplane.services.console import Access
from controlplane.workflows.world import World

_PAGE = Path(__file__).parent / "console_page"
# Debian's packages novnc and spice-html5, and our own page
_FILES = {"page": _PAGE, "novnc": Path("/usr/share/novnc"), "spice-html5": Path("/usr/share/spice-html5")}
_TYPES = {".js": "text/javascript", ".css": "text/css", ".html": "text/html"}
_UUID = re.compile(r"[0-9a-f]{32}")
_RENEW = 20.0  # seconds between two signs of life of a page's session
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
_GONE = "This link has been used or has expired, or the VM does not run any more. Ask for the console again.\n"


def router(world: World) -> APIRouter:
    routes = APIRouter()

    async def enter(request: Request) -> Response:
        token = request.query_params.get("token", "")
        opened = await world.db.write(lambda tx: console.open_session(tx, token))
        if opened is None:
            return PlainTextResponse(_GONE, 403, _HEADERS)
        session, access = opened
        path = f"/console/{access.vm_uuid}/"
        answer = RedirectResponse(path, 303, _HEADERS)
        secure = request.url.scheme == "https"
        answer.set_cookie(_cookie(access.vm_uuid), session, path=path, httponly=True, samesite="strict", secure=secure)
        return answer

    async def page(request: Request) -> Response:
        if await _by_cookie(request) is None:
            return PlainTextResponse(_GONE, 403, _HEADERS)
        return FileResponse(_PAGE / "index.html", media_type="text/html", headers=_HEADERS)

    async def info(request: Request) -> Response:
        access = await _by_cookie(request)
        if access is None:
            return PlainTextResponse(_GONE, 403, _HEADERS)
        return JSONResponse({"name": access.vm_name, "protocol": access.kind}, headers=_HEADERS)

    async def _by_cookie(request: Request | WebSocket) -> Access | None:
        vm = str(request.path_params["vm"])
        session = request.cookies.get(_cookie(vm), "")
        if not session or not _UUID.fullmatch(vm):
            return None
        return await world.db.write(lambda tx: console.use_session(tx, session, vm))

    async def page_stream(websocket: WebSocket) -> None:
        if not _same_origin(websocket):
            await websocket.send_denial_response(PlainTextResponse("another origin\n", 403))
            return

        async def still() -> bool:
            return await _by_cookie(websocket) is not None

        await _serve(world, websocket, await _by_cookie(websocket), still)

    async def stream(websocket: WebSocket) -> None:
        token = websocket.query_params.get("token", "")
        await _serve(world, websocket, await world.db.write(lambda tx: console.redeem(tx, token)))

    routes.add_api_route("/console", enter, methods=["GET"], include_in_schema=False)
    routes.add_api_route("/console/files/{kind}/{path:path}", _file, methods=["GET"], include_in_schema=False)
    routes.add_api_websocket_route("/console/stream", stream)
    routes.add_api_websocket_route("/websockify", stream)  # where noVNC looks by itself
    routes.add_api_route("/console/{vm}/", page, methods=["GET"], include_in_schema=False)
    routes.add_api_route("/console/{vm}/info", info, methods=["GET"], include_in_schema=False)
    routes.add_api_websocket_route("/console/{vm}/stream", page_stream)
    return routes


def _cookie(vm: str) -> str:
    return f"steppe_console_{vm}"


def _same_origin(websocket: WebSocket) -> bool:
    origin = websocket.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == websocket.headers.get("host")


async def _file(request: Request) -> Response:
    kind, path = str(request.path_params["kind"]), str(request.path_params["path"])
    root = _FILES.get(kind)
    file = (root / path).resolve() if root and "\0" not in path else None
    if root is None or file is None or not file.is_relative_to(root.resolve()) or not file.is_file():
        missing = root is not None and not root.is_dir()
        text = f"the Debian package {kind} is not installed on this node\n" if missing else "no such file\n"
        return PlainTextResponse(text, 404)
    return FileResponse(file, media_type=_TYPES.get(file.suffix), headers=_HEADERS | {"Cache-Control": "max-age=300"})


Still = Callable[[], Awaitable[bool]]


async def _serve(world: World, websocket: WebSocket, access: Access | None, still: Still | None = None) -> None:
    """Bytes both ways until one side ends, the VM stops, or nothing moved for `console/proxy.idleTimeout`."""
    if access is None:
        await websocket.send_denial_response(PlainTextResponse(_GONE, 403))
        return
    try:
        async with world.hosts.get(access.host_uuid).console(access.vm_uuid, access.kind) as line:
            chosen = "binary" if "binary" in websocket.scope.get("subprotocols", ()) else None
            await websocket.accept(subprotocol=chosen)
            await _Bridge(world, websocket, line, still).run()
    except (ApiError, Temporary) as error:
        await websocket.send_denial_response(JSONResponse({"error": str(error)}, 503))


class _Bridge:
    def __init__(self, world: World, websocket: WebSocket, line: ConsoleLine, still: Still | None) -> None:
        self._world, self._websocket, self._line, self._still = world, websocket, line, still
        self._moved = time.monotonic()

    async def run(self) -> None:
        tasks = [asyncio.create_task(part) for part in (self._out(), self._into(), self._watch())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            reason = next((task.result() for task in done if not task.exception()), "")
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
        for error in ended:
            if isinstance(error, Exception) and not isinstance(error, WebSocketDisconnect | ConsoleEnded):
                raise error
        if not any(isinstance(error, WebSocketDisconnect) for error in ended):
            with suppress(RuntimeError, WebSocketDisconnect):  # it may go just now
                await self._websocket.close(1000, reason)

    async def _out(self) -> str:
        while True:
            data = await self._line.receive()
            self._moved = time.monotonic()
            await self._websocket.send_bytes(data)

    async def _into(self) -> str:
        while True:
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(message.get("code") or 1000)
            self._moved = time.monotonic()
            data = message.get("bytes") or (message.get("text") or "").encode()
            await self._line.send(data)

    async def _watch(self) -> str:
        while True:
            idle = await self._world.db.read(console.idle_timeout)
            left = self._moved + idle - time.monotonic()
            if left <= 0:
                return f"nothing moved for {idle} seconds"
            await asyncio.sleep(min(left, _RENEW))
            if self._still and not await self._still():
                return "the access has ended"
