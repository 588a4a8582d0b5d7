"""The random places of a list: who is drawn hangs on office, period and the audit's key alone."""

from datetime import date

import numpy as np

from models.order.random_share import Draw
from tests.test_serving.lists.test_lists import composed


def test_a_visited_dealer_moves_no_other_out_of_the_draw(snapshot_of):
    """By a key that is fixed: how many places the rounding among strata moves hangs on it."""
    before = snapshot_of()
    first = composed(before, k=60, random_share=0.4)
    drawn = [row["dealer"] for row in first["rows"] if row["why"] == ["random"]]
    assert len(drawn) > 10
    moved = []
    for gone in drawn:
        row = np.array([before.row_of[gone]])
        visited = np.array(["2026-12-01"], dtype="datetime64[s]")
        again = composed(before.changed(row, eligible_on=visited), k=60, random_share=0.4)
        now = {row["dealer"] for row in again["rows"]}
        assert gone not in now
        moved.append(len(set(drawn) - {gone} - now))
    assert np.mean(moved) < 0.1, moved


def test_another_period_and_another_office_draw_anew():
    dealers = np.array([f"1-11-{i:05d}" for i in range(2000)], dtype=object)
    office = np.full(2000, "office0", dtype=object)
    spring, same, summer = (
        Draw.kept(b"k" * 32, day).numbers(office, dealers)
        for day in (date(2026, 4, 1), date(2026, 6, 30), date(2026, 7, 1))
    )
    other = Draw.kept(b"k" * 32, date(2026, 4, 1)).numbers(
        np.full(2000, "office1", dtype=object), dealers
    )
    assert (spring == same).all()
    for independent in (
        summer,
        other,
        Draw.kept(b"x" * 32, date(2026, 4, 1)).numbers(office, dealers),
    ):
        assert abs(np.corrcoef(spring, independent)[0, 1]) < 5 / np.sqrt(2000)
