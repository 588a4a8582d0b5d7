"""Which Mexican agencies and states submit fewer traces than they could, quarter by quarter.

One row is an agency, a Mexican state and a quarter: requests, how many had a legible serial and
reached a purchaser, how long the answer took, and what full submission would have brought
(`features.signals.shared.coverage`). Training is ranked by the traces to a purchaser that a year of
full submission, and serials read as well as elsewhere, would add.

References
----------
GAO-21-322 (2021), recommendation 1; Double Fix (2023), recommendations 8 and 16.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date
from typing import Final

import numpy as np
import pandas as pd

from features.domain.asof import day_sql, in_force_sql, to_day
from features.domain.number_words import counted
from features.engine.embedded import EmbeddedEngine
from features.openjson import Json, Row
from features.signals.shared import coverage
from features.signals.shared.coverage import FULL, Coverage
from features.warehouse import Warehouse

_Z: Final = 1.645  # 90% ranges
_YEAR: Final = 4  # quarters
_NAMED: Final = 10  # requesters named in a sentence
_REGIMES: Final = ("federal agency only", "own agency in part", "own agency in full")

_CELLS_SQL: Final = """
SELECT requester, recovery_state AS state,
       year(requested_on) * 4 + quarter(requested_on) - 1 AS quarter,
       count(*) AS n, count(*) FILTER (WHERE serial_status = 'legible') AS n_legible,
       count(*) FILTER (WHERE outcome = 'purchaser') AS n_to_purchaser,
       median(completed_on - requested_on) AS median_days
