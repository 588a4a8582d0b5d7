"""An issued list as one reader may see it: the one filter of lists, files, counts and packets.

A dealer held from the reader is taken out as if it had never been there: its row and its place,
its part of every count, and of every rank and probability below it. What is left agrees with
itself, so that nothing in it shows that something is missing. A comparison with an earlier list is
left out when that list names such a dealer: its counts would tell.

For those from whom nothing is held the list is the one that was issued, byte for byte.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date
from typing import Final, Literal, cast

import numpy as np
import numpy.typing as npt
import pandas as pd

from models.order.random_share import chance_of_draw
from models.order.ties import turns_among_ties
from serving.access.accounts import Principal
from serving.contract.answers import Area
from serving.contract.records.lists import (
    AuditedListDocument,
    AuditedRowRecord,
    DesignRecord,
    ListChangeRecord,
    ListDocument,
    ListRowRecord,
    RecipeRecord,
)
from serving.scores.areas import is_asked, is_own
from serving.scores.visible_dealers import allows_visit

# What an auditor does not see of a row: the audit is about who saw whom, not about scores.
_SCORES: Final = frozenset(
    {
        "heads", "priority", "percentile", "national_rank", "support", "has_insufficient_history",
        "reasons", "change",
    }
)  # fmt: skip
_Chance = Literal["inclusion_probability", "mandatory_probability"]
FACTS: Final = (
    "dealer", "priority", "is_in_scope", "eligible_on", "license_type", "office", "division",
    "state", "county", "latitude", "longitude",
)  # fmt: skip


def without(
    document: ListDocument,
    recipe: RecipeRecord,
    facts: pd.DataFrame,
    *,
    hidden: Collection[str],
    is_compared: bool,
) -> ListDocument:
    """Return a list's document without some dealers.

    Those on the list are taken out by what it says of them itself, whatever else is known.

    Parameters
    ----------
    document, recipe : mapping
        As stored when the list was issued.
    facts : DataFrame
        The columns `FACTS` of those to leave out that are not on the list, as of the table it was
        made from. Of a dealer that is not among them there is nothing to take out.
    hidden : collection of str
        The dealers to leave out.
    is_compared : bool
        Whether the comparison with the earlier list may be shown.
    """
    listed = {row["dealer"]: row["national_rank"] for row in document["rows"]}
    is_there = facts["is_in_scope"].to_numpy(dtype=bool) & facts["dealer"].isin(list(hidden))
    facts = facts[is_there & ~facts["dealer"].isin(list(listed))]
    taken = [row for row in document["rows"] if row["dealer"] in hidden]
    facts = _with_rows(facts, taken)
    gone = set(facts["dealer"])
    rows = [row for row in document["rows"] if row["dealer"] not in gone]
    n_before = _n_visible(document, recipe)
    shown: list[ListRowRecord] = []
    ranks = _ranks(rows, facts, listed)
    for position, row in enumerate(rows, start=1):
        rank = int(ranks[position - 1])
        percentile = row["percentile"]
        if n_before:
            n = n_before - len(gone)
            percentile = round(100.0 * (n - rank + 1) / n, 2)
        shown.append(
            {
                **row,
                "position": position,
                "national_rank": rank,
                "percentile": percentile,
                "change": row["change"] if is_compared else None,
            }
        )
    design = _design(document, recipe, facts, shown=shown)
    _reweigh(document, shown, design["n_eligible"])
    return {
        **document,
        "design": design,
        "rows": shown,
        "change": _change(document, gone) if is_compared else None,
    }


def _with_rows(facts: pd.DataFrame, rows: Sequence[ListRowRecord]) -> pd.DataFrame:
    """Return facts with those of dealers on the list, as the list itself has them."""
    if not rows:
        return facts
    own = pd.DataFrame(
        {
            name: [row.get(name, np.nan) for row in rows]
            for name in FACTS
            if name not in {"is_in_scope", "eligible_on"}
        }
    ).assign(is_in_scope=True)
    days = [row["eligible_on"] for row in rows]
    own["eligible_on"] = np.array([np.datetime64(day or "NaT", "s") for day in days])
    own = own[list(FACTS)]
    return own if facts.empty else pd.concat([facts[list(FACTS)], own], ignore_index=True)


def _ranks(
    rows: Sequence[ListRowRecord], facts: pd.DataFrame, listed: Mapping[str, int]
) -> npt.NDArray[np.int64]:
    """Return the national rank of each row without the dealers left out, shape (n_rows,).

    Where the table that the list was made from is gone, priorities of another say who stood above:
    none of that may give two rows one rank, or one a rank that there is not.
    """
    issued = np.array([row["national_rank"] for row in rows], dtype=np.int64)
    order = np.argsort(issued)
    places = np.arange(len(rows), dtype=np.int64)
    left = (issued - _n_above(rows, facts, listed))[order]
    ranks = np.empty_like(issued)
    ranks[order] = np.maximum.accumulate(np.maximum(left, 1) - places) + places
    return ranks


def _n_above(
    rows: Sequence[ListRowRecord], facts: pd.DataFrame, listed: Mapping[str, int]
) -> npt.NDArray[np.int64]:
    """Return how many of the dealers left out stood above each row, shape (n_rows,)."""
    is_listed = facts["dealer"].isin(list(listed)).to_numpy()
    ranks = np.sort([listed[dealer] for dealer in facts["dealer"][is_listed]])
    own = np.array([row["national_rank"] for row in rows], dtype=np.int64)
    n: npt.NDArray[np.int64] = np.searchsorted(ranks, own).astype(np.int64)
    # Of those that were not on the list only the priority is known; ties stand as in the ranking.
    others = facts[~is_listed]
    lower = np.sort(-others["priority"].to_numpy(dtype=np.float64))
    mine = -np.array([row["priority"] for row in rows], dtype=np.float64)
    n += np.searchsorted(lower, mine, side="left")
    for i in np.flatnonzero(np.isin(mine, lower)).tolist():
        equal = others["dealer"][others["priority"].to_numpy(dtype=np.float64) == -mine[i]]
        turns = turns_among_ties(np.array([*equal, rows[i]["dealer"]], dtype=np.str_))
        n[i] += int((turns[:-1] < turns[-1]).sum())
    return n


def _n_visible(document: ListDocument, recipe: RecipeRecord) -> int:
    """Return how many dealers the owner saw; of older lists, as the percentiles tell."""
    if "n_visible" in recipe:
        return int(recipe["n_visible"])
    last = max(document["rows"], key=lambda row: row["national_rank"], default=None)
    if last is None or last["percentile"] >= 100.0:
        return 0
    n: int = round((last["national_rank"] - 1) / (1.0 - last["percentile"] / 100.0))
    return n


def _design(
    document: ListDocument,
    recipe: RecipeRecord,
    facts: pd.DataFrame,
    *,
    shown: list[ListRowRecord],
) -> DesignRecord:
    """Return the counts of the list, as if the dealers had never been in its area."""
    issued = document["design"]
    # Who was listed was within, and lay so by what was known then.
    listed = {row["dealer"] for row in document["rows"]}
    within = _within(recipe, facts) | facts["dealer"].isin(listed).to_numpy()
    when = facts["eligible_on"].to_numpy(dtype="datetime64[s]")
    is_eligible = within & allows_visit(when, date.fromisoformat(document["basis"]["as_of"]))
    n_by_why: dict[str, int] = {}
    for row in shown:
        n_by_why[row["why"][0]] = n_by_why.get(row["why"][0], 0) + 1
    design: DesignRecord = {
        **issued,
        "k": issued["k"] - (len(document["rows"]) - len(shown)),
        "n_in_area": issued["n_in_area"] - int(within.sum()),
        "n_eligible": issued["n_eligible"] - int(is_eligible.sum()),
        "n_by_why": dict(sorted(n_by_why.items())),
    }
    if "n_mandatory" in issued:
        design["n_mandatory"] = sum(bool(row.get("is_mandatory")) for row in shown)
    return design


def _reweigh(document: ListDocument, shown: list[ListRowRecord], n_eligible: int) -> None:
    """Give the rows the probabilities of a draw without the dealers left out.

    Those as issued would not fit the counts beside them. Only where they are the share that was
    drawn of all that could be: another design keeps its own.
    """
    issued = document["rows"]
    design = document["design"]
    # Short lists of earlier versions had their place for sure.
    for by_lot in (1.0, chance_of_draw(design["k"], design["random_share"])):
        before = round(by_lot * _share(issued, design["n_eligible"]), 9)
        if _stated(issued, "random", "inclusion_probability") <= {before}:
            share = round(by_lot * _share(shown, n_eligible), 9)
            for row in shown:
                if row["why"][0] == "random":
                    row["inclusion_probability"] = share
            break
    if _stated(issued, "model", "mandatory_probability") <= {_share_kept(issued)}:
        kept = _share_kept(shown)
        for row in shown:
            if row["why"][0] == "model" and row.get("mandatory_probability") is not None:
                row["mandatory_probability"] = kept or None


def _share(rows: Sequence[ListRowRecord], n_eligible: int) -> float:
    """Return the share drawn of the eligible dealers that have no certain place."""
    n_drawn = sum(row["why"][0] == "random" for row in rows)
    n_certain = sum(row["is_eligible"] and row["why"][0] != "random" for row in rows)
    n_left = n_eligible - n_certain
    return round(n_drawn / n_left, 9) if n_left > 0 else 0.0


def _share_kept(rows: Sequence[ListRowRecord]) -> float:
    """Return the share of the model's places that were drawn to be visited whatever else is."""
    inside = [row for row in rows if row["why"][0] == "model"]
    n_kept = sum(bool(row.get("is_mandatory")) for row in inside)
    return round(n_kept / len(inside), 9) if inside else 0.0


