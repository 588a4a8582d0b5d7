"""Figures of referrals as then known, and Mexican completeness by the agency that submits."""

from __future__ import annotations

from datetime import date

import pandas as pd
import pytest
import sqlalchemy as sa

from features.ingest import ingest
from features.insight.completeness import completeness
from features.insight.measures.agencies import by_agency
from features.insight.measures.figures import Period, warehouse_figures
from features.insight.measures.measure import measure, registry
from features.insight.measures.public_report import public_report
from features.insight.measures.writing import freeze, frozen, to_csv, to_html
from features.reference.geography.places import county_office
from features.warehouse import Warehouse
from serving.insight.measures import added_figures
from serving.store.database import Store
from serving.store.tables import REFERRALS
from tests.simulated import Simulated

YEAR = Period.year(2024)


def test_referrals_are_counted_as_they_stood_at_the_end_of_the_period(tmp_path):
    """Opened in it, taken and closed by its end; a result found later is of a later day."""
    lives = [
        ("2023-12-30", "2024-01-02", "2024-02-01", "trafficking_confirmed"),  # opened before
        ("2024-02-01", None, None, None),
        ("2024-02-02", "2024-03-01", None, None),
        ("2024-02-03", "2024-03-01", "2024-05-01", "straw_purchase_confirmed"),
        ("2024-02-04", "2024-03-01", "2024-06-01", "firearms_recovered"),
        ("2024-02-05", "2024-03-01", "2024-06-01", "not_enough_evidence"),
        ("2024-02-06", "2024-03-01", "2025-01-01", "trafficking_confirmed"),  # closed after
        ("2024-12-30", "2025-01-05", "2025-02-01", "lawful"),  # taken after
        ("2024-02-07", None, "2024-03-01", "known_already"),  # closed by nobody who took it
    ]
    store = Store.open(f"sqlite:///{tmp_path / 'service.db'}")
    try:
        with store.write() as connection:
            for n, (opened, taken, closed, result) in enumerate(lives):
                days = {"opened_at": opened, "taken_at": taken, "closed_at": closed}
                at = {name: day and f"{day}T10:00:00+00:00" for name, day in days.items()}
                values = {"pattern": "p", "dedup": str(n), "dealers": [], "evidence": {}, **at}
                connection.execute(sa.insert(REFERRALS).values(**values, result=result))
        found = added_figures(tmp_path, YEAR, store, today=date(2026, 1, 1))
        assert (
            added_figures(tmp_path, Period.year(2020), store, today=date(2026, 1, 1))[
                "referrals_taken"
            ]
            is None
        )
    finally:
        store.close()
    told = {name: value for name, value in found.items() if name.startswith("referrals_")}
    assert told == {
        "referrals_opened": 8, "referrals_taken": 5, "referrals_closed": 4,
        "referrals_taken_closed": 3, "referrals_confirmed": 2,
    }  # fmt: skip
    measures = {m.definition.name: m for m in measure(registry(), found, YEAR).measures}
    assert measures["referrals_taken"].value == 5 / 8
    assert measures["referrals_confirmed"].value == 2 / 3


def test_each_agency_is_held_against_its_states_and_quarters(simulated: Simulated, tmp_path):
    parts = by_agency(simulated.warehouse, YEAR)
    rows = pd.DataFrame(completeness(simulated.warehouse, YEAR.ends_on).as_dict()["rows"])
    rows = rows[rows["quarter"].str.startswith("2024") & rows["basis"].isin(["measured", "pooled"])]
    plain = rows.groupby("requester")[["n_requests", "expected"]].sum()
    assert len(parts) == len(plain) > 1
    assert {p.name: (p.n, p.of) for p in parts} == {
        str(name): (one["n_requests"], pytest.approx(one["expected"]))
        for name, one in plain.iterrows()
    }
    assert [p.n for p in parts] == sorted((p.n for p in parts), reverse=True)
    assert all(0 < p.low < p.value < p.high for p in parts)

    figures = warehouse_figures(simulated.warehouse, YEAR)
    report = measure(registry(), figures, YEAR, parts={"mexico_requests": parts})
    of = {m.definition.name: m.parts for m in report.measures if m.parts}
    assert of == {"mexican_completeness": parts}
    assert freeze(report, tmp_path) == report == frozen(tmp_path, "2024")
    for text in (to_csv(report).decode(), to_html(report).decode()):
        assert all(p.name in text for p in parts)
    assert not any(m.parts for m in public_report(report, date(2026, 1, 1)).measures)


def test_a_visit_is_of_the_division_of_its_office_else_of_the_county(simulated: Simulated):
    """The spread of the divisions' shares, by a plain count of the same visits."""
    visits = simulated.warehouse.read("inspections", as_of=YEAR.ends_on).to_pandas()
    closed = pd.to_datetime(visits["closed_on"])
    visits = visits[(visits["kind"] == "compliance") & (closed.dt.year == 2024)]
    listed = simulated.warehouse.read("licenses", as_of=YEAR.ends_on).to_pandas()
    county = listed.sort_values("listed_on").groupby("dealer")["county_fips"].last()
    places = county_office()
    offices = places.drop_duplicates("office").set_index("office")["division"]
    counties = places.set_index("county_fips")["division"]
    division = visits["office"].map(offices)
    division = division.fillna(visits["dealer"].map(county).map(counties))
    severe = visits["outcome"].isin(["warning_conference", "revocation"])
    counts = severe.groupby(division).agg(["sum", "count"])
    found = warehouse_figures(simulated.warehouse, YEAR)
    mean = counts["sum"].sum() / counts["count"].sum()
    weights = counts["count"] / (mean * (1 - mean))

    def left(deviation: float) -> float:
        w = 1 / (1 / weights + deviation**2)
        share = counts["sum"] / counts["count"]
        return float((w * (share - (w * share).sum() / w.sum()) ** 2).sum())

    assert len(counts) >= 3
    value = found["division_spread"]
    if value > 0:
        assert left(value) == pytest.approx(len(counts) - 1, rel=1e-6)
    else:
        assert left(0.0) <= len(counts) - 1
    assert found["division_spread_low"] <= value <= found["division_spread_high"]


def test_findings_per_hour_are_those_of_the_visits_whose_hours_are_known(tmp_path):
    """Half of the hours left out, or written as zero, halve the visits and not the rate."""

    def rate(name: str, *untold: object) -> float | None:
        rows = pd.DataFrame(
            {
                "inspection_id": range(40), "dealer": "1-23-45678", "kind": "compliance",
                "opened_on": "2024-03-01", "closed_on": "2024-03-05", "selected_by": "random",
                "outcome": ["revocation", "none"] * 20, "hours": 10.0,
            }
        )  # fmt: skip
        for n, value in enumerate(untold):
            rows.loc[20 + n :: len(untold), "hours"] = value
        rows.to_csv(tmp_path / "inspections.csv", index=False)
        ingest([tmp_path / "inspections.csv"], tmp_path / name)
        told = measure(registry(), warehouse_figures(Warehouse.open(tmp_path / name), YEAR), YEAR)
        return {m.definition.name: m.value for m in told.measures}["severe_per_1000_hours"]

    assert rate("all") == rate("half", None, 0.0) == pytest.approx(50.0)
