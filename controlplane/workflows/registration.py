"""Hands the workflows to an engine: the journal keeps a message as JSON, a workflow gets it as the API's class.

Tags come and go with their resource, whatever it is: that is done here, as the last step of every create and delete, so
no workflow has to think of it (one that needs its tags earlier, as a VM does, stores them itself).
"""

from typing import Any

from controlplane.contract.base import Create, Delete
from controlplane.operations.interface import Operation
from controlplane.operations.registry import Function, Registry
from controlplane.rules import system_tag
from controlplane.store import rows
from controlplane.store.database import Tx
from controlplane.workflows import tag
from controlplane.workflows.world import Registered, World, workflows


def engine_registry() -> Registry[World]:
    """Everything registered with `@workflow` so far; import the modules of `workflows/` first."""
    registry: Registry[World] = Registry()
    for name, registered in workflows.items():
        registry.add(name, _adapt(registered))
    return registry


def _adapt(registered: Registered) -> Function[World]:
    async def run(op: Operation[World], arguments: dict[str, Any]) -> Any:
        message = registered.api.model_validate(arguments)
        result = await registered.run(op, message)
        if isinstance(message, Create) and (message.system_tags or message.user_tags):
            await _store_tags(op, message, result["inventory"]["uuid"])
        elif isinstance(message, Delete):
            uuid = getattr(message, "uuid", "")
            await op.tx_step("tags go with their resource", lambda tx: _remove_orphans(tx, uuid))
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


def _remove_orphans(tx: Tx, uuid: str) -> None:
    """A resource may outlive its deletion for a while (a destroyed VM can be recovered): its tags do so too."""
    tags = [row for table in ("SystemTagVO", "UserTagVO") for row in rows.find(tx, table, resource_uuid=uuid)]
    if tags and rows.get(tx, tags[0]["resource_type"], uuid) is None:
        tag.remove_all(tx, uuid)
