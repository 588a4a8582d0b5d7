"""What the page says of an outcome before it is kept: the answers, and what they change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypedDict

from features.reference.legal.citation import cause_of
from features.reference.legal.outcome import NAMES
from serving.field.outcomes.inspection_on_record import (
    OnRecord,
    changes_nothing,
    citation_in_words,
    differences,
)

LABELS: Final[Mapping[str, str]] = {
    "inspection_id": "Inspection number",
    "kind": "Kind",
    "opened_on": "Opened on",
    "closed_on": "Closed on",
    "selected_by": "Selected by",
    "list_id": "List that ordered it",
    "plan_id": "Plan that ordered it",
    "legal_basis": "Legal basis",
    "hours": "Hours spent",
    "outcome": "Outcome",
    "recommended_outcome": "Outcome recommended",
    "firearms_unaccounted_initial": "Firearms unaccounted for at first",
    "firearms_unaccounted_final": "Firearms unaccounted for at the end",
    "citations": "Citations",
}
_ONLY_CHANGED: Final[Mapping[str, str]] = {"office": "Office", "investigator_token": "Investigator"}


_WILLFUL: Final = {True: "willful", False: "no", None: "not marked"}


class Checked(TypedDict):
    """What the page to check an outcome on shows."""

    shown: list[tuple[str, str, str]]
    cited: list[tuple[str, str, str, int | None]]
    before: OnRecord | None
    changes: list[str]
    is_told_already: bool


def check(before: OnRecord | None, kept: Mapping[str, Any]) -> Checked:
    """Return what is shown of an outcome as it would be kept, beside what is on record of it."""
    return {
        "shown": [(name, said, _said(name, kept[name])) for name, said in LABELS.items()
                  if name in kept],
        "cited": [_cited(one) for one in kept["violations"]],
        "before": before,
        "changes": [] if before is None else changes(before.document, kept),
        "is_told_already": changes_nothing(before, kept),
    }  # fmt: skip


def changes(before: Mapping[str, Any], kept: Mapping[str, Any]) -> list[str]:
    """Say what of an inspection on record would be otherwise: all that `differences` finds."""
    found = differences(before, kept)
    labels = {**LABELS, **_ONLY_CHANGED}
    out = [
        f"{label}: {_said(name, found[name][0])} becomes {_said(name, found[name][1])}"
        for name, label in labels.items()
        if name in found
    ]
    if "violations" in found:
        was, now = (
            ", ".join(map(citation_in_words, some)) or "none" for some in found["violations"]
        )
        out.append(f"Citations: {was} become {now}")
    if found.keys() - labels.keys() - {"violations"} and not {"list_id", "plan_id"} & found.keys():
        out.append("What its list or plan says of how it was chosen")
    return out


def _cited(one: Mapping[str, Any]) -> tuple[str, str, str, int | None]:
    cause = cause_of(one["citation"]) or "not among the provisions named in the reference"
    return one["citation"], cause, _WILLFUL[one["is_willful"]], one["instances"]


def _said(name: str, value: Any) -> str:
    if name == "closed_on" and not value:
        return "still open"
    if value is None or value == "":
        return "not stated"
    if name in {"outcome", "recommended_outcome"}:
        return NAMES.get(value, str(value))
    if name in {"list_id", "plan_id", "office", "investigator_token"}:
        return str(value)
    return f"{value:g}" if isinstance(value, float) else str(value).replace("_", " ")
