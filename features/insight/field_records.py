"""What the warehouse says of offices, their dealers and their visits, for questions of staffing."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np
import pandas as pd

from features.domain.asof import add_months, day_sql, in_force_sql
from features.domain.home_offices import home_offices
from features.domain.office_names import one_spelling
from features.engine.embedded import EmbeddedEngine
from features.errors import WarehouseError
from features.reference.geography.places import MEXICO_BORDER_STATES, county_office
from features.reference.legal.outcome import SEVERE, WARNED
from features.reference.legal.twelve_month_rule import ended_on, recall_spans
from features.warehouse import Warehouse

_DEALERS: Final = """
SELECT dealer, arg_max(premises_state, listed_on) AS state,
       arg_max(county_fips, listed_on) AS county_fips,
       max(listed_on) = max(max(listed_on)) OVER () AS is_listed
FROM licenses WHERE {in_force} GROUP BY dealer ORDER BY dealer
"""
_VISITS: Final = """
SELECT dealer, opened_on, closed_on, outcome, hours, investigator_token, office
FROM inspections WHERE {in_force} AND kind IN ('compliance', 'recall') AND closed_on IS NOT NULL
ORDER BY closed_on, inspection_id
"""


@dataclass(frozen=True)
class FieldRecords:
    """Dealers and visits as of a day, by the office in whose area the dealer stands.

    Parameters
    ----------
    as_of : date
        Only what was known before this day is read.
    dealers : DataFrame
        Listed dealers: dealer, office, is_border, months (until the law allows a visit, 0 where it
        does now), is_recall (the next visit is a recall due or coming due).
    visits : DataFrame
        Visits that use up the allowance, closed in whole years before the day: office, is_border,
        hours, is_severe and is_warned (by the outcome alone), year (0 is the last),
        investigator_token, visited_by.
    n_years : int
        Whole years of visits.
    n_placed_afar : int
        Listed dealers in counties that no office on record has visited.
    """

    as_of: date
    dealers: pd.DataFrame
    visits: pd.DataFrame
    n_years: int
    n_placed_afar: int


def field_records(
    warehouse: Warehouse, as_of: date, *, years: int, without: Collection[str] = ()
) -> FieldRecords:
    """Read dealers, offices and the visits of up to some whole years, without some dealers.

    Raises
    ------
    WarehouseError
        When there are no licenses, no visits, or less than a year of visits before `as_of`.
    """
    cut = in_force_sql(day_sql(as_of))
    with EmbeddedEngine(warehouse) as engine:
        dealers = engine.query(_DEALERS.format(in_force=cut)).to_pandas()
        visits = engine.query(_VISITS.format(in_force=cut)).to_pandas()
    dealers = dealers[~dealers["dealer"].isin(list(without))]
    visits = visits[~visits["dealer"].isin(list(without))]
    for table, rows in (("licenses", dealers), ("inspections", visits)):
        if rows.empty:
            raise WarehouseError(
                f"Staffing cannot be told: the warehouse holds no {table} known before {as_of}.",
                expected="dealers listed, and compliance inspections closed, before the day",
                fix=f"ingest {table}, or give a later --as-of",
            )
    for name in ("opened_on", "closed_on"):
        visits[name] = pd.to_datetime(visits[name]).astype("datetime64[s]")
    starts = [pd.Timestamp(add_months(as_of, -12 * k)) for k in range(1, years + 1)]
    first = visits["closed_on"].min()
    n_years = sum(start >= first for start in starts)
    if n_years == 0:
        raise WarehouseError(
            f"Less than a year of visits was known before {as_of}.",
            found=f"the first closed on {first.date()}",
            expected="at least twelve months of closed inspections",
        )
    visits["office"] = one_spelling(visits["office"])
    dealers, n_afar = _placed(dealers, visits)
    facts = _next_visit(visits, as_of)
    visits = visits.rename(columns={"office": "visited_by"})
    visits = visits.merge(dealers[["dealer", "office", "is_border"]], on="dealer")
    ages = np.searchsorted(
        -np.array(starts[:n_years], "datetime64[s]").astype(np.int64),
        -visits["closed_on"].to_numpy("datetime64[s]").astype(np.int64),
    )
    visits = visits.assign(
        year=ages,
        is_severe=visits["outcome"].isin(SEVERE),
        is_warned=visits["outcome"].isin(WARNED),
    )
    listed = dealers[dealers["is_listed"]].merge(facts, on="dealer", how="left")
    listed = listed.assign(
        months=listed["months"].fillna(0).astype(np.int64),
        is_recall=listed["is_recall"].eq(True),
    )
    recent = visits[visits["year"] < n_years].reset_index(drop=True)
    return FieldRecords(as_of, listed.reset_index(drop=True), recent, n_years, n_afar)


def placed_dealers(engine: EmbeddedEngine, condition: str) -> pd.DataFrame:
    """Return every dealer ever listed, with state, office, and whether it still is listed.

    Parameters
    ----------
    engine : EmbeddedEngine
    condition : str
        SQL of the rows that are in force.
    """
    dealers = engine.query(_DEALERS.format(in_force=condition)).to_pandas()
    visits = engine.query(_VISITS.format(in_force=condition)).to_pandas()
    return _placed(dealers, visits)[0][["dealer", "state", "office", "is_listed"]]


def _placed(dealers: pd.DataFrame, visits: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """Give each dealer the office seen most in its county, else in its state, else by reference."""
    where = dealers[["dealer", "county_fips", "state"]].rename(columns={"county_fips": "county"})
    seen = visits[["dealer", "office"]].dropna(subset=["office"]).merge(where, on="dealer")
    named = county_office().set_index("county_fips")["office"]
    home = home_offices(where, seen)
    office = home.where(home.notna(), where["county"].map(named))
    is_afar = ~where["county"].isin(seen["county"].dropna())
    placed = dealers.assign(
        office=office.fillna("unknown"), is_border=dealers["state"].isin(MEXICO_BORDER_STATES)
    )
    return placed, int((is_afar & dealers["is_listed"]).sum())


def _next_visit(visits: pd.DataFrame, as_of: date) -> pd.DataFrame:
    """Months until the law allows the next visit of each visited dealer, and whether a recall.

    The interval is counted from the later of the days on which a visit was opened and closed.
    """
    last = visits.assign(ended=ended_on(visits["opened_on"], visits["closed_on"]))
    last = last.sort_values(["dealer", "ended"], kind="stable")
    last = last.drop_duplicates("dealer", keep="last")
    spans, now = recall_spans(last["ended"], last["outcome"], as_of), pd.Timestamp(as_of)
    is_recall = spans["lapses_on"] > now
    wait = spans["due_on"].where(is_recall, spans["allowed_on"]) - now
    months = np.ceil(wait.dt.days.clip(lower=0) / (365.25 / 12)).astype(np.int64)
    return pd.DataFrame({"dealer": last["dealer"], "months": months, "is_recall": is_recall})
