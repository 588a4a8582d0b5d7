"""What one caller may see of the published scores.

A `View` is a snapshot without the dealers that are held from the caller: ranks, percentiles and
counts are those of a country in which they do not exist, so nothing shows that they do. A `Scope`
is a view with the rows that lie in the caller's area.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic_core import to_json

from features.arrays import Flags, Floats, Ints
from features.domain.asof import from_numpy
from models.order.ties import order
from serving.scores.snapshot import Snapshot
from serving.scores.table.loaded_table import N_REASONS

if TYPE_CHECKING:
    from serving.contract.records.scores import HeadRecord, ReasonRecord, ScoreRecord


# Rows of a view that are kept as JSON, without reasons and with them: some 10 MB each.
_MOST_IN_JSON: Final = {False: 20_000, True: 3_000}


class View:
    """A snapshot as one caller sees it.

    Parameters
    ----------
    snapshot : Snapshot
    hidden : iterable of str
        Dealers that do not exist for this caller.
    """

    def __init__(self, snapshot: Snapshot, hidden: Iterable[str] = ()) -> None:
        self.snapshot = snapshot
        self.hidden = frozenset(hidden)
        columns = snapshot.columns
        # A license type that the bundle was not trained on has no score to show.
        self.is_visible: Flags = np.ones(len(columns["dealer"]), dtype=bool)
        rows = [snapshot.row_of[d] for d in self.hidden if d in snapshot.row_of]
        self.is_visible[rows] = False
        self.is_visible &= columns["is_in_scope"]
        by_rank = order(columns["priority"], snapshot.places.turns)
        self.order: Ints = by_rank[self.is_visible[by_rank]]
        self.n = len(self.order)
        self.national_rank = np.zeros(len(self.is_visible), dtype=np.int64)
        self.national_rank[self.order] = np.arange(1, self.n + 1)
        self.office_rank = np.zeros(len(self.is_visible), dtype=np.int64)
        by_office = pd.Series(snapshot.codes("office")[0][self.order])
        self.office_rank[self.order] = by_office.groupby(by_office).cumcount().to_numpy() + 1
        self._in_json: dict[bool, dict[int, bytes]] = {False: {}, True: {}}

    def row(self, asked: str, within: Flags | None = None) -> int | None:
        """Return the row of a dealer that this caller can see, else None."""
        row = self.snapshot.row(asked)
        if row is None or not self.is_visible[row] or (within is not None and not within[row]):
            return None
        return row

    def is_gone(self, dealer: str) -> bool:
        """Whether a dealer that is not held from the caller is scored no more.

        It was once on a list or in a plan: its license left the listing since, or its type is none
        that is scored.
        """
        return dealer not in self.hidden and self.row(dealer) is None

    def percentile(self, row: int) -> float:
        """Return the share of visible dealers that do not stand before it, in per cent.

        Of equal priorities, those that the lot puts before it do.
        """
        return self.percentile_at(int(self.national_rank[row]))

    def percentile_at(self, rank: int) -> float:
        """Return `percentile` of the row of a rank."""
        return round(100.0 * (self.n - rank + 1) / self.n, 2)

    @property
    def percentiles(self) -> Floats:
        """`percentile` of every row, unrounded, shape (n,)."""
        found: Floats = 100.0 * (self.n - self.national_rank + 1) / max(self.n, 1)
        return found

    def percent_below(self, row: int) -> float:
        """Return the share of visible dealers with a strictly lower priority, rounded down."""
        lower = int(np.searchsorted(self._ascending, self.snapshot.columns["priority"][row]))
        return math.floor(1000.0 * lower / self.n) / 10.0

    @cached_property
    def _ascending(self) -> npt.NDArray[Any]:
        return np.sort(self.snapshot.columns["priority"][self.order])

    def heads(self, row: int) -> dict[str, HeadRecord]:
        """Return what each head says of a row."""
        columns = self.snapshot.columns
        return {
            head: {
                "value": float(columns[head][row]),
                "lower": float(columns[f"{head}_lower"][row]),
                "upper": float(columns[f"{head}_upper"][row]),
            }
            for head in self.snapshot.heads
        }

    def eligible_on(self, row: int) -> date | None:
        """Return the first day a visit is allowed, None when the dealer was never inspected."""
        return from_numpy(self.snapshot.columns["eligible_on"][row])

    def is_eligible(self, row: int) -> bool:
        """Whether the twelve-month rule allows a visit on the as-of date."""
        day = self.eligible_on(row)
        return day is None or day <= self.snapshot.as_of

    def score(self, row: int, *, with_reasons: bool = False) -> ScoreRecord:
        """Return a row, ready for the contract's `Score`."""
        columns = self.snapshot.columns
        eligible_on = self.eligible_on(row)
        return {
            "dealer": columns["dealer"][row],
            "status": "scored",
            "as_of": from_numpy(columns["as_of"][row]),
            "heads": self.heads(row),
            "priority": float(columns["priority"][row]),
            "percentile": self.percentile(row),
            "national_rank": int(self.national_rank[row]),
            "office": columns["office"][row],
            "office_rank": int(self.office_rank[row]),
            "support": float(columns["support"][row]),
            "is_eligible": eligible_on is None or eligible_on <= self.snapshot.as_of,
            "eligible_on": eligible_on,
            "reasons": self.reasons(row) if with_reasons else None,
        }

    def scores_in_json(self, rows: Sequence[int], *, with_reasons: bool = False) -> list[bytes]:
        """Return each row as JSON, as `score` says it.

        A view never changes, so what was asked before is kept: a scheduler asks for the same
        dealers again and again, and making a row takes longer than all else done for it.
        """
        kept = self._in_json[with_reasons]
        if missing := [row for row in dict.fromkeys(rows) if row not in kept]:
            records = self._records(missing, with_reasons=with_reasons)
            made = dict(zip(missing, map(to_json, records), strict=True))
            if len(kept) + len(made) > _MOST_IN_JSON[with_reasons]:
                # Another thread goes on with the old one; none ever takes a row out.
                kept = {row: kept[row] for row in rows if row in kept}
                self._in_json[with_reasons] = kept
            kept.update(made)
        return [kept[row] for row in rows]

    def _records(self, rows: Sequence[int], *, with_reasons: bool) -> Iterator[ScoreRecord]:
        """Return what `score` returns for each row, a column at a time."""
        at = np.asarray(rows, dtype=np.intp)
        columns = self.snapshot.columns

        def days(name: str) -> list[date | None]:
            found: list[date | None] = columns[name][at].astype("datetime64[D]").tolist()
            return found

        def numbers(name: str) -> list[float]:
            found: list[float] = columns[name][at].astype(np.float64).tolist()
            return found

        heads = self.snapshot.heads
        of_heads = [
            (numbers(head), numbers(f"{head}_lower"), numbers(f"{head}_upper")) for head in heads
        ]
        ranks = self.national_rank[at].tolist()
        told = zip(
            columns["dealer"][at], days("as_of"), numbers("priority"), ranks, columns["office"][at],
            self.office_rank[at].tolist(), numbers("support"), days("eligible_on"), strict=True,
        )  # fmt: skip
        for n, (dealer, as_of, priority, rank, office, place, support, eligible_on) in enumerate(
            told
        ):
            yield {
                "dealer": dealer,
                "status": "scored",
                "as_of": as_of,
                "heads": {
                    head: {"value": values[n], "lower": lower[n], "upper": upper[n]}
                    for head, (values, lower, upper) in zip(heads, of_heads, strict=True)
                },
                "priority": priority,
                "percentile": self.percentile_at(rank),
                "national_rank": rank,
                "office": office,
                "office_rank": place,
                "support": support,
                "is_eligible": eligible_on is None or eligible_on <= self.snapshot.as_of,
                "eligible_on": eligible_on,
                "reasons": self.reasons(rows[n]) if with_reasons else None,
            }

    def reasons(self, row: int, n: int = N_REASONS) -> list[ReasonRecord]:
        """Return the strongest reasons of a row."""
        snapshot = self.snapshot
        return snapshot.sentences.of_row(
            row,
            snapshot.strongest[:n],
            license_types=snapshot.columns["license_type"],
            inputs=snapshot.inputs,
            missing=snapshot.missing,
        )


@dataclass(frozen=True)
class Scope:
    """What one caller may see.

    Parameters
    ----------
    view : View
    own : array of bool, shape (n,)
        The rows within the caller's area that exist for the caller.
    hidden : frozenset of str
        The dealers that do not exist for the caller.
    """

    view: View
    own: Flags
    hidden: frozenset[str] = frozenset()

    def row(self, asked: str) -> int | None:
        """Return the row of a dealer within the caller's area, else None."""
        return self.view.row(asked, self.own)


def eligible_rows(view: View) -> Flags:
    """Return the rows that the twelve-month rule allows to visit on the as-of date."""
    mask: Flags = allows_visit(view.snapshot.columns["eligible_on"], view.snapshot.as_of)
    return mask


def allows_visit(eligible_on: Any, as_of: date) -> Any:
    """Tell which first days of a lawful visit, dates or none at all, have come by `as_of`.

    >>> days = np.array(["2024-06-01", "2024-06-02", "NaT"], "datetime64[s]")
    >>> allows_visit(days, date(2024, 6, 1)).tolist()
    [True, False, True]
    """
    return np.isnat(eligible_on) | (eligible_on <= np.datetime64(as_of, "s"))
