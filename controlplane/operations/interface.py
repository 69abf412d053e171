"""What a workflow may rely on. The engine (`engine.py`) implements it; the store keeps its journal.

Laws: `do` is *ensure*, `undo` is *ensure absent*, both may run twice; undo runs for every step that was started, in
reverse, the failed one included; the decision to undo is committed before the first undo; names of steps are unique
within a run; what a step returns is JSON and answers from the log in a replay. An operation that cannot be undone any more
says so by `commit`: from there on it has succeeded, whoever cancels it, and only `afterwards` may follow.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Literal, Protocol, TypeVar

from controlplane.contract.error import Temporary as Temporary

T = TypeVar("T")
W_co = TypeVar("W_co", covariant=True)
State = Literal["queued", "running", "undoing", "done", "failed", "cancelled", "stuck"]


class Operation(Protocol[W_co]):
    """A running workflow, seen by its own code. `world` is what the application gave the engine."""

    uuid: str
    name: str
    account: str | None  # for whom it runs

    @property
    def world(self) -> W_co: ...

    def derive(self, label: str) -> str:
        """A uuid (32 hex digits) made from this operation's uuid and the label: the same in every replay."""

    async def step(
        self,
        name: str,
        do: Callable[[], Awaitable[T]],
        undo: Callable[[], Awaitable[None]] | None = None,
        *,
        timeout: float = 600.0,
    ) -> T:
        """One change of the outside world."""

    async def tx_step(self, name: str, do: Callable[[Any], T], undo: Callable[[Any, T], None]) -> T:
        """One change of the database, committed together with its checkpoint: `do(tx)` runs exactly once.

        `undo(tx, output)` gets what `do` returned, and runs only if that was committed."""

    async def commit(self, name: str, do: Callable[[Any], T]) -> T:
        """The same as the point of no return: with it the operation has succeeded. No step may follow."""

    async def afterwards(self, name: str, do: Callable[[], Awaitable[Any]], *, timeout: float = 10.0) -> None:
        """What should follow the commit: tried until it is done or the time is up. A failure is logged, not raised: the
        reconcilers do it later. May run twice."""

    async def progress(self, done: int, total: int, text: str = "", rate: int = 0) -> None:
        """For whoever watches the job; not durable, cheap to call often."""
