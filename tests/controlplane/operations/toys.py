"""Small workflows over a toy host: enough shapes to break an engine with. The host is a dict that any engine can reach."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from controlplane.contract.error import ApiError
from controlplane.operations.interface import Operation
from controlplane.operations.registry import Registry
from controlplane.store import rows, schema
from controlplane.store.database import Database
from tests.controlplane.harness import Scene, Wire


@dataclass
class Host:
    """Keeps things by name; `put` and `remove` are calls over the wire and may be repeated."""

    wire: Wire = field(default_factory=Wire)
    things: dict[str, str] = field(default_factory=dict)

    async def put(self, name: str, value: str) -> str:
        async def send() -> str:
            self.things[name] = value
            await asyncio.sleep(0)
            return f"{name} is there"

        return await self.wire.call(send)

    async def remove(self, name: str) -> None:
        async def send() -> None:
            self.things.pop(name, None)

        await self.wire.call(send)


registry: Registry[Host] = Registry()
CAPACITY = "c" * 32


@registry.operation("create")
async def create(op: Operation[Host], arguments: dict[str, Any]) -> dict[str, Any]:
    """The shape of creating a VM: take capacity, make things on a host, record the end."""
    uuid = op.derive("vm")

    def take(tx: Any) -> int:
        host = rows.lock(tx, "HostVO", CAPACITY)
        assert host is not None
        rows.insert(tx, "VmInstanceVO", uuid=uuid, name=arguments["name"], state="Created")
        rows.update(tx, "HostVO", CAPACITY, memory_used=host["memory_used"] + 1)
        return int(host["memory_used"])

    def give_back(tx: Any, taken: int) -> None:
        host = rows.lock(tx, "HostVO", CAPACITY)
        assert host is not None
        rows.delete(tx, "VmInstanceVO", uuid)
        rows.update(tx, "HostVO", CAPACITY, memory_used=host["memory_used"] - 1)

    await op.tx_step("take", take, give_back)
    for part in ("disk", "nic", "vm"):
        name = f"{part}-{uuid}"
        await op.step(part, lambda name=name: op.world.put(name, uuid), lambda name=name: op.world.remove(name))  # type: ignore[misc]
    await op.tx_step(
        "run",
        lambda tx: rows.update(tx, "VmInstanceVO", uuid, state="Running") and None,
        lambda tx, _: rows.update(tx, "VmInstanceVO", uuid, state="Created") and None,
    )
    if arguments.get("refuse"):
        raise ApiError("SYS.1006", "refused at the very end")
    return {"uuid": uuid}


@registry.operation("side by side")
async def side_by_side(op: Operation[Host], arguments: dict[str, Any]) -> list[str]:
    """Steps at the same time, in a gather."""

    async def one(number: int) -> str:
        name = f"{number}-{op.uuid}"
        return await op.step(f"part {number}", lambda: op.world.put(name, "x"), lambda: op.world.remove(name))

    return list(await asyncio.gather(*(one(number) for number in range(arguments["parts"]))))


@registry.operation("grouped")
async def grouped(op: Operation[Host], arguments: dict[str, Any]) -> None:
    """Steps at the same time, in a TaskGroup."""
    async with asyncio.TaskGroup() as group:
        for number in range(arguments["parts"]):
            name = f"g{number}-{op.uuid}"
            group.create_task(
                op.step(
                    f"part {number}",
                    lambda name=name: op.world.put(name, "x"),  # type: ignore[misc]
                    lambda name=name: op.world.remove(name),  # type: ignore[misc]
                )
            )


@registry.operation("commit and tell")
async def commit_and_tell(op: Operation[Host], arguments: dict[str, Any]) -> str:
    """The shape of a deletion: a host lets go, the database forgets, somebody else is told."""
    uuid = op.derive("zone")
    await op.step("part", lambda: op.world.put(uuid, "x"), lambda: op.world.remove(uuid))
    name = await op.commit("zone", lambda tx: str(rows.insert(tx, "ZoneVO", uuid=uuid, name="z")["name"]))
    await op.afterwards("tell", lambda: op.world.put("told", "x"))
    return name


@registry.operation("nothing")
async def nothing(op: Operation[Host], arguments: dict[str, Any]) -> str:
    return op.derive("label")


def prepare(db: Database) -> None:
    schema.upgrade(db)
    with db.engine.connect().execution_options(steppe_write=True) as tx, tx.begin():
        rows.insert(tx, "HostVO", uuid=CAPACITY, name="h", zone_uuid="", cluster_uuid="", management_ip="10.0.0.1")


@contextlib.asynccontextmanager
async def scene(folder: Path, number: Callable[[], int]) -> AsyncIterator[Scene]:
    """A database file of its own, copied from one that was prepared once."""
    template = folder / "template.db"
    if not template.exists():
        first = Database(f"sqlite:///{template}")
        prepare(first)
        first.close()
    path = folder / f"{number()}.db"
    shutil.copy(template, path)
    db = Database(f"sqlite:///{path}")
    host = Host()
    try:
        yield Scene(db, registry, host, host.wire, lambda: host.things)
    finally:
        db.close()
