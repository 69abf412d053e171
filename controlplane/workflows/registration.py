"""Hands the workflows to an engine: the journal keeps a message as JSON, a workflow gets it as the API's class.

Tags come and go with their resource, whatever it is, so no workflow has to think of them: they are stored in a last step
of every create (a VM, which needs its tags earlier, stores them itself), and removed in the transaction that removes the row.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

from controlplane.contract.base import Create, Delete
from controlplane.operations.interface import Operation
from controlplane.operations.registry import Function, Registry
from controlplane.rules import system_tag
from controlplane.store import rows
from controlplane.store.database import Tx
from controlplane.workflows import tag
from controlplane.workflows.world import Registered, World, workflows

T = TypeVar("T")


def engine_registry() -> Registry[World]:
    """Everything registered with `@workflow` so far; import the modules of `workflows/` first."""
    registry: Registry[World] = Registry()
    for name, registered in workflows.items():
        registry.add(name, _adapt(registered))
    return registry


def _adapt(registered: Registered) -> Function[World]:
    async def run(op: Operation[World], arguments: dict[str, Any]) -> Any:
        message = registered.api.model_validate(arguments)
        if isinstance(message, Delete):
            op = cast(Operation[World], _Deleting(op, getattr(message, "uuid", "")))
        result = await registered.run(op, message)
        if isinstance(message, Create) and (message.system_tags or message.user_tags):
            await _store_tags(op, message, result["inventory"]["uuid"])
        return result

    return run


async def _store_tags(op: Operation[World], message: Create, uuid: str) -> None:
    wished = {
        "SystemTagVO": system_tag.joined(message.creates, message.system_tags or ()),
        "UserTagVO": message.user_tags or [],
    }

    def store(tx: Tx) -> None:
        missing = {}
        for table, texts in wished.items():
            known = {row["tag"] for row in rows.find(tx, table, resource_uuid=uuid)}
            missing[table] = [text for text in texts if text not in known]
        tag.store(tx, uuid, message.creates, missing["SystemTagVO"], missing["UserTagVO"], op.derive)

    await op.tx_step("tags of the new resource", store, lambda tx: tag.remove_all(tx, uuid))


class _Deleting:
    """An operation whose transactions take the tags along, once the resource is gone."""

    def __init__(self, op: Operation[World], uuid: str) -> None:
        self._op = op
        self._resource_uuid = uuid

    def __getattr__(self, name: str) -> Any:
        return getattr(self._op, name)

    async def tx_step(self, name: str, do: Callable[[Tx], T], undo: Callable[[Tx], None] | None = None) -> T:
        def do_and_tidy(tx: Tx) -> T:
            result = do(tx)
            _remove_orphans(tx, self._resource_uuid)
            return result

        return await self._op.tx_step(name, do_and_tidy, undo)


def _remove_orphans(tx: Tx, uuid: str) -> None:
    """A resource may outlive its deletion for a while (a destroyed VM can be recovered): its tags do so too."""
    tags = [row for table in ("SystemTagVO", "UserTagVO") for row in rows.find(tx, table, resource_uuid=uuid)]
    if tags and rows.get(tx, tags[0]["resource_type"], uuid) is None:
        tag.remove_all(tx, uuid)
