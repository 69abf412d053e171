"""A node's engine: takes operations in, runs those that are this node's, takes over those of dead nodes.

It promises that an operation, once stored, ends as done, as if it had never been (failed, cancelled), or as stuck, which
is shown and has two ways out. A node that loses its lease drops everything at once, stores nothing more, and joins anew.
"""

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar
from uuid import uuid4

from controlplane.operations.journal import (
    Claimed,
    DuplicateOperation,
    Fenced,
    Journal,
    NotOurs,
    Status,
    Submission,
    Transaction,
    Unavailable,
)
from controlplane.operations.registry import Registry, UnknownWorkflow
from controlplane.operations.run import Abandoned, Run

W = TypeVar("W")
log = logging.getLogger("steppe.operations")
_KEEP = 3 * 3600.0  # seconds for which the end of an operation is remembered


class Engine(Generic[W]):
    """`node_id`: 32 hex digits, the same after a restart. `lease`: seconds without a word after which a node is dead.
    `capacity`: operations running here at once; more wait in the queue. `poll`: seconds between two looks around."""

    def __init__(
        self,
        journal: Journal,
        registry: Registry[W],
        world: W,
        node_id: str,
        *,
        lease: float = 8.0,
        capacity: int = 10_000,
        poll: float = 0.5,
    ) -> None:
        self.journal = journal
        self.world = world
        self.node_id = node_id
        self._registry = registry
        self._lease = lease
        self._capacity = capacity
        self._poll = min(poll, lease / 4)
        self._runs: dict[str, Run[W]] = {}
        self._drivers: dict[str, asyncio.Task[None]] = {}
        self._waiting: dict[str, set[asyncio.Future[Status]]] = {}
        self._loops: list[asyncio.Task[None]] = []
        self._sure_until = 0.0  # on the monotonic clock
        self._renewing: asyncio.Task[None] | None = None
        self._deposed = asyncio.Event()
        self._look_now = asyncio.Event()
        self._joined = False
        self._strays = False  # something may be stored as ours and yet not run here

    @property
    def epoch(self) -> int:
        """The newest generation of any node, as known here: it goes with each call to a host, which refuses an older one."""
        return self.journal.epoch

    # -- the node ------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Join; what this node left unfinished is taken up again at once."""
        await self._join()
        loops = (self._renew_forever, self._work_forever, self._rejoin_forever, self._prune_forever)
        self._loops = [asyncio.create_task(self._survive(loop), name=loop.__name__) for loop in loops]

    async def stop(self) -> None:
        """Let go of everything as a crash would, but tell the others, who carry on without waiting for the lease."""
        await _end(self._loops)
        was_joined, self._joined = self._joined, False
        await _end(list(self._drivers.values()))
        if was_joined:
            try:
                await self.journal.leave()
            except (Fenced, Unavailable) as error:
                log.warning("this node could not sign off: %s", error)

    async def confirm(self) -> None:
        """Returns when this node surely holds its lease; the first to ask after a pause renews it for all."""
        while time.monotonic() >= self._sure_until:
            if self._renewing is None or self._renewing.done():
                self._renewing = asyncio.create_task(self._renew())
            await asyncio.shield(self._renewing)

    def lost(self, error: Fenced) -> None:
        if isinstance(error, NotOurs):
            self._strays = True
        else:
            self._deposed.set()

    async def _join(self, again: bool = False) -> None:
        before = time.monotonic()
        await self.journal.join(self.node_id, self._lease, again=again)
        self._sure_until = before + self._lease * 0.7
        self._joined = True
        self._look_now.set()

    async def _renew(self) -> None:
        before = time.monotonic()
        try:
            await self.journal.renew()
            self._sure_until = before + self._lease * 0.7
        except Fenced as error:
            self.lost(error)
            raise Abandoned from None
        except Unavailable:
            await asyncio.sleep(0.2)

    async def _renew_forever(self) -> None:
        while True:
            await asyncio.sleep(self._lease / 4)
            if self._joined:
                try:
                    await self._renew()
                except Abandoned:
                    log.error("this node has lost its lease")

    async def _rejoin_forever(self) -> None:
        while True:
            await self._deposed.wait()
            self._joined = False
            log.error(
                "node %s was taken over: it drops its %d operations and joins anew", self.node_id, len(self._runs)
            )
            await _end(list(self._drivers.values()))
            await self._join(again=True)
            self._deposed.clear()

    async def _prune_forever(self) -> None:
        while True:
            pruned = await self.journal.prune(_KEEP)
            await asyncio.sleep(0.1 if pruned else 60)

    async def _survive(self, loop: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await loop()
            except Exception:
                log.exception("the engine's %s failed and goes on", loop.__name__)
                await asyncio.sleep(1)

    # -- operations ----------------------------------------------------------------------------------------------

    async def submit(
        self,
        name: str,
        arguments: dict[str, Any],
        uuid: str | None = None,
        queue: str | tuple[str, int] | None = None,
        *,
        account: str | None = None,
        within: Transaction | None = None,
    ) -> str:
        """Store an operation and return its uuid; it goes on by itself. Of one `queue` one runs at a time, in order, or as
        many as its second part says.

        The same uuid with the same name, arguments and account is the same operation; with others `DuplicateOperation` is
        raised. `within(tx)` runs in the transaction that stores it: what it raises is raised here, and nothing is stored;
        an exception that it returns is raised too, and all is stored but the operation.
        """
        text = json.dumps(arguments, sort_keys=True)
        key, limit = queue if isinstance(queue, tuple) else (queue, 1)
        new = Submission(uuid or uuid4().hex, name, self._registry.latest(name), text, key, limit, account)
        await asyncio.shield(asyncio.ensure_future(self._submit(new, within)))  # a caller who leaves changes nothing
        return new.uuid

    async def _submit(self, new: Submission, within: Transaction | None) -> None:
        room = self._joined and len(self._runs) < self._capacity
        try:
            if await self.journal.submit(new, room, within):
                self._begin(Claimed(new.uuid, new.name, new.version, new.arguments, new.account))
        except Unavailable:
            self._strays = True
            raise

    async def get(self, uuid: str) -> Status | None:
        """What runs here is known without the journal."""
        run = self._runs.get(uuid)
        return run.status() if run else await self.journal.get(uuid)

    async def wait(self, uuid: str, timeout: float) -> Status | None:
        """The status once the operation has ended (or is stuck), or as it is after `timeout` seconds; None if unknown."""
        end = time.monotonic() + timeout
        future: asyncio.Future[Status] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(uuid, set()).add(future)
        pause = 0.1
        try:
            while True:
                left = end - time.monotonic()
                local = uuid in self._runs  # it has not ended, then, and the future will tell
                if not local or left <= 0:
                    status = await self.get(uuid)
                    if status is None or status.ended or left <= 0:
                        return status
                done, _ = await asyncio.wait({future}, timeout=left if local else min(left, pause))
                if done:
                    return future.result()
                pause = min(pause * 1.5, 1.0)
        finally:
            self._waiting[uuid].discard(future)
            if not self._waiting[uuid]:
                del self._waiting[uuid]

    async def cancel(self, uuid: str) -> Status | None:
        """Interrupt it and undo what it did; one that has ended stays as it is. Wait for the effect with `wait`."""
        status = await self.journal.cancel(uuid)
        if run := self._runs.get(uuid):
            run.cancel()
        return status

    async def list_stuck(self) -> list[Status]:
        return await self.journal.list_stuck(self._registry.kinds())

    async def retry_undo(self, uuid: str) -> bool:
        """Try the undo of a stuck operation again; False when it is not stuck."""
        found = await self.journal.retry_undo(uuid)
        self._look_now.set()
        return found

    async def give_up(self, uuid: str) -> bool:
        """Let a stuck operation end as failed or cancelled with its undo incomplete; False when it is not stuck."""
        return await self.journal.give_up(uuid)

    # -- running -------------------------------------------------------------------------------------------------

    async def _work_forever(self) -> None:
        while True:
            if self._joined and not self._deposed.is_set():
                try:
                    await self._look()
                except Fenced as error:
                    self.lost(error)
                except Unavailable as error:
                    self._strays = True
                    log.warning("cannot look for work: %s", error)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._poll):
                    await self._look_now.wait()
            self._look_now.clear()

    async def _look(self) -> None:
        if self._strays:
            await self._free_strays()
        kinds = self._registry.kinds()
        signs = await self.journal.look(kinds)
        for uuid in signs.cancelled:
            if run := self._runs.get(uuid):
                run.cancel()
        room = self._capacity - len(self._runs)
        if signs.work and room > 0:
            claimed = await self.journal.claim(kinds, room)
            for operation in claimed:
                self._begin(operation)
            if claimed:
                self._look_now.set()

    async def _free_strays(self) -> None:
        """After an unanswered write: what the journal says is ours, and still does not run a moment later, is put back."""
        ours = await self.journal.ours()
        await asyncio.sleep(self._poll)
        await self.journal.put_back([uuid for uuid in ours if uuid not in self._runs])
        self._strays = False

    def _begin(self, claimed: Claimed) -> None:
        if not self._joined or claimed.uuid in self._runs:
            self._strays = True
            return
        run = Run(self, claimed, self._registry.get(claimed.name, claimed.version))
        self._runs[claimed.uuid] = run
        self._drivers[claimed.uuid] = asyncio.create_task(self._drive(run))

    async def _drive(self, run: Run[W]) -> None:
        following: Claimed | None = None
        try:
            status = await run.drive()
            following = await self._finish(status)
            for future in self._waiting.get(run.uuid, ()):
                if not future.done():
                    future.set_result(status)
        except Abandoned:
            log.info("operation %s %s: left to another node", run.name, run.uuid)
        except Exception:
            log.exception("operation %s %s: the engine failed; it is put back", run.name, run.uuid)
            self._strays = True
        finally:
            del self._runs[run.uuid], self._drivers[run.uuid]
        if following is not None:
            self._begin(following)

    async def _finish(self, status: Status) -> Claimed | None:
        result = json.dumps(status.result) if status.state == "done" else None
        stuck = json.dumps(status.stuck) if status.stuck else None
        while True:
            try:
                room = self._joined and len(self._runs) <= self._capacity
                kinds = self._registry.kinds()
                return await self.journal.finish(status.uuid, status.state, result, stuck, kinds, room)
            except Unavailable:
                self._strays = True
                await asyncio.sleep(1.0)
            except Fenced as error:
                self.lost(error)
                raise Abandoned from None


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


__all__ = ["DuplicateOperation", "Engine", "Registry", "Status", "UnknownWorkflow"]
