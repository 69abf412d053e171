"""What the engine needs from durable storage: a Protocol, implemented by `controlplane/store/journal.py`.

Each writing method is one transaction, returns after its commit and is fenced: it raises `Fenced` when this node has been
deposed, `NotOurs` when the operation belongs to another node by now. `Unavailable` means: nothing is known to be stored, try
again with `again=True` (the method then recognises its own earlier commit).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from controlplane.operations.interface import State

Json = str  # text that holds JSON
Transaction = Callable[[Any], Any]  # a function of the store's transaction


class Fenced(Exception):
    """This node has lost its lease: whatever is running here must stop and write no more."""


class NotOurs(Fenced):
    """The same for one operation only."""


class Unavailable(Exception):
    """The database does not answer for now."""


class DuplicateOperation(Exception):
    """An operation of that uuid exists and is another one (other name, arguments or account)."""


@dataclass(frozen=True, slots=True)
class Progress:
    done: int
    total: int
    text: str = ""
    rate: int = 0  # of `done` in a second; 0 when unknown


@dataclass(frozen=True, slots=True)
class Status:
    """`error` says why it failed; `stuck` why its undo does. Both are error codes on the wire (`{"code": …}`)."""

    uuid: str
    name: str
    state: State
    result: Any = None
    error: dict[str, Any] | None = None
    stuck: dict[str, Any] | None = None
    progress: Progress | None = None
    account: str | None = None

    @property
    def ended(self) -> bool:
        return self.state in ("done", "failed", "cancelled", "stuck")


@dataclass(frozen=True, slots=True)
class Submission:
    uuid: str
    name: str
    version: int
    arguments: Json
    queue: str | None
    limit: int
    account: str | None = None  # for whom; the engine only keeps it


@dataclass(frozen=True, slots=True)
class Verdict:
    """The committed decision to undo: how the operation ends, why, and which steps had been started."""

    state: State
    error: Json
    started: list[str]


@dataclass(frozen=True, slots=True)
class Logged:
    """A finished step: its output, or its undo."""

    output: Json
    undone: bool = False


@dataclass(slots=True)
class Claimed:
    """An operation that this node now owns, with all that is known of it. `cancelled`: asked for, not yet decided."""

    uuid: str
    name: str
    version: int
    arguments: Json
    account: str | None = None
    cancelled: bool = False
    verdict: Verdict | None = None
    log: dict[str, Logged] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Signs:
    """What a look around found: own operations to cancel; whether there is something to claim or a dead node."""

    cancelled: list[str]
    work: bool


Kind = tuple[str, int]  # (name, version) of a workflow


class Journal(Protocol):
    @property
    def epoch(self) -> int:
        """The newest generation of any node, as of the last claim or renewal."""

    async def join(self, node: str, lease: float, *, again: bool) -> None:
        """Take the node's place under a new generation; what it owned before is free to be claimed.

        `again`, after being deposed: raises `Fenced` while another process holds the lease under this node's id."""

    async def leave(self) -> None:
        """Give everything back, so that others need not wait for the lease to end."""

    async def renew(self) -> None:
        """Prolong the lease."""

    async def look(self, kinds: list[Kind]) -> Signs: ...

    async def claim(self, kinds: list[Kind], room: int) -> list[Claimed]:
        """Depose nodes whose lease has ended and take up to `room` operations that nobody works on."""

    async def ours(self) -> list[str]:
        """Begun operations that this node owns."""

    async def put_back(self, uuids: list[str]) -> None:
        """Give up those of them that it still owns, so that they are claimed again."""

    async def submit(self, new: Submission, room: bool, within: Transaction | None) -> bool:
        """Store it unless it is there already; True when it is ours to run now. Raises `DuplicateOperation`.

        An exception that `within(tx)` returns is raised here after the commit: the operation is not stored, but whatever
        else `within` wrote is."""

    async def checkpoint(self, uuid: str, number: int, name: str, output: Json, *, again: bool) -> None: ...

    async def transact(self, uuid: str, number: int, name: str, do: Transaction, *, again: bool) -> Json:
        """`do(tx)` and its checkpoint in one transaction; returns what `do` returned, as JSON."""

    async def decide(self, uuid: str, verdict: Verdict) -> None: ...

    async def undone(self, uuid: str, number: int, name: str) -> None: ...

    async def undo_transact(self, uuid: str, name: str, undo: Callable[[Any, Any], None]) -> None:
        """Run `undo(tx, output of the step)` and note it, in one transaction, if the step was committed and is not undone yet."""

    async def finish(
        self, uuid: str, state: State, result: Json | None, stuck: Json | None, kinds: list[Kind], room: bool
    ) -> Claimed | None:
        """Store the end; returns the next operation of the same queue, when this node may run it now."""

    async def get(self, uuid: str) -> Status | None: ...

    async def cancel(self, uuid: str) -> Status | None:
        """Ask for it (a queued operation ends at once)."""

    async def list_stuck(self, kinds: list[Kind]) -> list[Status]:
        """Those whose undo keeps failing, and those that no longer have a workflow here."""

    async def retry_undo(self, uuid: str) -> bool: ...

    async def give_up(self, uuid: str) -> bool: ...

    async def prune(self, older_than: float) -> int:
        """Forget operations that ended more than so many seconds ago (stuck ones stay); returns how many."""
