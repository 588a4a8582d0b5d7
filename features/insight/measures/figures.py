"""The named figures of a period, counted from the warehouse; None where there is no data."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import numpy as np

from features.domain.asof import add_months, day_sql, in_force_sql, to_day
from features.engine.embedded import EmbeddedEngine
from features.insight.measures.divisions import spread_between
from features.insight.repeats import repeats_sql, softened_sql
from features.openjson import Row
from features.reference.geography.places import MEXICO_BORDER_STATES, county_office
from features.reference.legal.outcome import SEVERE as SEVERE_OUTCOMES
from features.reference.legal.outcome import WARNED
from features.reference.legal.short_time_to_crime import short_sql
from features.schema import TABLES
from features.signals.shared import coverage
from features.sql import literal
from features.warehouse import Warehouse

Figures = dict[str, float | None]
SEVERE: Final = f"outcome IN ({', '.join(map(literal, SEVERE_OUTCOMES))})"
BORDER: Final = f"({', '.join(map(literal, sorted(MEXICO_BORDER_STATES)))})"
_MIN_OFFICE: Final = 30  # visits of an office below which its share is left out

# Every figure of the warehouse, in words.
KNOWN: Final = {
    "visits": "compliance inspections closed in the period",
    "visits_dealers": "dealers of them",
    "severe_visits": "of those, with a warning conference or revocation",
    "timed_visits": "visits of the period whose hours are known",
    "timed_severe_visits": "of those, severe",
    "hours": "hours of the visits whose hours are known",
    "dealers_listed": "dealers listed at the end of the period",
    "dealers_seen_3y": "of those, inspected in the three years before",
    "border_listed": "dealers listed in the four border states",
    "border_seen_3y": "of those, inspected in the three years before",
    "days_oldest_unseen": "days since the dealer longest unseen was first listed or inspected",
    "mexico_short": "Mexican traces at three years or less known in the period",
    "mexico_short_seen_before": "of those, at dealers inspected in the year before",
    "unaccounted_initial": "firearms missing at first, at visits of the period that counted twice",
    "unaccounted_final": "of those, missing in the end",
    "median_days_to_action": "median days from opening to close of severe visits",
    "seen_after_warning": "dealers warned in the five years before and inspected in the period",
    "repeated_after_warning": "of those, cited again for what they were warned of",
    "recommended_revocations": "visits at which revocation was recommended",
    "softened": "of those, that ended milder",
    "office_severe_high": "highest severe share among offices with 30 visits",
    "office_severe_low": "lowest severe share among them",
    "division_spread": "standard deviation of the divisions' severe shares, chance taken off",
    "division_spread_low": "least that it may be, by its 95% interval",
    "division_spread_high": "most that it may be, by its 95% interval",
    "mexico_requests": "Mexican requests of the settled quarters of the period",
    "mexico_expected": "requests under full submission in those quarters and states",
    "random_visits": "compliance inspections drawn at random",
    "random_severe": "of those, severe",
    "seized": "firearms seized on their way to the border in the period",
    "seized_to_dealer": "of those, traced to a dealer",
}

# Of how many dealers a figure is, and how much of it is of the one with most: what it takes to
# tell whether it may be shown to anyone. A visit is one of few that a dealer may have in a year.
GROUNDS: Final = {
    "visits": ("visits_dealers", ""),
    "severe_visits": ("severe_dealers", ""),
    "random_visits": ("random_dealers", ""),
    "timed_visits": ("timed_dealers", ""),
    "timed_severe_visits": ("timed_severe_dealers", ""),
    "mexico_short": ("mexico_short_dealers", "mexico_short_top"),
    "mexico_short_seen_before": ("mexico_seen_dealers", "mexico_seen_top"),
    "mexico_short - mexico_short_seen_before": ("mexico_unseen_dealers", "mexico_unseen_top"),
    "unaccounted_initial": ("missing_dealers", "missing_top"),
    "unaccounted_final": ("missing_final_dealers", "missing_final_top"),
    "unaccounted_initial - unaccounted_final": ("missing_found_dealers", "missing_found_top"),
}
# The simple rules that the published order is held against, one by one.
BASELINES: Final[dict[str, str]] = {
    "points": "the table of points",
    "logistic": "logistic regression",
    "most_traces_first": "most traces first",
    "most_short_traces_first": "most short traces first",
    "longest_uninspected_first": "longest unseen first",
    "random": "visits at random",
}
# What the figures that are no counts rest on; nothing of what is one dealer's, or an office's.
RESTS_ON: Final[dict[str, tuple[str, ...]]] = {
    "hours": ("timed_visits",),
    "median_days_to_action": ("severe_visits",),
    "mexico_expected": ("mexico_requests",),
    "days_oldest_unseen": (),
    "office_severe_high": (),
    "office_severe_low": (),
    "division_spread": (),
    "division_spread_low": (),
    "division_spread_high": (),
    "recall_at_capacity": (),
    "recall_best_rule": (),
    "recall_gain_low": (),
    **{f"{figure}_{rule}": () for rule in BASELINES for figure in ("recall", "recall_gain_low")},
}


@dataclass(frozen=True)
class Period:
    """A span of days, half open, seen as of its end."""

    name: str
    starts_on: date
    ends_on: date

    @classmethod
    def year(cls, year: int) -> Period:
        """Return a calendar year."""
        return cls(str(year), date(year, 1, 1), date(year + 1, 1, 1))


@dataclass(frozen=True)
class _Asked(Period):
    """A period, and the dealers that stand in no figure of it."""

    without: frozenset[str] = frozenset()

    @property
    def others(self) -> str:
        """SQL of the rows that are of none of them."""
        named = ", ".join(map(literal, sorted(self.without)))
        return f"(dealer IS NULL OR dealer NOT IN ({named}))" if named else "true"


def warehouse_figures(
    warehouse: Warehouse, period: Period, *, without: Collection[str] = ()
) -> Figures:
    """Count every figure of `KNOWN`, and its grounds, as of the end of a period.

    Parameters
    ----------
    without : collection of str
        Dealers that stand in no figure; requests of agencies are counted whatever dealer they name.
    """
    asked = _Asked(period.name, period.starts_on, period.ends_on, frozenset(without))
    return _figures(warehouse, asked)


def _figures(warehouse: Warehouse, period: _Asked) -> Figures:
    found: Figures = dict.fromkeys(
        (*KNOWN, *(name for pair in GROUNDS.values() for name in pair if name))
    )
    with EmbeddedEngine(warehouse) as engine:
        if engine.has("inspections"):
            _visits(engine, period, found)
            _offices(engine, period, found)
            _divisions(engine, period, found)
            if engine.has("violations"):
                _warned(engine, period, found)
        if engine.has("licenses"):
            _coverage_of_dealers(engine, period, found)
        if engine.has("traces"):
            _southbound(engine, period, found)
            _completeness(engine, period, found)
        if engine.has("seizures"):
            _seized(engine, period, found)
    return found


def _row(engine: EmbeddedEngine, sql: str) -> Row:
    rows: list[dict[str, Any]] = engine.query(sql).to_pylist()
    return rows[0]


def _standing(table: str, period: _Asked) -> str:
    others = period.others if "dealer" in TABLES[table].names else "true"
    return f"(SELECT * FROM {table} WHERE {in_force_sql(day_sql(period.ends_on))} AND {others})"


def _closed(period: _Asked) -> str:
    """Return SQL of compliance inspections closed in the period."""
    inside = f"closed_on >= {day_sql(period.starts_on)} AND closed_on < {day_sql(period.ends_on)}"
    rows = _standing("inspections", period)
    return f"(SELECT * FROM {rows} WHERE kind = 'compliance' AND {inside})"


def _visits(engine: EmbeddedEngine, period: _Asked, found: Figures) -> None:
    row = _row(
        engine,
        f"""
        SELECT count(*) AS visits, count(DISTINCT dealer) AS visits_dealers,
               count(*) FILTER ({SEVERE}) AS severe_visits,
               count(DISTINCT dealer) FILTER ({SEVERE}) AS severe_dealers,
               count(DISTINCT dealer) FILTER (selected_by = 'random') AS random_dealers,
               count(*) FILTER (hours > 0) AS timed_visits,
               count(DISTINCT dealer) FILTER (hours > 0) AS timed_dealers,
               count(*) FILTER (hours > 0 AND {SEVERE}) AS timed_severe_visits,
               count(DISTINCT dealer) FILTER (hours > 0 AND {SEVERE}) AS timed_severe_dealers,
               sum(hours) FILTER (hours > 0) AS hours,
               sum(firearms_unaccounted_initial) FILTER (firearms_unaccounted_final IS NOT NULL)
                   AS unaccounted_initial,
               sum(firearms_unaccounted_final) FILTER (firearms_unaccounted_initial IS NOT NULL)
                   AS unaccounted_final,
               median(closed_on - opened_on) FILTER ({SEVERE}) AS median_days_to_action,
               count(*) FILTER (recommended_outcome = 'revocation') AS recommended_revocations,
               count(*) FILTER (recommended_outcome = 'revocation' AND {softened_sql()})
                   AS softened,
               count(*) FILTER (selected_by = 'random') AS random_visits,
               count(*) FILTER (selected_by = 'random' AND {SEVERE}) AS random_severe
        FROM {_closed(period)}
        """,
    )
    missing = f"""
        SELECT dealer, sum(firearms_unaccounted_initial) AS missing,
               sum(firearms_unaccounted_final) AS missing_final,
               missing - missing_final AS missing_found
        FROM {_closed(period)} WHERE firearms_unaccounted_initial IS NOT NULL
        AND firearms_unaccounted_final IS NOT NULL GROUP BY dealer
    """
    row |= _spread(engine, missing, ("missing", "missing_final", "missing_found"))
    found |= {name: None if value is None else float(value) for name, value in row.items()}


def _spread(engine: EmbeddedEngine, by_dealer: str, names: Sequence[str]) -> Row:
    """Count of how many dealers each figure is, and how much of it is of the one with most."""
    sums = ", ".join(
        f"count(*) FILTER ({name} > 0) AS {name}_dealers, coalesce(max({name}), 0) AS {name}_top"
        for name in names
    )
    return _row(engine, f"SELECT {sums} FROM ({by_dealer})")


def _offices(engine: EmbeddedEngine, period: _Asked, found: Figures) -> None:
    row = _row(
        engine,
        f"""
        SELECT max(p) AS high, min(p) AS low FROM (
            SELECT avg(({SEVERE})::INT) AS p FROM {_closed(period)} WHERE office IS NOT NULL
            GROUP BY office HAVING count(*) >= {_MIN_OFFICE})
        """,
    )
    found["office_severe_high"], found["office_severe_low"] = row["high"], row["low"]


def _divisions(engine: EmbeddedEngine, period: _Asked, found: Figures) -> None:
    """Spread between divisions: that of the visit's office, else of the dealer's county."""
    places = county_office()
    counties = dict(zip(places["county_fips"], places["division"], strict=True))
    offices = dict(zip(places["office"], places["division"], strict=True))
    listed = (
        "SELECT dealer, arg_max(county_fips, listed_on) AS county "
        f"FROM {_standing('licenses', period)} GROUP BY dealer"
        if engine.has("licenses")
        else "SELECT NULL::VARCHAR AS dealer, NULL::VARCHAR AS county WHERE false"
    )
    rows = engine.query(
        f"SELECT office, county, count(*) AS n, count(*) FILTER ({SEVERE}) AS severe "
        f"FROM {_closed(period)} LEFT JOIN ({listed}) USING (dealer) GROUP BY ALL ORDER BY ALL"
    ).to_pandas()
    division = rows["office"].map(offices).fillna(rows["county"].map(counties))
    counts = rows.groupby(division)[["severe", "n"]].sum()
    spread = spread_between(counts["severe"].to_numpy(), counts["n"].to_numpy())
    if spread is not None:
        found["division_spread"] = spread.value
        found["division_spread_low"], found["division_spread_high"] = spread.low, spread.high


def _warned(engine: EmbeddedEngine, period: _Asked, found: Figures) -> None:
    """Dealers warned before, seen in the period, and cited again for the same."""
    since = add_months(period.starts_on, -60)
    rows, cited = _standing("inspections", period), _standing("violations", period)
    warned = ", ".join(map(literal, WARNED))
    before = (
        f"SELECT dealer FROM {rows} SEMI JOIN {cited} USING (inspection_id) "
        f"WHERE outcome IN ({warned}) AND closed_on >= {day_sql(since)} "
        f"AND closed_on < {day_sql(period.starts_on)}"
    )
    row = _row(
        engine,
        f"""
        WITH seen AS (SELECT DISTINCT dealer, inspection_id FROM {_closed(period)}
                      SEMI JOIN ({before}) USING (dealer))
        SELECT (SELECT count(DISTINCT dealer) FROM seen) AS seen,
               (SELECT count(DISTINCT dealer) FROM ({repeats_sql(rows, cited)})
                SEMI JOIN seen USING (dealer, inspection_id)
                WHERE warned_on >= {day_sql(since)} AND warned_on < {day_sql(period.starts_on)})
                   AS again
        """,
    )
    found["seen_after_warning"] = float(row["seen"])
    found["repeated_after_warning"] = float(row["again"])


def _coverage_of_dealers(engine: EmbeddedEngine, period: _Asked, found: Figures) -> None:
    end = day_sql(period.ends_on)
    visits = (
        f"SELECT dealer, max(opened_on) AS last FROM {_standing('inspections', period)} "
        "WHERE kind IN ('compliance', 'recall') GROUP BY dealer"
        if engine.has("inspections")
        else "SELECT NULL::VARCHAR AS dealer, NULL::DATE AS last WHERE false"
    )
    three = day_sql(add_months(period.ends_on, -36))
    row = _row(
        engine,
        f"""
        WITH rows AS {_standing("licenses", period)},
             listed AS (SELECT dealer, max(listed_on) AS listed_on, min(listed_on) AS first,
                               arg_max(premises_state, listed_on) AS state
                        FROM rows GROUP BY dealer),
             now AS (SELECT l.*, v.last FROM listed l LEFT JOIN ({visits}) v USING (dealer)
                     WHERE l.listed_on = (SELECT max(listed_on) FROM rows))
        SELECT count(*) AS n, count(*) FILTER (last >= {three}) AS seen,
               count(*) FILTER (state IN {BORDER}) AS border,
               count(*) FILTER (state IN {BORDER} AND last >= {three}) AS border_seen,
               max({end} - coalesce(last, first)) AS oldest
        FROM now
        """,
    )
    found["dealers_listed"], found["border_listed"] = float(row["n"]), float(row["border"])
    found["days_oldest_unseen"] = None if row["oldest"] is None else float(row["oldest"])
    if engine.has("inspections"):
        found["dealers_seen_3y"] = float(row["seen"])
        found["border_seen_3y"] = float(row["border_seen"])


def _southbound(engine: EmbeddedEngine, period: _Asked, found: Figures) -> None:
    traces = (
        f"SELECT dealer, known_on FROM traces WHERE {in_force_sql(day_sql(period.ends_on))} AND "
        f"known_on >= {day_sql(period.starts_on)} AND recovery_country = 'MX' "
        f"AND dealer IS NOT NULL AND {period.others} AND {short_sql()}"
    )
    has_visits = engine.has("inspections")
    seen = (
        f"""EXISTS (SELECT 1 FROM {_standing("inspections", period)} i WHERE i.dealer = t.dealer
            AND i.opened_on < t.known_on AND i.opened_on >= t.known_on - INTERVAL 1 YEAR)"""
        if has_visits
        else "false"
    )
    by_dealer = f"""
        SELECT dealer, count(*) AS mexico_short, count(*) FILTER (is_seen) AS mexico_seen,
               count(*) FILTER (NOT is_seen) AS mexico_unseen
        FROM (SELECT dealer, {seen} AS is_seen FROM ({traces}) t) GROUP BY dealer
    """
    sums = _row(
        engine,
        f"""
        SELECT coalesce(sum(mexico_short), 0) AS n, coalesce(sum(mexico_seen), 0) AS seen
        FROM ({by_dealer})
        """,
    )
    found["mexico_short"] = float(sums["n"])
    names = ("mexico_short", "mexico_seen", "mexico_unseen") if has_visits else ("mexico_short",)
    if has_visits:
        found["mexico_short_seen_before"] = float(sums["seen"])
    found |= {name: float(n) for name, n in _spread(engine, by_dealer, names).items()}


def _completeness(engine: EmbeddedEngine, period: _Asked, found: Figures) -> None:
    day = to_day(period.ends_on)
    told = coverage.estimate(
        engine.query(coverage.requests_sql(day)).to_pandas(),
        engine.query(coverage.AGENCIES_SQL).to_pandas(),
        day,
    )
    year = (told.first + np.arange(told.n.shape[1])) // 4
    inside = told.is_settled & (year >= period.starts_on.year) & (year < period.ends_on.year)
    is_known = np.isin(told.basis, ("measured", "pooled"))
    expected = float(told.expected[is_known][:, inside].sum())
    if is_known.any() and expected > 0:
        found["mexico_requests"] = float(told.n[is_known][:, inside].sum())
        found["mexico_expected"] = expected


def _seized(engine: EmbeddedEngine, period: _Asked, found: Figures) -> None:
    """Firearms seized in the period, and of how many the dealer was known by its end."""
    end, standing = day_sql(period.ends_on), _standing("seizures", period)
    traced = "SELECT NULL::VARCHAR AS trace_id WHERE false"
    if engine.has("traces"):
        traced = f"SELECT trace_id FROM {_standing('traces', period)} WHERE dealer IS NOT NULL"
    row = _row(
        engine,
        f"""
        SELECT count(*) AS seized,
               count(*) FILTER (dealer IS NOT NULL OR trace_id IN ({traced})) AS seized_to_dealer
        FROM {standing}
        WHERE seized_on >= {day_sql(period.starts_on)} AND seized_on < {end}
        """,
    )
    found |= {name: float(value) for name, value in row.items()}
