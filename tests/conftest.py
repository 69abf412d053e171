"""For everything: databases, on SQLite and on PostgreSQL; and which tests never run beside one another.

Journeys boot several guests at a time and tests of the host agent one: each is one group, done by one worker in its order.
All other tests go to whoever is free.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from controlplane.store import schema
from controlplane.store.database import Database
from tests import postgres

GROUPS = {"journeys": "journeys", "lab": "journeys", "hostagent": "hostagent"}  # folder → group


class ByGroup(LoadScopeScheduling):  # type: ignore[misc]
    def _split_scope(self, nodeid: str) -> str:
        _, folder, *_ = nodeid.split("/")
        return GROUPS.get(folder, nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByGroup:
    return ByGroup(config, log)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[postgres.Server]:
    with postgres.server() as server:
        yield server


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def db_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database, once on each kind of server."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/steppe.db"
    server: postgres.Server = request.getfixturevalue("postgres_server")
    return server.create()


@pytest.fixture
def db(db_url: str) -> Iterator[Database]:
    database = Database(db_url)
    schema.upgrade(database)
    yield database
    database.close()
