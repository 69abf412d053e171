"""One API call and its job over HTTP: who calls, what they get, where they wait."""

import asyncio
from dataclasses import asdict
from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from controlplane.api.request import job_uuid, number, token
from controlplane.api.status import failed_job
from controlplane.contract.base import Api
from controlplane.contract.parse import parse
from controlplane.operations.engine import Engine
from controlplane.operations.journal import Progress
from controlplane.services.account import caller_of
from controlplane.services.dispatch import dispatch
from controlplane.services.registry import Caller
from controlplane.workflows.world import World

LONGEST_WAIT = 60.0  # seconds of one long poll
LONGEST_TIMEOUT = 24 * 3600.0


class Door:
    """What REST and the JSON messages share: the world, the engine, and how a caller is recognised."""

    def __init__(self, world: World, engine: Engine[World]) -> None:
        self.world = world
        self.engine = engine
        self._deadlines: set[asyncio.Task[None]] = set()

    async def caller(self, request: Request, session: str, *, public: bool = False) -> Caller:
        """Raises ID.1001; a public API needs no session, and an expired one does no harm to it."""
        address = request.client.host if request.client else ""
        if public:
            return Caller(session_uuid=session, address=address)
        return await self.world.db.read(lambda tx: caller_of(tx, session, address))

    async def call(self, request: Request, api: type[Api], raw: dict[str, Any]) -> Response:
        chosen = job_uuid(request)
        timeout = number(request.headers.get("x-api-timeout"), "the header X-API-Timeout", LONGEST_TIMEOUT)
        caller = await self.caller(request, token(request), public=api.public)
        answer = await dispatch(self.world, self.engine, caller, parse(api, raw), chosen)
        if isinstance(answer, dict):
            return JSONResponse(answer)
        if timeout:
            task = asyncio.create_task(self._end_late(answer, timeout))
            self._deadlines.add(task)
            task.add_done_callback(self._deadlines.discard)
        return JSONResponse({"location": self._location(request, answer)}, 202)

    async def _end_late(self, job: str, timeout: float) -> None:
        """Cancels what the caller no longer waits for (a restart of this node forgets it)."""
        status = await self.engine.wait(job, timeout)
        if status and not status.ended:
            await self.engine.cancel(job)

    async def job(self, request: Request) -> Response:
        """202 while it runs (with `progress`), 200 with its result, 503 with its error, 404 when there is none."""
        await self.caller(request, token(request))
        wait = number(request.query_params.get("wait"), "the parameter wait", LONGEST_WAIT) or 0
        uuid = request.path_params["jobUuid"]
        status = await (self.engine.wait(uuid, wait) if wait else self.engine.get(uuid))
        if status is None:
            return PlainTextResponse(f"there is no job {uuid[:64]}\n", 404)
        if not status.ended:
            progress = {"progress": _told(status.progress)} if status.progress else {}
            return JSONResponse({"state": status.state} | progress, 202)
        if status.state == "done":
            return JSONResponse(status.result or {})
        return failed_job(status.error or {}, status.stuck)

    async def cancel(self, request: Request) -> Response:
        """Asks for its undo; the job's own address tells when that is done. A job that has ended stays as it is."""
        await self.caller(request, token(request))
        uuid = request.path_params["jobUuid"]
        if await self.engine.cancel(uuid) is None:
            return PlainTextResponse(f"there is no job {uuid[:64]}\n", 404)
        return JSONResponse({"location": self._location(request, uuid)}, 202)

    @staticmethod
    def _location(request: Request, job: str) -> str:
        host = request.headers.get("host") or request.url.netloc
        return f"{request.url.scheme}://{host}{request.scope.get('root_path', '')}/api-jobs/{job}"


def _told(progress: Progress) -> dict[str, Any]:
    """With `rate` (of `done` in a second) and `remaining` (seconds) where they are known."""
    told = asdict(progress)
    if rate := told.pop("rate"):
        told |= {"rate": rate, "remaining": -(-(progress.total - progress.done) // rate)}
    return told
