"""Nodes that die, freeze, lose their database or their place: nothing is lost, nothing is done by two at once."""

import asyncio
import json
import os
import random
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from controlplane.operations.engine import Engine
from controlplane.operations.journal import Fenced
from controlplane.operations.registry import Registry
from controlplane.store import rows, schema
from controlplane.store.database import Closed, Database
from controlplane.store.journal import StoreJournal
from tests import postgres
from tests.controlplane.operations import toys
from tests.controlplane.operations.conftest import Start
from tests.proxy import Proxy

A, B = "a" * 32, "b" * 32
ROOT = Path(__file__).parents[3]


async def until(condition: Callable[[], Any], seconds: float = 15) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not come true in time"
        await asyncio.sleep(0.02)


def die(engine: Engine[Any]) -> list[asyncio.Task[Any]]:
    """The node falls silent at once, as a killed process does: no word to the others."""
    tasks = [*engine._loops, *engine._drivers.values()]
    engine._joined = False
    for task in tasks:
        task.cancel()
    return tasks


async def test_a_dead_node_is_taken_over_within_lease_and_a_second(start: Start, registry: Registry[Any]) -> None:
    ran: list[tuple[str, str]] = []
    hanging = asyncio.Event()

    @registry.operation("work")
    async def work(op: Any, arguments: dict[str, Any]) -> str:
        async def note(step: str) -> None:
            ran.append((op.world["node"], step))

        await op.step("one", lambda: note("one"))
        if op.world["node"] == "a":
            hanging.set()
            await op.step("two", lambda: asyncio.sleep(60))
        await op.step("two", lambda: note("two"))
        return str(op.world["node"])

    first, second = await start("a"), await start("b")
    uuid = await first.submit("work", {})
    await hanging.wait()
    epoch = second.epoch
    died = time.monotonic()
    die(first)
    status = await second.wait(uuid, 10)
    assert status is not None and (status.state, status.result) == ("done", "b")
    assert time.monotonic() - died < 1.0 + 1.0
    assert ran == [("a", "one"), ("b", "two")], "a finished step answers from the log"
    assert second.epoch > epoch, "hosts can tell the new order from the old one"


async def test_a_deposed_node_stores_nothing_and_joins_anew(
    start: Start, registry: Registry[Any], db: Database
) -> None:
    results: list[str] = []

    @registry.operation("work")
    async def work(op: Any, arguments: dict[str, Any]) -> str:
        await op.step("one", lambda: asyncio.sleep(0.3))
        results.append(op.world["node"])
        return str(op.world["node"])

    first = await start("a")
    generation = first.epoch
    uuid = await first.submit("work", {})

    def depose(tx: Any) -> None:
        rows.update(tx, "ManagementNodeVO", first.node_id, generation=generation + 5, expires=0)
        rows.update_where(tx, "OperationVO", {"uuid": uuid}, owner=None)

    other = Database(db.url)
    await other.write(depose)
    other.close()
    status = await first.wait(uuid, 10)
    assert status is not None and status.state == "done"
    assert results == ["a"], "the first run was dropped at its first write"
    assert first.epoch > generation + 5


async def test_every_write_of_a_deposed_node_is_refused(db: Database) -> None:
    journal = StoreJournal(db)
    await journal.join(A, 5, again=False)
    other = Database(db.url)
    await other.write(lambda tx: rows.update(tx, "ManagementNodeVO", A, generation=99))
    with pytest.raises(Fenced):
        await journal.renew()
    with pytest.raises(Closed):
        await db.write(lambda tx: rows.insert(tx, "ZoneVO", uuid=A, name="z"))
    assert await other.read(lambda tx: rows.count(tx, "ZoneVO")) == 0
    other.close()


async def test_two_processes_of_one_name_do_not_fight(start: Start, registry: Registry[Any], db: Database) -> None:
    first = await start("a", lease=2.0)
    own = Database(db.url)
    second: Engine[Any] = Engine(StoreJournal(own), registry, None, first.node_id, lease=2.0, poll=0.05)
    await second.start()
    await asyncio.sleep(1.0)
    assert not first._joined and second._joined
    epoch = second.epoch
    await asyncio.sleep(1.0)
    assert second.epoch == epoch, "the first one stays out while the second lives"
    await second.stop()
    await until(lambda: first._joined)
    own.close()


async def test_stop_hands_over_without_waiting_for_the_lease(start: Start, registry: Registry[Any]) -> None:
    @registry.operation("work")
    async def work(op: Any, arguments: dict[str, Any]) -> str:
        if op.world["node"] == "a":
            await op.step("one", lambda: asyncio.sleep(60))
        return str(op.world["node"])

    first, second = await start("a", lease=30.0), await start("b", lease=30.0)
    uuid = await first.submit("work", {})
    await first.stop()
    status = await second.wait(uuid, 5)
    assert status is not None and status.result == "b"


