"""Reads of single resources, gathered: Terraform asks for one at a time, ten at once, and the control plane answers many.

What is asked for while a request of its kind is under way shares the next one. When a command has asked for a good part of all
that there is of a kind (it refreshes a whole state), all of it is fetched, and answers for `LASTING` seconds. An answer never
is older than the last change of this process: what is kept is forgotten when a change begins and when it ends, and after
the first one nothing is fetched unasked.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

Inventory = dict[str, Any]
Get = Callable[[str], dict[str, Any]]
AT_ONCE = 100  # values of one request: together they fit into a line that every server takes
LIMIT = 100_000  # inventories of one answer, at most: more than those of that many values
FIRST, MOST = 1000, 10_000  # inventories of a kind that are tried to be fetched as a whole, and that are worth it
EAGER = 4  # values that must have been asked for before all of a kind is thought of
SHARE = 250  # all of a kind is fetched when it is no more than so many times what was asked for already
LASTING = 10.0  # seconds


@dataclass(frozen=True)
class Kind:
    """Inventories of a collection by one of their fields. `parameter`: the collection takes values by that, not by `q`."""

    collection: str
    field: str = "uuid"
    parameter: str = ""

    def some(self, values: Sequence[str]) -> str:
        if self.parameter:
            return f"/{self.collection}?{urlencode([(self.parameter, one) for one in values])}"
        if len(values) > 1:
            return f"/{self.collection}?{urlencode({'q': f'{self.field}?=' + ','.join(values), 'limit': LIMIT})}"
        if self.field == "uuid":
            return f"/{self.collection}/{values[0]}"
        return f"/{self.collection}?{urlencode({'q': f'{self.field}={values[0]}'})}"

    def all(self, limit: int) -> str:
        return f"/{self.collection}?limit={limit}&replyWithCount=true"


@dataclass
class _Ticket:
    found: list[Inventory] | None = None
    error: Exception | None = None


@dataclass
class _Desk:
    """One kind: who waits, what was asked for, and what is known ahead."""

    turn: threading.Lock = field(default_factory=threading.Lock)  # one request at a time
    waiting: dict[str, _Ticket] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)
    known: dict[str, list[Inventory]] = field(default_factory=dict)
    whole: bool = False  # `known` is all there is
    until: float = 0.0  # when `known` is too old
    total: int = 0  # of them, when that was last told

    def forget(self) -> None:
        self.known, self.whole = {}, False

    def answer(self, value: str) -> list[Inventory] | None:
        if time.monotonic() > self.until:
            self.forget()
        return self.known.get(value, [] if self.whole else None)


class Lookups:
    """Safe for many threads; `get` is the request."""

    def __init__(self, get: Get) -> None:
        self._get = get
        self._desks: dict[Kind, _Desk] = {}
        self._lock = threading.Lock()
        self._changes = 0  # begun and ended
        self._running = 0

    def find(self, kind: Kind, value: str) -> list[Inventory]:
        """The inventories with this value, as they are now or were a moment ago."""
        with self._lock:
            desk = self._desks.setdefault(kind, _Desk())
            desk.asked.add(value)
            if (known := desk.answer(value)) is not None:
                return known
            ticket = desk.waiting.setdefault(value, _Ticket())
        with desk.turn:
            if ticket.found is None and ticket.error is None:
                self._serve(kind, desk)
        if ticket.error is not None:
            raise ticket.error
        return ticket.found or []

    def foresee(self, kind: Kind, values: Iterable[str]) -> None:
        """These will be asked for in a moment, one after the other."""
        values = list(values)
        for start in range(0, len(values), AT_ONCE):
            some, before = values[start : start + AT_ONCE], self._changes
            self._keep(kind, before, _by_value(kind, some, self._get(kind.some(some))["inventories"]))

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Around a change: nothing that was read before or meanwhile answers afterwards."""
        self._count(+1)
        try:
            yield
        finally:
            self._count(-1)

    def _count(self, step: int) -> None:
        with self._lock:
            self._changes += 1
            self._running += step
            for desk in self._desks.values():
                desk.forget()

    def _serve(self, kind: Kind, desk: _Desk) -> None:
        """Answer everybody who waits, the caller among them; `desk.turn` is ours."""
        with self._lock:
            batch = dict(list(desk.waiting.items())[:AT_ONCE])
            for value in batch:
                del desk.waiting[value]
        try:
            found = self._all(kind, desk, batch) if self._is_worth_it(desk) else None
            if found is None:
                found = _by_value(kind, batch, self._get(kind.some(list(batch)))["inventories"])
        except Exception as error:
            for ticket in batch.values():
                ticket.error = error
            return
        for value, ticket in batch.items():
            ticket.found = found.get(value, [])

    def _is_worth_it(self, desk: _Desk) -> bool:
        return not self._changes and desk.total <= MOST and len(desk.asked) >= max(EAGER, desk.total / SHARE)

    def _all(self, kind: Kind, desk: _Desk, batch: Iterable[str]) -> dict[str, list[Inventory]] | None:
        """Everything there is of the kind, kept; None when that is too much for what was asked.

        In one answer: between two pages something may come or go, and what is not found is taken for gone.
        """
        for limit in (FIRST, MOST) if desk.total <= FIRST else (MOST,):
            before, answer = self._changes, self._get(kind.all(limit))
            desk.total, found = int(answer["total"]), answer["inventories"]
            if len(found) >= desk.total:
                grouped = _by_value(kind, batch, found)
                self._keep(kind, before, grouped, whole=True)
                return grouped
            if not self._is_worth_it(desk):
                break
        return None

    def _keep(self, kind: Kind, before: int, found: dict[str, list[Inventory]], whole: bool = False) -> None:
        with self._lock:
            if before == self._changes and not self._running:
                desk = self._desks.setdefault(kind, _Desk())
                desk.known = found if whole else desk.known | found
                desk.whole, desk.until = whole or desk.whole, time.monotonic() + LASTING


def _by_value(kind: Kind, values: Iterable[str], found: Iterable[Inventory]) -> dict[str, list[Inventory]]:
    grouped: dict[str, list[Inventory]] = {value: [] for value in values}
    for one in found:
        grouped.setdefault(one[kind.field], []).append(one)
    return grouped
