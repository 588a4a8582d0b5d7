"""The tables of the store. Audit, lists, decisions, outcomes, events and plans are append-only."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Date,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    UniqueConstraint,
)

# Constraints carry names so that migrations can address them on every engine.
METADATA: Final = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_N_label)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# Instants are UTC in ISO 8601 text with microseconds: they sort and print alike everywhere.
INSTANT: Final = String(32)
# A local account, or `oidc:` and up to 255 characters of the issuer's making: never cut, for two
# people cut to the same name would be one. SQLite does not enforce a length.
WHO: Final = String(120).with_variant(String(300), "postgresql")
DESTINATION: Final = String(8).with_variant(String(40), "postgresql")
# The name of a bundle is its recipe's; a character of a filter is up to twelve in an address.
BUNDLE: Final = String(80).with_variant(String(), "postgresql")
FILTER: Final = String(1000).with_variant(String(), "postgresql")
# SQLite gives a 64-bit rowid only to INTEGER.
SEQUENCE: Final = BigInteger().with_variant(Integer(), "sqlite")

ACCOUNTS: Final = Table(
    "accounts",
    METADATA,
    Column("name", String(80), primary_key=True),
    Column("role", String(16), nullable=False),
    Column("areas", JSON, nullable=False),
    Column("password_hash", String(200)),
    Column("is_active", Boolean, nullable=False),
    Column("created_at", INSTANT, nullable=False),
)

TOKENS: Final = Table(
    "tokens",
    METADATA,
    Column("token_id", String(16), primary_key=True),
    Column("account", String(80), ForeignKey("accounts.name"), nullable=False, index=True),
    Column("label", String(80), nullable=False),
    Column("secret_sha256", String(64), nullable=False),
    Column("created_at", INSTANT, nullable=False),
    Column("expires_at", INSTANT, nullable=False),
    Column("revoked_at", INSTANT),
)

SESSIONS: Final = Table(
    "sessions",
    METADATA,
    Column("session_sha256", String(64), primary_key=True),
    Column("who", WHO, nullable=False, index=True),
    # Of a local account, with the token it signed in with, if any; neither of an issuer's identity.
    Column("account", String(80), ForeignKey("accounts.name")),
    Column("token_id", String(16), ForeignKey("tokens.token_id")),
    Column("role", String(16), nullable=False),
    Column("areas", JSON, nullable=False),
    Column("csrf", String(64), nullable=False),
    Column("purpose", String(32), nullable=False),
    Column("created_at", INSTANT, nullable=False),
    Column("expires_at", INSTANT, nullable=False),
    Column("revoked_at", INSTANT),
)

AUDIT: Final = Table(
    "audit",
    METADATA,
    Column("seq", SEQUENCE, primary_key=True, autoincrement=False),
    Column("at", INSTANT, nullable=False, index=True),
    Column("who", WHO, nullable=False, index=True),
    Column("role", String(16), nullable=False),
    Column("purpose", String(32), nullable=False),
    Column("action", String(40), nullable=False),
    Column("subject", String, nullable=False),
    Column("bundle", BUNDLE, nullable=False),
    Column("scored", String(80), nullable=False),
    Column("list_id", String(40), nullable=False),
    Column("previous", String(64), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("kept", String),  # kind, key and digest of the row written with the record
)

# One row: the end of the chain, signed. A chain shorter than its head has lost records.
AUDIT_HEAD: Final = Table(
    "audit_head",
    METADATA,
    Column("one", Integer, primary_key=True, autoincrement=False),
    Column("seq", SEQUENCE, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("signature", String(64)),
)

LISTS: Final = Table(
    "lists",
    METADATA,
    Column("list_id", String(40), primary_key=True),
    Column("issued_at", INSTANT, nullable=False, index=True),
    Column("owner", WHO, nullable=False, index=True),
    Column("area", String(200), nullable=False),
    Column("as_of", Date, nullable=False),
    Column("bundle", BUNDLE, nullable=False),
    Column("scored", String(80), nullable=False),
    Column("recipe", JSON, nullable=False),  # what rebuilds it; never shown: it names holds
    Column("document", LargeBinary, nullable=False),
    Column("sha256", String(64), nullable=False),
)

DECISIONS: Final = Table(
    "decisions",
    METADATA,
    Column("decision_id", SEQUENCE, primary_key=True, autoincrement=True),
    Column("list_id", String(40), ForeignKey("lists.list_id"), nullable=False),
    Column("dealer", String(16), nullable=False),
    Column("decision", String(16), nullable=False),
    Column("reason", String(40), nullable=False),
    Column("note", String(2000), nullable=False),
    Column("legal_basis", String(40), nullable=False),
    Column("priority", Float),
    Column("who", WHO, nullable=False),
    Column("at", INSTANT, nullable=False),
    Index("ix_decisions_list_dealer", "list_id", "dealer"),
)

OUTCOMES: Final = Table(
    "outcomes",
    METADATA,
    Column("outcome_id", SEQUENCE, primary_key=True, autoincrement=True),
    Column("inspection_id", String(64), nullable=False),
    Column("version", Integer, nullable=False),
    Column("dealer", String(16), nullable=False, index=True),
    Column("document", JSON, nullable=False),
    Column("list_id", String(40), nullable=False),
    Column("who", WHO, nullable=False),
    Column("at", INSTANT, nullable=False),
    Column("collected_at", INSTANT),
    UniqueConstraint("inspection_id", "version"),
)

EVENTS: Final = Table(
    "events",
    METADATA,
    Column("event_id", SEQUENCE, primary_key=True, autoincrement=True),
    Column("source_table", String(32), nullable=False),
    Column("key", String(200), nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("dealer", String(16), index=True),
    Column("document", JSON, nullable=False),
    Column("who", WHO, nullable=False),
    Column("at", INSTANT, nullable=False),
    Column("collected_at", INSTANT),
    UniqueConstraint("source_table", "key", "sha256"),
)

HOLDS: Final = Table(
    "holds",
    METADATA,
    Column("hold_id", String(64), primary_key=True),
    Column("dealer", String(16), nullable=False, index=True),
    Column("starts_on", Date, nullable=False),
    Column("ends_on", Date),
    Column("owners", JSON, nullable=False),
    Column("created_at", INSTANT, nullable=False),
)

REFERRALS: Final = Table(
    "referrals",
    METADATA,
    Column("referral_id", SEQUENCE, primary_key=True, autoincrement=True),
    Column("pattern", String(40), nullable=False),
    Column("dedup", String(64), nullable=False, unique=True),
    Column("dealers", JSON, nullable=False),
    Column("evidence", JSON, nullable=False),
    Column("opened_at", INSTANT, nullable=False),
    Column("taken_by", WHO),
    Column("taken_at", INSTANT),
    Column("destination", DESTINATION),
    Column("agency", String(120)),
    Column("result", String(40)),
    Column("closed_at", INSTANT),
)

REFERRAL_STEPS: Final = Table(
    "referral_steps",
    METADATA,
    Column("step_id", SEQUENCE, primary_key=True, autoincrement=True),
    Column(
        "referral_id", SEQUENCE, ForeignKey("referrals.referral_id"), nullable=False, index=True
    ),
    Column("step", String(16), nullable=False),
    Column("who", WHO, nullable=False),
    Column("to_agency", String(120), nullable=False),
    Column("to_who", WHO, nullable=False),
    Column("result", String(40), nullable=False),
    Column("note", String(2000), nullable=False),
    Column("at", INSTANT, nullable=False),
)

SUSPENSIONS: Final = Table(
    "suspensions",
    METADATA,
    Column("suspension_id", SEQUENCE, primary_key=True, autoincrement=True),
    Column("why", String(2000), nullable=False),
    Column("who", WHO, nullable=False),
    Column("at", INSTANT, nullable=False),
    Column("resumed_why", String(2000)),
    Column("resumed_by", WHO),
    Column("resumed_at", INSTANT),
)

CASE_REQUESTS: Final = Table(
    "case_requests",
    METADATA,
    Column("request_id", String(40), primary_key=True),
    Column("case_reference", String(80), nullable=False),
    Column("legal_basis", String(40), nullable=False),
    Column("agency", String(120), nullable=False),
    Column("why", String(2000), nullable=False),
    Column("dealers", JSON, nullable=False),
    Column("who", WHO, nullable=False),
    Column("at", INSTANT, nullable=False, index=True),
    Column("approver", WHO, nullable=False),
    Column("approved", JSON),
    Column("decided_at", INSTANT),
    Column("decision_note", String(2000)),
    Column("expires_at", INSTANT, nullable=False),
)

# Which agency answers for what, where and since when.
RESPONSIBILITIES: Final = Table(
    "responsibilities",
    METADATA,
    Column("responsibility_id", SEQUENCE, primary_key=True, autoincrement=True),
    Column("agency", String(120), nullable=False),
    Column("area", String(120), nullable=False),
    Column("subject", String(40), nullable=False),
    Column("contact", String(200), nullable=False),
    Column("starts_on", Date, nullable=False),
    Column("ends_on", Date),
    Column("who", WHO, nullable=False),
    Column("at", INSTANT, nullable=False),
)

# Every write that others must follow, in the order of its commits: the head row is locked from the
# number's taking to the commit, so a reader that has seen number n has seen all before it.
CHANGES: Final = Table(
    "changes",
    METADATA,
    Column("seq", SEQUENCE, primary_key=True, autoincrement=False),
    Column("at", INSTANT, nullable=False),
    Column("kind", String(16), nullable=False, index=True),
    Column("ref", String(80), nullable=False),
    Column("dealers", JSON, nullable=False),
)

CHANGES_HEAD: Final = Table(
    "changes_head",
    METADATA,
    Column("one", Integer, primary_key=True, autoincrement=False),
    Column("seq", SEQUENCE, nullable=False),
)

# One row: which store this is, and what shows that an audit key is the one of its chain.
IDENTITY: Final = Table(
    "identity",
    METADATA,
    Column("one", Integer, primary_key=True, autoincrement=False),
    Column("store_id", String(32), nullable=False),
    Column("key_check", String(64)),
)

# How far something that follows the changes has come: a webhook, by its name.
CURSORS: Final = Table(
    "cursors",
    METADATA,
    Column("name", String(80), primary_key=True),
    Column("seq", SEQUENCE, nullable=False),
    Column("n_failed", Integer, nullable=False),
    Column("at", INSTANT, nullable=False),
)

# What was answered to a write that named a key, to give the same answer to the same write again.
IDEMPOTENCY: Final = Table(
    "idempotency",
    METADATA,
    Column("key_sha256", String(64), primary_key=True),
    Column("request_sha256", String(64), nullable=False),
    Column("status", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("at", INSTANT, nullable=False, index=True),
    Column("ref", String(80), nullable=False, server_default=""),  # what was kept
)

PLANS: Final = Table(
    "plans",
    METADATA,
    Column("plan_id", String(40), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("office", String(80), nullable=False, index=True),
    Column("starts_on", Date, nullable=False),
    Column("status", String(16), nullable=False),
    Column("owner", WHO, nullable=False, index=True),
    Column("who", WHO, nullable=False),
    Column("at", INSTANT, nullable=False),
    Column("investigators", JSON, nullable=False),
    Column("document", LargeBinary, nullable=False),
    Column("sha256", String(64), nullable=False),
)

ASSIGNMENTS: Final = Table(
    "assignments",
    METADATA,
    Column("assignment_id", SEQUENCE, primary_key=True, autoincrement=True),
    Column("list_id", String(40), ForeignKey("lists.list_id"), nullable=False, index=True),
    Column("dealer", String(16), nullable=False),
    Column("to", WHO, nullable=False),
    Column("who", WHO, nullable=False),
    Column("at", INSTANT, nullable=False),
)

VIEWS: Final = Table(
    "views",
    METADATA,
    Column("account", WHO, primary_key=True),
    Column("title", String(60), primary_key=True),
    Column("query", FILTER, nullable=False),
    Column("at", INSTANT, nullable=False),
)

# Who is told of what is written. The secret is kept nowhere: it follows from the audit's key and
# the salt.
WEBHOOKS: Final = Table(
    "webhooks",
    METADATA,
    Column("webhook_id", String(40), primary_key=True),
    Column("url", String(500), nullable=False),
    Column("kinds", JSON, nullable=False),
    Column("account", String(80), ForeignKey("accounts.name"), nullable=False),
    Column("salt", String(64), nullable=False),
    Column("who", WHO, nullable=False),
    Column("at", INSTANT, nullable=False),
    Column("removed_at", INSTANT),
)
