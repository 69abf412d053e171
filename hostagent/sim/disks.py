"""A file system of disks in memory: path → size. Downloads over HTTP are real, their bytes are hashed and dropped."""

from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256

import httpx

from hostagent.contract import ImageSpec, UploadSpec
from hostagent.contract.error import broken, rejected, temporary
from hostagent.contract.image import ImageFormat
from hostagent.ports.disks import DiskInfo
from hostagent.sim import qcow2

BLANK = 196_608  # bytes of an empty qcow2 file


class SimDisks:
    def __init__(self, total_bytes: int) -> None:
        self.total_bytes = total_bytes
        self.files: dict[str, DiskInfo] = {}
        self._used = 0

    async def ensure_directory(self, path: str) -> None:
        if path.startswith(("/proc/", "/sys/", "/dev/")):
            raise broken("storage_path", f"{path} cannot hold disks")

    async def capacity(self, path: str) -> tuple[int, int]:
        return self.total_bytes, max(self.total_bytes - self._used, 0)

    async def allocated(self, directory: str) -> dict[str, int]:
        return {path: info.actual_size for path, info in self.files.items() if path.startswith(f"{directory}/")}

    async def create(self, path: str, size: int, backing: str | None) -> None:
        self.store(path, DiskInfo(size, BLANK, backing))

    async def info(self, path: str) -> DiskInfo | None:
        return self.files.get(path)

    async def grow(self, path: str, size: int) -> None:
        known = self.files[path]
        self.files[path] = replace(known, size=size)

    async def used(self, path: str) -> int:
        return 0

    async def cut(self, path: str, size: int) -> None:
        await self.grow(path, size)

    async def copy(self, source: str, path: str) -> None:
        self.store(path, replace(self.files[source], backing=None))

    async def length(self, path: str) -> int:
        return self.files[path].actual_size

    async def rebase(self, path: str, backing: str | None) -> None:
        self.files[path] = replace(self.files[path], backing=backing)

    async def commit(self, path: str) -> None:
        assert self.files[path].backing in self.files

    async def remove(self, path: str, below: str) -> None:
        self.drop(path)

    def drop(self, path: str) -> None:
        if known := self.files.pop(path, None):
            self._used -= known.actual_size

    async def resting_on(self, directory: str, path: str) -> list[str]:
        return [other for other, info in self.files.items() if info.backing == path]

    async def publish(self, part: str, path: str) -> None:
        self.drop(path)
        info = self.files[part]
        self.drop(part)
        self.store(path, info)

    async def adopt(self, part: str, path: str, image_format: ImageFormat) -> None:
        info = self.files[part]
        self.drop(part)
        self.store(path, info)

    def store(self, path: str, info: DiskInfo) -> None:
        if self._used + info.actual_size > self.total_bytes:
            raise broken("no_space", f"no space left on device: {path}")
        self.files[path] = info
        self._used += info.actual_size


class SimDownloads:
    """`sim://…` needs no server: the size is taken from the wish and the checksum is believed."""

    def __init__(self, disks: SimDisks) -> None:
        self._disks = disks

    async def fetch(self, spec: ImageSpec, part: str, done: Callable[[int], None]) -> None:
        digest, size = sha256(), 0
        if not spec.url.startswith("sim://"):
            headers = {"Authorization": f"Bearer {spec.bearer_token}"} if spec.bearer_token else {}
            try:
                # the simulated host keeps no bytes and the digest is checked, so any server will do
                async with (
                    httpx.AsyncClient(verify=False, trust_env=False) as client,  # noqa: S501
                    client.stream("GET", spec.url, headers=headers) as answer,
                ):
                    if answer.status_code != 200:
                        raise rejected("not_found", f"{answer.status_code} for the image at its source")
                    async for chunk in answer.aiter_bytes():
                        digest.update(chunk)
                        size += len(chunk)
                        done(size)
            except httpx.HTTPError as error:
                raise temporary("unreachable", f"cannot fetch the image: {type(error).__name__}") from error
            if size != spec.size or digest.hexdigest() != spec.sha256.lower():
                raise rejected(
                    "checksum_mismatch", f"sha256 {digest.hexdigest()} of {size} bytes; expected {spec.sha256}"
                )
        done(spec.size)
        self._disks.store(part, DiskInfo(spec.size, spec.size, None))

    async def discard(self, part: str) -> None:
        self._disks.drop(part)


class SimUploads:
    """An empty disk of the right size is sent: over HTTP, or to `deliver(url, bytes)` when the URL is `sim://…`."""

    def __init__(self, disks: SimDisks) -> None:
        self._disks = disks
        self.deliver: Callable[[str, bytes], None] | None = None

    async def send(self, spec: UploadSpec, path: str, done: Callable[[int], None]) -> None:
        content = qcow2.blank(self._disks.files[path].size)
        if spec.url.startswith("sim://"):
            if self.deliver is None:
                raise temporary("unreachable", "nobody receives uploads")
            self.deliver(spec.url, content)
        else:
            headers = {"Authorization": f"Bearer {spec.bearer_token}"}
            async with httpx.AsyncClient(verify=False, trust_env=False) as client:  # noqa: S501 no real host
                answer = await client.put(spec.url, content=content, headers=headers)
            if not answer.is_success:
                raise rejected("invalid_spec", f"the image store refuses the image: HTTP {answer.status_code}")
        done(len(content))
