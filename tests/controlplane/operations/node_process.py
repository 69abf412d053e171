"""A control-plane node as a process of its own: runs the workflow "append" until it is ended.

    python -m tests.controlplane.operations.node_process <database url> <node id> <folder> <lease>

"append" writes lines `<operation> <node> <step> <epoch>` to a file in the folder: what hosts would see.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from controlplane.operations.engine import Engine
from controlplane.operations.registry import Registry
from controlplane.store.database import Database
from controlplane.store.journal import StoreJournal


async def main(url: str, node: str, folder: Path, lease: float) -> None:
    registry: Registry[Any] = Registry()
    db = Database(url)
    engine: Engine[Any] = Engine(StoreJournal(db), registry, None, node, lease=lease, poll=0.1)

    @registry.operation("append")
    async def append(op: Any, arguments: dict[str, Any]) -> str:
        for number in range(arguments["steps"]):

            async def do(number: int = number) -> None:
                with (folder / "host").open("a") as file:
                    file.write(json.dumps([op.uuid, node, number, engine.epoch]) + "\n")
                await asyncio.sleep(arguments["pause"])

            await op.step(f"step {number}", do)
        return node

    await engine.start()
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), float(sys.argv[4])))
