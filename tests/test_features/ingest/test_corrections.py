"""On which day a corrected, restated or completed event counts in windows."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path

import pytest

from features.ingest import ingest
from features.table import build_features
from features.warehouse import Warehouse
from tests.test_features.ingest_samples import TODAY, row, write

ONE, OTHER = "5-74-90001", "5-74-90002"
FIRST, LATER = "2022-01-10", "2025-03-01"
EVE, WEEK, YEAR = date(2025, 3, 1), date(2025, 3, 8), date(2026, 3, 2)
Counts = Mapping[str, list[float]]


def trace(known_on: str, **changes: str) -> dict[str, str]:
    """One trace of a firearm that the first dealer sold, as it was known on a day."""
    dates = {
        "sold_on": "2021-06-01", "recovered_on": "2021-12-01", "requested_on": "2021-12-20",
        "completed_on": "2022-01-10",
    }  # fmt: skip
    return row("traces", **dates, **changes) | {"known_on": known_on}


def counted(folder: Path, versions: list[dict[str, str]], windows: tuple[str, ...]) -> Counts:
    """Return the traces of each dealer in each window, as of the eve, the week after, a year on."""
    listed = [
        row("licenses", dealer=d, license_number=f"5-74-201-01-8F-{d[-5:]}", listed_on="2021-01-01")
        for d in (ONE, OTHER)
    ]
    paths = [write(folder, "licenses.csv", listed), write(folder, "traces.csv", versions)]
    ingest(paths, folder / "w", today=TODAY)
    table = build_features(Warehouse.open(folder / "w"), [EVE, WEEK, YEAR], families=("traces",))
    frame = table.frame.sort_values("as_of", kind="stable")
    return {
        f"{dealer} {window}": frame.loc[frame["dealer"] == dealer, f"traces_n_{window}"].tolist()
        for dealer in (ONE, OTHER)
        for window in windows
    }


@pytest.mark.parametrize("changes", [{"caliber": ".45"}, {"purchaser_token": "0123abcd"}])
def test_a_corrected_event_counts_from_the_day_its_correction_was_known(
    tmp_path: Path, changes: dict[str, str]
) -> None:
    """Once in every window, never twice, whatever was corrected."""
    found = counted(tmp_path, [trace(FIRST), trace(LATER, **changes)], ("1y", "5y"))
    assert found[f"{ONE} 1y"] == [0, 1, 0]
    assert found[f"{ONE} 5y"] == [1, 1, 1]


def test_a_restated_event_counts_from_the_day_it_was_first_known(tmp_path: Path) -> None:
    found = counted(tmp_path, [trace(FIRST), trace(LATER)], ("1y", "5y"))
    assert found[f"{ONE} 1y"] == [0, 0, 0]
    assert found[f"{ONE} 5y"] == [1, 1, 1]


def test_an_event_that_another_dealer_turns_out_to_own_leaves_one_and_enters_the_other(
    tmp_path: Path,
) -> None:
    versions = [trace(FIRST), trace(LATER, dealer=OTHER)]
    found = counted(tmp_path, versions, ("90d", "5y"))
    assert found[f"{ONE} 5y"] == [1, 0, 0]
    assert found[f"{OTHER} 5y"] == [0, 1, 1]
    assert found[f"{OTHER} 90d"] == [0, 1, 0]


def test_a_trace_completed_late_is_news_of_its_dealer_when_completed(tmp_path: Path) -> None:
    """Why the day of the first version will not do: until then no dealer was known."""
    versions = [trace(FIRST, dealer="", outcome="incomplete"), trace(LATER)]
    found = counted(tmp_path, versions, ("90d",))
    assert found[f"{ONE} 90d"] == [0, 1, 0]


def test_a_corrected_visit_was_closed_when_it_was_closed(tmp_path: Path) -> None:
    """Neither is its dealer freshly inspected, nor its outcome the last one."""
    listed = row("licenses", listed_on="2021-01-01")
    old = row("inspections", opened_on="2020-01-02", closed_on="2020-02-01", outcome="none")
    new = row("inspections", inspection_id="I2", opened_on="2022-01-10", closed_on="2022-03-01")
    told = [old | {"known_on": ""}, new | {"known_on": ""}]
    told.append(old | {"hours": "4.5", "known_on": LATER})
    paths = [write(tmp_path, "licenses.csv", [listed]), write(tmp_path, "inspections.csv", told)]
    ingest(paths, tmp_path / "w", today=TODAY)
    days = [date(2022, 3, 2), WEEK]
    table = build_features(Warehouse.open(tmp_path / "w"), days, families=("violations",))
    frame = table.frame.sort_values("as_of", kind="stable")
    years = [(day - date(2022, 3, 1)).days / 365 for day in days]
    for name in ("inspection", "last_outcome"):
        found = frame[f"violations_years_since_{name}"].to_numpy()
        assert found == pytest.approx(years, rel=1e-6)
    assert frame["violations_last_outcome"].tolist() == [2, 2]
