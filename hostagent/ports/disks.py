"""What the agent needs from a file system of disks. Paths are absolute and already checked to lie in a storage.

Errors are `HostError`: `no_space`, `bad_image`, `storage_path`, `internal`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from hostagent.contract import ImageSpec, UploadSpec
from hostagent.contract.image import ImageFormat


@dataclass(frozen=True, slots=True)
class DiskInfo:
    """Bytes: `size` is what the guest sees, `actual_size` what is allocated. `backing` is the absolute path or None."""

    size: int
    actual_size: int
    backing: str | None


class Disks(Protocol):
    async def ensure_directory(self, path: str) -> None:
        """A writable directory. Raises storage_path when that cannot be."""
        ...

    async def capacity(self, path: str) -> tuple[int, int]:
        """(total, available) bytes of the file system that holds the directory."""
        ...

    async def allocated(self, directory: str) -> dict[str, int]:
        """Bytes that each disk under the directory takes, by absolute path. What comes or goes meanwhile may be missing."""
        ...

    async def create(self, path: str, size: int, backing: str | None) -> None:
        """A qcow2 disk, an overlay of `backing` if given (stored as a relative name); whole or not at all."""
        ...

    async def info(self, path: str) -> DiskInfo | None: ...

    async def grow(self, path: str, size: int) -> None: ...

    async def used(self, path: str) -> int:
        """The end of what was ever written: a disk cut there loses nothing."""
        ...

    async def cut(self, path: str, size: int) -> None:
        """Make it smaller; what lies beyond is lost."""
        ...

    async def copy(self, source: str, path: str) -> None:
        """A disk of its own with all that is read through `source`; whole or not at all."""
        ...

    async def length(self, path: str) -> int:
        """Bytes of the file itself."""
        ...

    async def rebase(self, path: str, backing: str | None) -> None:
        """It rests on `backing` and reads as before. Nobody has it open."""
        ...

    async def commit(self, path: str) -> None:
        """What `path` holds goes into the file it rests on. Nobody has either open."""
        ...

    async def remove(self, path: str, below: str) -> None:
        """Absent is success; directories that become empty go too, up to but without `below`."""
        ...

    async def resting_on(self, directory: str, path: str) -> list[str]:
        """Disks under `directory` whose backing file is `path`."""
        ...

    async def publish(self, part: str, path: str) -> None:
        """`part`, which is whole, is at `path` for good: synced, then renamed over whatever was there."""
        ...

    async def adopt(self, part: str, path: str, image_format: ImageFormat) -> None:
        """Turn a verified download into the cached image at `path`. Raises bad_image when it is not what it says."""
        ...


class Downloads(Protocol):
    async def fetch(self, spec: ImageSpec, part: str, done: Callable[[int], None]) -> None:
        """Fetch `spec.url` into the file `part`, going on where an earlier try stopped, and verify size and sha256.

        `done` is told the bytes present so far. Raises unreachable (temporary), no_space, not_found, checksum_mismatch
        (then `part` is gone).
        """
        ...

    async def discard(self, part: str) -> None: ...


class Uploads(Protocol):
    async def send(self, spec: UploadSpec, path: str, done: Callable[[int], None]) -> None:
        """The bytes of the file `path` to `spec.url`; `done` is told how many went. Raises unreachable (temporary),
        invalid_spec when the receiver refuses them."""
        ...
