"""Which list or plan ordered a visit, and with what probability: joined as the outcome comes back.

What chose a visit decides how its finding may be used later: a drawn dealer speaks for the country,
one that somebody picked does not. The list, or the plan, is the witness, not the one who reports.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import date
from typing import Any, Final

import sqlalchemy as sa

from serving.contract.records.field import DesignOfVisit
from serving.contract.records.lists import ListRowRecord
from serving.errors import ConflictError, UnknownListError
from serving.field.outcomes.ordering_plan import design_of_plan
from serving.store.tables import LISTS

_SELECTED_BY: Final = {
    "model": "risk",
    "random": "random",
    "recall": "recall",
    "coverage": "other",
    "manual": "other",
}

# A list's own places, in whose order no chance has a part.
_CERTAIN: Final = frozenset({"model", "coverage"})


def design_of(
    connection: sa.Connection, document: Mapping[str, Any], *, dealer: str
) -> DesignOfVisit:
    """Return the design of a visit: its list's or plan's, or none; `selected_by` follows from it.

    Parameters
    ----------
    connection : Connection
    document : mapping
        An outcome with ``list_id`` and ``plan_id`` (None without one), ``opened_on`` and
        ``selected_by``.
    dealer : str

    Raises
    ------
    UnknownListError
        When there is no such list, or the dealer is not on it.
    UnknownPlanError
        When no version of the plan that was approved has the dealer.
    ConflictError
        When the visit was opened before the as-of date of the list or plan.
    """
    list_id, plan_id = document["list_id"], document.get("plan_id")
    opened_on = date.fromisoformat(document["opened_on"])
    if plan_id is not None:
        return design_of_plan(connection, plan_id, dealer=dealer, opened_on=opened_on)
    if list_id is None:
        claimed = document["selected_by"]
        # Chance leaves a trace: without the list that drew it, nobody knows how it was chosen.
        is_claim = claimed == "random"
        return {
            "list_id": None,
            "plan_id": None,
            "why": None,
            "inclusion_probability": None,
            "is_mandatory": None,
            "mandatory_probability": None,
            "certain_places": None,
            "mandatory_places": None,
            "selected_by": "unknown" if is_claim else claimed,
        }
    row, n_certain, n_drawn = _listed(connection, list_id, dealer, opened_on)
    why = row["why"][0]
    return {
        "list_id": list_id,
        "plan_id": None,
        "why": why,
        "inclusion_probability": row["inclusion_probability"],
        "is_mandatory": _is_mandatory(row),
        "mandatory_probability": row.get("mandatory_probability"),
        "certain_places": n_certain or None,
        "mandatory_places": n_drawn or None,
        "selected_by": _SELECTED_BY[why],
    }


def _listed(
    connection: sa.Connection, list_id: str, dealer: str, opened_on: date
) -> tuple[ListRowRecord, int, int]:
    """Return the dealer's row of a list, how many places no draw gave, and how many one ordered."""
    query = sa.select(LISTS.c.document, LISTS.c.as_of).where(LISTS.c.list_id == list_id)
    found = connection.execute(query).first()
    rows: list[ListRowRecord] = [] if found is None else json.loads(found.document)["rows"]
    own = next((row for row in rows if row["dealer"] == dealer), None)
    if found is None or own is None:
        raise UnknownListError(
            "There is no such list, or the dealer is not on it.",
            found=list_id,
            expected="the list that ordered the visit, or no list_id",
        )
    if opened_on < found.as_of:
        raise ConflictError(
            "The list cannot have ordered a visit that was opened before it.",
            found=f"opened on {opened_on}, the list is as of {found.as_of}",
            fix="name the list that ordered it, or leave list_id out",
        )
    # The last place of a short list is given by lot.
    n_certain = sum(
        row["why"][0] in _CERTAIN and row.get("inclusion_probability", 1.0) >= 1.0 for row in rows
    )
    return own, n_certain, sum(_is_mandatory(row) for row in rows)


def _is_mandatory(row: ListRowRecord) -> bool:
    return bool(row.get("is_mandatory", row["why"][0] == "random"))


def investigator_token(key: bytes, who: str) -> str:
    """Return what stands for an investigator in `inspections`: opaque, and the same each time."""
    return hmac.new(key, f"investigator {who}".encode(), hashlib.sha256).hexdigest()[:16]
