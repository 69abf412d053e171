"""Fixtures for everything: databases, on SQLite and on PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from controlplane.store import schema
from controlplane.store.database import Database
from tests import postgres


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
