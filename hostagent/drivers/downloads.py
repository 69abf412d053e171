"""`Downloads` over HTTP(S): streamed to a file, gone on with by Range after a break, verified before use.

The server must show a certificate of the control CA. Tokens travel in the Authorization header only and are never
logged or put into an error.
"""

import asyncio
import contextlib
import errno
import os
import ssl
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import httpx

from hostagent.contract import HostError, ImageSpec
from hostagent.contract.error import broken, rejected, temporary

CHUNK = 1 << 20  # bytes
TRIES, PAUSE = 5, 0.5  # a broken connection is taken up again after PAUSE × the number of tries, seconds
TIMEOUT = httpx.Timeout(30.0)


class HttpDownloads:
    """`context` trusts whoever may serve images."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context

    async def fetch(self, spec: ImageSpec, part: str, done: Callable[[int], None]) -> None:
        await asyncio.to_thread(os.makedirs, os.path.dirname(part), mode=0o755, exist_ok=True)
        try:
            digest = await self._all(spec, part, done)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                await self.discard(part)
                raise broken("no_space", f"no space left for an image of {spec.size} bytes") from error
            raise broken("internal", f"cannot store the image: {error.strerror}") from error
        if digest != spec.sha256.lower():
            await self.discard(part)
            raise rejected("checksum_mismatch", f"sha256 of the image is {digest}, {spec.sha256} was expected")

    async def discard(self, part: str) -> None:
        await asyncio.to_thread(_unlink, part)

    async def _all(self, spec: ImageSpec, part: str, done: Callable[[int], None]) -> str:
        """Until the whole file is there; returns its sha256. A try that got further does not count."""
        tries, reached = 0, -1
        while True:
            digest = sha256()
            have = await asyncio.to_thread(_hash_file, part, digest)
            if have > spec.size:
                await self.discard(part)
                continue
            done(have)
            if have == spec.size:
                return digest.hexdigest()
            tries = 1 if have > reached else tries + 1
            reached = max(reached, have)
            try:
                await self._rest(spec, part, have, done)
            except HostError as error:
                if error.problem.code != "unreachable" or tries >= TRIES:
                    raise
                await asyncio.sleep(PAUSE * tries)

    async def _rest(self, spec: ImageSpec, part: str, have: int, done: Callable[[int], None]) -> None:
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
        if spec.bearer_token:
            headers["Authorization"] = f"Bearer {spec.bearer_token}"
        try:
            async with (
                httpx.AsyncClient(verify=self._context, timeout=TIMEOUT, trust_env=False) as client,
                client.stream("GET", spec.url, headers=headers) as answer,
            ):
                if answer.status_code == 200:
                    have = 0  # the server knows no ranges: from the start
                elif answer.status_code in (500, 502, 503, 504):
                    raise temporary("unreachable", f"the image's source answers HTTP {answer.status_code}")
                elif answer.status_code != 206:
                    raise rejected("not_found", f"the image's source answers HTTP {answer.status_code}")
                with open(part, "r+b" if have else "wb") as file:  # noqa: ASYNC230 opening is quick, writing is not
                    file.seek(have)
                    async for chunk in answer.aiter_raw(CHUNK):
                        await asyncio.to_thread(file.write, chunk)
                        have += len(chunk)
                        done(have)
                        if have > spec.size:
                            raise rejected("checksum_mismatch", f"the image is larger than the {spec.size} bytes told")
        except httpx.HTTPError as error:
            raise temporary("unreachable", f"cannot fetch the image: {type(error).__name__}: {error}") from error
        if have < spec.size:
            raise temporary("unreachable", f"the image's source ended after {have} of {spec.size} bytes")


def _hash_file(path: str, digest: Any) -> int:
    have = 0
    try:
        with open(path, "rb") as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
                have += len(chunk)
    except FileNotFoundError:
        pass
    return have


def _unlink(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
