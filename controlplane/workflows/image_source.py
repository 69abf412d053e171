"""Getting an image's bytes into a store: from `http(s)://`, from `file://` below allowed directories, or uploaded.

The blocking work runs in a thread: bytes are hashed while they are written, a broken download goes on where it stopped
(Range, If-Range), a redirect may not lead to another scheme than http(s), from https to http, or into this machine.
Failures are final `ApiError`s with the reason; a cancelled copy stops at its next chunk.
"""

import asyncio
import errno
import hashlib
import ipaddress
import shutil
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import httpx

from controlplane.contract.error import ApiError, invalid

_CHUNK = 1 << 16  # bytes: a slow download, too, notices soon that it was cancelled
_REDIRECTS = 5
_ATTEMPTS = 4  # in a row without a new byte
_SPARE = 64 << 20  # bytes that stay free on the store's file system
_TIMEOUT = httpx.Timeout(30, connect=10)
_copiers = ThreadPoolExecutor(8, "image")  # long work must not starve the loop's own threads
Progress = Callable[[int, int], Awaitable[None]]


@dataclass
class Digest:
    """Of all bytes of a file, in order."""

    size: int = 0
    sha256: "hashlib._Hash" = field(default_factory=hashlib.sha256)
    md5: "hashlib._Hash" = field(default_factory=lambda: hashlib.md5(usedforsecurity=False))

    def feed(self, chunk: bytes) -> None:
        self.size += len(chunk)
        self.sha256.update(chunk)
        self.md5.update(chunk)


class Stopped(Exception):
    """The operation was cancelled or the node stops."""


async def in_thread(copy: "Copy", progress: Progress) -> Digest:
    """Run a copy beside the event loop, reporting progress twice a second; cancelling waits until it has stopped."""
    task = asyncio.get_running_loop().run_in_executor(_copiers, copy.run)
    try:
        while not (await asyncio.wait([task], timeout=0.5))[0]:
            await progress(copy.digest.size, copy.total)
        return task.result()
    finally:
        copy.stop.set()
        if not task.done():
            await asyncio.wait([task])


@dataclass
class Copy:
    """One image's way from `url` to the file `part`; `total` is 0 while unknown."""

    url: str
    part: Path
    allowed: tuple[Path, ...] = ()
    total: int = 0
    digest: Digest = field(default_factory=Digest)
    validator: str = ""  # of the file that is being downloaded: strong ETag or date
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> Digest:
        try:
            self.part.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            if urlsplit(self.url).scheme == "file":
                self._from_file()
            else:
                self._from_http()
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise ApiError("BS.1000", f"no space is left for the image: {self.digest.size} bytes fitted") from error
            raise ApiError("BS.1000", f"cannot store the image: {error.strerror or error}") from error
        return self.digest

    def _from_file(self) -> None:
        source = file_path(self.url, self.allowed)
        with source.open("rb") as file:
            self._room_for(source.stat().st_size)
            self._write(iter(lambda: file.read(_CHUNK), b""), "wb")

    def _from_http(self) -> None:
        failures = 0
        with httpx.Client(timeout=_TIMEOUT, follow_redirects=False) as client:
            while True:
                before = self.digest.size
                try:
                    return self._request(client)
                except httpx.TransportError as error:
                    failures = 1 if self.digest.size > before else failures + 1
                    if failures >= _ATTEMPTS:
                        reason = str(error) or type(error).__name__
                        raise ApiError("IMG.1000", f"cannot download {self.url}: {reason}") from error
                    if self.stop.wait(2**failures / 4):
                        raise Stopped from error

    def _request(self, client: httpx.Client) -> None:
        """One GET, from where the last one stopped if the server says that the file is still the same."""
        headers = {"Accept-Encoding": "identity"}
        if self.digest.size and self.validator:
            headers |= {"Range": f"bytes={self.digest.size}-", "If-Range": self.validator}
        url = self.url
        for _ in range(_REDIRECTS + 1):
            with client.stream("GET", url, headers=headers) as response:
                if response.is_redirect:
                    url = _redirected(self.url, url, response.headers.get("location", ""))
                    continue
                return self._receive(response)
        raise ApiError("IMG.1000", f"{self.url} redirects more than {_REDIRECTS} times")

    def _receive(self, response: httpx.Response) -> None:
        where = f"{self.url} answered HTTP {response.status_code} {response.reason_phrase}"
        if response.status_code in (429, 502, 503, 504):
            raise httpx.RemoteProtocolError(where)
        if response.status_code not in (200, 206):
            raise ApiError("IMG.1000", where)
        resumed = response.status_code == 206
        if resumed and not response.headers.get("content-range", "").startswith(f"bytes {self.digest.size}-"):
            raise ApiError("IMG.1000", f"{self.url} answered with another part of the file than was asked for")
        if not resumed:
            self.digest = Digest()
            etag: str = response.headers.get("etag", "")
            self.validator = "" if etag.startswith("W/") else etag or response.headers.get("last-modified", "")
        length = int(response.headers.get("content-length") or 0)
        self._room_for(self.digest.size + length if length else 0)
        self._write(response.iter_raw(_CHUNK), "ab" if resumed else "wb")
        if length and self.digest.size != self.total:
            raise httpx.RemoteProtocolError(f"{self.digest.size} of {self.total} bytes arrived")

    def _room_for(self, total: int) -> None:
        self.total = total
        free = shutil.disk_usage(self.part.parent).free
        if self.total - self.digest.size > free - _SPARE:
            raise ApiError("BS.1000", f"the image has {total} bytes, the store has room for {max(0, free - _SPARE)}")

    def _write(self, chunks: Iterator[bytes], mode: str) -> None:
        with self.part.open(mode) as part:
            for chunk in chunks:
                if self.stop.is_set():
                    raise Stopped
                part.write(chunk)
                self.digest.feed(chunk)
            part.flush()


