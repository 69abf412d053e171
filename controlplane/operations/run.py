"""One operation on its way: forward through its steps, or back through their undo.

Forward: a step found in the log answers from it, any other is done and logged. Back: the verdict is stored first; then
the undo of every started step runs, newest first. After a restart in the middle of that, the workflow runs once more to
find its undo functions: logged steps answer, the first other one unwinds it.
"""

import asyncio
import json
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Generic, Protocol, TypeVar

from controlplane.contract.error import Temporary
from controlplane.operations.failure import CANCELLED, Lost, describe
from controlplane.operations.interface import State
from controlplane.operations.journal import Claimed, Fenced, Journal, Progress, Status, Unavailable, Verdict

T = TypeVar("T")
W = TypeVar("W")
log = logging.getLogger("steppe.operations")
_UNDO_ATTEMPTS = 5  # of an undo that raises something else than Temporary
_UNKNOWN = object()


def derive(operation_uuid: str, label: str) -> str:
    """See `Operation.derive`."""
    return blake2b(f"{operation_uuid}/{label}".encode(), digest_size=16).hexdigest()


class Node(Protocol[W]):
    """What an operation needs from the engine that runs it."""

    world: W
    journal: Journal

    async def confirm(self) -> None:
        """Returns when this node surely holds its lease."""

    def lost(self, error: Fenced) -> None:
        """Another node has taken over, from this node or this one operation."""


def telling(error: BaseException) -> BaseException:
    """Of a group of exceptions (a TaskGroup's) the one that decides: Abandoned, Unwind, an error of ours, any other."""
    if not isinstance(error, BaseExceptionGroup):
        return error

    def rank(one: BaseException) -> int:
        return 0 if isinstance(one, Abandoned) else 1 if isinstance(one, Unwind) else 2 if hasattr(one, "error") else 3

    return min((telling(one) for one in error.exceptions), key=rank)


class Unwind(BaseException):
    """Ends the re-run of a workflow at the first step that was not finished."""


class Abandoned(BaseException):
    """The operation is not ours any more: no further step, no undo, nothing stored."""


@dataclass(slots=True)
class Entry:
    """A step that was started; `number` counts from 0."""

    number: int
    name: str
    undo: Callable[[], Awaitable[None]] | None


