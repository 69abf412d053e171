"""Brings a database to the current schema: alembic revisions of `migrations/`, run at every start."""

from pathlib import Path

from alembic import command
from alembic.config import Config

from controlplane.store.database import Database

_MIGRATIONS = Path(__file__).parent / "migrations"


def upgrade(db: Database, revision: str = "head") -> None:
    """Run what is missing, in one transaction. Two nodes that start at once wait for each other (PostgreSQL)."""
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    with db.engine.connect().execution_options(steppe_write=True) as connection, connection.begin():
        if not db.is_sqlite:
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtext('steppe schema'))")
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