def check_url(url: str) -> None:
    """Refuse with SYS.1007 what can never be fetched."""
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise invalid(f"url {url!r} is no URL: {error}", "url") from None
    if parts.scheme in ("http", "https"):
        if not parts.hostname:
            raise invalid(f"url {url!r} names no host", "url")
        if parts.username or parts.password:
            raise invalid(
                "url must not carry a user name or password: it is shown to everybody who sees the image", "url"
            )
    elif parts.scheme not in ("file", "upload"):
        raise invalid(f"url {url!r} must begin with http://, https://, file:// or upload://", "url")


def file_path(url: str, allowed: tuple[Path, ...]) -> Path:
    """The file behind a `file://` URL; links are followed before it is decided whether it lies in an allowed place."""
    path = Path(unquote(urlsplit(url).path))
    try:
        real = path.resolve(strict=True)
        inside = any(real.is_relative_to(folder.resolve()) for folder in allowed)
    except (OSError, ValueError, RuntimeError):
        real, inside = path, False
    if not inside or not real.is_file():
        places = ", ".join(str(folder) for folder in allowed) or "none"
        raise invalid(f"url {url!r} is no file in a directory that images may come from ({places})", "url")
    return real


def _redirected(first: str, url: str, location: str) -> str:
    target = urljoin(url, location)
    parts = urlsplit(target)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ApiError("IMG.1000", f"{url} redirects to {target!r}, which is not http(s)")
    if urlsplit(url).scheme == "https" and parts.scheme == "http":
        raise ApiError("IMG.1000", f"{url} redirects from https to {target!r}, which is not protected")
    if _is_local(parts.hostname) and not _is_local(urlsplit(first).hostname or ""):
        raise ApiError("IMG.1000", f"{url} redirects into this machine's own network: {target!r}")
    return target


def _is_local(host: str) -> bool:
    """Loopback or link-local: places that only this machine can see."""
    try:
        found = {str(entry[4][0]).partition("%")[0] for entry in socket.getaddrinfo(host, None)}
    except OSError:
        return False
    addresses = [ipaddress.ip_address(address) for address in found]
    return any(address.is_loopback or address.is_link_local or address.is_unspecified for address in addresses)


# -- uploads -----------------------------------------------------------------------------------------------------


def uploaded(part: Path) -> Path:
    """Where a finished upload lies, beside the file it is going to be."""
    return part.with_name("uploaded")


async def await_upload(part: Path, progress: Progress, patience: float = 3600.0) -> Digest:
    """Wait for `PUT /v1/images/{uuid}/file` to deliver; SYS.1001 when nothing came for `patience` seconds."""
    growing, file = part.with_name("uploading"), uploaded(part)
    last, since = 0, time.monotonic()
    part.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    while not file.exists():
        size = growing.stat().st_size if growing.exists() else 0
        if size != last:
            last, since = size, time.monotonic()
            await progress(size, 0)
        if time.monotonic() - since > patience:
            raise ApiError("SYS.1001", f"no byte of the image was uploaded for {patience:.0f} seconds")
        await asyncio.sleep(0.25)
    return await asyncio.to_thread(digest_of, file)


def digest_of(path: Path) -> Digest:
    digest = Digest()
    with path.open("rb") as file:
        for chunk in iter(lambda: file.read(_CHUNK), b""):
            digest.feed(chunk)
    return digest
