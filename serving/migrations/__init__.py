"""Alembic's scripts; `serving.store` runs them."""
