"""The copy of a migration, seen from the control plane: an export on the source, an import on the destination.

Both are addressed by uuids born with the operation, so every call may be repeated. The secret between the two hosts is
made anew for each try and kept nowhere. A host that is known to be lost ends the migration instead of holding it up.
"""

import secrets
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from controlplane.contract.error import ApiError, Temporary, refused
from controlplane.operations.interface import Operation
from controlplane.store import rows
from controlplane.store.database import Tx
from controlplane.store.tables import now
from controlplane.workflows import global_config
from controlplane.workflows.host_connection import address_of
from controlplane.workflows.migration_rules import Move
from controlplane.workflows.vm_spec import copy_image, ensure_isos
from controlplane.workflows.world import World
from hostagent.contract import ExportedFile, ExportSpec, ExportStatus, ImportFile, ImportSpec, ImportStatus

Json = dict[str, Any]
_LOOK = 2  # seconds between two reports of progress
_EXPIRES = 900  # seconds that an export lives without being asked for anew
_CODES = {"no_space": "PS.1000", "checksum_mismatch": "PS.1000"}


class Copy:
    """What a move's steps do on its hosts. `move` is `Move.json()`."""

    def __init__(self, op: Operation[World], move: Json, bandwidth: int | None) -> None:
        self._op, self._move, self._bandwidth = op, move, bandwidth
        self._source, self._dest = op.world.hosts.get(move["source"]), op.world.hosts.get(move["dest"])
        self._export_uuid, self._import_uuid = op.derive("export"), op.derive("import")

    async def look(self) -> list[Json]:
        """Opens the export; the files as they are on the source, and the base images that they rest on."""
        exported = await self._open(secrets.token_hex(32))
        return [file.model_dump(mode="json") for file in exported.files]

    async def close(self) -> None:
        await self._source.delete_export(self._export_uuid)

    async def fetch_bases(self, files: list[Json]) -> None:
        """Base images that the image store still has come from there; the others are copied with the volume."""
        for image in await self._op.world.db.read(lambda tx: _stored_images(tx, files)):
            await copy_image(self._op.world, self._move["dest"], self._move["storage_uuid"], image)

    async def bring(self, files: list[Json], name: str) -> None:
        """All files are on the destination, whole and verified."""
        secret = secrets.token_hex(32)
        exported = await self._open(secret)
        spec = await self._import_spec(exported, files, secret)
        opened = time.monotonic()
        while True:
            status = await self._dest.put_import(self._import_uuid, spec, _LOOK)
            await self._op.progress(status.bytes_done, status.bytes_total, f"copying {name}", status.bytes_per_second)
            if status.state == "ready":
                return
            if status.state != "copying":
                raise _failure(status)
            if time.monotonic() - opened > _EXPIRES / 3:
                await self._open(secret)
                opened = time.monotonic()

    async def take_back(self) -> None:
        """Nothing of the copy is left on the destination, base images excepted."""
        await self._dest.delete_import(self._import_uuid, "remove")

    async def keep(self) -> None:
        """The files on the destination are nobody's import any more."""
        await self._dest.delete_import(self._import_uuid, "keep")

    async def _open(self, secret: str) -> ExportStatus:
        peer = await address_of(self._op.world.db, self._move["dest"])
        spec = ExportSpec(
            generation=1,
            storage_uuid=self._move["storage_uuid"],
            paths=[file["path"] for file in self._move["files"]],
            peer_agent_uuid=peer.agent_uuid,
            secret=secret,
            expires_in=_EXPIRES,
        )
        return await self._source.put_export(self._export_uuid, spec)

    async def _import_spec(self, exported: ExportStatus, files: list[Json], secret: str) -> ImportSpec:
        source = await address_of(self._op.world.db, self._move["source"])
        wanted = [ExportedFile.model_validate(file) for file in files]
        return ImportSpec(
            generation=1,
            storage_uuid=self._move["storage_uuid"],
            export_uuid=self._export_uuid,
            source_ip=source.ip,
            source_port=exported.port,
            source_agent_uuid=source.agent_uuid,
            secret=secret,
            files=[ImportFile(path=file.path, actual_size=file.actual_size, is_base=file.is_base) for file in wanted],
            bytes_per_second=self._bandwidth or 0,
        )

    # -- hosts that are lost -------------------------------------------------------------------------------------

    def while_up(self, do: Callable[[], Awaitable[Any]]) -> Callable[[], Awaitable[Any]]:
        """The same call, given up when one of the two hosts has been lost for a while; an agent may be restarted."""

        async def call() -> Any:
            try:
                return await do()
            except Temporary as error:
                hosts = (self._move["source"], self._move["dest"])
                if lost := await self._op.world.db.read(lambda tx: _lost(tx, hosts)):
                    raise refused(f"host {lost} was lost: {error}") from error
                raise

        return call

    async def if_up(self, host_uuid: str, do: Callable[[], Awaitable[None]]) -> bool:
        """False when the host is lost or gone, so that nothing can be done on it now."""
        try:
            await do()
        except (Temporary, ApiError) as error:
            host = await self._op.world.db.read(lambda tx: rows.get(tx, "HostVO", host_uuid))
            if host is None or (host["status"] == "Disconnected" and isinstance(error, Temporary)):
                return False
            raise
        return True


async def bring_images(world: World, move: Move, vm_uuid: str) -> None:
    """What the VM's volumes rest on and what is in its drives is in the destination's cache, as far as an image store has it."""

    def find(tx: Tx) -> list[Json]:
        found = [rows.get(tx, "ImageVO", volume["root_image_uuid"] or "") for volume in move.volumes]
        return [image for image in found if image and image["status"] == "Ready" and image["format"] != "iso"]

    for image in await world.db.read(find):
        await copy_image(world, move.dest["uuid"], move.storage_uuid, image)
    await ensure_isos(world, move.dest["uuid"], vm_uuid)


def _lost(tx: Tx, hosts: tuple[str, ...]) -> str | None:
    """The first of the hosts that is gone, or silent for too long."""
    patience = timedelta(seconds=global_config.whole(tx, "host", "move.patience"))
    for uuid in hosts:
        host = rows.get(tx, "HostVO", uuid)
        if host is None or (host["status"] == "Disconnected" and now() - (host["status_date"] or now()) > patience):
            return str(host["name"]) if host else uuid
    return None


def _stored_images(tx: Tx, files: list[Json]) -> list[Json]:
    """Of the bases among `files`, the images that can be had from an image store."""
    found = []
    for file in files:
        uuid = file["path"].rpartition("/")[2].removesuffix(".qcow2")
        image = rows.get(tx, "ImageVO", uuid) if file["is_base"] else None
        if image and image["status"] == "Ready":
            found.append({key: image[key] for key in ("uuid", "sha256", "actual_size", "format")})
    return found


def _failure(status: ImportStatus) -> Exception:
    code, _, why = status.error.partition(": ")
    if code in ("unreachable", "") or status.state == "absent":  # it goes on where it stopped
        return Temporary(f"the copy was interrupted: {why or status.state}")
    return ApiError(_CODES.get(code, "SYS.1006"), f"the destination could not take the files over: {why}")
