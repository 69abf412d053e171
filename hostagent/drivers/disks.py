"""`Disks` on a local file system: qcow2 files made by qemu-img, read by their headers.

What has its final name is whole: everything is made under another name, synced and renamed. A downloaded image that
rests on another file, or keeps its data elsewhere, is refused: it could show a guest any file of the host.
"""

import asyncio
import contextlib
import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path

from hostagent.contract.error import HostError, broken, rejected
from hostagent.contract.image import ImageFormat
from hostagent.drivers import qcow2
from hostagent.ports.disks import DiskInfo

QEMU_IMG = "qemu-img"
LIMIT = 3600.0  # seconds; converting a large raw image takes minutes
ISO_MAGIC, ISO_AT = b"CD001", 0x8001  # ISO 9660: the first volume descriptor


class LocalDisks:
    async def ensure_directory(self, path: str) -> None:
        def ensure() -> None:
            os.makedirs(path, mode=0o755, exist_ok=True)
            probe = Path(path, ".steppe-writable")
            probe.write_bytes(b"")
            probe.unlink()

        try:
            await asyncio.to_thread(ensure)
        except OSError as error:
            raise broken("storage_path", f"{path} cannot hold disks: {error.strerror}") from error

    async def capacity(self, path: str) -> tuple[int, int]:
        try:
            usage = await asyncio.to_thread(os.statvfs, path)
        except OSError as error:
            raise broken("storage_path", f"{path} cannot be read: {error.strerror}") from error
        return usage.f_blocks * usage.f_frsize, usage.f_bavail * usage.f_frsize

    async def allocated(self, directory: str) -> dict[str, int]:
        return await asyncio.to_thread(_allocated, directory)

    async def create(self, path: str, size: int, backing: str | None) -> None:
        part = f"{path}.new"
        with _errors(path):
            await asyncio.to_thread(os.makedirs, os.path.dirname(path), mode=0o755, exist_ok=True)
            # -u: the size is told, so nobody need open the backing file, which a running guest may hold locked
            base = () if backing is None else ("-u", "-F", "qcow2", "-b", _relative(backing, path))
            await self._qemu_img(part, "create", "-q", "-f", "qcow2", *base, part, str(size))
            await asyncio.to_thread(_publish, part, path)

    async def info(self, path: str) -> DiskInfo | None:
        with _errors(path):
            return await asyncio.to_thread(_info, path)

    async def grow(self, path: str, size: int) -> None:
        with _errors(path):
            await self._qemu_img(None, "resize", "-q", "-f", "qcow2", path, str(size))

    async def used(self, path: str) -> int:
        with _errors(path):
            # a running QEMU may have it open: we only read
            listing = await self._qemu_img(None, "map", "-U", "--output=json", "-f", "qcow2", path)
        own = [part for part in json.loads(listing) if part["depth"] == 0 and part["present"]]
        return max((part["start"] + part["length"] for part in own), default=0)

    async def cut(self, path: str, size: int) -> None:
        with _errors(path):
            await self._qemu_img(None, "resize", "-q", "--shrink", "-f", "qcow2", path, str(size))

    async def copy(self, source: str, path: str) -> None:
        part = f"{path}.new"
        with _errors(path):
            await asyncio.to_thread(os.makedirs, os.path.dirname(path), mode=0o755, exist_ok=True)
            await self._qemu_img(part, "convert", "-q", "-f", "qcow2", "-O", "qcow2", source, part)
            await asyncio.to_thread(_publish, part, path)

    async def length(self, path: str) -> int:
        with _errors(path):
            return await asyncio.to_thread(os.path.getsize, path)

    async def rebase(self, path: str, backing: str | None) -> None:
        base = ("-b", "") if backing is None else ("-F", "qcow2", "-b", _relative(backing, path))
        with _errors(path):
            await self._qemu_img(None, "rebase", "-q", "-f", "qcow2", *base, path)

    async def commit(self, path: str) -> None:
        with _errors(path):
            await self._qemu_img(None, "commit", "-q", "-f", "qcow2", path)

    async def remove(self, path: str, below: str) -> None:
        def remove() -> None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            folder = os.path.dirname(path)
            while folder.startswith(below + "/"):
                try:
                    os.rmdir(folder)
                except FileNotFoundError:
                    pass
                except OSError:  # not empty
                    return
                folder = os.path.dirname(folder)

        with _errors(path):
            await asyncio.to_thread(remove)

    async def resting_on(self, directory: str, path: str) -> list[str]:
        with _errors(directory):
            return await asyncio.to_thread(lambda: list(_resting_on(directory, path)))

    async def publish(self, part: str, path: str) -> None:
        with _errors(path):
            await asyncio.to_thread(_publish, part, path)

    async def adopt(self, part: str, path: str, image_format: ImageFormat) -> None:
        with _errors(path):
            if image_format == "raw":
                made = f"{path}.new"
                await self._qemu_img(made, "convert", "-q", "-f", "raw", "-O", "qcow2", part, made)
                await asyncio.to_thread(os.unlink, part)
                part = made
            try:
                await asyncio.to_thread(_check, part, image_format)
            except HostError:
                await asyncio.to_thread(os.unlink, part)
                raise
            await asyncio.to_thread(_publish, part, path)

    async def _qemu_img(self, made: str | None, *arguments: str) -> bytes:
        """What qemu-img says; after a failure `made` is gone. `--` is not needed: all paths are absolute."""
        process = await asyncio.create_subprocess_exec(
            QEMU_IMG,
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "LC_ALL": "C"},
        )
        try:
            async with asyncio.timeout(LIMIT):
                said, complaint = await process.communicate()
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            raise
        if process.returncode == 0:
            return said
        if made is not None:
            await asyncio.to_thread(Path(made).unlink, missing_ok=True)
        text = complaint.decode(errors="replace").strip()
        if os.strerror(errno.ENOSPC) in text:  # qemu-img tells it by text alone
            raise broken("no_space", f"no space left for {arguments[-2]}")
        raise broken("internal", f"qemu-img {arguments[0]} failed", text)


