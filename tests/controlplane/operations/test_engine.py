"""The engine's promises, one by one, on both databases."""

import asyncio
import time
from typing import Any

import pytest

from controlplane.contract.error import ApiError, Temporary
from controlplane.operations.engine import Engine
from controlplane.operations.journal import DuplicateOperation
from controlplane.operations.registry import Registry, UnknownWorkflow
from controlplane.store import rows
from controlplane.store.database import Database
from tests.controlplane.operations.conftest import Start

Op = Any
UUID = "f" * 32


async def end_of(engine: Engine[Any], uuid: str) -> Any:
    status = await engine.wait(uuid, 20)
    assert status is not None
    return status


async def test_result_error_and_unknown(start: Start, registry: Registry[Any]) -> None:
    @registry.operation("work")
    async def work(op: Op, arguments: dict[str, Any]) -> Any:
        match arguments.get("do"):
            case "refuse":
                raise ApiError("IMG.1000", "no qcow2")
            case "break":
                raise ValueError("secret=hunter2")
            case "unprintable":
                return object()
        return {"sum": arguments["a"] + 1}

    engine = await start()
    assert (await end_of(engine, await engine.submit("work", {"a": 1}))).result == {"sum": 2}
    failed = await end_of(engine, await engine.submit("work", {"do": "refuse"}))
    assert (failed.state, failed.error["code"], failed.error["details"]) == ("failed", "IMG.1000", "no qcow2")
    broken = await end_of(engine, await engine.submit("work", {"do": "break"}))
    assert broken.error["code"] == "SYS.1000" and "ValueError" in broken.error["details"]
    assert "hunter2" not in str(broken)
    assert (await end_of(engine, await engine.submit("work", {"do": "unprintable"}))).error["code"] == "SYS.1000"
    assert await engine.wait("0" * 32, 1) is None and await engine.get("0" * 32) is None
    assert await engine.cancel("0" * 32) is None
    with pytest.raises(UnknownWorkflow):
        await engine.submit("never heard of", {})


async def test_one_uuid_is_one_operation(start: Start, registry: Registry[Any]) -> None:
    runs: list[str] = []

    @registry.operation("work")
    async def work(op: Op, arguments: dict[str, Any]) -> None:
        runs.append(op.uuid)

    registry.add("other", work)
    engine = await start()
    await asyncio.gather(*(engine.submit("work", {"a": 1}, uuid=UUID) for _ in range(10)))
    await end_of(engine, UUID)
    assert await engine.submit("work", {"a": 1}, uuid=UUID) == UUID
    assert runs == [UUID]
    for name, arguments in (("work", {"a": 2}), ("other", {"a": 1})):
        with pytest.raises(DuplicateOperation):
            await engine.submit(name, arguments, uuid=UUID)


async def test_a_check_within_the_submission_refuses_everything(
    start: Start, registry: Registry[Any], db: Database
) -> None:
    registry.add("work", lambda op, arguments: asyncio.sleep(0))
    engine = await start()

    def check(tx: Any) -> None:
        rows.insert(tx, "ZoneVO", uuid=UUID, name="z")
        raise ApiError("SYS.1003", "no such thing")

    with pytest.raises(ApiError, match="no such thing"):
        await engine.submit("work", {}, uuid=UUID, within=check)
    assert await engine.get(UUID) is None
    assert await db.read(lambda tx: rows.count(tx, "ZoneVO")) == 0


async def test_a_caller_who_leaves_does_not_lose_the_operation(start: Start, registry: Registry[Any]) -> None:
    registry.add("work", lambda op, arguments: asyncio.sleep(0))
    engine = await start()
    asking = asyncio.ensure_future(engine.submit("work", {}, uuid=UUID))
    await asyncio.sleep(0)
    asking.cancel()
    async with asyncio.timeout(20):
        while await engine.get(UUID) is None:
            await asyncio.sleep(0.02)
    assert (await end_of(engine, UUID)).state == "done"


