"""What several workers and homes follow, whose store and key this is, and writes told twice."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_SEQUENCE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "changes",
        sa.Column("seq", _SEQUENCE, autoincrement=False, nullable=False),
        sa.Column("at", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("ref", sa.String(length=80), nullable=False),
        sa.Column("dealers", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_changes")),
    )
    op.create_index(op.f("ix_changes_kind"), "changes", ["kind"])
    op.create_table(
        "changes_head",
        sa.Column("one", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("seq", _SEQUENCE, nullable=False),
        sa.PrimaryKeyConstraint("one", name=op.f("pk_changes_head")),
    )
    op.create_table(
        "identity",
        sa.Column("one", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("store_id", sa.String(length=32), nullable=False),
        sa.Column("key_check", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("one", name=op.f("pk_identity")),
    )
    op.create_table(
        "cursors",
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("seq", _SEQUENCE, nullable=False),
        sa.Column("n_failed", sa.Integer(), nullable=False),
        sa.Column("at", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_cursors")),
    )
    op.create_table(
        "idempotency",
        sa.Column("key_sha256", sa.String(length=64), nullable=False),
        sa.Column("request_sha256", sa.String(length=64), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("key_sha256", name=op.f("pk_idempotency")),
    )
    op.create_index(op.f("ix_idempotency_at"), "idempotency", ["at"])


def downgrade() -> None:
    """Remove them."""
    for name in ("idempotency", "cursors", "identity", "changes_head", "changes"):
        op.drop_table(name)
