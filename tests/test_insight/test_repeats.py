"""Repeat violators: a plain count over every visit, and a history counted by hand."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from datetime import date
from itertools import product
from statistics import median

import pandas as pd
import pytest

from features.errors import WarehouseError
from features.ingest import ingest
from features.insight.repeats import Repeats, repeats, to_csv
from features.reference.legal.twelve_month_rule import is_recall_due
from features.warehouse import Warehouse
from tests.simulated import AS_OF, Simulated

STEPS = ["none", "report", "warning_letter", "warning_conference", "revocation"]
WARNINGS = {"warning_letter", "warning_conference"}


@pytest.fixture(scope="module")
def found(simulated: Simulated) -> Repeats:
    return repeats(simulated.warehouse, AS_OF, years=9)


@pytest.fixture(scope="module")
def visits(simulated: Simulated) -> dict[str, list[dict]]:
    """Closed visits of each dealer with their citations, oldest first: plain records."""
    rows = simulated.warehouse.read("inspections", as_of=AS_OF).to_pylist()
    cited = simulated.warehouse.read("violations", as_of=AS_OF).to_pylist()
    of: dict[str, set[str]] = {}
    for row in cited:
        of.setdefault(row["inspection_id"], set()).add(row["citation"])
    out: dict[str, list[dict]] = {}
    for row in sorted(rows, key=lambda r: (str(r["closed_on"]), r["inspection_id"])):
        if row["closed_on"] is not None:
            out.setdefault(row["dealer"], []).append(
                row | {"cited": of.get(row["inspection_id"], set())}
            )
    return out


def is_softer(row: dict) -> bool:
    told = (row["outcome"], row["recommended_outcome"])
    return set(told) <= set(STEPS) and STEPS.index(told[0]) < STEPS.index(told[1])


def test_every_history_is_that_of_a_plain_count(found: Repeats, visits) -> None:
    expected: dict[str, tuple] = {}
    for dealer, every in visits.items():
        own = [row for row in every if row["closed_on"] >= date(2016, 1, 1)]
        warned = [row for row in own if row["outcome"] in WARNINGS]
        softer = [row for row in own if is_softer(row)]
        if not warned and not softer:
            continue
        again = {
            (c, b["closed_on"])
            for a, b in product(warned, own)
            if b["closed_on"] > a["closed_on"]
            for c in a["cited"] & b["cited"]
        }
        after = [b for b in own if warned and b["closed_on"] > warned[0]["closed_on"]]
        expected[dealer] = (again, len(after), len(softer))
    assert {one.dealer for one in found.histories} == set(expected)
    for one in found.histories:
        again = {(r.citation, r.repeated_on) for r in one.repeats}
        assert (again, one.n_seen_after, one.n_softened) == expected[one.dealer], one.dealer
        assert all(r.warned_on < r.repeated_on for r in one.repeats)
    assert sum(bool(one.repeats) for one in found.histories) > 5
    assert sum(one.n_softened for one in found.histories) > 3


def test_sums_by_office_are_those_of_the_dealers(found: Repeats) -> None:
    whole, *offices = found.offices
    for name in ("n_warned", "n_seen_after", "n_repeated", "n_softened", "n_recall_due"):
        assert getattr(whole, name) == sum(getattr(one, name) for one in offices)
    days = [h.days_to_action for h in found.histories if h.days_to_action is not None]
    assert whole.median_days_to_action == median(days)
    assert whole.n_repeated == len([h for h in found.violators if h.repeats])


def test_a_recall_is_due_as_the_lists_have_it(found: Repeats, visits) -> None:
    """The recall of the report is that of `allowance`, which the lists apply."""
    last = {
        dealer: [row for row in own if row["kind"] in ("compliance", "recall")][-1]
        for dealer, own in visits.items()
        if any(row["kind"] in ("compliance", "recall") for row in own)
    }
    frame = pd.DataFrame(last.values())
    due = is_recall_due(pd.to_datetime(frame["closed_on"]), frame["outcome"], AS_OF)
    expected = {d for d, is_due in zip(frame["dealer"], due, strict=True) if is_due}
    told = {one.dealer for one in found.histories if one.recall == "due"}
    assert told == expected & {one.dealer for one in found.histories}
    assert told


@pytest.fixture(scope="module")
def by_hand(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    """One dealer warned of two provisions and cited again; another that gave up its license."""
    folder = tmp_path_factory.mktemp("repeats")
    dealers = [
        {
            "dealer": key, "license_number": f"1-54-001-01-9A-{key[-5:]}", "license_type": "01",
            "listed_on": "2024-12-01", "premises_city": "X", "premises_state": "VA",
            "premises_zip": "22301", "county_fips": "51001",
        } for key in ("1-54-00001", "1-54-00002")
    ]  # fmt: skip
    visits = [
        ("a", "1-54-00001", "2019-01-02", "2019-03-01", "warning_letter", "warning_letter"),
        ("b", "1-54-00001", "2021-05-03", "2021-08-01", "warning_letter", "revocation"),
        ("c", "1-54-00001", "2023-11-01", "2024-02-01", "warning_conference", "revocation"),
        ("d", "1-54-00002", "2023-11-01", "2024-02-01", "surrender", "revocation"),
    ]
    names = ("inspection_id", "dealer", "opened_on", "closed_on", "outcome", "recommended_outcome")
    rows = [
        dict(zip(names, visit, strict=True)) | {"kind": "compliance", "selected_by": "risk"}
        for visit in visits
    ]
    cited = [
        ("a", "478.125(e)"), ("a", "478.124(c)(1)"), ("b", "478.125(e)"), ("c", "478.125(e)"),
        ("c", "478.21(a)"), ("d", "478.125(e)"),
    ]  # fmt: skip
    for name, table in (
        ("licenses", dealers),
        ("inspections", rows),
        ("violations", [{"inspection_id": i, "citation": c} for i, c in cited]),
    ):
        pd.DataFrame(table).to_csv(folder / f"{name}.csv", index=False)
    files = [folder / f"{name}.csv" for name in ("licenses", "inspections", "violations")]
    ingest(files, folder / "warehouse", today=AS_OF)
    return Warehouse.open(folder / "warehouse")


def test_a_history_counted_by_hand(by_hand: Warehouse) -> None:
    (one,) = repeats(by_hand, AS_OF, years=5).histories
    # The warning of 2019 is over five years old: only that of 2021 counts.
    assert [(r.citation, r.warned_on, r.repeated_on) for r in one.repeats] == [
        ("478.125(e)", date(2021, 8, 1), date(2024, 2, 1))
    ]
    assert (one.warned_on, one.warned_as) == (date(2024, 2, 1), "warning_conference")
    assert (one.n_seen_after, one.n_softened) == (1, 2)
    assert one.softened == "revocation to warning_conference"
    assert one.days_to_action == (date(2024, 2, 1) - date(2023, 11, 1)).days
    assert (one.recall, one.recall_on) == ("coming", date(2025, 2, 1))
    assert one.is_listed
    # A license given up stands on no ladder.
    assert "1-54-00002" not in {h.dealer for h in repeats(by_hand, AS_OF, years=9).histories}
    # As of a day before the last visit was closed, nothing of it is known.
    (before,) = repeats(by_hand, date(2024, 2, 1), years=5).histories
    assert [(r.warned_on, r.repeated_on) for r in before.repeats] == [
        (date(2019, 3, 1), date(2021, 8, 1))
    ]


@pytest.mark.parametrize(("as_of", "years"), [(date(2026, 6, 1), 1), (date(2019, 1, 1), 5)])
def test_years_without_a_warning_have_no_history(by_hand: Warehouse, as_of, years) -> None:
    assert repeats(by_hand, as_of, years=years).histories == ()


def test_a_dealer_left_out_is_in_no_count(found: Repeats) -> None:
    gone = found.violators[0]
    rest = found.within(lambda dealer: dealer != gone.dealer)
    assert gone.dealer not in {one.dealer for one in rest.violators}
    assert rest.offices[0].n_repeated == found.offices[0].n_repeated - bool(gone.repeats)
    assert found.within(lambda dealer: False).offices[0].n_warned == 0


def test_the_file_has_a_row_for_each_dealer(found: Repeats) -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(found).decode())))
    assert [row["dealer"] for row in rows] == [one.dealer for one in found.violators]
    assert rows[0]["repeats"].count(";") + 1 == len(found.violators[0].repeats)
    named = replace(found.violators[0], office="=HYPERLINK(A1)")
    assert b",'=HYPERLINK(A1)," in to_csv(replace(found, histories=(named,)))


def test_without_violations_it_says_so(tmp_path, simulated: Simulated) -> None:
    files = [simulated.folder / f"{name}.parquet" for name in ("licenses", "inspections")]
    ingest(files, tmp_path / "w", today=AS_OF)
    with pytest.raises(WarehouseError, match="no violations"):
        repeats(Warehouse.open(tmp_path / "w"), AS_OF)
