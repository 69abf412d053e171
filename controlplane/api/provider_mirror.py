"""Terraform's network-mirror protocol: files of a folder, below `/terraform/providers/`.

Anybody may read them: Terraform sends no credentials for archives, and a provider is no secret. The folder is the
operator's, made by `make provider` or `terraform providers mirror`; what is not in it does not exist.
"""

from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, Response
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

PREFIX = "/terraform/providers"


def router(folder: Path) -> APIRouter:
    routes = APIRouter()
    files = StaticFiles(directory=folder, check_dir=False)

    async def get(request: Request) -> Response:
        path = files.get_path({**request.scope, "path": "/" + str(request.path_params["path"]), "root_path": ""})
        try:
            return await files.get_response(path, request.scope)
        except HTTPException as missing:
            return PlainTextResponse("no such provider, version or file\n", missing.status_code)

    routes.add_api_route(f"{PREFIX}/{{path:path}}", get, methods=["GET", "HEAD"], include_in_schema=False)
    return routes
