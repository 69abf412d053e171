"""The harness on toy workflows, and the proof that it would notice a workflow that breaks the law."""

import contextlib
import functools
import itertools
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from controlplane.operations.interface import Operation
from controlplane.operations.registry import Registry
from controlplane.store import rows
from tests.controlplane import harness
from tests.controlplane.operations import toys

CASES = [
    harness.Case("create", {"name": "vm"}),
    harness.Case("side by side", {"parts": 3}),
    harness.Case("grouped", {"parts": 3}),
    harness.Case("commit and tell", {}),
    harness.Case("nothing", {}),
]


def factory(tmp_path: Path) -> harness.Factory:
    return functools.partial(toys.scene, tmp_path, itertools.count().__next__)


@pytest.mark.parametrize("kind", harness.KINDS)
@pytest.mark.parametrize("case", CASES, ids=str)
async def test_law(tmp_path: Path, case: harness.Case, kind: harness.Kind) -> None:
    await harness.check(factory(tmp_path), case, kind)


def test_every_toy_has_a_case() -> None:
    assert {case.workflow for case in CASES} == {name for name, _ in toys.registry.kinds()}


async def _forgets_undo(op: Operation[toys.Host], arguments: dict[str, Any]) -> None:
    await op.step("put", lambda: op.world.put("left behind", "x"))
    await op.step("end", lambda: op.world.put("b", "x"), lambda: op.world.remove("b"))


async def _not_idempotent(op: Operation[toys.Host], arguments: dict[str, Any]) -> None:
    async def count() -> None:
        await op.world.put("n", op.world.things.get("n", "") + "x")

    await op.step("count", count, lambda: op.world.remove("n"))


async def _undo_of_another(op: Operation[toys.Host], arguments: dict[str, Any]) -> None:
    uuid = op.derive("zone")
    await op.tx_step("insert", lambda tx: rows.insert(tx, "ZoneVO", uuid=uuid, name="z")["uuid"], lambda tx, _: None)
    await op.step("put", lambda: op.world.put("a", "x"), lambda: op.world.remove("a"))


async def _random_name(op: Operation[toys.Host], arguments: dict[str, Any]) -> None:
    name = f"thing {len(op.world.things)} {id(op)}"
    await op.step("put", lambda: op.world.put(name, "x"), lambda: op.world.remove(name))


@pytest.mark.parametrize(
    ("function", "kind"),
    [(_forgets_undo, "fail"), (_not_idempotent, "lose"), (_undo_of_another, "cancel"), (_random_name, "crash")],
)
async def test_the_harness_notices(tmp_path: Path, function: Callable[..., Any], kind: harness.Kind) -> None:
    make = factory(tmp_path)
    bad: Registry[Any] = Registry()
    bad.add("bad", function)

    @contextlib.asynccontextmanager
    async def bad_scene() -> AsyncIterator[harness.Scene]:
        async with make() as scene:
            scene.registry = bad
            yield scene

    with pytest.raises(AssertionError, match=r"is  |ignored"):
        await harness.check(bad_scene, harness.Case("bad", {}), kind)
