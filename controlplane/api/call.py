"""One API call and its job over HTTP: who calls, what they get, where they wait."""

import asyncio
from dataclasses import asdict
from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from controlplane.api.request import credentials, job_uuid, number, preferred_wait
from controlplane.api.status import failed_job
from controlplane.contract.base import Api
from controlplane.contract.error import ApiError
from controlplane.contract.parse import parse
from controlplane.operations.engine import Engine, Status
from controlplane.operations.journal import Progress
from controlplane.services import audit
from controlplane.services.access_key import SignedCall, caller_by_signature
from controlplane.services.account import caller_of
from controlplane.services.dispatch import dispatch
from controlplane.services.registry import Caller
from controlplane.services.web_hook import WebHook, wished
from controlplane.store import audit as record
from controlplane.store.database import Tx
from controlplane.workflows.world import World

LONGEST_WAIT = 60.0  # seconds of one long poll
LONGEST_TIMEOUT = 24 * 3600.0


class Door:
    """What REST and the JSON messages share: the world, the engine, and how a caller is recognised."""

    def __init__(self, world: World, engine: Engine[World]) -> None:
        self.world = world
        self.engine = engine
        self._deadlines: set[asyncio.Task[None]] = set()

    async def caller(self, request: Request, shown: str | SignedCall, *, public: bool = False) -> Caller:
        """By a session or a signature; raises ID.1001, ID.1000. A public API needs none, and a bad one does no harm to it."""
        address = address_of(request)
        if public:
            return Caller(session_uuid=shown if isinstance(shown, str) else "", address=address)

        def recognise(tx: Tx) -> Caller:
            if isinstance(shown, SignedCall):
                return caller_by_signature(tx, self.world, shown, address)
            return caller_of(tx, shown, address)

        return await self.world.db.read(recognise)

    async def perform(
        self, caller: Caller, api: type[Api], raw: dict[str, Any], job: str | None = None, hook: WebHook | None = None
    ) -> str | dict[str, Any]:
        """See `dispatch`; a change whose parameters are wrong is recorded, too."""
        try:
            message = parse(api, raw)
        except ApiError as error:
            await audit.refused(self.world, caller, api, raw, error)
            raise
        return await dispatch(self.world, self.engine, caller, message, job, hook)

    async def call(self, request: Request, api: type[Api], raw: dict[str, Any]) -> Response:
        chosen = job_uuid(request)
        timeout = number(request.headers.get("x-api-timeout"), "the header X-API-Timeout", LONGEST_TIMEOUT)
        caller = await self.caller(request, credentials(request), public=api.public)
        hook = wished(request.headers.get("x-web-hook"), caller.address)
        answer = await self.perform(caller, api, raw, chosen, hook)
        if isinstance(answer, dict):
            return JSONResponse(answer)
        if timeout:
            task = asyncio.create_task(self._end_late(answer, timeout))
            self._deadlines.add(task)
            task.add_done_callback(self._deadlines.discard)
        wait = min(preferred_wait(request), LONGEST_WAIT)
        if wait and (status := await self.engine.wait(answer, wait)) and status.ended:
            return _ended(status)
        return JSONResponse({"location": self._location(request, answer)}, 202)

    async def _end_late(self, job: str, timeout: float) -> None:
        """Cancels what the caller no longer waits for (a restart of this node forgets it)."""
        status = await self.engine.wait(job, timeout)
        if status and not status.ended:
            await self.engine.cancel(job)

    async def job(self, request: Request) -> Response:
        """202 while it runs (with `progress`), 200 with its result, 503 with its error, 404 when there is none."""
        caller = await self.caller(request, credentials(request))
        wait = number(request.query_params.get("wait"), "the parameter wait", LONGEST_WAIT) or 0
        uuid = request.path_params["jobUuid"]
        status = await self._own_job(caller, uuid)
        if status and wait and not status.ended:
            status = await self.engine.wait(uuid, wait)
        if status is None:
            return PlainTextResponse(f"there is no job {uuid[:64]}\n", 404)
        if not status.ended:
            progress = {"progress": _told(status.progress)} if status.progress else {}
            return JSONResponse({"state": status.state} | progress, 202)
        return _ended(status)

    async def cancel(self, request: Request) -> Response:
        """Asks for its undo; the job's own address tells when that is done. A job that has ended stays as it is."""
        caller = await self.caller(request, credentials(request))
        uuid = request.path_params["jobUuid"]
        if await self._own_job(caller, uuid) is None or await self.engine.cancel(uuid) is None:
            return PlainTextResponse(f"there is no job {uuid[:64]}\n", 404)
        entry = audit.action(caller, "CancelApiJob", None, uuid) | {"job_uuid": None}
        await self.world.db.write(lambda tx: record.complete(tx, entry))
        return JSONResponse({"location": self._location(request, uuid)}, 202)

    async def _own_job(self, caller: Caller, uuid: str) -> Status | None:
        """Somebody else's job is none; an administrator sees all."""
        status = await self.engine.get(uuid)
        return status if status and (caller.is_admin or status.account == caller.account_uuid) else None

    @staticmethod
    def _location(request: Request, job: str) -> str:
        host = request.headers.get("host") or request.url.netloc
        return f"{request.url.scheme}://{host}{request.scope.get('root_path', '')}/api-jobs/{job}"


def address_of(request: Request) -> str:
    return request.client.host if request.client else ""


def _ended(status: Status) -> Response:
    if status.state == "done":
        return JSONResponse(status.result or {})
    return failed_job(status.error or {}, status.stuck)


def _told(progress: Progress) -> dict[str, Any]:
    """With `rate` (of `done` in a second) and `remaining` (seconds) where they are known."""
    told = asdict(progress)
    if rate := told.pop("rate"):
        told |= {"rate": rate, "remaining": -(-(progress.total - progress.done) // rate)}
    return told
