"""Alembic's scripts; `serving.store.database` runs them."""
