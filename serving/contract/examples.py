"""One example of each thing that is sent, for the OpenAPI document. Invented dealers only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

EXAMPLES: Final[Mapping[str, Mapping[str, Any]]] = {
    "ScoreRequest": {"dealers": ["1-56-21093", "9-99-99999"], "with_reasons": True},
    "RankRequest": {"area": {"state": "TX"}, "k": 20, "random_share": 0.1},
    "FeaturesRequest": {
        "rows": [
            {"traces_n_1y": 12.0, "time_to_crime_share_under_1y_3y": 0.25},
            {"traces_n_1y": 0.0, "time_to_crime_share_under_1y_3y": None},
        ]
    },
    "ExplainRequest": {"dealer": "1-56-21093", "k": 10},
    "PlanAsk": {"office": "houston", "weeks": 4, "n_investigators": 3},
    "DecisionRequest": {
        "list_id": "L-20260301-0123456789ab",
        "dealer": "1-56-21093",
        "decision": "override",
        "reason": "capacity",
    },
    "OutcomeRequest": {
        "inspection_id": "I-2026-0017",
        "dealer": "1-56-21093",
        "opened_on": "2026-02-02",
        "closed_on": "2026-02-04",
        "list_id": "L-20260101-0123456789ab",
        "hours": 14.5,
        "outcome": "warning_letter",
        "violations": [{"citation": "478.124(c)(1)", "instances": 2, "is_willful": False}],
    },
    "EventsRequest": {
        "table": "tips",
        "rows": [
            {
                "tip_id": "T-1",
                "dealer": "1-56-21093",
                "received_on": "2026-02-02",
                "source": "public",
                "is_self_report": False,
            }
        ],
    },
    "StepRequest": {"step": "close", "result": "trafficking_confirmed", "note": "case opened"},
    "CaseRequest": {
        "case_reference": "HSI-2026-0042",
        "legal_basis": "criminal_investigation",
        "agency": "HSI",
        "why": "Named in a search warrant of 2 March",
        "dealers": ["1-56-21093"],
        "approver": "maria",
    },
    "CaseDecision": {"approved": ["1-56-21093"]},
}

# What stands in an address or a header: what it is, where the route does not say it, and a value.
PARAMETERS: Final[Mapping[str, tuple[str, Any]]] = {
    "Ffl-Risk-Purpose": ("", "licensing"),
    "Idempotency-Key": ("", "0f8b4c6e-2d0b-4b1e-9a55-5f0c0a7f3d11"),
    "If-None-Match": ("", '"5c01781582634b584e25183d83c84e3c"'),
    "action": ("", "lists"),
    "agreement": ("", "border-2026"),
    "border_share": ("", 0.3),
    "cursor": ("`next_cursor` of the last answer; the first page without it", None),
    "dealer": ("", "1-56-21093"),
    "decision_id": ("", 4711),
    "deed": ("", "change"),
    "format": ("How the answer is written", "csv"),
    "from_day": ("", "2026-03-01"),
    "hours": ("", 900.0),
    "inspection_id": ("", "I-2026-0017"),
    "investigators": ("", ["houston=6"]),
    "kind": ("", "pdf"),
    "limit": ("Most entries of one page", 50),
    "list_id": ("", "L-20260301-0123456789ab"),
    "partner": ("", "hsi"),
    "plan_id": ("", "P-20260301-0123456789ab"),
    "referral_id": ("", 4711),
    "released_on": ("", "2026-04-01"),
    "request_id": ("", "C-20260301-0123456789ab"),
    "since": ("", 4711),
    "subject": ("", "TX"),
    "to_day": ("", "2026-03-31"),
    "version": ("", 1),
    "who": ("Records of one identity; all without it", "maria"),
    "year": ("", 2025),
    "years": ("Years that are looked back on", 5),
}
