"""What came of the dealers of a list since it was issued, as columns of its tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from serving.lists.since import decided_elsewhere, told_since
from serving.lists.summaries import decisions_of
from serving.lists.work import assignments_of
from serving.scores.visible_dealers import View
from serving.store.database import Store

_DECISIONS: Final = (
    "handed_to", "decision", "decision_reason", "decision_note", "decided_by", "decided_at",
    "decided_on_list",
)  # fmt: skip
_VISITS: Final = (
    "visit_opened_on", "visit_ended_on", "visit_kind", "visit_outcome", "not_before",
)  # fmt: skip
HERE: Final = "this list"
ELSEWHERE: Final = "another list"

Cells = Mapping[str, str]


@dataclass(frozen=True)
class FollowUp:
    """The columns that a reader may see, and what stands in them, by dealer.

    Parameters
    ----------
    columns : sequence of str
    of : mapping of str to (mapping of str to str)
        A dealer of whom nothing was told or decided is not among them.
    """

    columns: Sequence[str]
    of: Mapping[str, Cells]

    def cells(self, dealer: str) -> list[str]:
        """Return what stands in the columns for a dealer, empty texts where nothing does."""
        found = self.of.get(dealer, {})
        return [found.get(name, "") for name in self.columns]


def follow_up(
    store: Store, view: View, document: Mapping[str, Any], *, with_decisions: bool
) -> FollowUp:
    """Return what was decided and told of the dealers of a list since it was issued.

    Parameters
    ----------
    with_decisions : bool
        Whether the reader may see decisions; else there are no columns for them either, as empty
        ones would say that nothing was decided.
    """
    of: dict[str, dict[str, str]] = {row["dealer"]: {} for row in document["rows"]}
    if with_decisions:
        for dealer, made in _decided(store, view, document).items():
            of.get(dealer, {}).update(made)
        for dealer, name in assignments_of(store, document["list_id"]).items():
            of.get(dealer, {})["handed_to"] = name
    for dealer, visit in told_since(store, view, document).items():
        of[dealer] |= {
            "visit_opened_on": visit.opened_on,
            "visit_ended_on": visit.visited_on,
            "visit_kind": visit.kind,
            "visit_outcome": visit.outcome,
            "not_before": visit.not_before,
        }
    columns = (*_DECISIONS, *_VISITS) if with_decisions else _VISITS
    return FollowUp(columns, {dealer: cells for dealer, cells in of.items() if cells})


def _decided(store: Store, view: View, document: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Return the decision that stands about each dealer: one on the list before another's."""
    out = {
        dealer: {
            "decision": one.decision,
            "decision_reason": one.reason,
            "decided_by": one.who,
            "decided_at": one.at,
            "decided_on_list": ELSEWHERE,
        }
        for dealer, one in decided_elsewhere(store, view, document).items()
    }
    for dealer, kept in decisions_of(store, document["list_id"]).items():
        out[dealer] = {
            "decision": kept["decision"],
            "decision_reason": kept["reason"] or "",
            "decision_note": kept["note"] or "",
            "decided_by": kept["who"],
            "decided_at": kept["at"],
            "decided_on_list": HERE,
        }
    return out
