"""HTTP to one control plane: kept-alive connections, TLS, and waits that end when the user presses Ctrl-C.

A request that may have been lost is repeated only if the caller says that repeating is harmless.
"""

import http.client
import json
import logging
import select
import ssl
import threading
import time
from typing import Any
from urllib.parse import urlsplit

from provider.client.errors import Interrupted, Unreachable

log = logging.getLogger("provider.client")
PATIENCE = 30.0  # seconds: a restart of the control plane passes unnoticed
SLICE = 0.2  # seconds between two looks at the stop event
TIMEOUT = 60.0  # seconds for an answer


class Answer:
    """Status and JSON body; `text` where the body was no JSON object."""

    def __init__(self, status: int, raw: bytes) -> None:
        self.status = status
        self.text = raw.decode("utf-8", "replace")
        try:
            body = json.loads(raw) if raw else {}
        except ValueError:
            body = {}
        self.body: dict[str, Any] = body if isinstance(body, dict) else {}


class Transport:
    """Safe for many threads; `endpoint` is `http(s)://host[:port][/path]`."""

    def __init__(self, endpoint: str, ca_file: str | None) -> None:
        parts = urlsplit(endpoint)
        self.host, self.secure = parts.hostname or "", parts.scheme == "https"
        self.port = parts.port or (443 if self.secure else 80)
        self.base = parts.path.rstrip("/") + "/v1"
        self.endpoint = endpoint
        self._tls = ssl.create_default_context(cafile=ca_file) if self.secure else None
        self.sent = 0  # requests, up to now
        self._idle: list[http.client.HTTPConnection] = []
        self._lock = threading.Lock()

    def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: dict[str, str] | None = None,
        *,
        repeatable: bool,
        stop: threading.Event | None = None,
        patience: float = PATIENCE,
    ) -> Answer:
        """One exchange; refused connections are tried again for `patience` seconds.

        Raises Unreachable, or Interrupted when `stop` is set before the answer arrives.
        """
        payload = None if body is None else json.dumps(body).encode()
        sent_headers = {"Accept": "application/json", **(headers or {})}
        if payload is not None:
            sent_headers["Content-Type"] = "application/json; charset=UTF-8"
        give_up = time.monotonic() + patience
        pause = 0.1
        while True:
            connection, fresh = self._connection()
            sent = False
            try:
                if connection.sock is None:
                    connection.connect()
                sent = True
                self.sent += 1
                connection.request(method, self.base + path, payload, sent_headers)
                if stop is not None:
                    _await_bytes(connection, stop)
                response = connection.getresponse()
                answer = Answer(response.status, response.read())
            except Interrupted:
                connection.close()
                raise
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                if isinstance(error, ssl.SSLCertVerificationError):
                    raise Unreachable(
                        f"{self.endpoint}: its certificate is not trusted ({error}); see ca_file"
                    ) from error
                if repeatable and not fresh:
                    continue  # the server had closed an idle connection
                if (sent and not repeatable) or time.monotonic() > give_up or (stop is not None and stop.is_set()):
                    raise Unreachable(f"{method} {self.endpoint}{path}: {error or type(error).__name__}") from error
                log.warning("no answer from %s (%s), trying again", self.endpoint, error)
                time.sleep(pause)
                pause = min(pause * 2, 2.0)
                continue
            self._keep(connection, response.will_close)
            return answer

    def _connection(self) -> tuple[http.client.HTTPConnection, bool]:
        with self._lock:
            if self._idle:
                return self._idle.pop(), False
        if self._tls is not None:
            return http.client.HTTPSConnection(self.host, self.port, timeout=TIMEOUT, context=self._tls), True
        return http.client.HTTPConnection(self.host, self.port, timeout=TIMEOUT), True

    def _keep(self, connection: http.client.HTTPConnection, will_close: bool) -> None:
        if will_close:
            connection.close()
            return
        with self._lock:
            self._idle.append(connection)


def _await_bytes(connection: http.client.HTTPConnection, stop: threading.Event) -> None:
    """Return when the answer begins; the server's own long-poll limit is far below TIMEOUT."""
    deadline = time.monotonic() + TIMEOUT
    while not select.select([connection.sock], [], [], SLICE)[0]:
        if stop.is_set():
            raise Interrupted
        if time.monotonic() > deadline:
            raise TimeoutError("no answer in time")
