"""The law of every workflow, checked by enumeration: disturbed at any point, it completes or the world is as before.

A test gives a factory of scenes (a database, a registry, a world, its hosts) and cases (workflow, arguments). For each case
and each kind of disturbance the harness first runs undisturbed, counting steps, journal writes and host calls, and then
once for each point: fail the step (before or after its work), crash at the write (before or after its commit) and go on
with a new engine over the same database and hosts, cancel there, lose a host call or its reply, repeat it.
"""

import asyncio
import contextlib
import copy
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Literal, TypeVar
from uuid import UUID, uuid5

import httpx

from controlplane.contract.error import ApiError, Temporary
from controlplane.operations.engine import Engine
from controlplane.operations.journal import Fenced, Status
from controlplane.operations.registry import Registry
from controlplane.store import tables
from controlplane.store.database import Database, Tx
from controlplane.store.journal import StoreJournal

R = TypeVar("R")
NODE = "00000000000000000000000000000001"
ENGINES_OWN = {"OperationVO", "OperationStepVO", "ManagementNodeVO"}
VOLATILE = {"create_date", "last_op_date", "id"}
WRITES = ("submit", "checkpoint", "transact", "decide", "undone", "undo_transact", "finish")
PATIENCE = 30.0  # seconds for one operation
Kind = Literal["fail", "crash", "cancel", "lose", "repeat", "fail and crash"]
KINDS: tuple[Kind, ...] = ("fail", "crash", "cancel", "lose", "repeat", "fail and crash")


@dataclass(frozen=True)
class Disturbance:
    """What goes wrong, counted from 0; None for nothing. `after`: the work or the commit was done already."""

    fail: int | None = None
    crash: int | None = None
    cancel: int | None = None
    lose: int | None = None
    repeat: int | None = None
    after: bool = False


class Wire:
    """Between workflow and hosts: every call to a simulated host passes here, by `call` or by `transport`."""

    def __init__(self) -> None:
        self.calls = 0
        self.disturbance = Disturbance()

    async def call(self, send: Callable[[], Awaitable[R]], lost: Callable[[], Exception] | None = None) -> R:
        number, self.calls = self.calls, self.calls + 1
        broken = lost or (lambda: Temporary("the host does not answer"))
        if number == self.disturbance.lose and not self.disturbance.after:
            raise broken()
        reply = await send()
        if number == self.disturbance.lose:
            raise broken()
        return await send() if number == self.disturbance.repeat else reply

    def transport(self, inner: httpx.AsyncBaseTransport) -> httpx.AsyncBaseTransport:
        """For clients that speak HTTP to the real agent application."""
        return _Transport(self, inner)


class _Transport(httpx.AsyncBaseTransport):
    def __init__(self, wire: Wire, inner: httpx.AsyncBaseTransport) -> None:
        self._wire, self._inner = wire, inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        body = await request.aread()

        async def send() -> httpx.Response:
            again = httpx.Request(request.method, request.url, headers=request.headers, content=body)
            again.extensions = request.extensions
            return await self._inner.handle_async_request(again)

        if request.method == "GET":
            return await send()  # reading disturbs nothing
        return await self._wire.call(send, lambda: httpx.ReadError("lost", request=request))


@dataclass
class Scene:
    """`hosts()` shows everything on every simulated host, as comparable data. `attach` hears of each new engine.

    `volatile`: further columns, or `Table.column`, that may differ between two runs (counters of generations)."""

    db: Database
    registry: Registry[Any]
    world: Any
    wire: Wire = field(default_factory=Wire)
    hosts: Callable[[], Any] = lambda: None
    attach: Callable[[Engine[Any]], None] = lambda engine: None
    volatile: frozenset[str] = frozenset()


Factory = Callable[[], AbstractAsyncContextManager[Scene]]


@dataclass(frozen=True)
class Case:
    """One run of a workflow. `arguments` may depend on the scene (uuids that its preparation made)."""

    workflow: str
    arguments: dict[str, Any] | Callable[[Scene], dict[str, Any]]
    label: str = ""
    account: Callable[[], str | None] = lambda: None  # for whom

    def __str__(self) -> str:
        return f"{self.workflow} {self.label}".strip()


@dataclass
class Counts:
    steps: int = 0
    writes: int = 0
    calls: int = 0


class Injected(ApiError):
    def __init__(self, step: str) -> None:
        super().__init__("SYS.1006", f"step {step} was made to fail")


