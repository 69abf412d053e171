"""What every workflow can reach, and the registry of workflows."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from controlplane.contract.base import Api
from controlplane.operations.interface import Operation
from controlplane.store.database import Database, Tx

if TYPE_CHECKING:
    from controlplane.agents.authority import Authority
    from controlplane.agents.client import HostClients
    from controlplane.operations.engine import Engine
    from controlplane.workflows.network_sync import NetworkSync


@dataclass
class Settings:
    """Start-up choices of one control-plane node."""

    state_dir: Path
    public_url: str  # where agents and clients reach this control plane, e.g. https://10.0.0.1:8443
    agent_port: int = 7070
    file_image_dirs: tuple[Path, ...] = ()  # below these AddImage may read file:// URLs
    provider_mirror: Path | None = None  # what `terraform init` gets from here


@dataclass
class World:
    """`data` of a workflow: database, hosts, the hosts' networks, settings."""

    db: Database
    hosts: HostClients
    network: NetworkSync
    settings: Settings
    authority: Authority | None = None  # None where hosts are joined in-process, without TLS
    engine: Engine[World] | None = None  # that runs the operations of this node, for those that begin others
    extras: dict[str, Any] = field(default_factory=dict)


Workflow = Callable[[Operation[World], Any], Awaitable[dict[str, Any]]]


@dataclass(frozen=True)
class Registered:
    """`queue` gives the key by which operations are serialised (`vm:<uuid>`), or None for side by side; `queue_in` does
    so where the message alone does not tell (the VM that a volume is attached to)."""

    api: type[Api]
    run: Workflow
    queue: Callable[[Any], str | None]
    queue_in: Callable[[Tx, Any], str | None] | None = None


workflows: dict[str, Registered] = {}


def workflow(
    api: type[Api],
    queue: Callable[[Any], str | None] = lambda _message: None,
    queue_in: Callable[[Tx, Any], str | None] | None = None,
) -> Callable[[Workflow], Workflow]:
    """Register what a changing API does: `async def f(op, message) -> result on the wire`, e.g. {"inventory": {…}}."""

    def register(run: Workflow) -> Workflow:
        if api.__name__ in workflows:
            raise ValueError(f"two workflows for {api.__name__}")
        workflows[api.__name__] = Registered(api, run, queue, queue_in)
        return run

    return register


async def tell(op: Operation[World], host_uuids: Iterable[str]) -> None:
    """After the commit: these hosts hear of it; one that cannot now gets the whole snapshot when it connects again."""
    network = op.world.network
    await asyncio.gather(
        *(op.afterwards(f"network of host {uuid}", lambda uuid=uuid: network.ensure(uuid)) for uuid in host_uuids)  # type: ignore[misc]
    )
