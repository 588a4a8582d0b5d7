"""Rows of a list as a page shows them: filtered, sorted, and their priority taken apart."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final
from urllib.parse import urlencode

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from models.bundle.bundle import PRIORITY
from serving.contract.records.scores import HeadRecord
from serving.dealers.explaining import frame_of
from serving.scores.visible_dealers import View
from serving.scores.words.wording import RATES
from serving.web.rendering import dealer_name
from serving.web.sealed import MOST

SORTS: Final = (
    ("position", "Place on the list"),
    ("name", "Name"),
    ("city", "State and city"),
    ("score", "Score"),
    ("last", "Longest unseen"),
    ("moved", "Moved up most"),
)
# What was done, by a word in the address: a page never says the address's own words.
DONE: Final[Mapping[str, str]] = {
    "accept": "The dealer is accepted.",
    "override": "The dealer is overridden.",
    "bulk": "The dealers selected are accepted.",
    "assigned": "The dealer is handed over.",
    "view": "The view is saved.",
    "outcome": "The outcome is kept.",
}
_SMALLEST: Final = 1e-9
_SHOWN: Final = 0.005  # rounds to a hundredth


class Ask(BaseModel):
    """What of a list is asked for; all of it is in the address, so a filter can be saved."""

    model_config = ConfigDict(frozen=True, str_max_length=100, str_strip_whitespace=True)

    q: str = ""
    why: str = ""
    family: str = ""
    type: str = ""
    state: str = ""
    decided: str = ""
    sort: str = "position"
    page: int = Field(default=1, ge=1, le=200)
    all: bool = False
    done: str = Field(default="", exclude=True)
    refused: str = Field(default="", exclude=True, max_length=2 * MOST)

    def query(self, **changes: Any) -> str:
        """Return the address part of this with some changes."""
        return urlencode(self.model_copy(update=changes).model_dump(exclude_defaults=True))

    @property
    def is_filtered(self) -> bool:
        """Whether some rows may be left out."""
        return bool(self.model_dump(exclude_defaults=True).keys() - {"sort", "page", "all"})


def choices(rows: Iterable[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Return what there is to filter by."""
    rows = list(rows)
    return {
        "why": sorted({why for row in rows for why in row["why"]}),
        "family": sorted({reason["family"] for row in rows for reason in row["reasons"]}),
        "type": sorted({row["license_type"] for row in rows}),
        "state": sorted({row["state"] for row in rows}),
    }


def filtered(
    rows: Iterable[Mapping[str, Any]],
    ask: Ask,
    decisions: Mapping[str, Mapping[str, Any]],
    visited: Collection[str] = (),
) -> list[Mapping[str, Any]]:
    """Return the rows asked for, in the order asked for; one `visited` since is not open."""
    words = ask.q.casefold().split()
    kept = [
        row
        for row in rows
        if _matches(row, ask, words, decisions.get(row["dealer"]))
        and not (ask.decided == "open" and row["dealer"] in visited)
        and not (ask.decided == "visited" and row["dealer"] not in visited)
    ]
    orders: dict[str, Callable[[Mapping[str, Any]], Any]] = {
        "name": lambda row: dealer_name(row).casefold(),
        "city": lambda row: (row["state"], row["city"].casefold()),
        "score": lambda row: -next(iter(row["heads"].values()))["value"],
        "last": lambda row: str(row["last_inspected_on"] or ""),
        "moved": _moved,
    }
    return sorted(kept, key=orders.get(ask.sort, lambda row: row["position"]))


def _moved(row: Mapping[str, Any]) -> int:
    before = (row["change"] or {}).get("previous_position")
    return 0 if before is None else int(row["position"] - before)


def _matches(
    row: Mapping[str, Any], ask: Ask, words: list[str], decision: Mapping[str, Any] | None
) -> bool:
    names = ("dealer", "license_number", "licensee_name", "business_name", "city", "zip")
    where = " ".join(str(row[name]) for name in names).casefold()
    made = decision["decision"] if decision else "open"
    return (
        all(word in where for word in words)
        and (not ask.why or ask.why in row["why"])
        and (not ask.type or ask.type == row["license_type"])
        and (not ask.state or ask.state == row["state"])
        and (ask.decided in {"", "visited", made})
        and (not ask.family or any(r["family"] == ask.family for r in row["reasons"]))
    )


def log_part(head: str, value: float) -> float:
    """Return a head on the scale of the priority: log-odds of a chance, logarithm of a rate."""
    if head in RATES:
        return math.log(max(value, _SMALLEST))
    chance = min(max(value, _SMALLEST), 1 - _SMALLEST)
    return math.log(chance / (1 - chance))


def parts_of(
    view: View, rows: Iterable[tuple[Mapping[str, HeadRecord], float]]
) -> list[dict[str, float]]:
    """Return what makes each priority, against the average dealer of a dealer's own page.

    Parameters
    ----------
    rows : iterable of (heads, priority)
        Scored by the bundle in force.

    Returns
    -------
    list of dict of str to float
        Of each row, by head; ``alike`` is what is taken off because dealers who sell alike in
        places alike stand as high. They add up to the priority less that of the average dealer.
    """
    snapshot, weights = view.snapshot, weights_of(view)
    if not len(snapshot.inputs):
        return [{} for _ in rows]
    # Any row will do: what an explanation starts from is the same for all.
    start = {
        name: float(np.ravel(found.base)[0])
        for name, found in snapshot.bundle.explain(frame_of(snapshot, snapshot.inputs[:1])).items()
    }
    out = []
    for heads, priority in rows:
        logs = {head: log_part(head, heads[head]["value"]) for head in heads if weights.get(head)}
        parts = {head: weights[head] * (log - start[head]) for head, log in logs.items()}
        alike = priority - start[PRIORITY] - sum(parts.values())
        out.append(parts | ({"alike": alike} if abs(alike) >= _SHOWN else {}))
    return out


def weights_of(view: View) -> dict[str, float]:
    """Return the weight of each head in the priority, as it is in force."""
    return {name: float(w) for name, w in view.snapshot.bundle.weights.items()}
