"""Hands the workflows to an engine: the journal keeps a message as JSON, a workflow gets it as the API's class.

What goes with a resource whatever it is (tags, owner, quota) is seen to in `companion.py`; a call that would delete what is
not there for its account does nothing.
"""

from typing import Any, cast

from controlplane.contract.account import ADMIN_UUID
from controlplane.operations.interface import Operation
from controlplane.operations.registry import Function, Registry
from controlplane.store import ownership
from controlplane.store.database import Tx
from controlplane.workflows import access
from controlplane.workflows.companion import Companion
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

        def is_absent(tx: Tx) -> bool:
            return access.is_absent(tx, ownership.viewer(tx, op.account), message)

        if op.account not in (None, ADMIN_UUID) and await op.world.db.read(is_absent):
            return {}
        return await registered.run(cast(Operation[World], Companion(op, message)), message)

    return run
