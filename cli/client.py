"""HTTP to one control plane: one kept-alive connection, TLS, jobs awaited by long polls.

A change carries a job uuid chosen here, so it may be sent again when its answer was lost: it is the same job then.
"""

import http.client
import json
import os
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from cli.request import Request
from cli.words import Problem

POLL = 25  # seconds of one long poll
POLL_FIRST = 2  # the same at first and while there is progress to show
TIMEOUT = 60.0  # seconds for any answer
Json = dict[str, Any]


class Refused(Exception):
    """The control plane answered with an error; exit status 3."""

    def __init__(self, error: Json) -> None:
        super().__init__(error.get("details", ""))
        self.error = error


class Client:
    def __init__(self, server: str, ca_file: str | None, token: str) -> None:
        parts = urlsplit(server)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Problem(f"the server {server!r} is not of the form http(s)://host[:port]")
        self._server = server
        self._base = parts.path.rstrip("/") + "/v1"
        self._token = token
        if parts.scheme == "http":
            self._connection = http.client.HTTPConnection(parts.hostname, parts.port or 80, timeout=TIMEOUT)
            return
        import ssl  # costs a fifth of the start

        try:
            trust = ssl.create_default_context(cafile=ca_file)
        except (OSError, ssl.SSLError) as error:
            raise Problem(f"cannot use the CA file {ca_file}: {error}") from None
        self._connection = http.client.HTTPSConnection(
            parts.hostname, parts.port or 443, timeout=TIMEOUT, context=trust
        )

    def call(self, request: Request, progress: Callable[[Json], None]) -> Json:
        """The result; raises `Refused`. Ctrl-C while a job runs cancels it; a second one leaves it to itself."""
        job = os.urandom(16).hex()
        status, answer = self._send(request.method, request.target, request.body, {"X-Job-UUID": job})
        if status != 202:
            return self._outcome(status, answer)
        try:
            return self._wait(job, progress)
        except KeyboardInterrupt:
            self._connection.close()
            progress({"text": f"cancelling job {job}; Ctrl-C again leaves it to itself"})
            return self._cancel(job, progress)

    def _cancel(self, job: str, progress: Callable[[Json], None]) -> Json:
        for pause in (0.5, 1, 2, 4, 0):
            status, answer = self._send("DELETE", f"/api-jobs/{job}", None, {})
            if status == 202:
                return self._wait(job, progress)
            if status != 503:  # which means: for now
                break
            time.sleep(pause)
        return self._outcome(status, answer)

    def _wait(self, job: str, progress: Callable[[Json], None]) -> Json:
        wait = POLL_FIRST
        while True:
            status, answer = self._send("GET", f"/api-jobs/{job}?wait={wait}", None, {})
            if status != 202:
                return self._outcome(status, answer)
            wait = POLL_FIRST if "progress" in answer else POLL
            if "progress" in answer:
                progress(answer["progress"])

    @staticmethod
    def _outcome(status: int, answer: Json) -> Json:
        if status == 200:
            return answer
        text = answer.get("text", "")
        raise Refused(answer.get("error") or {"code": f"HTTP {status}", "description": "refused", "details": text})

    def _send(self, method: str, target: str, body: Json | None, headers: dict[str, str]) -> tuple[int, Json]:
        if self._token:
            headers = headers | {"Authorization": f"OAuth {self._token}"}
        payload = None
        if body is not None:
            payload = json.dumps(body).encode()
            headers = headers | {"Content-Type": "application/json; charset=UTF-8"}
        for attempt in (1, 2):
            try:
                self._connection.request(method, self._base + target, payload, headers)
                response = self._connection.getresponse()
                raw = response.read()
                break
            except (OSError, http.client.HTTPException) as error:
                if type(error).__name__ == "SSLCertVerificationError":
                    raise Problem(f"{self._server}: its certificate is not trusted ({error}); see --ca") from None
                self._connection.close()
                if attempt == 2 or isinstance(error, ConnectionRefusedError):
                    raise Problem(f"cannot reach {self._server}: {error or type(error).__name__}") from None
        try:
            answer = json.loads(raw)
        except ValueError:
            answer = {"text": raw.decode("utf-8", "replace").strip()[:500]}
        return response.status, answer if isinstance(answer, dict) else {"text": str(answer)[:500]}
