"""Runs the steps on the connection that schema.py hands over, inside its transaction.

Not for Alembic's own command line, except `alembic revision`, which only writes a file.
"""

from alembic import context

from gpuqueue_spawner.store.tables import metadata

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    version_table=context.config.attributes["version_table"],
    transactional_ddl=True,  # SQLite can, although Alembic assumes that it cannot; MySQL: interrupted.py
    render_as_batch=connection.dialect.name == "sqlite",
)
with context.begin_transaction():
    context.run_migrations()
