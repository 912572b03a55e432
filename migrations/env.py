"""Run the migrations over the connection that `mlops.warehouse.migrate` hands in."""

from alembic import context

connection = context.config.attributes["connection"]
context.configure(connection=connection, version_table_schema="public", transaction_per_migration=False)
with context.begin_transaction():
    context.run_migrations()
