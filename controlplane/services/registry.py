"""What stands between a request and its effect: checks before a change, and answers to reads.

A changing API has a workflow (`controlplane/workflows`) and any number of checks; one that is answered at once has a
preparation instead of a workflow; a read has one answer; queries need nothing. `dispatch.py` uses these tables: validate → references exist → checks → submit, or answer.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from controlplane.contract.base import Api
from controlplane.store.database import Tx
from controlplane.workflows.world import World

M = TypeVar("M", bound=Api)


@dataclass(frozen=True)
class Caller:
    """Who calls: the account of the session or of the access key; empty for a public API."""

    account_uuid: str = ""
    session_uuid: str = ""
    is_admin: bool = False
    address: str = ""  # where the call came from
    account_name: str = ""

    @property
    def viewer(self) -> str | None:
        """Whose resources the caller sees; None for all."""
        return None if self.is_admin else self.account_uuid


Check = Callable[[Tx, Any], None]
Answer = Callable[[World, Caller, Any], Awaitable[dict[str, Any]]]
Permit = Callable[[Tx, Caller, Any], None]
Change = Callable[[Tx], dict[str, Any]]
Preparation = Callable[[World, Caller, Any], Awaitable[Change]]
all_permits: dict[str, list[Permit]] = {}
all_preparations: dict[str, Preparation] = {}
all_checks: dict[str, list[Check]] = {}
all_answers: dict[str, Answer] = {}


def checks(api: type[M]) -> Callable[[Callable[[Tx, M], None]], Callable[[Tx, M], None]]:
    """Register `f(tx, message)`, which raises `ApiError` when the request must be refused; nothing is stored before."""

    def register(check: Callable[[Tx, M], None]) -> Callable[[Tx, M], None]:
        all_checks.setdefault(api.__name__, []).append(check)
        return check

    return register


def answers(api: type[Api]) -> Callable[[Answer], Answer]:
    """Register `async f(world, caller, message) -> result on the wire` for a read."""

    def register(answer: Answer) -> Answer:
        all_answers[api.__name__] = answer
        return answer

    return register


def permits(api: type[Api]) -> Callable[[Permit], Permit]:
    """Register `f(tx, caller, message)`, which raises `ApiError` when this caller may not ask for that."""

    def register(permit: Permit) -> Permit:
        all_permits.setdefault(api.__name__, []).append(permit)
        return permit

    return register


def prepares(api: type[Api]) -> Callable[[Preparation], Preparation]:
    """Register `async f(world, caller, message) -> change` for a change that is answered at once; `change(tx)` runs in the
    transaction that also checks the call and records it, and returns the result on the wire."""

    def register(preparation: Preparation) -> Preparation:
        all_preparations[api.__name__] = preparation
        return preparation

    return register
