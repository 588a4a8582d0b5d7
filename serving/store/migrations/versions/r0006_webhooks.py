"""What was kept under a key is named with it, and webhooks are told of what is written."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_WHO = sa.String(length=120).with_variant(sa.String(length=300), "postgresql")


def upgrade() -> None:
    """Add the column and create the table."""
    ref = sa.Column("ref", sa.String(length=80), server_default="", nullable=False)
    with op.batch_alter_table("idempotency") as batch:
        batch.add_column(ref)
    op.create_table(
        "webhooks",
        sa.Column("webhook_id", sa.String(length=40), nullable=False),
        sa.Column("url", sa.String(length=500), nullable=False),
        sa.Column("kinds", sa.JSON(), nullable=False),
        sa.Column("account", sa.String(length=80), nullable=False),
        sa.Column("salt", sa.String(length=64), nullable=False),
        sa.Column("who", _WHO, nullable=False),
        sa.Column("at", sa.String(length=32), nullable=False),
        sa.Column("removed_at", sa.String(length=32), nullable=True),
        sa.ForeignKeyConstraint(["account"], ["accounts.name"], name=op.f("fk_webhooks_account")),
        sa.PrimaryKeyConstraint("webhook_id", name=op.f("pk_webhooks")),
    )


def downgrade() -> None:
    """Remove both."""
    op.drop_table("webhooks")
    with op.batch_alter_table("idempotency") as batch:
        batch.drop_column("ref")