def _allocated(directory: str) -> dict[str, int]:
    found = {}
    for folder, _, names in os.walk(directory):
        for name in names:
            if name.endswith(".qcow2"):
                with contextlib.suppress(FileNotFoundError):
                    found[f"{folder}/{name}"] = os.lstat(f"{folder}/{name}").st_blocks * 512
    return found


def _relative(backing: str, path: str) -> str:
    """A name that stays true when the storage is mounted elsewhere."""
    return os.path.relpath(backing, os.path.dirname(path))


def _info(path: str) -> DiskInfo | None:
    try:
        header = qcow2.read_header(path)
        status = os.stat(path)
    except FileNotFoundError:
        return None
    allocated = status.st_blocks * 512
    if header is None:
        return DiskInfo(status.st_size, allocated, None)
    return DiskInfo(header.size, allocated, qcow2.backing_path(path, header))


def _resting_on(directory: str, path: str) -> Iterator[str]:
    target = os.path.realpath(path)
    for folder, _, names in os.walk(directory):
        for name in names:
            candidate = os.path.join(folder, name)
            with contextlib.suppress(OSError):
                header = qcow2.read_header(candidate)
                backing = header and qcow2.backing_path(candidate, header)
                if backing and os.path.realpath(backing) == target:
                    yield candidate


def _check(path: str, image_format: ImageFormat) -> None:
    if image_format == "iso":
        with open(path, "rb") as file:
            file.seek(ISO_AT)
            if file.read(len(ISO_MAGIC)) != ISO_MAGIC:
                raise rejected("bad_image", "the image is no ISO 9660 file system")
        return
    header = qcow2.read_header(path)
    if header is None or header.version not in (2, 3) or header.size <= 0:
        raise rejected("bad_image", "the image is no qcow2 file; say format raw if it is a raw disk")
    if header.backing is not None or header.external_data:
        raise rejected("bad_image", "the image rests on another file; flatten it with qemu-img convert")


def _publish(part: str, path: str) -> None:
    descriptor = os.open(part, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.rename(part, path)
    folder = os.open(os.path.dirname(path), os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextlib.contextmanager
def _errors(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise broken("no_space", f"no space left for {path}") from error
        raise broken("internal", f"{path}: {error.strerror or error}") from error
