"""Rows of lists are handed over, and views saved by name."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_SEQUENCE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "assignments",
        sa.Column("assignment_id", _SEQUENCE, autoincrement=True, nullable=False),
        sa.Column("list_id", sa.String(length=40), nullable=False),
        sa.Column("dealer", sa.String(length=16), nullable=False),
        sa.Column("to", sa.String(length=120), nullable=False),
        sa.Column("who", sa.String(length=120), nullable=False),
        sa.Column("at", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(
            ["list_id"], ["lists.list_id"], name=op.f("fk_assignments_list_id")
        ),
        sa.PrimaryKeyConstraint("assignment_id", name=op.f("pk_assignments")),
    )
    op.create_index(op.f("ix_assignments_list_id"), "assignments", ["list_id"])
    op.create_table(
        "views",
        sa.Column("account", sa.String(length=120), nullable=False),
        sa.Column("title", sa.String(length=60), nullable=False),
        sa.Column("query", sa.String(length=1000), nullable=False),
        sa.Column("at", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("account", "title", name=op.f("pk_views")),
    )


def downgrade() -> None:
    """Remove the tables."""
    op.drop_table("views")
    op.drop_table("assignments")
