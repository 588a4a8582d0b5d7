"""Two lists on the same findings: what few of them cannot tell is neither passed nor shown."""

import numpy as np
import pandas as pd
import pytest

from training.evaluation import gates
from training.evaluation.few_findings import difference_on_lists


def judged(n_found: int, only_new: int, only_old: int, *, n_both: int = 0) -> pd.DataFrame:
    """400 dealers and lists of 40: findings on both, on the new, on the old, and on neither."""
    row = np.arange(400)
    y = (row < n_found).astype(float)
    new, old = np.zeros(400), np.zeros(400)
    both, first = slice(0, n_both), slice(n_both, n_both + only_new)
    second = slice(n_both + only_new, n_both + only_new + only_old)
    new[both] = new[first] = old[both] = old[second] = 1.0
    # The rest of each list are clean dealers of its own.
    new[200 : 240 - n_both - only_new] = 1.0
    old[300 : 340 - n_both - only_old] = 1.0
    # Findings come first on a list and last off it, so that where it is cut tells nothing.
    new, old = (on + np.where(on > 0, 400 - row, row) / 1e6 for on in (new, old))
    frame = {"y": y, "score": new, "champion": old, "weight": 1.0, "cluster": row}
    return pd.DataFrame(frame).assign(group_g="a")


@pytest.mark.parametrize(("n", "gain", "loss"), [(25, 0.04, 0.10), (40, 0.10, 0.16), (30, 0.2, 0)])
def test_the_interval_of_a_paired_difference_holds_it_as_often_as_it_says(n, gain, loss):
    rng = np.random.default_rng(0)
    base = pd.DataFrame({"y": 1.0, "weight": 1.0, "cluster": np.arange(n)})
    held, passed = [], []
    for only_new, only_old, _ in rng.multinomial(n, [gain, loss, 1 - gain - loss], size=400):
        row = np.arange(n)
        is_old = (row >= only_new) & (row < only_new + only_old)
        frame = base.assign(new=(row < only_new) * 1.0, old=is_old * 1.0)
        found = difference_on_lists(frame, "new", "old")
        held.append(found.low - 1e-9 <= gain - loss <= found.high + 1e-9)
        passed.append(found.low >= -0.03)
    assert np.mean(held) > 0.93
    if gain < loss:
        assert np.mean(passed) <= 0.04  # resampling passed one in five


@pytest.mark.parametrize(("n", "outcome"), [(22, "unsaid"), (60, "unsaid"), (130, "passed")])
def test_where_no_finding_tells_two_lists_apart_many_are_needed(n, outcome):
    """The interval was 0 to 0 by any number of findings, also where neither list held one."""
    for n_both in (0, 10) if n < 100 else (10,):
        rows = judged(n, 0, 0, n_both=n_both)
        found = gates.no_loss_at_capacity(rows, capacity=0.1, margin=0.03, how="")
        assert found.outcome == outcome, n_both
        assert "0 to +0.000" not in found.measured


def test_the_same_list_loses_nothing_however_few_findings():
    rows = judged(22, 0, 0, n_both=9)
    same = rows.assign(champion=rows["score"])
    assert gates.no_loss_at_capacity(same, capacity=0.1, margin=0.03, how="").is_passed
    assert gates.fair_enough(same, capacity=0.1, limit=0.1).is_passed


def test_a_rule_is_not_passed_where_neither_list_catches_anything():
    rows = judged(25, 0, 0).rename(columns={"champion": "rule_points"})
    assert gates.not_worse_than_rules("h", rows, capacity=0.1).outcome == "unsaid"


@pytest.mark.parametrize(
    ("n", "only_old", "outcome"),
    [(25, 3, "unsaid"), (25, 12, "refused"), (150, 6, "passed"), (150, 18, "unsaid"),
     (150, 40, "refused")],
)  # fmt: skip
def test_a_group_of_few_findings_is_neither_cleared_nor_blamed(n, only_old, outcome):
    """A group of 25 that truly lost .29 of its recall passed every other time."""
    rows = judged(n, 0, only_old)
    assert gates.fair_enough(rows, capacity=0.1, limit=0.1).outcome == outcome


def test_a_group_that_truly_loses_is_seldom_cleared():
    rng = np.random.default_rng(1)
    lost = [
        judged(25, g, k) for g, k, _ in rng.multinomial(25, [0.05, 0.34, 0.61], size=40) if k < 40
    ]
    told = [gates.fair_enough(rows, capacity=0.1, limit=0.1).outcome for rows in lost]
    assert told.count("passed") <= 2


def test_one_of_many_groups_must_lose_more_to_be_blamed():
    rows = judged(26, 0, 10)
    alone = gates.fair_enough(rows, capacity=0.1, limit=0.1)
    many = rows.assign(**{f"group_{k}": "a" for k in range(40)})
    among = gates.fair_enough(many, capacity=0.1, limit=0.1)
    assert (alone.outcome, among.outcome) == ("refused", "unsaid")
