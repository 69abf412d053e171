"""Image files over HTTP: hosts fetch them with a token for that image, callers upload them with their session.

`GET /v1/image-files/{uuid}` serves ranges; its ETag is the sha256, so a broken copy goes on where it stopped.
`PUT /v1/images/{uuid}/file` takes the raw bytes of an image that was added with an `upload://` URL;
`PUT /v1/image-files/{uuid}` those of a template that a host makes of a volume, with a token for that.
"""

import asyncio
import errno
import hashlib
from pathlib import Path
from typing import BinaryIO

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.requests import ClientDisconnect

from controlplane.api.call import Door
from controlplane.api.request import credentials
from controlplane.contract.error import ApiError, not_found, refused
from controlplane.operations.engine import Engine
from controlplane.services import audit
from controlplane.services.registry import Caller
from controlplane.store import audit as record
from controlplane.store import ownership, rows
from controlplane.store.database import Tx
from controlplane.workflows.image_source import uploaded
from controlplane.workflows.image_store import directory
from controlplane.workflows.image_template import FROM_VOLUME, upload_subject
from controlplane.workflows.world import World

_CHUNK = 1 << 20


def router(world: World, engine: Engine[World]) -> APIRouter:
    routes = APIRouter()
    door = Door(world, engine)
    uploading: set[str] = set()

    async def get(request: Request) -> Response:
        uuid = str(request.path_params["uuid"])
        if not _may(world, uuid, request.headers.get("authorization", "")):
            return PlainTextResponse("a bearer token for this image is needed\n", 403)
        found = await world.db.read(lambda tx: _ready_file(tx, world.settings.state_dir, uuid))
        if found is None:
            return PlainTextResponse("no such image\n", 404)
        path, sha256 = found
        return FileResponse(path, media_type="application/octet-stream", headers={"ETag": f'"{sha256}"'})

    async def put(request: Request) -> Response:
        uuid = str(request.path_params["uuid"])
        caller = await door.caller(request, credentials(request))
        final = await world.db.read(lambda tx: _own_awaited_file(tx, world.settings.state_dir, uuid, caller))
        if uuid in uploading:
            raise refused(f"image {uuid} is being uploaded already")
        uploading.add(uuid)
        try:
            received = await _receive(request, final)
            entry = audit.action(caller, "UploadImageFile", "ImageVO", uuid)
            await world.db.write(lambda tx: record.complete(tx, entry))
            return JSONResponse(received)
        finally:
            uploading.discard(uuid)

    async def put_from_host(request: Request) -> Response:
        uuid = str(request.path_params["uuid"])
        if not _may(world, upload_subject(uuid), request.headers.get("authorization", "")):
            return PlainTextResponse("a bearer token for the upload of this image is needed\n", 403)
        final = await world.db.read(lambda tx: _awaited_file(tx, world.settings.state_dir, uuid, FROM_VOLUME))
        return JSONResponse(await _receive(request, final))

    for prefix in ("/v1", "/zstack/v1"):
        routes.add_api_route(f"{prefix}/image-files/{{uuid}}", put_from_host, methods=["PUT"], include_in_schema=False)
        routes.add_api_route(f"{prefix}/image-files/{{uuid}}", get, methods=["GET", "HEAD"], include_in_schema=False)
        routes.add_api_route(f"{prefix}/images/{{uuid}}/file", put, methods=["PUT"], include_in_schema=False)
    return routes


def _may(world: World, subject: str, header: str) -> bool:
    scheme, _, value = header.partition(" ")
    if world.authority is None or scheme.lower() != "bearer":
        return False
    return world.authority.image_token_valid(subject, value.strip())


def _ready_file(tx: Tx, state_dir: Path, uuid: str) -> tuple[Path, str] | None:
    image = rows.get(tx, "ImageVO", uuid)
    ref = rows.find_one(tx, "ImageBackupStorageRefVO", image_uuid=uuid, status="Ready")
    store = rows.get(tx, "BackupStorageVO", ref["backup_storage_uuid"]) if ref else None
    if not (image and ref and store):
        return None
    return directory(state_dir, store["url"]) / ref["install_path"], image["sha256"]


def _own_awaited_file(tx: Tx, state_dir: Path, uuid: str, caller: Caller) -> Path:
    if not ownership.owns(tx, caller.viewer, "ImageVO", uuid):
        raise not_found(f"there is no image {uuid}")
    return _awaited_file(tx, state_dir, uuid)


def _awaited_file(tx: Tx, state_dir: Path, uuid: str, scheme: str = "upload://") -> Path:
    image = rows.get(tx, "ImageVO", uuid)
    refs = rows.find(tx, "ImageBackupStorageRefVO", image_uuid=uuid, order_by=["id"])
    ref = refs[0] if refs else None  # the first gets the file, the others a copy
    store = rows.get(tx, "BackupStorageVO", ref["backup_storage_uuid"]) if ref else None
    if not (image and ref and store):
        raise not_found(f"there is no image {uuid}")
    if image["status"] != "Downloading" or not image["url"].startswith(scheme):
        raise refused(f"image {uuid} is {image['status']} from {image['url']}; it awaits no upload")
    return directory(state_dir, store["url"]) / str(ref["install_path"])


async def _receive(request: Request, final: Path) -> dict[str, int | str]:
    """The file gets the name that the waiting workflow looks for when it is whole; else nothing stays."""
    growing, done = final.with_name("uploading"), uploaded(final)
    if done.exists():
        raise refused("the file of this image was uploaded already")
    digest, size = hashlib.sha256(), 0
    try:
        file = await asyncio.to_thread(_create, growing)
        try:
            pending = bytearray()
            async for chunk in request.stream():
                pending += chunk
                if len(pending) >= _CHUNK:
                    size += await asyncio.to_thread(_append, file, digest, bytes(pending))
                    pending.clear()
            size += await asyncio.to_thread(_append, file, digest, bytes(pending))
        finally:
            await asyncio.to_thread(file.close)
        growing.rename(done)
    except (ClientDisconnect, asyncio.CancelledError):
        growing.unlink(missing_ok=True)
        raise
    except OSError as error:
        growing.unlink(missing_ok=True)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ApiError("BS.1000", f"no space is left for the image: {size} bytes fitted") from error
        raise ApiError("BS.1000", f"cannot store the image: {error.strerror}") from error
    return {"size": size, "sha256": digest.hexdigest()}


def _create(path: Path) -> BinaryIO:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path.open("wb")


def _append(file: BinaryIO, digest: "hashlib._Hash", chunk: bytes) -> int:
    digest.update(chunk)
    return file.write(chunk)