class Run(Generic[W]):
    """Implements `interface.Operation`. `drive()` brings the operation to its end and returns that."""

    def __init__(
        self, node: Node[W], claimed: Claimed, function: Callable[[Any, dict[str, Any]], Awaitable[Any]]
    ) -> None:
        self.uuid, self.name, self.account = claimed.uuid, claimed.name, claimed.account
        self._node = node
        self._journal = node.journal
        self._function = function
        self._arguments = claimed.arguments
        self._log = claimed.log
        self._verdict = claimed.verdict
        self._cancelled = claimed.cancelled
        self._refused = False  # a step was not begun because of the cancel (a TaskGroup would hide that)
        self._replayed = False  # the first step that is not in the log has been met
        self._committed = False  # past the point of no return
        self._entries: dict[str, Entry] = {}
        self._steps: set[asyncio.Task[Any]] = set()
        self._forward: asyncio.Task[Any] | None = None
        self.latest: Progress | None = None

    # -- for the workflow ----------------------------------------------------------------------------------------

    @property
    def world(self) -> W:
        return self._node.world

    def derive(self, label: str) -> str:
        return derive(self.uuid, label)

    async def progress(self, done: int, total: int, text: str = "", rate: int = 0) -> None:
        self.latest = Progress(done, total, text, rate)

    async def step(
        self,
        name: str,
        do: Callable[[], Awaitable[T]],
        undo: Callable[[], Awaitable[None]] | None = None,
        *,
        timeout: float = 600.0,
    ) -> T:
        entry = self._enter(name, None if undo is None else lambda: self._undo_step(entry, undo, timeout))
        if (known := self._known(entry)) is not _UNKNOWN:
            return known  # type: ignore[no-any-return]

        async def work() -> T:
            output = json.dumps(await self._try(name, do, timeout))
            await self._store(
                lambda again: self._journal.checkpoint(self.uuid, entry.number, name, output, again=again)
            )
            return json.loads(output)  # type: ignore[no-any-return]

        return await self._counted(work())

    async def tx_step(self, name: str, do: Callable[[Any], T], undo: Callable[[Any, T], None]) -> T:
        entry = self._enter(name, lambda: self._undo_tx(name, undo))
        if (known := self._known(entry)) is not _UNKNOWN:
            return known  # type: ignore[no-any-return]
        output, cancelled = await self._counted(self._transact(entry, do))
        if cancelled:
            raise cancelled
        return output

    async def commit(self, name: str, do: Callable[[Any], T]) -> T:
        entry = self._enter(name, None)
        if (known := self._known(entry)) is _UNKNOWN:
            known, cancelled = await self._transact(entry, do)
            if cancelled and (task := asyncio.current_task()):
                task.uncancel()  # it came too late
        self._committed, self._cancelled = True, False
        return known  # type: ignore[no-any-return]

    async def afterwards(self, name: str, do: Callable[[], Awaitable[Any]], *, timeout: float = 10.0) -> None:
        if not self._committed:
            raise ValueError(f"workflow {self.name} has {name!r} before its commit")
        try:
            await self._try(name, do, timeout)
        except Exception as error:
            log.warning("operation %s %s: %s is left to later: %s", self.name, self.uuid, name, error)

    async def _transact(self, entry: Entry, do: Callable[[Any], T]) -> tuple[T, asyncio.CancelledError | None]:
        """What `do` returned. A cancel waits for the transaction's end, so that it is known which of them was first."""
        number, name = entry.number, entry.name
        stored = asyncio.ensure_future(
            self._store(lambda again: self._journal.transact(self.uuid, number, name, do, again=again))
        )
        try:
            return json.loads(await asyncio.shield(stored)), None
        except asyncio.CancelledError as cancelled:
            if not self._cancelled:
                stored.cancel()
                raise
            return json.loads(await stored), cancelled

    def _enter(self, name: str, undo: Callable[[], Awaitable[None]] | None) -> Entry:
        if name in self._entries:
            raise ValueError(f"workflow {self.name} has two steps called {name!r}")
        if self._committed:
            raise ValueError(f"workflow {self.name} has step {name!r} after its commit")
        verdict, logged = self._verdict, name in self._log
        if verdict is not None and not logged and name not in verdict.started:
            raise Unwind  # it was never begun
        if verdict is None and not logged:
            if self._cancelled and self._replayed:
                raise self._refuse()
            self._replayed = True
        entry = self._entries[name] = Entry(len(self._entries), name, undo)
        return entry

    def _known(self, entry: Entry) -> Any:
        """The logged output of a step. Raises when a step may not be begun any more."""
        if entry.name in self._log:
            return json.loads(self._log[entry.name].output)
        if self._verdict is not None:
            raise Unwind
        if self._cancelled:
            raise self._refuse()  # it may have been under way on another node: its undo is due
        return _UNKNOWN

    def _refuse(self) -> asyncio.CancelledError:
        self._refused = True
        return asyncio.CancelledError()

    async def _counted(self, work: Awaitable[T]) -> T:
        """Remember the task, so that a failure elsewhere in the workflow ends this step before the undo begins."""
        task = asyncio.current_task()
        if task is None or task is self._forward:
            return await work
        self._steps.add(task)
        try:
            return await work
        finally:
            self._steps.discard(task)

    async def _try(self, name: str, do: Callable[[], Awaitable[T]], timeout: float) -> T:
        pause, last = 0.1, None
        try:
            async with asyncio.timeout(timeout) as limit:
                while True:
                    await self._node.confirm()
                    try:
                        return await do()
                    except Temporary as error:
                        last = error
                        log.info("operation %s %s: step %s will be tried again: %s", self.name, self.uuid, name, error)
                    await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311
                    pause = min(pause * 2, 10.0)
        except TimeoutError:
            if limit.expired():
                raise Lost(name, timeout, last) from last
            raise

    # -- for the engine ------------------------------------------------------------------------------------------

    async def drive(self) -> Status:
        """Returns the status of the end, which is not stored yet. Raises `Abandoned` when this node must let go of it."""
        self._forward = asyncio.ensure_future(self._function(self, json.loads(self._arguments)))
        failure, result = "", None
        try:
            result = json.loads(json.dumps(await asyncio.shield(self._forward)))
        except asyncio.CancelledError:
            driver = asyncio.current_task()
            if driver is not None and driver.cancelling():
                raise  # the engine stops
            failure = CANCELLED if self._cancelled else self._report(RuntimeError("cancelled from inside"))
        except BaseException as error:
            cause = telling(error)
            if isinstance(cause, Abandoned) or not isinstance(cause, Exception | Unwind):
                raise cause from None
            if self._committed:
                log.error("operation %s %s failed after its commit", self.name, self.uuid, exc_info=cause)
                return Status(self.uuid, self.name, "done", {})
            failure = "" if isinstance(cause, Unwind) else self._report(cause)
        else:
            if self._committed or (self._verdict is None and not self._refused):
                return Status(self.uuid, self.name, "done", result)
            failure = CANCELLED
        finally:
            await self._stop_steps()
        return await self._back(failure)

    def status(self) -> Status:
        """While it runs."""
        state: State = "undoing" if self._verdict else "running"
        error = json.loads(self._verdict.error) if self._verdict else None
        return Status(self.uuid, self.name, state, error=error, progress=self.latest, account=self.account)

    def cancel(self) -> None:
        """Interrupt the running step; no effect once the workflow has committed or is being undone."""
        if self._verdict is None and not self._cancelled and not self._committed:
            self._cancelled = True
            if self._forward is not None:
                self._forward.cancel()

    async def _back(self, failure: str) -> Status:
        if self._verdict is None:
            state = "cancelled" if self._cancelled and failure == CANCELLED else "failed"
            verdict = Verdict(state, failure, list(self._entries))  # type: ignore[arg-type]
            await self._store(lambda again: self._journal.decide(self.uuid, verdict))
            self._verdict = verdict
        error = json.loads(self._verdict.error)
        missing = [name for name in self._verdict.started if name not in self._entries]
        if missing:
            reason = describe(RuntimeError())
            log.error("operation %s %s: its workflow has no step %s now; undo is stuck", self.name, self.uuid, missing)
            return Status(self.uuid, self.name, "stuck", error=error, stuck=json.loads(reason))
        for entry in reversed(self._entries.values()):
            logged = self._log.get(entry.name)
            if entry.undo is None or (logged and logged.undone):
                continue
            try:
                await entry.undo()
            except Exception as problem:
                log.exception("operation %s %s: the undo of step %s is stuck", self.name, self.uuid, entry.name)
                return Status(self.uuid, self.name, "stuck", error=error, stuck=json.loads(describe(problem)))
        return Status(self.uuid, self.name, self._verdict.state, error=error)

    async def _undo_step(self, entry: Entry, undo: Callable[[], Awaitable[None]], timeout: float) -> None:
        await self._try(f"undo of {entry.name}", lambda: self._patiently(entry.name, undo), timeout)
        await self._store(lambda again: self._journal.undone(self.uuid, entry.number, entry.name))

    async def _undo_tx(self, name: str, undo: Callable[[Any, Any], None]) -> None:
        async def transact() -> None:
            await self._store(lambda again: self._journal.undo_transact(self.uuid, name, undo))

        await self._patiently(name, transact)

    async def _patiently(self, name: str, undo: Callable[[], Awaitable[None]]) -> None:
        """An undo has no other way out, so even an unknown error gets a few tries."""
        for attempt in range(_UNDO_ATTEMPTS):
            try:
                return await undo()
            except Temporary:
                raise
            except Exception as error:
                if attempt == _UNDO_ATTEMPTS - 1:
                    raise
                log.warning("operation %s %s: undo of %s failed: %r", self.name, self.uuid, name, error)
                await asyncio.sleep(0.05 * 3**attempt)

    async def _store(self, write: Callable[[bool], Awaitable[T]]) -> T:
        """A journal that does not answer is no failure of the workflow: wait for it, for as long as this node lives."""
        again = False
        while True:
            try:
                return await write(again)
            except Unavailable:
                again = True
                await asyncio.sleep(1.0)
            except Fenced as error:
                self._node.lost(error)
                raise Abandoned from None

    async def _stop_steps(self) -> None:
        """Steps that run beside the failed one (in a gather) end before anything is undone."""
        tasks = [task for task in (*self._steps, self._forward) if task is not None and not task.done()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.gather(*tasks, return_exceptions=True)

    def _report(self, error: Exception) -> str:
        if not hasattr(error, "error"):
            log.error("operation %s %s failed", self.name, self.uuid, exc_info=error)
        return describe(error)
