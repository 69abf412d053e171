"""What goes with every resource, so that no workflow has to think of it: its tags, its owner, the owner's quotas.

They are stored in the transaction that makes the row (a VM, which needs its tags checked, stores them itself) and removed
in the one that removes it. A transaction that would exceed a quota is rolled back.
"""

from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

from controlplane.contract.account import ADMIN_UUID
from controlplane.contract.base import Api, Create, Delete
from controlplane.operations.interface import Operation
from controlplane.rules import system_tag
from controlplane.store import ownership, rows
from controlplane.store.database import Tx
from controlplane.workflows import quota, tag
from controlplane.workflows.world import World

T = TypeVar("T")
P = ParamSpec("P")


class Companion:
    """The operation itself, but for its transactions."""

    def __init__(self, op: Operation[World], message: Api) -> None:
        self._op, self._message = op, message
        self._creates = message.creates if isinstance(message, Create) else ""
        self._uuids: list[str] = []  # of what may come or go
        if isinstance(message, Create):
            self._uuids = [message.resource_uuid or op.derive(message.creates)]
        elif isinstance(message, Delete) or message.changes:
            self._uuids = [target.uuid for target in message.targets()] or [getattr(message, "uuid", "")]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._op, name)

    async def tx_step(self, name: str, do: Callable[[Tx], T], undo: Callable[[Tx, T], None]) -> T:
        return await self._op.tx_step(name, self._within_quota(self._tidying(do)), self._tidying(undo))

    async def commit(self, name: str, do: Callable[[Tx], T]) -> T:
        return await self._op.commit(name, self._within_quota(self._tidying(do)))

    def _within_quota(self, do: Callable[[Tx], T]) -> Callable[[Tx], T]:
        def do_and_count(tx: Tx) -> T:
            viewer = ownership.viewer(tx, self._op.account)
            asked = quota.asked_by(tx, self._op.name, self._message) if viewer else {}
            result = do(tx)
            if viewer:
                quota.must_fit(tx, viewer, dict.fromkeys(asked, 0))
            return result

        return do_and_count

    def _tidying(self, do: Callable[Concatenate[Tx, P], T]) -> Callable[Concatenate[Tx, P], T]:
        def do_and_tidy(tx: Tx, /, *given: P.args, **named: P.kwargs) -> T:
            was_there = bool(self._creates) and rows.exists(tx, self._creates, uuid=self._uuids[0])
            result = do(tx, *given, **named)
            if self._creates:
                self._tidy_new(tx, was_there)
            else:
                for uuid in self._uuids:
                    _remove_if_gone(tx, uuid)
            return result

        return do_and_tidy

    def _tidy_new(self, tx: Tx, was_there: bool) -> None:
        (uuid,) = self._uuids
        if not rows.exists(tx, self._creates, uuid=uuid):
            tag.remove_all(tx, uuid)
            return
        if not was_there:
            account = self._op.account or ADMIN_UUID
            if account != ADMIN_UUID and not rows.exists(tx, "AccountVO", uuid=account):
                account = ADMIN_UUID  # the caller's was deleted meanwhile
            ownership.give(tx, account, self._creates, uuid)
        self._store_tags(tx, uuid)

    def _store_tags(self, tx: Tx, uuid: str) -> None:
        message = self._message
        assert isinstance(message, Create)
        tags = system_tag.kept(self._creates, system_tag.joined(self._creates, message.system_tags or ()))
        wished = tags, message.user_tags or []
        known = [{row["tag"] for row in rows.find(tx, table, resource_uuid=uuid)} for table in tag.TABLES]
        system, user = ([text for text in texts if text not in have] for texts, have in zip(wished, known, strict=True))
        tag.store(tx, uuid, self._creates, system, user, self._op.derive)


def _remove_if_gone(tx: Tx, uuid: str) -> None:
    """A resource may outlive its deletion for a while (a destroyed VM can be recovered): what goes with it does so too."""
    resource_type = ownership.kind(tx, uuid)
    if resource_type is None:
        tags = [row for table in tag.TABLES for row in rows.find(tx, table, resource_uuid=uuid)]
        resource_type = tags[0]["resource_type"] if tags else None
    if resource_type and not rows.exists(tx, resource_type, uuid=uuid):
        tag.remove_all(tx, uuid)
