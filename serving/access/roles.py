"""The roles, which of them may use which route, and when a purpose is needed: one table of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, Literal, get_args

from serving.errors import ForbiddenRoleError, PurposeError

if TYPE_CHECKING:
    from serving.access.accounts import Principal

Role = Literal[
    "inspector", "supervisor", "analyst", "scheduler", "partner", "agent", "auditor", "admin"
]
ROLES: Final[tuple[str, ...]] = get_args(Role)
# Roles that look at the whole country unless they are given an area.
NATIONAL: Final = frozenset({"analyst", "scheduler"})
# What a role is beside the routes that it may use; a rule about roles asks these, never a name.
NEEDS_OFFICE: Final = frozenset({"inspector"})
NEEDS_AREA: Final = frozenset({"supervisor", "agent"})
LEADS: Final = frozenset({"supervisor"})  # answers for an area: reads, decides and approves in it
OVERSEES: Final = frozenset({"auditor"})  # reads what anybody made, and who did what with it
RUNS_SCHEDULE: Final = frozenset({"scheduler"})  # reads what the schedule issued
READS_OWN_DECISIONS: Final = frozenset({"inspector"})
PUBLIC_ONLY: Final = frozenset({"partner"})  # gets what may be shown to anyone
Purpose = Literal["licensing", "criminal_investigation", "statistics"]
PURPOSES: Final[tuple[str, ...]] = get_args(Purpose)

FIELD: Final = frozenset({"inspector", "supervisor"})

ACCESS: Final[Mapping[str, frozenset[str]]] = {
    "score": frozenset({"scheduler", "supervisor", "analyst"}),
    "export": frozenset({"scheduler", "supervisor", "analyst"}),
    "score_features": frozenset({"analyst"}),
    "rank": frozenset({"inspector", "supervisor", "scheduler"}),
    "explain": frozenset({"inspector", "supervisor", "analyst"}),
    "plan": frozenset({"supervisor", "scheduler"}),
    "plans": frozenset({"inspector", "supervisor", "scheduler"}),
    "decisions": FIELD,
    "outcomes": FIELD,
    "decisions_read": FIELD | {"scheduler"},
    "outcomes_read": FIELD | {"scheduler"},
    "events": frozenset({"scheduler"}),  # a feed is a machine
    "changes": frozenset({"supervisor", "scheduler"}),
    "lists": frozenset({"inspector", "supervisor", "scheduler", "auditor"}),
    "dealers": frozenset({"inspector", "supervisor", "analyst"}),
    "referrals": frozenset({"supervisor", "agent", "scheduler"}),  # a scheduler reads alone
    "referral_steps": frozenset({"supervisor", "agent"}),
    "case_ask": frozenset({"agent"}),
    "case_decide": frozenset({"supervisor"}),
    "case_read": frozenset({"agent", "supervisor"}),
    "responsibilities": frozenset(
        {"inspector", "supervisor", "analyst", "scheduler", "partner", "agent", "auditor"}
    ),
    "audit": frozenset({"auditor"}),
    "shares": frozenset({"partner", "supervisor", "analyst", "scheduler"}),
    "flows": frozenset({"inspector", "supervisor", "analyst"}),
    "completeness": frozenset({"supervisor", "analyst", "scheduler"}),
    "repeats": frozenset({"supervisor"}),
    "staffing": frozenset({"supervisor", "analyst", "scheduler"}),
    "page": frozenset({"inspector", "supervisor", "analyst", "scheduler"}),
    "measures": frozenset(
        {"partner", "inspector", "supervisor", "analyst", "scheduler", "auditor"}
    ),
}

# Pages that a role may open and finds by another way, or has a better one for.
NOT_IN_NAVIGATION: Final[Mapping[str, frozenset[str]]] = {
    "/plans": ACCESS["plan"],
    "/responsibilities": frozenset({"inspector", "analyst", "scheduler"}),
    "/shares": frozenset({"supervisor", "analyst", "scheduler"}),
}

# What shows one dealer's data: `statistics` reaches none of it.
DEALER_LEVEL: Final = frozenset(
    {
        "score", "score_features", "rank", "explain", "plan", "plans", "decisions", "outcomes",
        "lists", "dealers", "referrals", "referral_steps", "case_ask", "case_decide", "case_read",
        "page", "flows", "changes", "repeats", "decisions_read", "outcomes_read", "export",
    }
)  # fmt: skip


def one(role: str) -> str:
    """Return a role as a sentence begins with it.

    >>> one("agent"), one("supervisor")
    ('An agent', 'A supervisor')
    """
    return f"{'An' if role[0] in 'aeiou' else 'A'} {role}"


def check_role(principal: Principal, action: str) -> None:
    """Refuse a role that may not use a route."""
    if principal.role not in ACCESS[action]:
        raise ForbiddenRoleError(
            f"The role {principal.role} may not do or see this.",
            expected=" or ".join(sorted(ACCESS[action])),
            fix="ask for an account with that role",
        )


def require_known(purpose: str | None) -> None:
    """Refuse a purpose that is stated and is none, wherever it is stated and needed or not.

    Raises
    ------
    PurposeError
        When it is not one of `PURPOSES`.
    """
    if purpose is not None and purpose not in PURPOSES:
        raise PurposeError("The purpose is not one of those known.", expected=", ".join(PURPOSES))


def check_purpose(action: str, purpose: str | None, restriction: str) -> str:
    """Return the purpose to record.

    Raises
    ------
    PurposeError
        When none is stated for restricted data, or the one stated does not reach it.
    """
    require_known(purpose)
    if action not in DEALER_LEVEL:
        return purpose or ""
    if purpose == "statistics":
        raise PurposeError(
            "The purpose statistics reaches aggregates only.",
            expected="licensing or criminal_investigation",
            fix="use GET /v1/measures for aggregates",
        )
    if purpose is None and restriction != "public":
        raise PurposeError(
            "A restricted answer needs a purpose.",
            expected="licensing or criminal_investigation",
            fix="send the field purpose or the header Ffl-Risk-Purpose",
        )
    return purpose or ""
