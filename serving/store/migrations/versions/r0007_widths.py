"""Columns are as wide as what is written to them; SQLite never enforced a width."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_WIDTHS = (
    ("referrals", "destination", 40, True),
    ("assignments", "to", 300, False),
    ("assignments", "who", 300, False),
    ("views", "account", 300, False),
    ("views", "query", None, False),
    ("audit", "bundle", None, False),
    ("lists", "bundle", None, False),
)


def upgrade() -> None:
    """Widen the columns."""
    if op.get_context().dialect.name == "postgresql":
        for table, name, width, is_nullable in _WIDTHS:
            op.alter_column(
                table, name, type_=sa.String(length=width), existing_nullable=is_nullable
            )


def downgrade() -> None:
    """Leave the widths: what was written since may need them."""
