"""Alembic's entry: run the migrations on the connection that `store.migrate` hands over."""

from alembic import context

from huntaze_pipeline.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table="huntaze_migrations",
)
with context.begin_transaction():
    context.run_migrations()