FROM traces
WHERE recovery_country = 'MX' AND recovery_state IS NOT NULL AND {in_force}
GROUP BY ALL ORDER BY ALL
"""


@dataclass(frozen=True)
class AgencyQuarter:
    """One agency in one Mexican state and quarter.

    Parameters
    ----------
    requester, state, quarter : str
        Agency, ISO 3166-2 code, and a quarter such as ``2023Q1``.
    n_requests, n_legible, n_to_purchaser : int
        Requests, those with a legible serial, those that reached a purchaser.
    median_days : float or None
        Days from request to answer, of those answered.
    expected : float or None
        Requests of all agencies of the state under full submission.
    coverage, low, high : float or None
        Share of those that this agency submitted, and a 90% range.
    basis : str
        ``measured`` in the state itself, ``pooled`` from others, ``convention`` or ``none``.
    submits : str
        Who submitted in the state then.
    """

    requester: str
    state: str
    quarter: str
    n_requests: int
    n_legible: int
    n_to_purchaser: int
    median_days: float | None
    expected: float | None
    coverage: float | None
    low: float | None
    high: float | None
    basis: str
    submits: str


@dataclass(frozen=True)
class Training:
    """What a year of full submission would add in one Mexican state, as ranges.

    Parameters
    ----------
    state : str
    submits : str
        Who submits there now.
    n_requests, expected : float
        Requests of the last four settled quarters, and those under full submission.
    added_requests, low, high : float
        Requests that full submission would add in a year, and a 90% range.
    added_by_legibility : float
        Traces to a purchaser that serials read as well as in the better half would add.
    added_to_purchaser : float
        Traces to a purchaser that both together would add.
    basis : str
        As in `AgencyQuarter`.
    """

    state: str
    submits: str
    n_requests: float
    expected: float
    added_requests: float
    low: float
    high: float
    added_by_legibility: float
    added_to_purchaser: float
    basis: str


@dataclass(frozen=True)
class Completeness:
    """Completeness of Mexican submission as of a date.

    Parameters
    ----------
    as_of : date
    agencies : str
        Whether the table `agencies` told who submits, or the requests did.
    rows : tuple of AgencyQuarter
    training : tuple of Training
        The state where training would add most first.
    statements : tuple of str
        What was assumed.
    """

    as_of: date
    agencies: str
    rows: tuple[AgencyQuarter, ...]
    training: tuple[Training, ...]
    statements: tuple[str, ...]

    def as_dict(self) -> Json:
        """Return everything, for JSON."""
        return asdict(self) | {"as_of": self.as_of.isoformat()}

    def by_agency_and_year(self) -> pd.DataFrame:
        """Return requests, expected and coverage by agency and year.

        A year of an agency is held against the states in which it submitted in that year.
        """
        frame = pd.DataFrame([asdict(row) for row in self.rows])
        if frame.empty:
            return pd.DataFrame(columns=["requester", "year", "n_requests", "expected", "coverage"])
        frame = frame[frame["expected"].notna()]
        frame["year"] = frame["quarter"].str[:4].astype(int)
        sums = frame.groupby(["requester", "year"], as_index=False)[
            ["n_requests", "expected"]
        ].sum()
        return sums.assign(coverage=sums["n_requests"] / sums["expected"])


STATEMENTS: Final = (
    "Coverage is measured against full submission: what the federal prosecutor and the state's "
    "own submit together once the state's own has done so for a year.",
    "It is assumed that a recovery is submitted once, that recoveries follow homicides with "
    "firearms within a state, and that the federal share of other states is steady.",
    "Where no state has submitted in full, a national convention stands in, with a wide range.",
    "Traced firearms are not a random sample of those recovered.",
)


def completeness(warehouse: Warehouse, as_of: date) -> Completeness:
    """Measure completeness as of a date.

    Parameters
    ----------
    warehouse : Warehouse
    as_of : date
        Only requests known before it count.
    """
    day = to_day(as_of)
    with EmbeddedEngine(warehouse) as engine:
        cells = engine.query(cells_sql(in_force_sql(day_sql(as_of)))).to_pandas()
        found = coverage.estimate(
            engine.query(coverage.requests_sql(day)).to_pandas(),
            engine.query(coverage.AGENCIES_SQL).to_pandas(),
            day,
        )
    agencies = (
        "inferred from the requests: the warehouse holds no Mexican agencies"
        if found.is_inferred
        else "as the table agencies says"
    )
    rows = _rows(cells, found)
    said = (*STATEMENTS, *said_of_unlisted(found))
    return Completeness(as_of, agencies, rows, _training(cells, found), said)


def cells_sql(in_force: str) -> str:
    """Return the query of requests by agency, Mexican state and quarter, of rows in force."""
    return _CELLS_SQL.format(in_force=in_force)


def said_of_unlisted(found: Coverage) -> list[str]:
    """Name the requesters without an agency row: who they are, only the table can tell."""
    if not found.unlisted:
        return []
    names = list(found.unlisted)
    shown = ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")
    requests = counted(sum(found.unlisted.values()), "request")
    return [
        f"{counted(len(names), 'requester')} with {requests} "
        f"{'has' if len(names) == 1 else 'have'} no row in "
        f"the table agencies: {shown}. Their requests count in their state, and as nobody's own "
        "or federal submission; add their rows to tell whose they are."
    ]


def name_of(quarter: int) -> str:
    """Return a quarter in words.

    >>> name_of(4 * 2023 + 1)
    '2023Q2'
    """
    return f"{quarter // 4}Q{quarter % 4 + 1}"


def _rows(cells: pd.DataFrame, found: Coverage) -> tuple[AgencyQuarter, ...]:
    expected = found.expected
    place = {state: i for i, state in enumerate(found.states)}
    out = []
    for cell in _records(cells):
        s, q = place[cell["state"]], int(cell["quarter"]) - found.first
        full = float(expected[s, q]) if found.is_settled[q] else float("nan")
        is_told = np.isfinite(full) and full > 0
        low, high = _range(cell["n"], full, float(found.spread[s])) if is_told else (None, None)
        out.append(
            AgencyQuarter(
                str(cell["requester"]),
                str(cell["state"]),
                name_of(int(cell["quarter"])),
                int(cell["n"]),
                int(cell["n_legible"]),
                int(cell["n_to_purchaser"]),
                None if pd.isna(cell["median_days"]) else float(cell["median_days"]),
                full if is_told else None,
                min(cell["n"] / full, 1.0) if is_told else None,
                low,
                high,
                found.basis[s] if is_told else "none",
                _REGIMES[int(found.regime[s, q])],
            )
        )
    return tuple(out)


def _records(cells: pd.DataFrame) -> list[Row]:
    """Return cells, of which there are few, as records."""
    return cells.to_dict("records")  # type: ignore[return-value]


def _range(n: float, full: float, spread: float) -> tuple[float, float]:
    """Return the 90% range of a share: of counting, and of what full submission would be."""
    wide = np.sqrt(1 / max(n, 1.0) + spread**2)
    share = n / full
    return float(min(share * np.exp(-_Z * wide), 1.0)), float(min(share * np.exp(_Z * wide), 1.0))


def _training(cells: pd.DataFrame, found: Coverage) -> tuple[Training, ...]:
    settled = np.flatnonzero(found.is_settled)[-_YEAR:]
    if not len(settled):
        return ()
    recent = cells[cells["quarter"].isin(settled + found.first)]
    sums = recent.groupby("state")[["n", "n_legible", "n_to_purchaser"]].sum()
    total = sums.sum()
    if not total["n"]:
        return ()
    legible = sums["n_legible"] / sums["n"]
    reached = total["n_to_purchaser"] / max(total["n_legible"], 1)
    better = float(legible[sums["n"] >= coverage.MIN_REQUESTS].quantile(0.75))
    out = []
    for s, state in enumerate(found.states):
        expected = float(found.expected[s, settled].sum())
        if not np.isfinite(expected) or found.basis[s] == "none":
            continue
        n = float(sums["n"].get(state, 0.0))
        regime = int(found.regime[s, settled[-1]])
        missing = max(expected - n, 0.0) if regime != FULL else 0.0
        wide = np.exp(_Z * float(found.spread[s]))
        own = float(legible.get(state, better))
        by_legibility = max(better - own, 0.0) * n * reached if np.isfinite(better) else 0.0
        out.append(
            Training(
                state,
                _REGIMES[regime],
                n,
                expected,
                missing,
                max(expected / wide - n, 0.0) if regime != FULL else 0.0,
                max(expected * wide - n, 0.0) if regime != FULL else 0.0,
                by_legibility,
                by_legibility + missing * own * reached,
                found.basis[s],
            )
        )
    return tuple(sorted(out, key=lambda t: (-t.added_to_purchaser, t.state)))
