"""Alembic's entry; `service.core.database.upgrade` hands over a connection in a transaction."""

from alembic import context

from service.core.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=False,  # the caller's transaction, which also holds the migration lock
)
context.run_migrations()