async def test_undo_runs_in_reverse_the_failed_step_included(start: Start, registry: Registry[Any]) -> None:
    trace: list[str] = []

    @registry.operation("work")
    async def work(op: Op, arguments: dict[str, Any]) -> None:
        for name in ("one", "two", "three"):

            async def do(name: str = name) -> None:
                trace.append(name)
                if name == "three":
                    raise ApiError("SYS.1006", "no")

            async def undo(name: str = name) -> None:
                trace.append(f"-{name}")

            await op.step(name, do, undo)

    engine = await start()
    assert (await end_of(engine, await engine.submit("work", {}))).state == "failed"
    assert trace == ["one", "two", "three", "-three", "-two", "-one"]


async def test_a_transaction_and_its_checkpoint_are_one(start: Start, registry: Registry[Any], db: Database) -> None:
    @registry.operation("work")
    async def work(op: Op, arguments: dict[str, Any]) -> Any:
        uuid = op.derive("zone")
        await op.tx_step("a", lambda tx: rows.insert(tx, "ZoneVO", uuid=uuid, name="z")["name"], lambda tx, _: None)
        return await op.commit("b", lambda tx: rows.insert(tx, "ZoneVO", uuid=uuid, name="again")["name"])

    engine = await start()
    status = await end_of(engine, await engine.submit("work", {}))
    assert status.state == "failed" and "IntegrityError" in status.error["details"]
    assert await db.read(lambda tx: [row["name"] for row in rows.find(tx, "ZoneVO")]) == [
        "z"
    ]  # the undo of "a" is idle


async def test_after_the_commit_nothing_takes_it_back(start: Start, registry: Registry[Any], db: Database) -> None:
    held, told = asyncio.Event(), []

    @registry.operation("work")
    async def work(op: Op, arguments: dict[str, Any]) -> Any:
        uuid = op.derive("zone")
        name = await op.commit("zone", lambda tx: rows.insert(tx, "ZoneVO", uuid=uuid, name="z")["name"])

        async def tell() -> None:
            told.append(1)
            if len(told) < 3:
                raise Temporary("not yet")
            held.set()
            await asyncio.sleep(arguments["hang"])

        await op.afterwards("tell", tell, timeout=3)
        if arguments["then"] == "step":
            await op.step("late", lambda: asyncio.sleep(0))
        return name

    engine = await start()
    uuid = await engine.submit("work", {"then": "", "hang": 0.3})
    await held.wait()
    await engine.cancel(uuid)  # too late
    status = await end_of(engine, uuid)
    assert (status.state, status.result, len(told)) == ("done", "z", 3)
    late = await end_of(engine, await engine.submit("work", {"then": "step", "hang": 0}))
    assert late.state == "done", "a bug behind the commit is logged; what was committed stays"
    slow = await end_of(engine, await engine.submit("work", {"then": "", "hang": 60}))
    assert slow.state == "done", "what comes afterwards has its time"
    assert await db.read(lambda tx: rows.count(tx, "ZoneVO")) == 3


async def test_nothing_comes_afterwards_before_the_commit(start: Start, registry: Registry[Any]) -> None:
    registry.add("work", lambda op, arguments: op.afterwards("tell", lambda: asyncio.sleep(0)))
    engine = await start()
    assert "ValueError" in (await end_of(engine, await engine.submit("work", {}))).error["details"]


async def test_temporary_is_tried_again_until_the_time_out(start: Start, registry: Registry[Any]) -> None:
    tries: list[float] = []

    @registry.operation("work")
    async def work(op: Op, arguments: dict[str, Any]) -> str:
        async def do() -> str:
            tries.append(time.monotonic())
            if len(tries) < arguments["times"]:
                raise Temporary("host 10.0.0.9 does not answer")
            return "done"

        return str(await op.step("ask", do, timeout=arguments["timeout"]))

    engine = await start()
    assert (await end_of(engine, await engine.submit("work", {"times": 3, "timeout": 9}))).result == "done"
    assert len(tries) == 3
    tries.clear()
    late = await end_of(engine, await engine.submit("work", {"times": 99, "timeout": 0.3}))
    assert late.error["code"] == "SYS.1001"
    assert "'ask'" in late.error["details"] and "10.0.0.9 does not answer" in late.error["details"]
    assert len(tries) < 8


