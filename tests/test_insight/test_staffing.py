"""Staffing: a country small enough to count by hand, and a surge that found nothing more."""

from __future__ import annotations

from datetime import date

import pandas as pd
import pytest

from features.errors import InvalidValueError
from features.ingest import ingest
from features.insight.staffing import WhatIf, staffing
from features.warehouse import Warehouse

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
