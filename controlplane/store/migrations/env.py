"""Alembic's entry: works on the connection that `schema.upgrade` holds, never on one of its own."""

from alembic import context

from controlplane.store.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
context.run_migrations()
