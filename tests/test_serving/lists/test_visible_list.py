"""What is left of a list without some dealers is the list that would be, had they never been."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from models.order.ties import order, turns_among_ties
from serving.lists.visible_list import FACTS, without


@pytest.mark.parametrize("seed", range(5))
def test_among_equal_priorities_a_rank_shows_nothing_of_a_dealer_left_out(seed):
    rng = np.random.default_rng(seed)
    dealers = np.array([f"{n:08d}" for n in rng.choice(10**8, 60, replace=False)])
    priority = rng.integers(0, 4, 60).astype(float)  # a quarter of the dealers at each value
    is_gone = rng.random(60) < 0.3
    is_listed = ~is_gone & (rng.random(60) < 0.6)

    def ranks(among):
        place = order(priority[among], turns_among_ties(dealers[among]))
        return dict(zip(dealers[among][place].tolist(), range(1, 61), strict=False))

    issued, left = ranks(np.arange(60)), ranks(np.flatnonzero(~is_gone))
    rows = [
        {
            "dealer": dealer, "position": n, "national_rank": issued[dealer], "percentile": 0.0,
            "priority": float(priority[dealers == dealer][0]), "why": ["model"], "change": None,
            "is_eligible": True, "inclusion_probability": 1.0,
        }
        for n, dealer in enumerate(sorted(dealers[is_listed], key=issued.get), start=1)
    ]  # fmt: skip
    document = {
        "rows": rows, "change": None, "basis": {"as_of": "2025-01-01"},
        "design": {"k": len(rows), "n_in_area": 60, "n_eligible": 60, "n_by_why": {}},
    }  # fmt: skip
    area = {"area": {}, "license_types": []}
    owner = {"name": "lee", "role": "supervisor", "areas": ["nation"]}
    facts = pd.DataFrame({name: [None] * int(is_gone.sum()) for name in FACTS}).assign(
        dealer=dealers[is_gone], priority=priority[is_gone], is_in_scope=True,
        eligible_on=pd.NaT,
    )  # fmt: skip
    recipe = {"n_visible": 60, "principal": owner, "request": area}
    shown = without(document, recipe, facts, is_compared=False)
    assert {row["dealer"]: row["national_rank"] for row in shown["rows"]} == {
        dealer: left[dealer] for dealer in dealers[is_listed].tolist()
    }
