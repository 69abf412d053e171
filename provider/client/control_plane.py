"""The control plane as resources use it: `find`, `get`, `change`. Login, jobs, cancelling and repeating happen here.

A change is a job whose id is chosen here, so a request whose answer was lost can be looked up instead of repeated.
Ctrl-C and time-outs cancel the job at the control plane, which undoes what was done; then the truth is reported.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from provider.client import lookups
from provider.client.errors import ApiFailure, Interrupted, Stopped, TimedOut, Unreachable

if TYPE_CHECKING:  # every resource names this module: the HTTP client is loaded by those who connect
    from provider.client.access_key import AccessKey
    from provider.client.transport import Answer, Transport

log = logging.getLogger("provider.client")
POLL = 25  # seconds of one long poll
STEP = 2  # likewise, where somebody is told of the progress
PAGE = 1000  # inventories of one answer
GRACE = 60  # seconds that the control plane's own time-out comes later than ours
UNDO_LIMIT = 120.0  # seconds that a cancelled job may take to undo its work
Inventory = dict[str, Any]
_UUID = re.compile(r"[0-9a-f]{32}")


def new_uuid() -> str:
    return uuid.uuid4().hex


class ControlPlane:
    """One account at one control plane; safe for many threads."""

    def __init__(
        self,
        transport: Transport,
        account_name: str,
        password: str,
        stop: threading.Event,
        access_key: AccessKey | None = None,
    ) -> None:
        self.default_tags: list[str] = []  # user tags of everything that is made
        self._key = access_key
        self._transport = transport
        self.endpoint = transport.endpoint
        self._account = account_name
        self._password_hash = hashlib.sha512(password.encode()).hexdigest()
        self._stop = stop
        self._session = ""
        self._lock = threading.Lock()
        self._lookups = lookups.Lookups(self.get)
        self._heard = threading.local()  # warnings beside the answers to this thread's calls

    # Reading.

    def find(self, collection: str, resource_uuid: str) -> Inventory | None:
        """The inventory with this uuid, or None; what the last change of this thread has just answered is not asked for."""
        just_told: dict[tuple[str, str], Inventory] = getattr(self._heard, "inventory", {})
        if (collection, resource_uuid) in just_told:
            return just_told.pop((collection, resource_uuid))
        if _UUID.fullmatch(resource_uuid):
            found = self._lookups.find(lookups.Kind(collection), resource_uuid)
        else:
            found = self.get(f"/{collection}/{quote(resource_uuid, safe='')}").get("inventories", [])
        return found[0] if found else None

    def belonging(self, kind: lookups.Kind, uuid: str) -> list[Inventory]:
        """The inventories that name this uuid in the kind's field."""
        return self._lookups.find(kind, uuid)

    def foresee(self, kind: lookups.Kind, uuids: Iterable[str]) -> None:
        """These will be asked for next, one after the other: they are fetched together."""
        self._lookups.foresee(kind, uuids)

    def query(self, collection: str, **equal: str) -> list[Inventory]:
        """All inventories whose fields have these values."""
        conditions = urlencode([("q", f"{name}={value}") for name, value in equal.items()])
        found: list[Inventory] = self.get(f"/{collection}?{conditions}").get("inventories", [])
        return found

    def every(self, collection: str, conditions: Sequence[str]) -> Iterator[Inventory]:
        """All inventories that fulfil the conditions (`state=Running`), page by page."""
        wanted, start = urlencode([("q", one) for one in conditions]), 0
        while True:
            page = self.get(f"/{collection}?{wanted}&limit={PAGE}&start={start}").get("inventories", [])
            yield from page
            start += len(page)
            if len(page) < PAGE:
                return

    def get(self, path: str) -> dict[str, Any]:
        answer = self._authorised("GET", path, repeatable=True)
        if answer.status != 200:
            raise self._failure(f"GET {path.partition('?')[0]}", answer)
        return answer.body

    # Changing.

    def create(
        self,
        call: str,
        path: str,
        parameters: dict[str, Any],
        *,
        job: str | None = None,
        tags: list[str] | None = None,
        user_tags: list[str] | None = None,
        timeout: float,
    ) -> Inventory:
        """POST `parameters`; the new inventory. `job` is the id that makes repeating harmless."""
        body: dict[str, Any] = {"params": _without_null(parameters)}
        if tags:
            body["systemTags"] = tags
        if user_tags:
            body["userTags"] = user_tags
        return self._inventory(self._run(call, "POST", path, body, job or new_uuid(), timeout), path)

    def create_tag(
        self, call: str, path: str, parameters: dict[str, Any], job: str, timeout: float
    ) -> tuple[Inventory, bool]:
        """As `create`; and whether the tag existed: there is no second one then."""
        answer = self._run(call, "POST", path, {"params": parameters}, job, timeout)
        return self._inventory(answer, path), bool(answer.get("existed"))

    def action(self, path: str, name: str, parameters: dict[str, Any], *, timeout: float) -> Inventory:
        """`PUT <path>/actions {name: parameters}`; the inventory, if there is one."""
        body = {name: _without_null(parameters)}
        call = name[0].upper() + name[1:]
        if parameters.get("dryRun"):  # changes nothing
            return self._inventory(self._change(call, "PUT", f"{path}/actions", body, new_uuid(), timeout))
        return self._inventory(self._run(call, "PUT", f"{path}/actions", body, new_uuid(), timeout), path)

    def _inventory(self, answer: dict[str, Any], path: str = "") -> Inventory:
        """Of an answer; of a change at `path` also remembered until this thread looks for it, changes something, or ends its call."""
        told = [(one["tag"], one["details"]) for one in answer.get("warnings", ())]
        self._heard.warnings = [*getattr(self._heard, "warnings", ()), *told]
        inventory: Inventory = answer.get("inventory") or {}
        if path and "uuid" in inventory:
            self._heard.inventory = {(path.split("/")[1], inventory["uuid"]): inventory}
        return inventory

    def warnings(self) -> list[tuple[str, str]]:
        """At the end of one of Terraform's calls: what this thread was warned of in it, each once: the name of a system
        tag, and what is odd."""
        found, self._heard.warnings, self._heard.inventory = getattr(self._heard, "warnings", []), [], {}
        return list(dict.fromkeys(found))

    @contextlib.contextmanager
    def telling(self, tell: Callable[[dict[str, Any]], None]) -> Iterator[None]:
        """While this thread's jobs run, `tell` is told how far they are: `done` and `total` in bytes, `text`, `remaining`."""
        self._heard.tell = tell
        try:
            yield
        finally:
            self._heard.tell = None

    def settle(self, job: str, timeout: float) -> None:
        """Wait until a job of an earlier process has ended in any way."""
        deadline = time.monotonic() + timeout
        with self._lookups.changing():
            while time.monotonic() < deadline and not self._stop.is_set():
                if self._poll(job, 5, None).status != 202:
                    return

    def delete(self, call: str, path: str, *, timeout: float) -> None:
        """DELETE; what is absent already is a success."""
        try:
            self._run(call, "DELETE", path, None, new_uuid(), timeout)
        except ApiFailure as failure:
            if not failure.gone:
                raise

    # Sessions.

    def log_in(self) -> None:
        """Get a session now, or try the key. Raises ApiFailure when refused, Unreachable for a wrong endpoint."""
        if self._key is not None:
            self.get("/zones?count=true")
            return
        with self._lock:
            self._log_in()

    def _log_in(self) -> None:
        body = {"logInByAccount": {"accountName": self._account, "password": self._password_hash}}
        answer = self._transport.send("PUT", "/accounts/login", body, repeatable=True, patience=3.0)
        if answer.status != 200 or "inventory" not in answer.body:
            raise self._failure("LogInByAccount", answer)
        self._session = answer.body["inventory"]["uuid"]

    def log_out(self) -> None:
        """Give the session back; best effort, sessions end by themselves too."""
        session, self._session = self._session, ""
        if session:
            with contextlib.suppress(Unreachable):
                self._transport.send("DELETE", f"/accounts/sessions/{session}", repeatable=False, patience=0.0)
        log.debug("%d requests to the control plane, %.2f s of CPU", self._transport.sent, time.process_time())

    def _authorised(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: dict[str, str] | None = None,
        *,
        repeatable: bool,
        stop: threading.Event | None = None,
    ) -> Answer:
        """Send with the session; log in first, or again when the session has expired. A key signs each request."""
        if self._key is not None:
            signed = {**self._key.headers(method, path), **(headers or {})}
            return self._transport.send(method, path, body, signed, repeatable=repeatable, stop=stop)
        for attempt in (1, 2):
            session = self._session
            if not session:
                self.log_in()
                session = self._session
            all_headers = {"Authorization": f"OAuth {session}", **(headers or {})}
            answer = self._transport.send(method, path, body, all_headers, repeatable=repeatable, stop=stop)
            if attempt == 2 or answer.status < 400 or not self._failure("", answer).session_lost:
                break
            with self._lock:
                if self._session == session:
                    self._log_in()
        return answer

    # Jobs.

    def _run(self, call: str, method: str, path: str, body: Any, job: str, timeout: float) -> dict[str, Any]:
        self._heard.inventory = {}
        with self._lookups.changing():
            return self._change(call, method, path, body, job, timeout)

    def _change(self, call: str, method: str, path: str, body: Any, job: str, timeout: float) -> dict[str, Any]:
        deadline = time.monotonic() + timeout
        if self._stop.is_set():
            raise Stopped(f"{call} was not started.")
        # Should this process die, the control plane ends the job by itself some time later.
        headers = {"X-Job-UUID": job, "X-API-Timeout": str(int(timeout) + GRACE)}
        answer = self._submit(method, path, body, headers)
        if answer is not None and answer.status == 200:
            return answer.body
        if answer is not None and answer.status != 202:
            raise self._failure(call, answer)
        log.debug("%s runs as job %s", call, job)
        tell, told = getattr(self._heard, "tell", None), None
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                return self._cancel(call, job, TimedOut(f"{call} did not end within {timeout:.0f} s."))
            try:
                answer = self._poll(job, min(STEP if tell else POLL, max(1, int(left))), self._stop)
            except Interrupted:
                return self._cancel(call, job, Stopped(f"{call} was interrupted."))
            if answer.status != 202:
                return self._outcome(call, job, answer)
            if progress := answer.body.get("progress"):
                log.info("%s: %s", call, progress)
                if tell and progress != told:
                    tell(progress)
                told = progress
            if self._stop.is_set():
                return self._cancel(call, job, Stopped(f"{call} was interrupted."))

    def _submit(self, method: str, path: str, body: Any, headers: dict[str, str]) -> Answer | None:
        """Hand the job in. None: it is known already, from an attempt whose answer was lost."""
        job = headers["X-Job-UUID"]
        deadline = time.monotonic() + 30.0
        while True:
            try:
                answer = self._authorised(method, path, body, headers, repeatable=False)
            except Unreachable:
                if time.monotonic() > deadline or self._stop.is_set():
                    raise
                if self._poll(job, 0, None).status != 404:
                    return None
                continue
            if answer.status in (400, 409) and self._poll(job, 0, None).status != 404:
                return None
            return answer

    def _poll(self, job: str, wait: int, stop: threading.Event | None) -> Answer:
        return self._authorised("GET", f"/api-jobs/{job}?wait={wait}", repeatable=True, stop=stop)

    def _outcome(self, call: str, job: str, answer: Answer) -> dict[str, Any]:
        if answer.status == 200:
            return answer.body
        if answer.status == 404:
            raise Unreachable(f"{call}: the control plane does not know job {job} any more")
        raise self._failure(call, answer)

    def _cancel(self, call: str, job: str, reason: Stopped | TimedOut) -> dict[str, Any]:
        """Cancel, and wait for the end: a job that was done in the meantime counts as done."""
        log.info("%s: cancelling job %s", call, job)
        self._authorised("DELETE", f"/api-jobs/{job}", repeatable=True)
        deadline = time.monotonic() + UNDO_LIMIT
        while time.monotonic() < deadline:
            answer = self._poll(job, 5, None)
            if answer.status == 200:
                return answer.body
            if answer.status != 202:
                message = str(answer.body.get("error", {}).get("details", ""))
                raise type(reason)(f"{reason} The control plane undid it. {message}".rstrip())
        raise type(reason)(f"{reason} The control plane still undoes it (job {job}).")

    def _failure(self, call: str, answer: Answer) -> ApiFailure:
        error = answer.body.get("error")
        if isinstance(error, dict):
            return ApiFailure(call, error)
        text = answer.text.strip()[:500] or "no body"
        return ApiFailure(call, {"code": f"HTTP {answer.status}", "description": "unexpected answer", "details": text})


def _without_null(parameters: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in parameters.items() if value is not None}
