"""The JSON messages of version 1.0: `POST /zstack/api {"<class>": {…, "session": {"uuid": …}}}`, and their results.

The same declarations, another envelope: queries and reads are answered at once (state Done), changes with a job that is
asked for at `/zstack/api/result/{uuid}`. A result is JSON text inside JSON; a message that is none gets 500 and a text.
"""

import json
from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from controlplane.api.call import Door
from controlplane.api.request import read_json
from controlplane.contract.base import Api
from controlplane.contract.error import ApiError
from controlplane.contract.parse import known
from controlplane.contract.registry import apis


def routes(door: Door) -> list[BaseRoute]:
    by_class = {api.message_name(): api for api in apis.values()}

    async def post(request: Request) -> Response:
        try:
            body = await read_json(request)
        except ApiError as error:
            return PlainTextResponse(error.error.details, 500)
        if len(body) != 1:
            return PlainTextResponse("the message must have one member, its class", 500)
        ((name, raw),) = body.items()
        api = by_class.get(name)
        if api is None or not isinstance(raw, dict):
            return PlainTextResponse(f"{name} is no message of this control plane", 500)
        try:
            answer = await _answer(request, api, raw)
        except ApiError as error:
            return JSONResponse(_done(api, {"success": False, "error": error.error.wire()}))
        if isinstance(answer, str):
            return JSONResponse({"uuid": answer, "state": "Processing"})
        return JSONResponse(_done(api, answer | {"success": True}))

    async def _answer(request: Request, api: type[Api], raw: dict[str, Any]) -> str | dict[str, Any]:
        session = raw.get("session")
        token = str(session.get("uuid") or "") if isinstance(session, dict) else ""
        caller = await door.caller(request, token, public=api.public)
        return await door.perform(caller, api, known(api, raw))

    async def result(request: Request) -> Response:
        job = await door.engine.get(request.path_params["uuid"])
        if job is None:
            return PlainTextResponse("no such job\n", 404)
        api = apis[job.name]
        if not job.ended:
            return JSONResponse({"uuid": job.uuid, "state": "Processing"})
        if job.state == "done":
            return JSONResponse(_done(api, (job.result or {}) | {"success": True}) | {"uuid": job.uuid})
        return JSONResponse(_done(api, {"success": False, "error": job.error}) | {"uuid": job.uuid})

    return [
        Route("/zstack/api", post, methods=["POST"]),
        Route("/zstack/api/", post, methods=["POST"]),
        Route("/zstack/api/result/{uuid}", result, methods=["GET"]),
    ]


def _done(api: type[Api], reply: dict[str, Any]) -> dict[str, Any]:
    return {"state": "Done", "result": json.dumps({api.answer_name(): reply})}