class _Crash:
    """Stands before a journal: counts writes; at the given one the process dies, as seen from the database."""

    def __init__(self, inner: StoreJournal, at: int | None, after: bool, counts: Counts) -> None:
        self._inner, self._at, self._after, self._counts = inner, at, after, counts
        self.died = asyncio.Event()
        self.on_write: Callable[[int], None] = lambda number: None

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)
        if not asyncio.iscoroutinefunction(method):
            return method

        async def guarded(*arguments: Any, **named: Any) -> Any:
            if self.died.is_set():
                raise Fenced("this process is dead")
            if name not in WRITES:
                return await method(*arguments, **named)
            number, self._counts.writes = self._counts.writes, self._counts.writes + 1
            self.on_write(number)
            if number != self._at:
                return await method(*arguments, **named)
            if self._after:
                with contextlib.suppress(Exception):
                    await method(*arguments, **named)
            self.died.set()
            raise Fenced("this process died")

        return guarded


class _Failing:
    """An Operation whose n-th step fails, before or after its work."""

    def __init__(self, op: Any, at: int | None, after: bool, counts: Counts) -> None:
        self._op, self._at, self._after, self._counts = op, at, after, counts

    def __getattr__(self, name: str) -> Any:
        return getattr(self._op, name)

    async def step(self, name: str, do: Callable[[], Awaitable[Any]], undo: Any = None, **named: Any) -> Any:
        if not self._hit():
            return await self._op.step(name, do, undo, **named)

        async def fail() -> None:
            if self._after:
                await do()
            raise Injected(name)

        return await self._op.step(name, fail, undo, **named)

    async def tx_step(self, name: str, do: Callable[[Any], Any], undo: Any = None) -> Any:
        if not self._hit():
            return await self._op.tx_step(name, do, undo)

        def fail(tx: Any) -> None:
            if self._after:
                do(tx)
            raise Injected(name)

        return await self._op.tx_step(name, fail, undo)

    async def commit(self, name: str, do: Callable[[Any], Any]) -> Any:
        if not self._hit():
            return await self._op.commit(name, do)

        def fail(tx: Any) -> None:
            if self._after:
                do(tx)
            raise Injected(name)

        return await self._op.commit(name, fail)

    def _hit(self) -> bool:
        number, self._counts.steps = self._counts.steps, self._counts.steps + 1
        return number == self._at


def database_snapshot(db: Database, volatile: frozenset[str] = frozenset()) -> dict[str, list[Any]]:
    """All rows of all tables but the engine's own, without the columns that no two runs have in common."""

    def look(tx: Tx) -> dict[str, list[Any]]:
        found, cursor = {}, tx.connection.cursor()
        for name, statement in _selections(frozenset(VOLATILE | volatile)).items():
            cursor.execute(statement)
            if rows := cursor.fetchall():
                columns = [column[0] for column in cursor.description]
                found[name] = sorted((dict(zip(columns, row, strict=True)) for row in rows), key=repr)
        return found

    return db.read_now(look)


@cache
def _selections(ignored: frozenset[str]) -> dict[str, str]:
    """By table. For the driver: a thousand tests look at all tables some ten times each."""
    found = {}
    for name, table in tables.metadata.tables.items():
        if name not in ENGINES_OWN:
            columns = [f'"{c.name}"' for c in table.c if not {c.name, f"{name}.{c.name}"} & ignored]
            found[name] = f'SELECT {", ".join(columns)} FROM "{name}"'
    return found


def snapshot(scene: Scene) -> dict[str, Any]:
    return {"database": database_snapshot(scene.db, scene.volatile), "hosts": copy.deepcopy(scene.hosts())}


@dataclass(frozen=True)
class Outcome:
    status: Status
    before: dict[str, Any]
    after: dict[str, Any]
    counts: Counts


async def play(scene: Scene, case: Case, disturbance: Disturbance, *, uuid: str) -> Outcome:
    """Run one case to its end, over as many engines as it takes; the client repeats its request after a crash."""
    before, counts = snapshot(scene), Counts()
    arguments = case.arguments(scene) if callable(case.arguments) else case.arguments
    scene.wire.calls, scene.wire.disturbance = 0, disturbance
    fresh: Registry[Any] = Registry()
    for name, version in scene.registry.kinds():
        fresh.add(name, _disturbed(scene.registry.get(name, version), disturbance, counts), version)
    crash = disturbance.crash
    try:
        while True:
            journal = _Crash(StoreJournal(scene.db), crash, disturbance.after, counts)
            engine: Engine[Any] = Engine(journal, fresh, scene.world, NODE, lease=60, poll=0.05)
            scene.attach(engine)
            async with _watched(f"{case} with {disturbance}"):
                submission = (case.workflow, arguments, uuid)
                status = await _life(engine, journal, submission, case.account(), disturbance)
            if status is not None:
                scene.wire.disturbance = Disturbance()
                counts.calls = scene.wire.calls
                return Outcome(status, before, snapshot(scene), counts)
            crash = None  # the next process lives
    finally:
        scene.wire.disturbance = Disturbance()


