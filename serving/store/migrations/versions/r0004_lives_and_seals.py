"""Sealed audit head, sessions of any identity, lives of referrals, suspensions, case requests.

Sessions are not carried over: everybody signs in once more.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from serving.store.migrations.versions.r0001_first_tables import sessions_table

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_SEQUENCE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_WHO = sa.String(length=120).with_variant(sa.String(length=300), "postgresql")
# An issuer may name a person in up to 255 characters; SQLite never enforced the 120.
_NAMES = (
    ("audit", "who", False),
    ("lists", "owner", False),
    ("decisions", "who", False),
    ("outcomes", "who", False),
    ("events", "who", False),
    ("referrals", "taken_by", True),
    ("plans", "owner", False),
    ("plans", "who", False),
)


def upgrade() -> None:
    """Add what is new."""
    if op.get_context().dialect.name == "postgresql":
        for table, name, is_nullable in _NAMES:
            op.alter_column(table, name, type_=sa.String(length=300), existing_nullable=is_nullable)
    op.add_column("audit", sa.Column("kept", sa.String(), nullable=True))
    op.add_column("audit_head", sa.Column("signature", sa.String(length=64), nullable=True))
    for column in (
        sa.Column("destination", sa.String(length=8), nullable=True),
        sa.Column("agency", sa.String(length=120), nullable=True),
        sa.Column("result", sa.String(length=40), nullable=True),
        sa.Column("closed_at", sa.String(length=32), nullable=True),
    ):
        op.add_column("referrals", column)
    op.drop_table("sessions")
    op.create_table(
        "sessions",
        sa.Column("session_sha256", sa.String(length=64), nullable=False),
        sa.Column("who", _WHO, nullable=False),
        sa.Column("account", sa.String(length=80), nullable=True),
        sa.Column("token_id", sa.String(length=16), nullable=True),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("areas", sa.JSON(), nullable=False),
        sa.Column("csrf", sa.String(length=64), nullable=False),
        sa.Column("purpose", sa.String(length=32), nullable=False),
        sa.Column("created_at", sa.String(length=32), nullable=False),
        sa.Column("expires_at", sa.String(length=32), nullable=False),
        sa.Column("revoked_at", sa.String(length=32), nullable=True),
        sa.ForeignKeyConstraint(["account"], ["accounts.name"], name=op.f("fk_sessions_account")),
        sa.ForeignKeyConstraint(
            ["token_id"], ["tokens.token_id"], name=op.f("fk_sessions_token_id")
        ),
        sa.PrimaryKeyConstraint("session_sha256", name=op.f("pk_sessions")),
    )
    op.create_index(op.f("ix_sessions_who"), "sessions", ["who"], unique=False)
    _create_lives()


def _create_lives() -> None:
    op.create_table(
        "referral_steps",
        sa.Column("step_id", _SEQUENCE, autoincrement=True, nullable=False),
        sa.Column("referral_id", _SEQUENCE, nullable=False),
        sa.Column("step", sa.String(length=16), nullable=False),
        sa.Column("who", _WHO, nullable=False),
        sa.Column("to_agency", sa.String(length=120), nullable=False),
        sa.Column("to_who", _WHO, nullable=False),
        sa.Column("result", sa.String(length=40), nullable=False),
        sa.Column("note", sa.String(length=2000), nullable=False),
        sa.Column("at", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(
            ["referral_id"],
            ["referrals.referral_id"],
            name=op.f("fk_referral_steps_referral_id"),
        ),
        sa.PrimaryKeyConstraint("step_id", name=op.f("pk_referral_steps")),
    )
    op.create_index(
        op.f("ix_referral_steps_referral_id"), "referral_steps", ["referral_id"], unique=False
    )
    op.create_table(
        "suspensions",
        sa.Column("suspension_id", _SEQUENCE, autoincrement=True, nullable=False),
        sa.Column("why", sa.String(length=2000), nullable=False),
        sa.Column("who", _WHO, nullable=False),
        sa.Column("at", sa.String(length=32), nullable=False),
        sa.Column("resumed_why", sa.String(length=2000), nullable=True),
        sa.Column("resumed_by", _WHO, nullable=True),
        sa.Column("resumed_at", sa.String(length=32), nullable=True),
        sa.PrimaryKeyConstraint("suspension_id", name=op.f("pk_suspensions")),
    )
    op.create_table(
        "case_requests",
        sa.Column("request_id", sa.String(length=40), nullable=False),
        sa.Column("case_reference", sa.String(length=80), nullable=False),
        sa.Column("legal_basis", sa.String(length=40), nullable=False),
        sa.Column("agency", sa.String(length=120), nullable=False),
        sa.Column("why", sa.String(length=2000), nullable=False),
        sa.Column("dealers", sa.JSON(), nullable=False),
        sa.Column("who", _WHO, nullable=False),
        sa.Column("at", sa.String(length=32), nullable=False),
        sa.Column("approver", _WHO, nullable=False),
        sa.Column("approved", sa.JSON(), nullable=True),
        sa.Column("decided_at", sa.String(length=32), nullable=True),
        sa.Column("decision_note", sa.String(length=2000), nullable=True),
        sa.Column("expires_at", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("request_id", name=op.f("pk_case_requests")),
    )
    op.create_index(op.f("ix_case_requests_at"), "case_requests", ["at"], unique=False)
    op.create_table(
        "responsibilities",
        sa.Column("responsibility_id", _SEQUENCE, autoincrement=True, nullable=False),
        sa.Column("agency", sa.String(length=120), nullable=False),
        sa.Column("area", sa.String(length=120), nullable=False),
        sa.Column("subject", sa.String(length=40), nullable=False),
        sa.Column("contact", sa.String(length=200), nullable=False),
        sa.Column("starts_on", sa.Date(), nullable=False),
        sa.Column("ends_on", sa.Date(), nullable=True),
        sa.Column("who", _WHO, nullable=False),
        sa.Column("at", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("responsibility_id", name=op.f("pk_responsibilities")),
    )


def downgrade() -> None:
    """Remove what was added."""
    op.drop_table("responsibilities")
    op.drop_index(op.f("ix_case_requests_at"), table_name="case_requests")
    op.drop_table("case_requests")
    op.drop_table("suspensions")
    op.drop_index(op.f("ix_referral_steps_referral_id"), table_name="referral_steps")
    op.drop_table("referral_steps")
    op.drop_index(op.f("ix_sessions_who"), table_name="sessions")
    op.drop_table("sessions")
    sessions_table()
    for name in ("closed_at", "result", "agency", "destination"):
        op.drop_column("referrals", name)
    op.drop_column("audit_head", "signature")
    op.drop_column("audit", "kept")
