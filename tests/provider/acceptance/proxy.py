"""An HTTP proxy before a control plane that stops the world at a chosen change: before it is passed on, or before its answer
is. What happens then is the test's: `at` is called once, with the request held.
"""

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Disturb = Callable[[], None]


class Proxy:
    """Counts the changes that pass; logins and cancellations are none."""

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream.removeprefix("http://")
        self.changes = 0
        self._lock = threading.Lock()
        self._at: tuple[int, Disturb] | None = None
        self._of = b""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def disturb(self, at: int, by: Disturb, of: bytes = b"") -> None:
        """`by` is called at the change number `at`, counted from now: odd numbers before it is done, even ones after. `of`:
        only changes with this in their body count."""
        with self._lock:
            self.changes, self._at, self._of = 0, (at, by), of

    def _count(self, method: str, path: str, body: bytes) -> Disturb | None:
        if method == "GET" or "/accounts/" in path or "/api-jobs/" in path or self._of not in body:
            return None
        with self._lock:
            self.changes += 1
            if self._at is not None and self._at[0] == self.changes:
                by, self._at = self._at[1], None
                return by
        return None

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                by = proxy._count(self.command, self.path, body)
                late = by is not None and proxy.changes % 2 == 0
                if by is not None and not late:
                    by()
                connection = http.client.HTTPConnection(proxy.upstream, timeout=120)
                connection.request(self.command, self.path, body, dict(self.headers))
                answer = connection.getresponse()
                content = answer.read()
                connection.close()
                if by is not None and late:
                    by()
                self.send_response(answer.status)
                for name in ("Content-Type", "Location"):
                    if answer.headers[name]:
                        self.send_header(name, answer.headers[name])
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PUT = do_DELETE = handle_any

            def handle(self) -> None:
                try:
                    super().handle()
                except (ConnectionError, http.client.HTTPException):  # who asked is dead
                    self.close_connection = True

            def log_message(self, *_words: Any) -> None:
                pass

        return Handler


@contextmanager
def before(upstream: str) -> Iterator[Proxy]:
    proxy = Proxy(upstream)
    try:
        yield proxy
    finally:
        proxy.close()
