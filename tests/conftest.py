"""For everything: databases, on SQLite and on PostgreSQL; and which tests never run beside one another.

Journeys boot several guests at a time and tests of the host agent one: each is one group, done by one worker in its order,
the longest first. All other tests go to whoever is free.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from controlplane.store import schema
from controlplane.store.database import Database
from tests import postgres

GROUPS = {"journeys": "journeys", "lab": "journeys", "hostagent": "hostagent"}  # folder → group


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here, order = Path(__file__).parent, ["journeys", "hostagent", None]

    def group(item: pytest.Item) -> str | None:
        return GROUPS.get(item.path.relative_to(here).parts[0]) if item.path.is_relative_to(here) else None

    for item in items:
        if name := group(item):
            item.add_marker(pytest.mark.xdist_group(name))
    items.sort(key=lambda item: order.index(group(item)))


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
