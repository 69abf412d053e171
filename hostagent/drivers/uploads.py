"""`Uploads` over HTTP(S): a file streamed in one PUT. The receiver must show a certificate of the control CA."""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Callable

import httpx

from hostagent.contract import UploadSpec
from hostagent.contract.error import rejected, temporary

CHUNK = 1 << 20  # bytes
TIMEOUT = httpx.Timeout(60.0)


class HttpUploads:
    """`context` trusts whoever may receive images."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context

    async def send(self, spec: UploadSpec, path: str, done: Callable[[int], None]) -> None:
        size = await asyncio.to_thread(os.path.getsize, path)
        headers = {"Content-Length": str(size), "Content-Type": "application/octet-stream"}
        if spec.bearer_token:
            headers["Authorization"] = f"Bearer {spec.bearer_token}"
        try:
            async with httpx.AsyncClient(verify=self._context, timeout=TIMEOUT, trust_env=False) as client:
                answer = await client.put(spec.url, content=_chunks(path, done), headers=headers)
        except httpx.HTTPError as error:
            raise temporary("unreachable", f"cannot send the image: {type(error).__name__}: {error}") from error
        if answer.status_code >= 500 and answer.status_code != 503:
            raise temporary("unreachable", f"the image store answers HTTP {answer.status_code}")
        if not answer.is_success:
            raise rejected(
                "invalid_spec", f"the image store refuses the image: HTTP {answer.status_code}", answer.text[:500]
            )


async def _chunks(path: str, done: Callable[[int], None]) -> AsyncIterator[bytes]:
    sent = 0
    with open(path, "rb") as file:  # noqa: ASYNC230 opening is quick, reading is not
        while chunk := await asyncio.to_thread(file.read, CHUNK):
            yield chunk
            sent += len(chunk)
            done(sent)
