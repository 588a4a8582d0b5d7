"""Staffing: dealers visited one by one, a surge that found nothing more, least squares by hand."""

from __future__ import annotations

import math
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from features.errors import InvalidValueError, WarehouseError
from features.ingest import ingest
from features.insight.field_records import FieldRecords, field_records
from features.insight.marginal_yield import marginal_yield
from features.insight.staffing import WhatIf, staffing
from features.reference.legal.twelve_month_rule import next_eligible
from features.warehouse import Warehouse
from tests.simulated import AS_OF as TODAY
from tests.simulated import Simulated

AS_OF = date(2010, 1, 1)
OFFICES = {f"B{i}": ("TX", f"4800{2 * i + 1}") for i in range(4)} | {
    f"N{i}": ("VA", f"5100{2 * i + 1}") for i in range(4)
}


@pytest.fixture(scope="module")
def surged(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    """Eight offices of 100 dealers; at the border 20 visits become 40, severe findings stay 4."""
    folder = tmp_path_factory.mktemp("surge")
    dealers, visits = [], []
    for k, (office, (state, county)) in enumerate(OFFICES.items()):
        names = [f"1-54-{1000 * (k + 1) + i:05d}" for i in range(100)]
        dealers += [
            {
                "dealer": d, "license_number": f"{d[:5]}{county[2:]}-01-9A-{d[5:]}",
                "license_type": "01", "listed_on": "2009-12-01", "premises_city": "X",
                "premises_state": state, "premises_zip": "22301", "county_fips": county,
            } for d in names
        ]  # fmt: skip
        turns = [2008] * 20 + [2009] * (40 if state == "TX" else 20)
        visits += [
            {
                "inspection_id": f"{office}-{i}", "dealer": names[i], "kind": "compliance",
                "opened_on": f"{year}-06-01", "closed_on": f"{year}-06-02", "selected_by": "risk",
                "outcome": "revocation" if i < 4 or 20 <= i < 24 else "none", "hours": 10,
                "investigator_token": f"{office}-a", "office": office,
            } for i, year in enumerate(turns)
        ]  # fmt: skip
    first = visits[0] | {"inspection_id": "first", "opened_on": "2007-12-01"}
    visits.append(first | {"closed_on": "2007-12-02", "outcome": "none"})
    for name, rows in (("licenses", dealers), ("inspections", visits)):
        pd.DataFrame(rows).to_csv(folder / f"{name}.csv", index=False)
    ingest([folder / "licenses.csv", folder / "inspections.csv"], folder / "warehouse")
    return Warehouse.open(folder / "warehouse")


def test_more_visits_at_the_border_bring_no_more_severe_findings(surged: Warehouse) -> None:
    found = staffing(surged, AS_OF, WhatIf(hours=300))
    assert found.marginal.value == pytest.approx(0, abs=1e-9)
    office = next(r for r in found.offices if r.name == "B0")
    assert office.past_visits == pytest.approx(30)
    assert (office.findings, office.added_findings) == pytest.approx((4, 0), abs=1e-6)
    assert office.added_visits == pytest.approx(30)
    assert any("ended in a warning conference or revocation." in said for said in found.statements)


def test_coverage_and_border_share_are_those_of_a_count_by_hand(surged: Warehouse) -> None:
    found = staffing(surged, AS_OF, WhatIf({"N0": 2}, hours=300))
    by_name = {r.name: r for r in found.offices}
    # 100 dealers, none warned: 30 or 60 visits a year of ten hours each, 2.5 or 5 a month.
    assert by_name["N1"].years_to_coverage == pytest.approx(40 / 12)
    assert by_name["N0"].years_to_coverage == pytest.approx(20 / 12)
    # Twelve months bind: 60 free now, 40 from June on, and more hours than dealers.
    wide = staffing(surged, AS_OF, WhatIf({"B0": 100}, hours=300))
    full = next(r for r in wide.offices if r.name == "B0")
    assert full.visits == pytest.approx(100)
    assert full.idle_hours == pytest.approx(30000 - 1000)
    moved = staffing(surged, AS_OF, WhatIf(hours=300, border_share=0.75))
    assert {r.name: r.hours for r in moved.areas}["border states"] == pytest.approx(0.75 * 2400)


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        ({"border_share": 1.5}, "border share"), ({"hours": 0.0}, "hours"),
        ({"investigators": {"B0": -1.0}}, "B0"), ({"investigators": {"B9": 1.0}}, "No office"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_refused(surged: Warehouse, ask: dict, said: str) -> None:
    with pytest.raises(InvalidValueError, match=said):
        staffing(surged, AS_OF, WhatIf(**ask))


def visited_one_by_one(waits: list[tuple[int, bool]], a_month: int, *, span: int) -> dict:
    """Visit dealers one by one, each warned at every visit: what the flow of sums must agree with.

    Recalls first, then those warned again, then the others; no dealer before its month.
    """
    waiting = [[month, not is_recall, name] for name, (month, is_recall) in enumerate(waits)]
    seen: dict[int, int] = {}
    again: list[list[int]] = []
    in_year = idle = 0
    for month in range(1200):
        free = a_month
        for queue in (
            sorted(w for w in waiting if w[0] <= month and not w[1]),
            sorted(a for a in again if a[0] <= month),
            sorted(w for w in waiting if w[0] <= month and w[1]),
        ):
            for one in queue[:free]:
                (again if one in again else waiting).remove(one)
                again.append([month + span, one[-1]])
                seen.setdefault(one[-1], month + 1)
            free -= min(free, len(queue))
        if month < 12:
            in_year, idle = in_year + a_month - free, idle + free
        if len(seen) == len(waits) and month >= 11:
            break
    # Recalls that fill every month leave the others unseen for ever.
    years = max(seen.values()) / 12 if len(seen) == len(waits) else None
    return {"visits": in_year, "idle": idle, "years": years}


def one_office(folder, visits: list[dict], n: int = 40) -> Warehouse:
    names = [f"1-54-{i:05d}" for i in range(n)]
    dealers = [
        {
            "dealer": d, "license_number": f"1-54-001-01-9A-{d[-5:]}", "license_type": "01",
            "listed_on": "2009-12-01", "premises_city": "X", "premises_state": "VA",
            "premises_zip": "22301", "county_fips": "51001",
        } for d in names
    ]  # fmt: skip
    pd.DataFrame(dealers).to_csv(folder / "licenses.csv", index=False)
    pd.DataFrame(visits).to_csv(folder / "inspections.csv", index=False)
    ingest([folder / "licenses.csv", folder / "inspections.csv"], folder / "warehouse")
    return Warehouse.open(folder / "warehouse")


@pytest.mark.parametrize("a_month", [1, 3, 4, 5, 50])
def test_sums_over_months_are_those_of_dealers_visited_one_by_one(tmp_path, a_month: int) -> None:
    """Every visit of the past ended in a warning, so each dealer comes back as a recall."""
    visits = [
        {
            "inspection_id": f"v{i}", "dealer": f"1-54-{i:05d}", "kind": "compliance",
            "opened_on": str(day), "closed_on": str(day), "selected_by": "risk",
            "outcome": "warning_letter", "hours": 10, "investigator_token": "a", "office": "N",
        } for i in range(31)
        for day in [date(2008, 1, 15) + timedelta(days=23 * i)]
    ]  # fmt: skip
    warehouse = one_office(tmp_path, visits)
    found = staffing(warehouse, AS_OF, WhatIf(hours=120.0 * a_month)).offices[0]
    ends = {v["dealer"]: date.fromisoformat(str(v["closed_on"])) for v in visits}
    waits = []
    for i in range(40):
        end = ends.get(f"1-54-{i:05d}")
        free = AS_OF if end is None else next_eligible(end, None, as_of=AS_OF)
        months = math.ceil(max((free - AS_OF).days, 0) / (365.25 / 12))
        waits.append((months, end is not None))
    expected = visited_one_by_one(waits, a_month, span=12)
    assert found.dealers == 40
    assert found.recalls == sum(is_recall and month < 12 for month, is_recall in waits)
    assert found.visits == pytest.approx(expected["visits"])
    assert found.idle_hours == pytest.approx(10 * expected["idle"])
    assert found.idle_hours >= 0
    assert found.years_to_coverage == pytest.approx(expected["years"])


@pytest.fixture(scope="module")
def country(simulated: Simulated) -> FieldRecords:
    return field_records(simulated.warehouse, TODAY, years=5)


def test_what_one_more_visit_finds_is_least_squares_over_offices_and_years(
    country: FieldRecords,
) -> None:
    """A dummy for each office and year, errors clustered by office: NumPy alone."""
    visits = country.visits
    cells = visits.groupby(["office", "is_border", "year"])["is_severe"].agg(["size", "sum"])
    full = cells.unstack("year", fill_value=0)
    n, found = (full[name].to_numpy(float) for name in ("size", "sum"))
    many, years = n.shape
    office, year = np.divmod(np.arange(many * years), years)
    design = np.column_stack([n.ravel(), np.eye(many)[office], np.eye(years)[year][:, 1:]])
    beta, *_ = np.linalg.lstsq(design, found.ravel(), rcond=None)
    rest = found.ravel() - design @ beta
    inverse = np.linalg.pinv(design.T @ design)
    scores = [design[office == k].T @ rest[office == k] for k in range(many)]
    middle = sum(np.outer(score, score) for score in scores) * many / (many - 1)
    error = math.sqrt((inverse @ middle @ inverse)[0, 0])
    average = visits["is_severe"].mean()
    told = marginal_yield(country)
    assert told.basis == "past changes within offices"
    expected = np.clip([beta[0] + z * error for z in (-1.645, 0, 1.645)], 0, average)
    assert [told.low, told.value, told.high] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("rise", [3, -1])
def test_findings_that_visits_alone_cannot_have_moved_leave_the_whole_range(rise: int) -> None:
    """A new policy moved both: the range was cut down to the average, or to nothing, as if sure."""
    rows = []
    for office in range(6):
        for year in (0, 1):
            more = 10 * (office + 1) if year else 0
            n, severe = 60 + more, 30 + rise * more // 5
            rows += [(office, year, i < severe) for i in range(n)]
    visits = pd.DataFrame(rows, columns=["office", "year", "is_severe"]).assign(is_border=False)
    told = marginal_yield(FieldRecords(AS_OF, visits, visits, 2, 0))
    assert (told.value, told.low) == (None, 0.0)
    assert told.high == visits["is_severe"].mean()


def test_who_may_be_visited_when_is_the_law_dealer_by_dealer(
    simulated: Simulated, country: FieldRecords
) -> None:
    rows = simulated.warehouse.read("inspections", as_of=TODAY).to_pylist()
    last: dict[str, dict] = {}
    for row in rows:
        if row["kind"] in ("compliance", "recall") and row["closed_on"]:
            old = last.get(row["dealer"])
            if old is None or max(row["closed_on"], row["opened_on"]) > max(
                old["closed_on"], old["opened_on"]
            ):
                last[row["dealer"]] = row
    listed = simulated.warehouse.read("licenses", as_of=TODAY).to_pandas()
    newest = listed[listed["listed_on"] == listed["listed_on"].max()]["dealer"]
    assert set(country.dealers["dealer"]) == set(newest)
    n_waiting = 0
    for row in country.dealers.to_dict("records"):
        visit = last.get(row["dealer"])
        if visit is None:
            assert (row["months"], row["is_recall"]) == (0, False)
            continue
        free = next_eligible(visit["opened_on"], visit["closed_on"], as_of=TODAY)
        if not row["is_recall"]:
            assert row["months"] == math.ceil(max((free - TODAY).days, 0) / (365.25 / 12))
        n_waiting += row["months"] > 0
    assert n_waiting > 10


def test_areas_are_the_sums_of_offices_and_findings_those_of_the_rates(
    simulated: Simulated, country: FieldRecords
) -> None:
    found = staffing(simulated.warehouse, TODAY, WhatIf(hours=200))
    whole = found.areas[0]
    for name in ("dealers", "recalls", "visits", "hours", "idle_hours", "past_visits"):
        assert getattr(whole, name) == pytest.approx(sum(getattr(r, name) for r in found.offices))
        assert getattr(whole, name) == pytest.approx(sum(getattr(r, name) for r in found.areas[1:]))
    # An office without anybody never covers its dealers, and so neither does the country.
    alone = {row.name for row in found.offices if row.investigators == 0}
    assert {row.name for row in found.offices if row.years_to_coverage is None} >= alone
    years = [row.years_to_coverage for row in found.offices]
    assert whole.years_to_coverage == (None if None in years else max(years))
    assert whole.findings_low == pytest.approx(sum(r.findings_low for r in found.offices))
    assert whole.findings_low <= whole.findings_high
    # No more visits than in the past: every office finds its average, whatever the margin says.
    few = staffing(simulated.warehouse, TODAY, WhatIf(hours=1.0)).areas[0]
    assert few.findings_low == pytest.approx(few.findings_high)
    assert few.findings_low < country.visits["is_severe"].mean() * few.visits * 3


def test_a_dealer_left_out_is_in_no_sum(simulated: Simulated, country: FieldRecords) -> None:
    gone = str(country.dealers["dealer"].iloc[0])
    rest = field_records(simulated.warehouse, TODAY, years=5, without={gone})
    assert len(rest.dealers) == len(country.dealers) - 1
    assert gone not in set(rest.dealers["dealer"])


def test_records_that_tell_nobody_s_hours_say_what_to_give(simulated: Simulated) -> None:
    with pytest.raises(InvalidValueError, match="no investigator"):
        staffing(simulated.warehouse, date(2026, 6, 1))
    with pytest.raises(WarehouseError, match="known before"):
        staffing(simulated.warehouse, date(2000, 1, 1))
