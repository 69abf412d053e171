"""What stands between a request and its effect: checks before a change, and answers to reads.

A changing API has a workflow (`controlplane/workflows`) and any number of checks; a read has one answer; queries need
nothing. `dispatch.py` uses these tables: validate → references exist → checks → submit, or answer.
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
    """Who calls: the session's account; empty for a public API."""

    account_uuid: str = ""
    session_uuid: str = ""
    is_admin: bool = False
    address: str = ""  # where the call came from


Check = Callable[[Tx, Any], None]
Answer = Callable[[World, Caller, Any], Awaitable[dict[str, Any]]]
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
