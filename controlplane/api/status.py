"""Errors become HTTP here and nowhere else.

The reference answers every refused API with 503 and `{"error": {…}}`; what never became an API call (no JSON, no such
action, no session header) is 400, what is not there 404 in plain text, what is too large 413.
"""

import logging
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from starlette.exceptions import HTTPException

from controlplane.contract.error import ApiError
from controlplane.operations.journal import DuplicateOperation, Fenced, Unavailable
from controlplane.store import database

_log = logging.getLogger(__name__)
REFUSED = 503
_BY_CODE = {"SYS.1000": 500}


class BadRequest(ApiError):
    """A request that is no API call; `status` is 400, or 413 for a body over the limit."""

    def __init__(self, details: str, status: int = 400, code: str = "SYS.1007") -> None:
        super().__init__(code, details)
        self.status = status


def error_response(error: ApiError) -> Response:
    status = error.status if isinstance(error, BadRequest) else _BY_CODE.get(error.error.code, REFUSED)
    return JSONResponse({"error": error.error.wire()}, status)


def failed_job(error: dict[str, Any], stuck: dict[str, Any] | None) -> Response:
    """A job that failed; when its undo cannot finish either, `stuck` says why and an operator must look."""
    return JSONResponse({"error": error} | ({"stuck": stuck} if stuck else {}), REFUSED)


def install(app: FastAPI) -> None:
    @app.exception_handler(ApiError)
    async def on_api_error(_request: Request, error: ApiError) -> Response:
        return error_response(error)

    @app.exception_handler(HTTPException)
    async def on_http(request: Request, error: HTTPException) -> Response:
        text = {404: "no such path", 405: "this path does not know the verb"}.get(error.status_code, error.detail)
        return PlainTextResponse(f"{text}: {request.method} {request.url.path}\n", error.status_code, error.headers)

    @app.exception_handler(DuplicateOperation)
    async def on_duplicate(request: Request, _error: DuplicateOperation) -> Response:
        job = request.headers.get("x-job-uuid")
        return error_response(BadRequest(f"the job {job} exists already, with another API or other parameters"))

    async def on_unavailable(_request: Request, error: Exception) -> Response:
        _log.warning("the database does not answer: %s", error)
        return error_response(ApiError("SYS.1012", "the control plane cannot work for now; please repeat the call"))

    for kind in (database.Unavailable, database.Closed, Unavailable, Fenced):
        app.add_exception_handler(kind, on_unavailable)

    @app.exception_handler(Exception)
    async def on_defect(request: Request, error: Exception) -> Response:
        _log.error("%s %s failed", request.method, request.url.path, exc_info=error)
        return error_response(ApiError("SYS.1000", "internal error; the control plane's log has the details"))
