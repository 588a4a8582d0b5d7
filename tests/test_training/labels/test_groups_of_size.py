"""Dealers of few sales are a group as those of a state are: reported by head, and gated."""

from datetime import date
from types import SimpleNamespace

import numpy as np
import pandas as pd

from models.order.set_against_alike import EXPOSURE
from training.evaluation import gates
from training.evaluation.head_evaluation import GROUP, SIZES, groups
from training.heads.country_history import CountryHistory

DAYS = [pd.Timestamp("2023-01-01"), pd.Timestamp("2024-01-01")]
N = 300


def history(*, with_sales: bool = True) -> CountryHistory:
    """Dealers of two days, who sell ten times as much on the second."""
    frame = pd.DataFrame({"dealer": [f"d{i}" for i in range(N)] * 2, "as_of": np.repeat(DAYS, N)})
    sales = np.concatenate([np.arange(N), 10.0 * np.arange(N)])
    X = pd.DataFrame({EXPOSURE: sales} if with_sales else {"other": sales})
    where = pd.DataFrame({"state": "TX", "rurality": "town", "license_type": "01"}, frame.index)
    return CountryHistory(SimpleNamespace(frame=frame, X=X), None, date(2025, 1, 1), where)


def test_a_third_by_sales_is_one_of_its_own_day():
    found = history().groups["size"].to_numpy().reshape(2, N)
    assert (found[0] == found[1]).all()
    assert [int((found[0] == size).sum()) for size in SIZES] == [N // 3] * 3
    assert "size" not in history(with_sales=False).groups


def rows(small_first: bool) -> pd.DataFrame:
    """Judged rows of a champion that lists small dealers with findings, and of a candidate."""
    made = history()
    size = made.groups["size"].to_numpy()
    y = np.tile([1.0, 0.0, 0.0, 0.0, 0.0], 2 * N // 5)
    champion = y + 0.0
    starving = np.where(size == SIZES[0], -1.0, y)
    return made.rows.assign(
        y=y, weight=1.0, cluster=made.rows["dealer"], champion=champion,
        score=champion if small_first else starving, **{f"{GROUP}size": size},
    )  # fmt: skip


def test_small_dealers_that_lose_their_places_are_named_by_report_and_gate():
    """The group that is known to starve could not make the gate on fairness refuse."""
    report = {one["group"]: one for one in groups(rows(small_first=False), 0.2)["size"]}
    assert report[SIZES[0]]["share_of_list"] < 0.05 < report[SIZES[0]]["share_of_dealers"]
    refused = gates.fair_enough(rows(small_first=False), capacity=0.2, limit=0.1)
    assert refused.outcome == "refused"
    assert f"size {SIZES[0]}" in refused.measured
    assert gates.fair_enough(rows(small_first=True), capacity=0.2, limit=0.1).is_passed
