"""What all calls of one running provider share: its client, the stop event, how many changes run, how errors are told.

An exception never leaves a call: known ones become diagnostics by the provider's `explain`, surprises become a
diagnostic that asks for a report, with the traceback in the log.
"""

import json
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from provider.framework.diagnostics import Diagnostics, Refused
from provider.framework.plan import Deferral
from provider.framework.resource import Context, Provider
from provider.framework.schema import Schema
from provider.framework.types import Value
from provider.framework.validate import check, must_not_be_written
from provider.wire import messages, values

log = logging.getLogger("provider.wire")


class Session:
    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self.stop = threading.Event()
        self.client: Any = None
        self.deferred: Deferral | None = None  # why nothing can be asked of the control plane yet
        self._running = 0
        self._lock = threading.Lock()
        self.idle = threading.Event()  # set while no change runs
        self.idle.set()

    def context(self, private: bytes = b"") -> Context:
        return Context(self.client, self.stop, load(private))

    def validate(self, schema: Schema, request: Any, response: Any, *, keeps_everything: bool = False) -> Any:
        """`keeps_everything`: this Terraform would write into its state what is to be written nowhere."""
        diagnostics = Diagnostics()
        with self.reporting(schema, diagnostics):
            config = values.decode(request.config, schema.type) or {}
            check(schema, config, diagnostics)
            if keeps_everything:
                must_not_be_written(schema, config, diagnostics)
        return response(diagnostics=messages.diagnostics(diagnostics.items))

    @contextmanager
    def busy(self) -> Iterator[None]:
        with self._lock:
            self._running += 1
            self.idle.clear()
        try:
            yield
        finally:
            with self._lock:
                self._running -= 1
                if self._running == 0:
                    self.idle.set()

    @contextmanager
    def reporting(self, schema: Schema, diagnostics: Diagnostics) -> Iterator[Callable[[Exception], None]]:
        """Turn what goes wrong inside into diagnostics."""

        def report(error: Exception) -> None:
            if isinstance(error, Refused):
                diagnostics.items.append(error.diagnostic)
                return
            known = self.provider.explain(error, schema)
            if known is not None:
                diagnostics.items += known.items
                return
            log.error("unexpected %s", type(error).__name__, exc_info=error)
            diagnostics.error(
                "The provider failed unexpectedly",
                f"{type(error).__name__}: {error}\nThis is a defect of the provider: please report it with the log "
                "that TF_LOG=DEBUG writes.",
            )

        try:
            yield report
        except Exception as error:
            report(error)


def load(private: bytes) -> dict[str, Value]:
    return json.loads(private) if private else {}


def dump(private: dict[str, Value]) -> bytes:
    return json.dumps(private).encode() if private else b""