@contextlib.asynccontextmanager
async def _watched(where: str) -> AsyncIterator[None]:
    """Says where every task is when a life does not end."""
    try:
        async with asyncio.timeout(2 * PATIENCE):
            yield
    except TimeoutError:
        for task in asyncio.all_tasks():
            task.print_stack()
        raise AssertionError(f"{where} hangs") from None


def _disturbed(function: Any, disturbance: Disturbance, counts: Counts) -> Any:
    async def run(op: Any, arguments: dict[str, Any]) -> Any:
        counts.steps = 0  # a replay counts anew, so the same step fails again
        return await function(_Failing(op, disturbance.fail, disturbance.after, counts), arguments)

    return run


async def _life(
    engine: Engine[Any],
    journal: _Crash,
    submission: tuple[str, dict[str, Any], str],
    account: str | None,
    disturbance: Disturbance,
) -> Status | None:
    """One process from start to end: the operation's status, or None when the process died first."""
    name, _, uuid = submission
    cancelling: list[asyncio.Task[Any]] = []

    def on_write(number: int) -> None:
        if number == disturbance.cancel:
            cancelling.append(asyncio.ensure_future(engine.cancel(uuid)))

    journal.on_write = on_write
    died = asyncio.ensure_future(journal.died.wait())

    async def client() -> Status | None:
        await engine.submit(*submission, account=account)
        return await engine.wait(uuid, PATIENCE)

    await engine.start()
    asking = asyncio.ensure_future(client())
    try:
        await asyncio.wait({died, asking}, return_when=asyncio.FIRST_COMPLETED)
        if journal.died.is_set():
            return None
        status = await asking
        assert status is not None and status.ended, f"{name} did not end within {PATIENCE} s: {status}"
        return status
    finally:
        for task in (died, asking, *cancelling):
            task.cancel()
        await asyncio.gather(died, asking, *cancelling, return_exceptions=True)
        await engine.stop()


def points(kind: Kind, counts: Counts) -> list[Disturbance]:
    """Every disturbance of that kind for a run that has so many steps, writes and calls."""
    half = (False, True)
    match kind:
        case "fail":
            return [Disturbance(fail=n, after=after) for n in range(counts.steps) for after in half]
        case "crash":
            return [Disturbance(crash=n, after=after) for n in range(counts.writes) for after in half]
        case "cancel":
            return [Disturbance(cancel=n) for n in range(counts.writes)]
        case "lose":
            return [Disturbance(lose=n, after=after) for n in range(counts.calls) for after in half]
        case "repeat":
            return [Disturbance(repeat=n) for n in range(counts.calls)]
        case "fail and crash":  # the last step fails, so that all of the undo is crossed
            last = Disturbance(fail=counts.steps - 1)
            crashes = range(2 * counts.writes if counts.steps else 0)
            return [replace(last, crash=n, after=after) for n in crashes for after in half]


async def check(factory: Factory, case: Case, kind: Kind) -> int:
    """Assert the law at every point of that kind; returns how many points there were."""
    uuid = uuid5(UUID(int=0), str(case)).hex
    async with factory() as scene:
        good = await play(scene, case, Disturbance(), uuid=uuid)
    assert good.status.state == "done", f"{case} fails undisturbed: {good.status}"
    every = points(kind, good.counts)
    for disturbance in every:
        async with factory() as scene:
            outcome = await play(scene, case, disturbance, uuid=uuid)
        where = f"{case} with {disturbance}: {outcome.status}"
        if outcome.status.state == "done":
            assert disturbance.fail is None or disturbance.fail >= good.counts.steps, f"{where} ignored a failed step"
            same(outcome.after, good.after, where)
        else:
            assert outcome.status.state in ("failed", "cancelled"), where
            same(outcome.after, outcome.before, where)
    return len(every)


def same(found: dict[str, Any], wanted: dict[str, Any], where: str) -> None:
    """Assert that two snapshots are equal, and show only what differs."""
    if found == wanted:
        return
    lines = [where]
    for part in ("database", "hosts"):
        one, other = found[part], wanted[part]
        if isinstance(one, dict) and isinstance(other, dict):
            for key in sorted({*one, *other}, key=str):
                if one.get(key) != other.get(key):
                    lines.append(f"{part} {key}:\n  is     {one.get(key)}\n  should {other.get(key)}")
        elif one != other:
            lines.append(f"{part}:\n  is     {one}\n  should {other}")
    raise AssertionError("\n".join(lines))


__all__ = ["KINDS", "Case", "Disturbance", "Factory", "Kind", "Scene", "Wire", "check", "play"]
