"""Compose a list: who is on it, why, with what probability, and what changed since the last one.

The composition is a pure function of the view, the request and the seed, so that a list can be
rebuilt and compared with what was issued.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from features.arrays import Flags, Ints
from features.domain.agency_day import day_of
from models.order.random_share import (
    PERIOD_MONTHS,
    Draw,
    chance_of_draw,
    lowest,
    period,
    random_places,
)
from serving.access.accounts import Principal
from serving.contract.answers import RankRequest
from serving.contract.records.lists import (
    ListChangeRecord,
    ListDocument,
    ListRowRecord,
    RowChangeRecord,
)
from serving.contract.records.scores import HeadRecord
from serving.errors import ConflictError, InvalidRequestError, LegalGateError, UnknownDealerError
from serving.scores.areas import in_words, rows_for
from serving.scores.table.loaded_table import premises_of
from serving.scores.visible_dealers import View, allows_visit, eligible_rows
from serving.scores.words.told_apart import told_apart

N_LIST_REASONS: Final = 5
_STATEMENT: Final = (
    "Places marked model, recall, coverage and manual are certain. The random places are drawn, "
    "spread over office and license type, from the eligible dealers that have no certain place; "
    "each had the stated probability. A list too short for a random place has one as often as its "
    "random share says, in the stead of its last place, whose probability is then below one. "
    "Weighting each result by the inverse of its probability gives an unbiased estimate for all "
    "eligible dealers of the area. Of the model's places some are drawn to be mandatory, each with "
    "the same stated probability: when not all of a list is visited, they stand for the model's "
    "part of it. The draw is fixed for office and period: issuing again meets the same dealers."
)


@dataclass(frozen=True)
class Issue:
    """What distinguishes this issue of a list from any other with the same request.

    Parameters
    ----------
    list_id, issued_at : str
    seed : int
        Of the period's draw, the same for every list of the period; it is shown to nobody.
    draw_months : int
        Length of the period.
    """

    list_id: str
    issued_at: str
    seed: int
    draw_months: int = PERIOD_MONTHS

    @property
    def day(self) -> date:
        """The day it was issued on, by which the age of its records is reckoned."""
        return date.fromisoformat(day_of(self.issued_at))

    def draw(self, as_of: date) -> Draw:
        """Return the random numbers of the period that holds `as_of`."""
        return Draw(self.seed, *period(as_of, self.draw_months))


@dataclass(frozen=True)
class Before:
    """What a new list is compared with.

    Parameters
    ----------
    list_id : str
    places : mapping of str to (int, float)
        Position and priority of each dealer on it.
    """

    list_id: str
    places: Mapping[str, tuple[int, float]]

    @classmethod
    def of(cls, document: ListDocument) -> Before:
        """Take it from a list as issued."""
        rows = document["rows"]
        places = {row["dealer"]: (row["position"], row["priority"]) for row in rows}
        return cls(document["list_id"], places)


@dataclass
class _Places:
    """The places of a list while they are given away."""

    k: int
    why: dict[int, list[str]] = field(default_factory=dict)
    note: dict[int, str] = field(default_factory=dict)
    probability: dict[int, float] = field(default_factory=dict)
    mandatory: set[int] = field(default_factory=set)
    mandatory_probability: dict[int, float] = field(default_factory=dict)

    @property
    def n_left(self) -> int:
        return max(0, self.k - len(self.why))

    def give(self, rows: Ints, why: str, *, at_most: int, probability: float = 1.0) -> None:
        """Give places to `rows` in their order; one that has a place only gains a reason."""
        free = min(at_most, self.n_left)
        # No more of them are looked at than get a place, have one, or are the first without.
        for row in rows[: free + len(self.why) + 1].tolist():
            if row in self.why:
                if why not in self.why[row]:
                    self.why[row].append(why)
            elif free > 0:
                self.why[row] = [why]
                self.probability[row] = probability
                free -= 1
            else:
                return


def compose(
    view: View,
    principal: Principal,
    request: RankRequest,
    *,
    issue: Issue,
    previous: Before | None,
) -> ListDocument:
    """Return the document of a list, ready for the contract's `IssuedList`.

    Parameters
    ----------
    view : View
        What the caller may see.
    principal : Principal
        For whom.
    request : RankRequest
        What is asked.
    issue : Issue
        Identifier, instant and seed.
    previous : Before, optional
        The caller's last list of the same area.

    Raises
    ------
    ConflictError
        When the request asks for another as-of date than the published one.
    OutsideAreaError, UnknownDealerError, LegalGateError
        When the request names what the caller may not see or the law does not allow.
    """
    snapshot = view.snapshot
    if request.as_of is not None and request.as_of != snapshot.as_of:
        raise ConflictError(
            f"No table as of {request.as_of} is published.",
            found=f"the published one is as of {snapshot.as_of}",
            fix=f"ask without as_of, or publish: ffl-risk score --as-of {request.as_of}",
        )
    within = rows_for(view, principal, request.area)
    if request.license_types:
        within &= snapshot.where("license_type", request.license_types)
    eligible = within & eligible_rows(view)
    draw = issue.draw(snapshot.as_of)
    places = _fill(view, request, eligible, within=within, draw=draw, day=issue.day)
    given = np.array(list(places.why), dtype=np.int64)
    rows = given[np.argsort(view.national_rank[given], kind="stable")]
    before = {} if previous is None else previous.places
    document_rows = _document_rows(view, rows, places=places, before=before)
    said = told_apart([one["reasons"] for one in document_rows])
    for one, ordered in zip(document_rows, said, strict=True):
        one["reasons"] = ordered
    n_by_why: dict[str, int] = {}
    for reasons in places.why.values():
        n_by_why[reasons[0]] = n_by_why.get(reasons[0], 0) + 1
    return {
        "list_id": issue.list_id,
        "issued_at": issue.issued_at,
        "owner": principal.name,
        "role": principal.role,
        "purpose": request.purpose or "",
        "area": request.area.model_dump(mode="json"),
        "area_in_words": in_words(request.area, request.license_types),
        "license_types": sorted(set(request.license_types)),
        "basis": snapshot.basis_on(issue.day),
        "design": {
            "k": request.k,
            "n_in_area": int(within.sum()),
            "n_eligible": int(eligible.sum()),
            "n_by_why": dict(sorted(n_by_why.items())),
            "random_share": request.random_share,
            "random_seed": draw.name(_asked_area(request, principal)),
            "n_mandatory": len(places.mandatory),
            "draw_starts_on": draw.starts_on,
            "draw_ends_on": draw.ends_on,
            "statement": _STATEMENT,
        },
        "rows": document_rows,
        "change": _change(view, document_rows, before=before, previous=previous),
        "disclaimers": snapshot.disclaimers_on(issue.day),
    }


def _asked_area(request: RankRequest, principal: Principal) -> str:
    """Return the area and types of license as asked, of whose: nothing that a hold could change."""
    words = (request.area.model_dump_json(), *request.license_types, "of", *principal.areas)
    return " ".join(sorted(set(words)))


def _fill(
    view: View, request: RankRequest, eligible: Flags, *, within: Flags, draw: Draw, day: date
) -> _Places:
    """Give away the k places: by hand, recalls, coverage, the model's, then the random share."""
    columns = view.snapshot.columns
    places = _Places(request.k)
    _give_manual(view, request, places, within=within, on=day)
    ranked = view.order[eligible[view.order]]
    n_inside, n_outside = random_places(request.k, request.random_share)
    is_by_lot = chance_of_draw(request.k, request.random_share) < 1.0
    n_outside = 0 if is_by_lot else n_outside
    n_certain = max(0, places.n_left - n_outside)
    if request.with_recalls:
        recalls = ranked[columns["is_recall_due"][ranked]]
        places.give(recalls, "recall", at_most=n_certain)
    n_certain = max(0, places.n_left - n_outside)
    if request.n_coverage:
        longest = _longest_unseen(columns["last_inspected_on"][ranked])
        places.give(ranked[longest], "coverage", at_most=min(request.n_coverage, n_certain))
    n_certain = max(0, places.n_left - n_outside)
    places.give(ranked, "model", at_most=n_certain)
    certain = np.array(list(places.why), dtype=np.int64)
    is_certain = np.zeros(len(eligible), dtype=bool)
    is_certain[certain] = True
    outside = ranked[~is_certain[ranked]]
    if is_by_lot:
        _give_by_lot(view, request, places, ranked, outside=outside, draw=draw)
        return places
    drawn, probability = _drawn(view, outside, min(n_outside, places.n_left), draw, use="list")
    places.give(drawn, "random", at_most=len(drawn), probability=probability)
    places.mandatory.update(drawn.tolist())
    places.mandatory_probability.update(dict.fromkeys(drawn.tolist(), 1.0))
    inside = np.array([row for row in certain if places.why[row][0] == "model"], dtype=np.int64)
    kept, probability = _drawn(view, inside, n_inside, draw, use="mandatory")
    places.mandatory.update(kept.tolist())
    if len(kept):
        places.mandatory_probability.update(dict.fromkeys(inside.tolist(), probability))
    return places


