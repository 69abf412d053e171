"""Hands the workflows to an engine: the journal keeps a message as JSON, a workflow gets it as the API's class."""

from typing import Any

from controlplane.operations.interface import Operation
from controlplane.operations.registry import Function, Registry
from controlplane.workflows.world import Registered, World, workflows


def engine_registry() -> Registry[World]:
    """Everything registered with `@workflow` so far; import the modules of `workflows/` first."""
    registry: Registry[World] = Registry()
    for name, registered in workflows.items():
        registry.add(name, _adapt(registered))
    return registry


def _adapt(registered: Registered) -> Function[World]:
    async def run(op: Operation[World], arguments: dict[str, Any]) -> Any:
        return await registered.run(op, registered.api.model_validate(arguments))

    return run