async def test_a_step_that_hangs_ends_at_its_time_out(start: Start, registry: Registry[Any]) -> None:
    registry.add("work", lambda op, arguments: op.step("hang", lambda: asyncio.sleep(60), timeout=0.2))
    engine = await start()
    status = await end_of(engine, await engine.submit("work", {}))
    assert status.state == "failed" and "'hang' was not done after 0.2 seconds" in status.error["details"]


async def test_cancel_interrupts_and_undoes(start: Start, registry: Registry[Any], db: Database) -> None:
    undone: list[str] = []
    begun = asyncio.Event()

    @registry.operation("work")
    async def work(op: Op, arguments: dict[str, Any]) -> None:
        uuid = op.derive("zone")
        await op.tx_step(
            "zone",
            lambda tx: rows.insert(tx, "ZoneVO", uuid=uuid, name="z") and None,
            lambda tx, _: rows.delete(tx, "ZoneVO", uuid) and None,
        )

        async def hang() -> None:
            begun.set()
            await asyncio.sleep(60)

        async def undo() -> None:
            undone.append("hang")

        await op.step("hang", hang, undo)

    engine = await start()
    uuid = await engine.submit("work", {})
    await begun.wait()
    await engine.cancel(uuid)
    status = await end_of(engine, uuid)
    assert (status.state, status.error["details"]) == ("cancelled", "the operation was cancelled")
    assert undone == ["hang"] and await db.read(lambda tx: rows.count(tx, "ZoneVO")) == 0
    again = await engine.cancel(uuid)
    assert again is not None and again.state == "cancelled"


async def test_cancel_on_another_node(start: Start, registry: Registry[Any]) -> None:
    registry.add("work", lambda op, arguments: op.step("hang", lambda: asyncio.sleep(60)))
    first, second = await start("a"), await start("b")
    uuid = await first.submit("work", {})
    await second.cancel(uuid)
    assert (await end_of(second, uuid)).state == "cancelled"


async def test_workflows_may_not_swallow_a_cancel(start: Start, registry: Registry[Any]) -> None:
    @registry.operation("work")
    async def work(op: Op, arguments: dict[str, Any]) -> None:
        try:
            await op.step("hang", lambda: asyncio.sleep(60))
        except asyncio.CancelledError:
            await op.step("next", lambda: asyncio.sleep(0))

    engine = await start()
    uuid = await engine.submit("work", {})
    await asyncio.sleep(0.1)
    await engine.cancel(uuid)
    assert (await end_of(engine, uuid)).state == "cancelled"


async def test_a_queue_runs_in_order_one_at_a_time(start: Start, registry: Registry[Any]) -> None:
    running: list[int] = []
    most: list[int] = []
    order: list[int] = []

    @registry.operation("work")
    async def work(op: Op, arguments: dict[str, Any]) -> None:
        running.append(1)
        most.append(len(running))
        order.append(arguments["n"])
        await asyncio.sleep(0.01)
        running.pop()

    nodes = [await start("a"), await start("b")]
    uuids = [await nodes[n % 2].submit("work", {"n": n}, queue="vm:1") for n in range(10)]
    for uuid in uuids:
        await end_of(nodes[0], uuid)
    assert max(most) == 1 and order == list(range(10))
    most.clear()
    at_once = (nodes[n % 2].submit("work", {"n": n}, queue=("vm:2", 3)) for n in range(12))
    for uuid in await asyncio.gather(*at_once):
        await end_of(nodes[1], uuid)
    assert 1 < max(most) <= 3


async def test_a_queued_operation_is_cancelled_at_once(start: Start, registry: Registry[Any]) -> None:
    registry.add("work", lambda op, arguments: op.step("hang", lambda: asyncio.sleep(arguments["s"])))
    engine = await start()
    first = await engine.submit("work", {"s": 60}, queue="q")
    second = await engine.submit("work", {"s": 0}, queue="q")
    third = await engine.submit("work", {"s": 0}, queue="q")
    status = await engine.cancel(second)
    assert status is not None and status.state == "cancelled"
    await engine.cancel(first)
    assert (await end_of(engine, third)).state == "done"


