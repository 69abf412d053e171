"""Migrations bring a database to what `tables.py` says, and may run again."""

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from controlplane.store import schema, tables
from controlplane.store.database import Database


def test_migrated_schema_and_tables_are_equal(db: Database) -> None:
    schema.upgrade(db)

    def differences(tx: object) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(tx), tables.metadata))  # type: ignore[arg-type]

    assert db.read_now(differences) == []


def test_every_table_has_a_single_key() -> None:
    """`rows` finds a row by one value."""
    compound = [name for name, table in tables.metadata.tables.items() if len(table.primary_key.columns) != 1]
    assert compound == ["OperationStepVO"]
