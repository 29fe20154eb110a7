"""What Alembic runs for every command: our connection, our tables."""

from alembic import context

from workers.store.metadata import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