def _stated(rows: Sequence[ListRowRecord], why: str, name: _Chance) -> set[float]:
    found = [row.get(name) for row in rows if row["why"][0] == why]
    return {round(chance, 9) for chance in found if chance is not None}


def _within(recipe: RecipeRecord, facts: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Return which of the dealers lie in the area that the list was asked for."""
    owner = recipe["principal"]
    principal = Principal(owner["name"], owner["role"], frozenset(owner["areas"]))
    columns = {name: facts[name].to_numpy() for name in facts.columns}
    mask = is_asked(columns, Area.model_validate(recipe["request"]["area"]))
    mask &= is_own(columns, principal)
    if recipe["request"]["license_types"]:
        mask &= np.isin(columns["license_type"].astype(str), recipe["request"]["license_types"])
    return mask


def _change(document: ListDocument, gone: Iterable[str]) -> ListChangeRecord | None:
    change = document["change"]
    if change is None:
        return None
    hidden = set(gone)
    n_entered = sum(
        row["dealer"] not in hidden
        and (row["change"] is None or row["change"]["previous_position"] is None)
        for row in document["rows"]
    )
    return {**change, "n_entered": n_entered}


def for_auditor(document: ListDocument) -> AuditedListDocument:
    """Return who is on the list and why, without a score: what an auditor has to know of it."""
    rows = [
        cast(
            "AuditedRowRecord", {name: value for name, value in row.items() if name not in _SCORES}
        )
        for row in document["rows"]
    ]
    return {**document, "rows": rows, "change": None}
