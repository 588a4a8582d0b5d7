"""The random places of a list: who is drawn hangs on office, period and the audit's key alone."""

from collections import Counter
from datetime import date

import numpy as np
import pytest

from models.order.random_share import Draw
from serving.contract.answers import RankRequest
from serving.lists.compose import Issue, compose
from serving.scores.visible_dealers import View, eligible_rows
from tests.test_serving.lists.test_lists import CHIEF, ISSUE, composed


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


def test_what_a_list_carries_of_its_draw_tells_no_number(service):
    """Whoever reads one office's list must not know what is drawn in another, nor next in it."""
    runtime = service.runtime
    draw = runtime.draw(runtime.snapshot.as_of)
    answers = {
        who: service.post("/v1/rank", who, {"k": 5}).json()["design"]["random_seed"]
        for who in ("inspector", "inspector_west", "chief")
    }
    assert len(set(answers.values())) == 3
    assert all(0 <= shown < 2**53 for shown in answers.values())  # exact in every JSON reader
    columns = runtime.snapshot.columns
    numbers = draw.numbers(columns["office"], columns["dealer"])
    start = draw.start(columns["office"])
    for shown in answers.values():
        guessed = Draw(shown, draw.starts_on, draw.ends_on)
        assert not np.isin(guessed.numbers(columns["office"], columns["dealer"]), numbers).any()
        assert guessed.start(columns["office"]) != start
    assert draw.seed.bit_length() > 256  # too many to be tried against what was drawn


def test_the_seed_of_one_office_is_not_that_of_another():
    """What was drawn in an office lets its own 64 bits be guessed, with time, and no other's."""
    draw = Draw.kept(b"k" * 32, date(2026, 4, 1))
    dealer = np.array(["1-11-00001"], dtype=object)
    own, other, inside = (
        draw.numbers(np.array([office], dtype=object), dealer, use=use)[0]
        for office, use in (("office0", "list"), ("office1", "list"), ("office0", "mandatory"))
    )
    assert len({own, other, inside}) == 3


def test_a_list_of_before_keeps_its_numbers_and_what_it_carried():
    """Its seed had 53 bits and stood in the list: rebuilt, it is the same list."""
    before = Draw.short(b"k" * 32, date(2026, 4, 1))
    assert before.name("anything") == before.seed == 6091683272346091
    dealers = np.array([f"1-11-{i:05d}" for i in range(3)], dtype=object)
    office = np.full(3, "office0", dtype=object)
    assert before.numbers(office, dealers).tolist() == [
        0.623528188170402, 0.020074012726271406, 0.595315696828046,
    ]  # fmt: skip
    assert before.start(office) == 0.4763781768843157


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_a_short_list_is_drawn_as_often_as_the_share_says(snapshot_of, k):
    """One place was always drawn, of two as of four: the share was a half to a quarter.

    What is stated of each dealer is how often it is on the list, drawn or not.
    """
    snapshot = snapshot_of()
    view, n = View(snapshot), 500
    eligible = view.order[eligible_rows(view)[view.order]]
    names = snapshot.columns["dealer"]
    times, stated, n_drawn = Counter(), {}, 0
    request = RankRequest(k=k, random_share=0.1, with_recalls=False)
    for seed in range(n):
        issue = Issue(ISSUE.list_id, ISSUE.issued_at, seed * 7_919)
        rows = compose(view, CHIEF, request, issue=issue, previous=None)["rows"]
        assert len(rows) == k
        for row in rows:
            is_drawn = row["why"] == ["random"]
            n_drawn += is_drawn
            assert row["is_mandatory"] == is_drawn
            times[row["dealer"]] += 1
            assert (
                stated.setdefault(row["dealer"], row["inclusion_probability"])
                == (row["inclusion_probability"])
            )
    assert n_drawn / n == pytest.approx(0.1 * k, abs=4 * np.sqrt(0.1 * k / n))
    first, last, others = names[eligible[: k - 1]], names[eligible[k - 1]], names[eligible[k:]]
    assert all(stated[name] == 1.0 and times[name] == n for name in first)
    each = 0.1 * k / (len(eligible) - k + 1)
    assert stated[last] == pytest.approx(1 - 0.1 * k + each)
    assert times[last] / n == pytest.approx(stated[last], abs=4 * np.sqrt(0.1 * k / n))
    assert all(stated[name] == pytest.approx(each) for name in others if name in stated)
    assert stated[last] + each * len(others) == pytest.approx(1.0)


def test_a_short_list_that_is_all_random_is_drawn(snapshot_of):
    whole = composed(snapshot_of(), k=1, random_share=1.0)
    assert whole["rows"][0]["why"] == ["random"]