async def test_stuck_is_shown_and_has_two_ways_out(start: Start, registry: Registry[Any]) -> None:
    broken = {"undo"}
    tries: list[int] = []

    @registry.operation("work")
    async def work(op: Op, arguments: dict[str, Any]) -> None:
        async def undo() -> None:
            tries.append(1)
            if broken:
                raise ApiError("HOST.1001", "the host is gone")

        await op.step("a", lambda: asyncio.sleep(0), undo)
        raise ApiError("SYS.1006", "no")

    engine = await start()
    first, second = [await engine.submit("work", {"n": n}) for n in range(2)]
    for uuid in (first, second):
        status = await end_of(engine, uuid)
        assert (status.state, status.error["code"], status.stuck["code"]) == ("stuck", "SYS.1006", "HOST.1001")
    assert {status.uuid for status in await engine.list_stuck()} == {first, second}
    assert len(tries) == 10, "an undo gets several tries"
    assert await engine.give_up(first)
    assert (await end_of(engine, first)).state == "failed"
    broken.clear()
    assert await engine.retry_undo(second)
    deadline = time.monotonic() + 5
    while (status := await end_of(engine, second)).state == "stuck" and time.monotonic() < deadline:
        await asyncio.sleep(0.02)
    assert (status.state, status.stuck) == ("failed", None)
    assert await engine.list_stuck() == []
    assert not await engine.retry_undo(first) and not await engine.give_up(first)


async def test_names_are_unique_and_versions_live_side_by_side(start: Start, registry: Registry[Any]) -> None:
    registry.add("work", lambda op, arguments: asyncio.sleep(0, "old"))
    with pytest.raises(ValueError, match="registered twice"):
        registry.add("work", lambda op, arguments: asyncio.sleep(0))
    registry.add("work", lambda op, arguments: asyncio.sleep(0, "new"), version=2)

    @registry.operation("twice")
    async def twice(op: Op, arguments: dict[str, Any]) -> None:
        await op.step("same", lambda: asyncio.sleep(0))
        await op.step("same", lambda: asyncio.sleep(0))

    engine = await start()
    assert (await end_of(engine, await engine.submit("work", {}))).result == "new"
    assert "ValueError" in (await end_of(engine, await engine.submit("twice", {}))).error["details"]


async def test_progress_is_seen_while_it_runs(start: Start, registry: Registry[Any]) -> None:
    @registry.operation("work")
    async def work(op: Op, arguments: dict[str, Any]) -> None:
        await op.progress(3, 10, "copying")
        await op.step("hang", lambda: asyncio.sleep(60))

    engine = await start()
    uuid = await engine.submit("work", {})
    await asyncio.sleep(0.1)
    status = await engine.wait(uuid, 0)
    assert status is not None and status.progress is not None
    assert (status.state, status.progress.done, status.progress.total, status.progress.text) == (
        "running",
        3,
        10,
        "copying",
    )


async def test_old_ends_are_forgotten_stuck_ones_are_not(start: Start, registry: Registry[Any], db: Database) -> None:
    @registry.operation("work")
    async def work(op: Op, arguments: dict[str, Any]) -> None:
        async def undo() -> None:
            raise ValueError

        await op.step("a", lambda: asyncio.sleep(0), undo)
        if arguments["bad"]:
            raise ValueError

    engine = await start()
    good, bad = await engine.submit("work", {"bad": False}), await engine.submit("work", {"bad": True})
    await end_of(engine, good)
    assert (await end_of(engine, bad)).state == "stuck"
    assert await engine.journal.prune(3600) == 0
    await asyncio.sleep(0.01)
    assert await engine.journal.prune(0) == 1
    assert await engine.get(good) is None and await engine.get(bad) is not None
    assert await db.read(lambda tx: rows.count(tx, "OperationStepVO", operation_uuid=good)) == 0