def _give_by_lot(
    view: View, request: RankRequest, places: _Places, ranked: Ints, *, outside: Ints, draw: Draw
) -> None:
    """Draw for the last place of a list too short for a random one, as often as its share says.

    Who has the place is on the list unless the lot is drawn and another is; each other dealer is by
    lot and draw together.
    """
    chance = chance_of_draw(request.k, request.random_share)
    last = next(reversed(places.why), None)
    if chance == 0.0 or last is None or places.n_left or places.why[last][0] == "manual":
        return
    pool = ranked[np.isin(ranked, outside) | (ranked == last)]
    each = chance / len(pool)
    places.probability[last] = kept = 1.0 - chance + each
    if draw.start(view.snapshot.columns["office"][ranked], use="list of one") >= chance:
        return
    del places.why[last]
    drawn, _ = _drawn(view, pool, 1, draw, use="list")
    row = int(drawn[0])
    places.give(drawn, "random", at_most=1, probability=kept if row == last else each)
    places.mandatory.add(row)
    places.mandatory_probability[row] = 1.0


def _drawn(view: View, rows: Ints, n: int, draw: Draw, *, use: str) -> tuple[Ints, float]:
    """Draw `n` of `rows`, spread over office and license type."""
    places = view.snapshot.places
    kinds = places.alphabetical("license_type")
    strata = places.alphabetical("office")[rows] * (int(kinds.max(initial=0)) + 1) + kinds[rows]
    codes, offices = places.codes("office")
    names, own = [str(name) for name in offices], codes[rows]
    numbers = draw.numbers_of(names, own, places.dealer_hashes[rows], use=use)
    is_there = np.bincount(own, minlength=len(names)) > 0
    start = draw.start_of((names[code] for code in np.flatnonzero(is_there)), use=use)
    return lowest(rows, n, numbers=numbers, strata=strata, start=start)