async def test_an_operation_without_workflow_waits_and_is_shown(start: Start, registry: Registry[Any]) -> None:
    registry.add("work", lambda op, arguments: op.step("hang", lambda: asyncio.sleep(60)))
    first = await start("a")
    uuid = await first.submit("work", {})
    await first.stop()
    registry._functions.clear()
    second = await start("b")
    await asyncio.sleep(0.2)
    assert [status.uuid for status in await second.list_stuck()] == [uuid]
    registry.add("work", lambda op, arguments: asyncio.sleep(0))
    status = await second.wait(uuid, 5)
    assert status is not None and status.state == "done"


@pytest.mark.parametrize("moment", ["at rest", "often"])
@pytest.mark.postgres
async def test_connections_to_the_database_break(postgres_server: postgres.Server, moment: str) -> None:
    url = postgres_server.create()
    direct = Database(url)
    toys.prepare(direct)
    async with Proxy(postgres_server.port) as proxy:
        through = Database(postgres_server.url(url.rsplit("/", 1)[1], proxy.port))
        host = toys.Host()
        engine = Engine(StoreJournal(through), toys.registry, host, A, lease=8.0, poll=0.05)
        await engine.start()
        if moment == "at rest":
            proxy.reset()
        uuids = [await engine.submit("create", {"name": f"vm {n}"}) for n in range(20)]
        if moment == "often":
            for _ in range(10):
                proxy.reset()
                uuids += [await engine.submit("create", {"name": "vm", "refuse": n % 2}) for n in range(5)]
                await asyncio.sleep(random.uniform(0, 0.05))
        states = [status.state for uuid in uuids if (status := await engine.wait(uuid, 30))]
        assert proxy.resets > 0 and len(states) == len(uuids)
        assert set(states) <= {"done", "failed"}
        made = states.count("done")
        await engine.stop()
        through.close()
    assert await direct.read(lambda tx: rows.count(tx, "VmInstanceVO", state="Running")) == made
    assert await direct.read(lambda tx: rows.count(tx, "VmInstanceVO")) == made
    books = await direct.read(lambda tx: rows.get(tx, "HostVO", toys.CAPACITY))
    assert books is not None and books["memory_used"] == made and len(host.things) == 3 * made
    direct.close()


async def spawn(url: str, node: str, folder: Path, lease: float) -> asyncio.subprocess.Process:
    arguments = ["-m", "tests.controlplane.operations.node_process", url, node, str(folder), str(lease)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stdout=asyncio.subprocess.PIPE, env=environment, cwd=ROOT
    )
    assert process.stdout is not None
    assert await asyncio.wait_for(process.stdout.readline(), 30) == b"ready\n"
    return process


@pytest.fixture
async def processes() -> AsyncIterator[list[asyncio.subprocess.Process]]:
    started: list[asyncio.subprocess.Process] = []
    yield started
    for process in started:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def seen(folder: Path) -> list[tuple[str, str, int, int]]:
    path = folder / "host"
    return [tuple(json.loads(line)) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.mark.postgres
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=lambda how: how.name)
async def test_a_real_node_is_killed_or_frozen(
    postgres_server: postgres.Server, tmp_path: Path, processes: list[asyncio.subprocess.Process], how: signal.Signals
) -> None:
    url, lease = postgres_server.create(), 2.0
    client = Database(url)
    schema.upgrade(client)
    zombie = await spawn(url, A, tmp_path, lease)
    processes.append(zombie)
    registry: Registry[Any] = Registry()
    registry.add("append", lambda op, arguments: asyncio.sleep(0))
    asker: Engine[Any] = Engine(StoreJournal(client), registry, None, "c" * 32)  # never started: it only asks
    uuids = [await asker.submit("append", {"steps": 20, "pause": 0.1}) for _ in range(10)]
    await until(lambda: len(seen(tmp_path)) > 30)
    heir = await spawn(url, B, tmp_path, lease)
    processes.append(heir)
    zombie.send_signal(how)
    stopped = time.monotonic()
    await until(lambda: any(line[1] == B for line in seen(tmp_path)))
    took = time.monotonic() - stopped
    assert took < lease + 1 + (0 if how == signal.SIGKILL else 3.5), f"taken over after {took:.1f} s"
    epoch = max(line[3] for line in seen(tmp_path) if line[1] == B)
    if how == signal.SIGSTOP:
        await asyncio.sleep(0.3)
        zombie.send_signal(signal.SIGCONT)
    for uuid in uuids:
        status = await asker.wait(uuid, 30)
        assert status is not None and status.state == "done"
    lines = seen(tmp_path)
    for uuid in uuids:
        assert {line[2] for line in lines if line[0] == uuid} == set(range(20)), "no step is lost"
    late = [line for number, line in enumerate(lines) if line[1] == A and B in [one[1] for one in lines[:number]]]
    for uuid, _, number, its_epoch in late:
        taken = [line for line in lines if line[0] == uuid and line[1] == B]
        assert its_epoch < epoch or not taken, f"the zombie did step {number} under a current epoch"
    client.close()
