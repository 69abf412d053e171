"""Engines over one database, as many nodes as a test starts."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from controlplane.operations.engine import Engine
from controlplane.operations.registry import Registry
from controlplane.store.database import Database
from controlplane.store.journal import StoreJournal


@pytest.fixture
def registry() -> Registry[Any]:
    return Registry()


Start = Callable[..., Awaitable[Engine[Any]]]


@pytest.fixture
async def start(db: Database, registry: Registry[Any]) -> AsyncIterator[Start]:
    """`await start("a")` starts a node, with a `Database` of its own (like a process of its own) for every name but "a"."""
    engines: list[Engine[Any]] = []
    databases: list[Database] = []

    async def begin(node: str = "a", **options: Any) -> Engine[Any]:
        own = db
        if node != "a":
            own = Database(db.url)
            databases.append(own)
        settings = {"lease": 1.0, "poll": 0.05} | options
        engine = Engine(StoreJournal(own), registry, {"node": node}, node.ljust(32, "0"), **settings)
        await engine.start()
        engines.append(engine)
        return engine

    yield begin
    for engine in engines:
        await engine.stop()
    for database in databases:
        database.close()