def _longest_unseen(last: npt.NDArray[Any]) -> Ints:
    """Return the order by the day last inspected, never inspected first."""
    days = last.astype("datetime64[D]").astype(np.int64)
    return np.argsort(np.where(np.isnat(last), np.iinfo(np.int64).min, days), kind="stable")


def _give_manual(
    view: View, request: RankRequest, places: _Places, *, within: Flags, on: date
) -> None:
    """Give places by hand; the law asks about the day of a visit, the earliest is that of issue."""
    day = max(on, view.snapshot.as_of)
    if len(request.manual) > request.k:
        raise InvalidRequestError("More dealers are put on the list by hand than it has places.")
    for pick in request.manual:
        row = view.row(pick.dealer, within)
        if row is None:
            raise UnknownDealerError(
                "A dealer put on the list by hand is not there.", found=pick.dealer
            )
        is_lawful = allows_visit(view.snapshot.columns["eligible_on"][row], day)
        if not is_lawful and pick.legal_basis is None:
            raise LegalGateError(
                f"{pick.dealer} was inspected in the last twelve months.",
                found=f"eligible on {view.eligible_on(row)}",
                expected="a legal_basis: warrant, criminal_investigation_of_another or "
                "trace_of_a_firearm (18 USC 923(g)(1)(A), (B))",
            )
        places.give(np.array([row]), "manual", at_most=1)
        basis = f"; legal basis: {pick.legal_basis}" if pick.legal_basis else ""
        places.note[row] = pick.reason + basis


