"""Runs the migrations on the connection that `database.upgrade` holds."""

from alembic import context

from database import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
context.run_migrations()
