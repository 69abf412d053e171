"""Files of a storage that one other host may read for a while: the source's side of a move.

Nothing is remembered over a restart: the control plane repeats the PUT when the other host is not let in any more.
"""

import os

from hostagent.contract import ExportedFile, ExportSpec, ExportStatus
from hostagent.contract.error import broken, rejected
from hostagent.ensure.storage import Storages
from hostagent.ports.disks import Disks
from hostagent.ports.peers import Grant, Peers


class Exports:
    def __init__(self, disks: Disks, peers: Peers, storages: Storages) -> None:
        self._disks = disks
        self._peers = peers
        self._storages = storages

    async def put(self, uuid: str, spec: ExportSpec) -> ExportStatus:
        root = self._storages.path(spec.storage_uuid)
        found: dict[str, ExportedFile] = {}
        for path in spec.paths:
            found[path] = await self._look(spec.storage_uuid, root, path, is_base=False)
        for file in list(found.values()):
            while file.backing_path is not None and file.backing_path not in found:
                file = await self._look(spec.storage_uuid, root, file.backing_path, is_base=True)
                found[file.path] = file
        grant = Grant(
            uuid=uuid,
            peer_agent_uuid=spec.peer_agent_uuid,
            paths={path: self._storages.resolve(spec.storage_uuid, path) for path in found},
            secret=spec.secret,
            seconds=spec.expires_in,
        )
        return ExportStatus(uuid=uuid, port=await self._peers.serve(grant), files=list(found.values()))

    async def delete(self, uuid: str) -> None:
        await self._peers.revoke(uuid)

    async def _look(self, storage_uuid: str, root: str, path: str, *, is_base: bool) -> ExportedFile:
        info = await self._disks.info(self._storages.resolve(storage_uuid, path))
        if info is None:
            raise rejected("not_found", f"storage {storage_uuid} has no file {path!r}")
        backing = None if info.backing is None else _within(root, path, info.backing)
        return ExportedFile(path=path, actual_size=info.actual_size, backing_path=backing, is_base=is_base)


def _within(root: str, path: str, backing: str) -> str:
    relative = os.path.relpath(backing, root)
    if relative.startswith("../"):
        raise broken("bad_image", f"{path} rests on {backing}, which is outside of its storage")
    return relative
