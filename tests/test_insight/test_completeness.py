"""Completeness of Mexican submission: against the truth, and what is said without it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd
import pytest

from features.domain.asof import to_day
from features.insight.completeness import Completeness, completeness, said_of_unlisted
from features.signals.shared import coverage
from features.simulation.reports import mexico
from tests.simulated import AS_OF, Simulated

NO_AGENCIES = pd.DataFrame(
    columns=["requester", "state", "kind", "begins", "ends", "known", "until"]
)


@pytest.fixture(scope="module")
def measured(simulated: Simulated) -> Completeness:
    return completeness(simulated.warehouse, AS_OF)


def truth_of(simulated: Simulated) -> pd.DataFrame:
    """Coverage of each agency and year, over the states in which it submits at all."""
    rows = pd.read_parquet(simulated.folder / "truth" / "mexico_coverage.parquet")
    rows["year"] = pd.to_datetime(rows["month"]).dt.year
    rows["submitted"] = rows["recoveries"] * rows["coverage"]
    sums = rows[rows["coverage"] > 0].groupby(["requester", "year"])[["submitted", "recoveries"]]
    return sums.sum().assign(coverage=lambda t: t["submitted"] / t["recoveries"])


def test_coverage_is_recovered_by_agency_and_year(
    simulated: Simulated, measured: Completeness
) -> None:
    truth = truth_of(simulated)["coverage"]
    found = measured.by_agency_and_year().set_index(["requester", "year"])
    both = found.join(truth.rename("truth"), how="inner")
    federal = both.loc["FGR"].query("year >= 2017")
    assert len(federal) >= 7
    assert np.abs(federal["coverage"] - federal["truth"]).max() < 0.12
    own = both.drop(index="FGR").query("year >= 2022 and n_requests >= 60")
    assert len(own) >= 8
    assert np.abs(own["coverage"] - own["truth"]).max() < 0.2
    assert np.abs(own["coverage"] - own["truth"]).mean() < 0.09


def test_growth_in_submitters_is_not_growth_in_recoveries(measured: Completeness) -> None:
    """Six states join in August 2021: requests rise by half, expected ones do not follow."""
    rows = pd.DataFrame([vars(r) for r in measured.rows])
    rows["year"] = rows["quarter"].str[:4].astype(int)
    joined = rows[rows["state"].isin(mexico.JOINED_FIRST)]
    n = joined.groupby("year")["n_requests"].sum()
    expected = joined.drop_duplicates(["state", "quarter"]).groupby("year")["expected"].sum()
    assert n[2023] / n[2019] > 1.5
    assert expected[2023] / expected[2019] < 1.25


def test_training_is_worth_most_where_much_is_missing(
    simulated: Simulated, measured: Completeness
) -> None:
    rows = pd.read_parquet(simulated.folder / "truth" / "mexico_coverage.parquet")
    rows["year"] = pd.to_datetime(rows["month"]).dt.year
    last = rows[rows["year"] == 2024]
    missing = (
        last.groupby("state")["recoveries"].sum() / 2
        - last.assign(n=last["recoveries"] * last["coverage"]).groupby("state")["n"].sum()
    )
    best = [t.state for t in measured.training[:3]]
    assert set(best) <= set(missing.sort_values(ascending=False).index[:6])
    full = [t for t in measured.training if t.submits == "own agency in full"]
    assert full
    assert all(t.added_requests == 0 for t in full)
    assert all(t.low <= t.added_requests <= t.high for t in measured.training)


def test_ranges_hold_the_share_and_quarters_not_settled_say_nothing(measured: Completeness) -> None:
    told = [r for r in measured.rows if r.coverage is not None]
    assert told
    assert all(0 <= r.low <= r.coverage <= r.high <= 1 for r in told)
    last = [r for r in measured.rows if r.quarter == "2024Q4"]
    assert last
    assert all(r.coverage is None and r.basis == "none" for r in last)


def test_agencies_are_inferred_where_no_table_tells(simulated: Simulated) -> None:
    from features.engine.embedded import EmbeddedEngine

    day = to_day(AS_OF)
    with EmbeddedEngine(simulated.warehouse) as engine:
        requests = engine.query(coverage.requests_sql(day)).to_pandas()
        told = engine.query(coverage.AGENCIES_SQL).to_pandas()
    inferred = coverage.estimate(requests, NO_AGENCIES, day)
    assert inferred.is_inferred
    known = coverage.estimate(requests, told, day)
    both = [(a, b) for a, b in zip(known.full, inferred.full, strict=True) if np.isfinite(a * b)]
    assert len(both) > 15
    assert np.median([abs(np.log(a / b)) for a, b in both]) < 0.1


def test_a_requester_without_a_row_is_named_and_not_taken_for_the_prosecutor(
    simulated: Simulated, measured: Completeness
) -> None:
    """Half of the state prosecutors lose their rows: the federal movement stays what it was."""
    from features.engine.embedded import EmbeddedEngine

    day = to_day(AS_OF)
    with EmbeddedEngine(simulated.warehouse) as engine:
        requests = engine.query(coverage.requests_sql(day)).to_pandas()
        told = engine.query(coverage.AGENCIES_SQL).to_pandas()
    assert not any("no row in" in said for said in measured.statements)
    own = sorted(set(told.loc[told["kind"] != "federal", "requester"]) & set(requests["requester"]))
    gone = set(own[::2])
    found = coverage.estimate(requests, told[~told["requester"].isin(gone)], day)
    n = requests[requests["requester"].isin(gone)].groupby("requester")["n"].sum()
    assert found.unlisted == n.to_dict()
    (sentence,) = said_of_unlisted(found)
    assert f"{len(gone)} requesters with {n.sum():,} requests have no row" in sentence
    assert next(iter(found.unlisted)) in sentence
    (alone,) = said_of_unlisted(replace(found, unlisted={"A": 1}))
    assert alone.startswith("1 requester with 1 request has no row in")
    whole = coverage.estimate(requests, told, day)
    assert not whole.unlisted
    np.testing.assert_array_equal(found.n, whole.n)
    # A state whose own agency nobody lists is one of federal submission, as far as is told; were
    # its own requests taken for federal ones, the movement of the others would jump with them.
    kept = [
        s
        for s, state in enumerate(found.states)
        if not np.array_equal(found.regime[s], whole.regime[s])
    ]
    rest = [s for s in range(len(found.states)) if s not in kept and whole.basis[s] == "measured"]
    moved = found.exposure[rest] / whole.exposure[rest]
    assert rest
    assert np.abs(np.log(moved[:, found.is_settled])).max() < 0.25


def test_without_any_state_in_full_the_convention_stands_and_says_so() -> None:
    days = range(to_day(date(2017, 1, 1)), to_day(date(2019, 1, 1)), 3)
    requests = pd.DataFrame(
        {
            "requester": "FGR", "state": "MX-SON", "quarter": coverage.quarters_of(np.array(days)),
            "known": np.array(days) + 10, "until": 2**31 - 1, "n": 2,
        }
    )  # fmt: skip
    federal = {"requester": "FGR", "state": None, "kind": "federal", "begins": 0, "ends": None}
    agencies = pd.DataFrame([federal | {"known": 0, "until": 2**31 - 1}])
    found = coverage.estimate(requests, agencies, to_day(date(2019, 6, 1)))
    at = found.states.index("MX-SON")
    assert found.basis[at] == "convention"
    share = found.at(np.array(["MX-SON", None], dtype=object), np.array([days[5], days[5]]))
    assert share.tolist() == [0.26, 0.26]


def test_an_empty_warehouse_tells_nothing() -> None:
    empty = pd.DataFrame(columns=["requester", "state", "quarter", "known", "until", "n"])
    found = coverage.estimate(empty, NO_AGENCIES, to_day(AS_OF))
    assert set(found.basis) == {"none"}
