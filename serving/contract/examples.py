"""One example of each thing that is sent, for the OpenAPI document. Invented dealers only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

EXAMPLES: Final[Mapping[str, Mapping[str, Any]]] = {
    "ScoreRequest": {"dealers": ["1-56-21093", "9-99-99999"], "with_reasons": True},
    "RankRequest": {"area": {"state": "TX"}, "k": 20, "random_share": 0.1},
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
