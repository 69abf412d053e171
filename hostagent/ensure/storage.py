"""Directories that hold disks, and the one place where a path from the wire becomes a path of the host.

Deleting a storage only forgets it; its volumes stay. Nothing outside a storage's directory can be named.
"""

import os

from hostagent.contract import StorageSpec, StorageStatus, StorageUsage
from hostagent.contract.error import rejected
from hostagent.ensure.generations import Generations
from hostagent.ports.disks import Disks


class Storages:
    def __init__(self, disks: Disks, generations: Generations) -> None:
        self._disks = disks
        self._generations = generations

    async def put(self, uuid: str, spec: StorageSpec) -> StorageStatus:
        path = _directory(spec.path)
        for other, known in self._generations.all("storage").items():
            if other != uuid and _overlap(known["path"], path):
                raise rejected("in_use", f"path {path} overlaps {known['path']} of storage {other}")
        await self._disks.ensure_directory(path)
        self._generations.accept("storage", uuid, spec.generation, path=path)
        return await self.get(uuid)

    async def get(self, uuid: str) -> StorageStatus:
        path = self.path(uuid)
        total, available = await self._disks.capacity(path)
        return StorageStatus(uuid=uuid, path=path, total_bytes=total, available_bytes=available)

    async def usage(self, uuid: str) -> StorageUsage:
        """Of volumes and their snapshots; cached images belong to none."""
        path = self.path(uuid)
        found = {file.removeprefix(f"{path}/"): size for file, size in (await self._disks.allocated(path)).items()}
        return StorageUsage(
            allocated={file: size for file, size in found.items() if not file.startswith("imagecache/")}
        )

    async def list(self) -> list[StorageStatus]:
        return [await self.get(uuid) for uuid in self._generations.all("storage")]

    async def delete(self, uuid: str) -> None:
        self._generations.forget("storage", uuid)

    def path(self, uuid: str) -> str:
        known = self._generations.get("storage", uuid)
        if known is None:
            raise rejected("not_found", f"storage {uuid} is not known on this host: PUT it first")
        return str(known["path"])

    def resolve(self, uuid: str, relative: str) -> str:
        """The absolute path of a file in a storage. Raises: invalid_spec when it would lie outside."""
        root = self.path(uuid)
        path = os.path.normpath(os.path.join(root, relative))
        inside = path.startswith(root + "/") and os.path.realpath(path).startswith(os.path.realpath(root) + "/")
        if not relative or os.path.isabs(relative) or "\0" in relative or not inside:
            raise rejected("invalid_spec", f"path {relative!r} must be relative and stay within its storage")
        return path


def _directory(path: str) -> str:
    normal = os.path.normpath(path)
    if not os.path.isabs(path) or "\0" in path or normal == "/":
        raise rejected("invalid_spec", f"path {path!r} must be an absolute directory other than /")
    return normal


def _overlap(one: str, other: str) -> bool:
    return one == other or one.startswith(other + "/") or other.startswith(one + "/")