def _document_rows(
    view: View, rows: Ints, *, places: _Places, before: Mapping[str, tuple[int, float]]
) -> list[ListRowRecord]:
    """Return the rows of a list in their order: a column at a time, which a long list needs."""
    columns = view.snapshot.columns
    licensed, heads = premises_of(columns, rows), _heads(view, rows)
    as_of, seen, eligible_on = (
        columns[name][rows].astype("datetime64[D]").tolist()
        for name in ("as_of", "last_inspected_on", "eligible_on")
    )
    outcome, kind = (
        [str(one) or None for one in columns[name][rows].tolist()]
        for name in ("last_outcome", "last_kind")
    )
    priority, support = (_floats(columns[name][rows]) for name in ("priority", "support"))
    is_unsure = columns["is_insufficient_history"][rows].astype(bool).tolist()
    is_eligible = allows_visit(columns["eligible_on"][rows], view.snapshot.as_of).tolist()
    rank = view.national_rank[rows].tolist()
    out: list[ListRowRecord] = []
    for n, row in enumerate(rows.tolist()):
        last = before.get(licensed[n]["dealer"])
        change: RowChangeRecord = {
            "previous_position": last[0] if last else None,
            "priority": round(priority[n] - last[1], 6) if last else None,
        }
        out.append(
            {
                "position": n + 1,
                **licensed[n],
                "why": places.why[row],
                "inclusion_probability": places.probability[row],
                "is_mandatory": row in places.mandatory,
                "mandatory_probability": places.mandatory_probability.get(row),
                "note": places.note.get(row, ""),
                "as_of": as_of[n],
                "heads": heads[n],
                "priority": priority[n],
                "percentile": view.percentile_at(rank[n]),
                "national_rank": rank[n],
                "support": support[n],
                "has_insufficient_history": is_unsure[n],
                "last_inspected_on": seen[n],
                "last_outcome": outcome[n],
                "last_kind": kind[n],
                "is_eligible": is_eligible[n],
                "eligible_on": eligible_on[n],
                "reasons": view.reasons(row, N_LIST_REASONS),
                "change": change if before else None,
            }
        )
    return out


def _heads(view: View, rows: Ints) -> list[dict[str, HeadRecord]]:
    """Return what each head says of some rows."""
    columns, names = view.snapshot.columns, view.snapshot.heads
    ends = [
        [_floats(columns[f"{head}{end}"][rows]) for end in ("", "_lower", "_upper")]
        for head in names
    ]
    out: list[dict[str, HeadRecord]] = [{} for _ in rows]
    for head, (value, lower, upper) in zip(names, ends, strict=True):
        for record, v, low, high in zip(out, value, lower, upper, strict=True):
            record[head] = {"value": v, "lower": low, "upper": high}
    return out


def _floats(values: npt.NDArray[Any]) -> list[float]:
    found: list[float] = values.astype(np.float64).tolist()
    return found


def _change(
    view: View,
    rows: list[ListRowRecord],
    *,
    before: Mapping[str, tuple[int, float]],
    previous: Before | None,
) -> ListChangeRecord | None:
    """Compare with the last list; what the caller may no longer see was never there."""
    if previous is None:
        return None
    now = {row["dealer"] for row in rows}
    left = [dealer for dealer in before if dealer not in now and view.row(dealer) is not None]
    return {
        "previous_list": previous.list_id,
        "n_entered": len(now - before.keys()),
        "n_left": len(left),
        "left": sorted(left),
    }
