"""A control-plane node is killed with work under way: how long until another goes on, and is anything lost or leaked?

    python -m benchmarks.takeover [--kills 5] [--points 500] [--seed N]

First, two real node processes on one PostgreSQL: the one at work gets SIGKILL, the time until the other's first step is
taken, and every step must be there in the end. Then real workflows of the control plane over simulated hosts: the node
crashes before or after a random database write, and a new one must complete, or leave database and hosts as before.
"""

import argparse
import asyncio
import contextlib
import itertools
import logging
import random
import statistics
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any
from uuid import uuid4

from controlplane.operations.engine import Engine
from controlplane.operations.registry import Registry
from controlplane.store import schema
from controlplane.store.database import Database
from controlplane.store.journal import StoreJournal
from tests import postgres
from tests.controlplane import harness, test_workflow_laws
from tests.controlplane.operations.test_node import A, B, seen, spawn, until

LEASE = 8.0  # what the product uses
STEPS, OPERATIONS = 20, 10


async def kill(server: postgres.Server, folder: Path) -> float:
    """Seconds from the kill to the heir's first step."""
    url = server.create()
    client = Database(url)
    schema.upgrade(client)
    victim = await spawn(url, A, folder, LEASE)
    heir = None
    registry: Registry[Any] = Registry()
    registry.add("append", lambda op, arguments: asyncio.sleep(0))
    asker: Engine[Any] = Engine(StoreJournal(client), registry, None, uuid4().hex)  # never started: it only asks
    try:
        uuids = [await asker.submit("append", {"steps": STEPS, "pause": 0.1}) for _ in range(OPERATIONS)]
        await until(lambda: len(seen(folder)) > 30)
        heir = await spawn(url, B, folder, LEASE)
        victim.kill()
        killed = time.monotonic()
        await until(lambda: any(line[1] == B for line in seen(folder)), 60)
        took = time.monotonic() - killed
        for uuid in uuids:
            status = await asker.wait(uuid, 60)
            assert status is not None and status.state == "done", status
            done = {line[2] for line in seen(folder) if line[0] == uuid}
            assert done == set(range(STEPS)), "a step was lost"
        return took
    finally:
        for process in (victim, heir):
            if process is not None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.communicate()
        client.close()


async def crash(points: int, folder: Path) -> Counter[str]:
    """How operations ended, over that many random points; AssertionError at the first that lost or leaked something."""
    made = await test_workflow_laws.master(folder / "master")
    number = itertools.count()
    writes: dict[str, harness.Outcome] = {}
    ends: Counter[str] = Counter()
    for _ in range(points):
        case = random.choice(test_workflow_laws.CASES)
        uuid = "5e" * 16
        if str(case) not in writes:
            async with test_workflow_laws.scene(folder / str(next(number)), made) as scene:
                writes[str(case)] = await harness.play(scene, case, harness.Disturbance(), uuid=uuid)
        good = writes[str(case)]
        point = harness.Disturbance(crash=random.randrange(good.counts.writes), after=random.random() < 0.5)
        async with test_workflow_laws.scene(folder / str(next(number)), made) as scene:
            outcome = await harness.play(scene, case, point, uuid=uuid)
        ends[outcome.status.state] += 1
        wanted = good.after if outcome.status.state == "done" else outcome.before
        harness.same(outcome.after, wanted, f"{case} with {point}: {outcome.status}")
    return ends


async def run(kills: int, points: int) -> None:
    with postgres.server() as server, tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        took = []
        for number in range(kills):
            folder = Path(scratch, f"kill{number}")
            folder.mkdir()
            took.append(await kill(server, folder))
        limit = LEASE + 1
        print(f"{'kills':>6} {'median s':>9} {'worst s':>8} {'lease + 1 s':>12} {'worst / limit':>14}")
        worst = max(took)
        print(
            f"{kills:>6} {statistics.median(took):>9.1f} {worst:>8.1f} {limit:>12.1f} {worst / limit:>14.2f}",
            flush=True,
        )
        ends = await crash(points, Path(scratch))
        words = ", ".join(f"{count} {state}" for state, count in ends.items())
        print(f"{points} random crash points: {words}; nothing lost, nothing leaked")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--points", type=int, default=500)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    options = parser.parse_args()
    print(f"seed {options.seed}")
    random.seed(options.seed)
    logging.disable()  # every crash is told there
    asyncio.run(run(options.kills, options.points))


if __name__ == "__main__":
    main()
