"""What a plan asks of recalls and of the unseen is asked of its own days."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from features.domain.asof import DAYS_A_YEAR
from serving.planning import office
from serving.planning.candidates import read_candidates
from serving.planning.office import candidate_table
from serving.planning.request import PlanRequest
from serving.scores.visible_dealers import View
from tests.test_serving.conftest import AS_OF, make_snapshot

ENDED = np.array(["2022-12-20", "2023-01-20", "2025-01-20", "2025-03-18"], dtype="datetime64[s]")
DUE = np.array(["2023-12-20", "2024-01-20", "2026-01-20", "2026-03-18"], dtype="datetime64[s]")


@pytest.fixture
def view():
    """Four warned dealers; the fifth was never inspected, the sixth is not warned."""
    snapshot = make_snapshot(12)
    columns = dict(snapshot.columns)
    n = len(columns["dealer"])
    last, eligible = np.full((2, n), "NaT", dtype="datetime64[s]")
    outcome = np.full(n, "", dtype=object)
    last[:4], eligible[:4], outcome[:4] = ENDED, DUE, "warning_letter"
    last[5], eligible[5], outcome[5] = ENDED[2], DUE[2], "none"
    changes = {"last_inspected_on": last, "eligible_on": eligible, "last_outcome": outcome}
    stale = np.ones(n, dtype=bool)  # what the table says of its own day
    return View(snapshot.changed(np.arange(n), **changes, is_recall_due=stale))


def table_of(view, starts_on, weeks=4):
    return candidate_table(view, np.arange(6), starts_on=starts_on, weeks=weeks)


@pytest.mark.parametrize(
    ("starts_on", "weeks", "due"),
    [
        (AS_OF, 1, [1]),
        (AS_OF, 4, [1, 2]),
        (date(2025, 12, 19), 1, [0, 1]),
        (date(2026, 1, 19), 12, [1, 2, 3]),
        (date(2026, 1, 20), 12, [2, 3]),
        (date(2028, 1, 20), 4, [3]),
        (date(2032, 1, 5), 26, []),
    ],
)
def test_a_recall_is_due_that_is_due_in_the_weeks_of_the_plan(view, starts_on, weeks, due):
    table = table_of(view, starts_on, weeks)
    assert np.flatnonzero(table["is_recall_due"]).tolist() == due


def test_a_recall_is_visited_from_the_week_of_its_day_on(view):
    request = PlanRequest(31.9, -110.5, date(2026, 1, 5), weeks=12, coverage_years=None)
    table = table_of(view, request.starts_on, request.weeks)
    chosen = read_candidates(table, request)
    weeks = dict(zip(chosen.dealer, chosen.first_week, strict=True))
    assert [weeks[table["dealer"][row]] for row in (1, 2, 3)] == [0, 3, 11]
    assert chosen.is_recall_due.sum() == 3


@pytest.mark.parametrize("starts_on", [AS_OF, date(2026, 11, 30), date(2032, 1, 5)])
def test_the_days_unseen_are_those_on_the_first_day_of_the_plan(view, starts_on, monkeypatch):
    monkeypatch.setattr(office, "_signal", lambda _view, rows, _name: np.full(len(rows), 2.0))
    unseen = table_of(view, starts_on)["unseen_days"]
    days = (np.datetime64(starts_on, "s") - np.r_[ENDED, ENDED[2]]).astype("timedelta64[D]")
    assert unseen[[0, 1, 2, 3, 5]].tolist() == days.astype(float).tolist()
    assert unseen[4] == 2 * DAYS_A_YEAR + (starts_on - AS_OF).days
