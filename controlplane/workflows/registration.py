"""Hands the workflows to an engine: the journal keeps a message as JSON, a workflow gets it as the API's class.

Tags come and go with their resource, whatever it is, so no workflow has to think of them: they are stored in the
transaction that makes the row (a VM, which needs them checked, stores them itself) and removed in the one that removes it.
"""

from collections.abc import Callable, Sequence
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from controlplane.contract.base import Create, Delete
from controlplane.operations.interface import Operation
from controlplane.operations.registry import Function, Registry
from controlplane.rules import system_tag
from controlplane.store import rows
from controlplane.store.database import Tx
from controlplane.workflows import tag
from controlplane.workflows.world import Registered, World, workflows

T = TypeVar("T")
P = ParamSpec("P")


def engine_registry() -> Registry[World]:
    """Everything registered with `@workflow` so far; import the modules of `workflows/` first."""
    registry: Registry[World] = Registry()
    for name, registered in workflows.items():
        registry.add(name, _adapt(registered))
    return registry


def _adapt(registered: Registered) -> Function[World]:
    async def run(op: Operation[World], arguments: dict[str, Any]) -> Any:
        message = registered.api.model_validate(arguments)
        if isinstance(message, Create):
            uuid = message.resource_uuid or op.derive(message.creates)
            tags = system_tag.kept(message.creates, system_tag.joined(message.creates, message.system_tags or ()))
            op = cast(Operation[World], _Tagging(op, uuid, message.creates, tags, message.user_tags or []))
        elif isinstance(message, Delete) and (uuid := getattr(message, "uuid", "")):
            op = cast(Operation[World], _Tagging(op, uuid))
        return await registered.run(op, message)

    return run


class _Tagging:
    """An operation whose transactions keep tags with their resource: stored once it is there, removed once it is gone."""

    def __init__(
        self,
        op: Operation[World],
        uuid: str,
        creates: str = "",
        system_tags: Sequence[str] = (),
        user_tags: Sequence[str] = (),
    ) -> None:
        self._op, self._uuid, self._creates = op, uuid, creates
        self._wished = {"SystemTagVO": system_tags, "UserTagVO": user_tags}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._op, name)

    async def tx_step(self, name: str, do: Callable[[Tx], T], undo: Callable[[Tx, T], None]) -> T:
        return await self._op.tx_step(name, self._tidying(do), self._tidying(undo))

    async def commit(self, name: str, do: Callable[[Tx], T]) -> T:
        return await self._op.commit(name, self._tidying(do))

    def _tidying(self, do: Callable[Concatenate[Tx, P], T]) -> Callable[Concatenate[Tx, P], T]:
        def do_and_tidy(tx: Tx, /, *given: P.args, **named: P.kwargs) -> T:
            result = do(tx, *given, **named)
            self._tidy(tx)
            return result

        return do_and_tidy

    def _tidy(self, tx: Tx) -> None:
        """A resource may outlive its deletion for a while (a destroyed VM can be recovered): its tags do so too."""
        known = {table: rows.find(tx, table, resource_uuid=self._uuid) for table in self._wished}
        found = [row for tags in known.values() for row in tags]
        resource_type = self._creates or (found[0]["resource_type"] if found else "")
        if not resource_type:
            return
        if rows.get(tx, resource_type, self._uuid) is None:
            tag.remove_all(tx, self._uuid)
            return
        missing = {
            table: [text for text in texts if text not in {row["tag"] for row in known[table]}]
            for table, texts in self._wished.items()
        }
        tag.store(tx, self._uuid, resource_type, missing["SystemTagVO"], missing["UserTagVO"], self._op.derive)
