"""Each column of the store holds the longest value that is written to it.

SQLite enforces no width: nothing else shows that a column is too narrow for PostgreSQL.
"""

from typing import Any, Final, get_args

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from features.reference.destinations import destination_names
from features.schema import TABLES
from serving.access.passwords import hash_password
from serving.access.roles import ACCESS, PURPOSES, ROLES
from serving.contract.answers import LegalBasis
from serving.contract.field.decisions import DecisionRequest, OverrideReason
from serving.contract.field.events import EventTable
from serving.contract.field.referral import CaseBasis, CaseRequest, Result, StepRequest
from serving.contract.kept_plan import Status
from serving.contract.plan import PlanAsk
from serving.field.referrals.responsibility import SUBJECTS
from serving.store.database import instant
from serving.store.journal import Kind
from serving.store.tables import METADATA
from serving.web.lists.list_rows import Ask


def most(model: Any, name: str) -> int:
    """Return the longest text that a field of a request takes."""
    return int(model.model_json_schema()["properties"][name]["maxLength"])


def longest(codes: Any) -> int:
    return max(map(len, codes))


def widest_filter() -> int:
    texts = dict.fromkeys(("q", "why", "family", "type", "state", "decided"), "\U0010ffff" * 100)
    return len(Ask(**texts, sort="\U0010ffff" * 100, page=200, all=True).query())


ANY: Final = 10**6  # of no length that is known
WHO: Final = len("oidc:") + 255  # OpenID Connect Core 1.0, section 2
ACCOUNT: Final = 80
AREA: Final = len("division:") + 80
PATTERNS: Final = ("repeat_multiple_sales", "several_dealers", "fast_recovery")
# By column, else by name.
LONGEST: Final = {
    "accounts.name": ACCOUNT, "accounts.password_hash": len(hash_password("a long password")),
    "tokens.account": ACCOUNT, "tokens.label": 80, "sessions.account": ACCOUNT,
    "webhooks.account": ACCOUNT, "webhooks.url": 500, "views.account": WHO, "views.title": 60,
    "views.query": widest_filter(), "audit.action": longest([*ACCESS, "override_legal_gate"]),
    "audit.subject": ANY, "audit.kept": ANY, "lists.area": 64,
    "decisions.decision": len("override"), "decisions.reason": longest(get_args(OverrideReason)),
    "decisions.note": most(DecisionRequest, "note"),
    "decisions.legal_basis": longest(get_args(LegalBasis)), "outcomes.inspection_id": 64,
    "events.source_table": longest(get_args(EventTable)), "events.key": 200,
    "referrals.pattern": longest(PATTERNS), "referrals.destination": longest(destination_names()),
    "referrals.agency": most(StepRequest, "to_agency"),
    "referrals.result": longest(get_args(Result)), "referral_steps.step": len("hand_over"),
    "referral_steps.to_agency": most(StepRequest, "to_agency"),
    "referral_steps.to_who": most(StepRequest, "to_who"),
    "referral_steps.result": longest(get_args(Result)),
    "referral_steps.note": most(StepRequest, "note"),
    "suspensions.why": 2_000, "suspensions.resumed_why": 2_000,
    "case_requests.case_reference": most(CaseRequest, "case_reference"),
    "case_requests.legal_basis": longest(get_args(CaseBasis)),
    "case_requests.agency": most(CaseRequest, "agency"),
    "case_requests.why": most(CaseRequest, "why"),
    "case_requests.decision_note": most(StepRequest, "note"),
    "responsibilities.agency": 120, "responsibilities.area": AREA,
    "responsibilities.subject": longest(SUBJECTS), "responsibilities.contact": 200,
    "changes.kind": longest(get_args(Kind)), "changes.ref": 80, "cursors.name": 18,
    "plans.office": most(PlanAsk, "office"), "plans.status": longest(get_args(Status)),
    "assignments.to": WHO,
    # What an idempotent write kept: an inspection, or a range of events.
    "idempotency.ref": max(64, longest(TABLES) + len(":-") + 2 * 19),
    # By name.
    "role": longest(ROLES), "purpose": longest(PURPOSES), "bundle": ANY, "scored": 6,
    "who": WHO, "owner": WHO, "taken_by": WHO, "resumed_by": WHO, "approver": WHO,
    "dealer": len("1-23-45678"), "list_id": 23, "plan_id": 23, "request_id": 23, "webhook_id": 18,
    "hold_id": 14, "token_id": 12, "store_id": 32, "salt": 32, "csrf": 64, "dedup": 64,
    "sha256": 64, "secret_sha256": 64, "session_sha256": 64, "key_sha256": 64,
    "request_sha256": 64, "previous": 64, "digest": 64, "signature": 64, "key_check": 64,
}  # fmt: skip


def needed(column: sa.Column[Any]) -> int:
    """Return the longest value of a column; one that is not listed above is a KeyError."""
    if column.name == "at" or column.name.endswith("_at"):
        return len(instant())
    return LONGEST.get(f"{column.table.name}.{column.name}") or LONGEST[column.name]


def test_each_column_holds_the_longest_value_written_to_it():
    narrow = {}
    for table in METADATA.sorted_tables:
        for column in table.columns:
            kind = column.type.dialect_impl(postgresql.dialect())
            if isinstance(kind, sa.String) and kind.length is not None:
                if kind.length < needed(column):
                    narrow[str(column)] = (kind.length, needed(column))
            elif isinstance(kind, sa.String):
                needed(column)
    assert narrow == {}
