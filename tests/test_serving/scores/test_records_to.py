"""How far the records of a table reach is what the warehouse holds, not the day that was asked."""

from datetime import date

import pytest

from features.warehouse import Warehouse
from serving.commands.printing import print_published
from serving.scores.publish import Published, records_to

TABLES = {
    "sales_volume": {"max_known_on": "2021-03-01"},
    "traces": {"max_known_on": "2023-11-01"},
    "thefts_losses": {"max_known_on": None},
    "holds": {"max_known_on": "2026-11-01"},
}


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (date(2026, 11, 27), date(2023, 11, 2)),
        (date(2023, 12, 17), date(2023, 12, 17)),  # a month without news is no old table
        (date(2023, 12, 18), date(2023, 11, 2)),
        (date(2022, 6, 1), date(2022, 6, 1)),
    ],
)
def test_records_reach_no_further_than_the_newest_fact(tmp_path, asked, told):
    """A table scored today from records of three years ago said that they reached to today."""
    assert records_to(Warehouse(tmp_path, {"tables": TABLES}), asked) == told


@pytest.mark.parametrize(
    ("to", "is_told"), [(date(2023, 11, 2), True), (date(2026, 11, 27), False)]
)
def test_who_scores_old_records_is_told(capsys, to, is_told):
    done = Published("000001", 5, date(2026, 11, 27), "b", "f" * 64, to)
    print_published(done, as_json=False)
    assert ("ffl-risk score --as-of 2023-11-02" in " ".join(capsys.readouterr().err.split())) == (
        is_told
    )
