"""The first schema. Until the first release it follows `tables.py`; afterwards each change is a revision of its own."""

from alembic import op

from controlplane.store.tables import metadata

revision = "0001"
down_revision = None


def upgrade() -> None:
    metadata.create_all(op.get_bind())


def downgrade() -> None:
    metadata.drop_all(op.get_bind())
