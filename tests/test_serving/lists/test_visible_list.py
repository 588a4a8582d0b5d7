"""What is left of a list without some dealers is the list that would be, had they never been."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from models.order.ties import order, turns_among_ties
from serving.lists.visible_list import FACTS, without
from serving.scores import holds
from serving.scores.table.loaded_table import rows_of
from tests.test_serving.hold_country import SINCE, with_scored


@pytest.mark.parametrize("seed", range(5))
def test_among_equal_priorities_a_rank_shows_nothing_of_a_dealer_left_out(seed):
    rng = np.random.default_rng(seed)
    dealers = np.array([f"{n:08d}" for n in rng.choice(10**8, 60, replace=False)])
    priority = rng.integers(0, 4, 60).astype(float)  # a quarter of the dealers at each value
    is_gone = rng.random(60) < 0.3
    is_listed = rng.random(60) < 0.6
    # Of those on the list nothing is known but the list: their table is no longer here.
    is_known = is_gone & ~is_listed

    def ranks(among):
        place = order(priority[among], turns_among_ties(dealers[among]))
        return dict(zip(dealers[among][place].tolist(), range(1, 61), strict=False))

    issued, left = ranks(np.arange(60)), ranks(np.flatnonzero(~is_gone))
    rows = [
        {
            "dealer": dealer, "position": n, "national_rank": issued[dealer], "percentile": 0.0,
            "priority": float(priority[dealers == dealer][0]), "why": ["model"], "change": None,
            "is_eligible": True, "inclusion_probability": 1.0, "eligible_on": None,
        }
        for n, dealer in enumerate(sorted(dealers[is_listed], key=issued.get), start=1)
    ]  # fmt: skip
    document = {
        "rows": rows, "change": None, "basis": {"as_of": "2025-01-01"},
        "design": {"k": len(rows), "n_in_area": 60, "n_eligible": 60, "n_by_why": {},
                   "random_share": 0.1},
    }  # fmt: skip
    area = {"area": {}, "license_types": []}
    owner = {"name": "lee", "role": "supervisor", "areas": ["nation"]}
    facts = pd.DataFrame({name: [None] * int(is_known.sum()) for name in FACTS}).assign(
        dealer=dealers[is_known], priority=priority[is_known], is_in_scope=True,
        eligible_on=pd.NaT,
    )  # fmt: skip
    recipe = {"n_visible": 60, "principal": owner, "request": area}
    hidden = frozenset(dealers[is_gone].tolist())
    shown = without(document, recipe, facts, hidden=hidden, is_compared=False)
    assert {row["dealer"]: row["national_rank"] for row in shown["rows"]} == {
        dealer: left[dealer] for dealer in dealers[is_listed & ~is_gone].tolist()
    }
    n_left = 60 - int(is_gone.sum())
    design = shown["design"]
    assert (design["n_in_area"], design["n_eligible"]) == (n_left, n_left)


def test_a_held_dealer_that_the_table_no_longer_knows_leaves_the_list_all_the_same(service):
    """The list was made of a table of the same number at another home."""
    listed = service.post("/v1/rank", "supervisor", {"k": 12, "random_share": 0}).json()
    held, rows = listed["rows"][2]["dealer"], listed["rows"]
    snapshot = service.runtime.snapshot
    scored = snapshot.table.scored
    # Here the table does not know the dealer, and has a held one of the area where there was none.
    fewer = with_scored(snapshot, scored, (scored["dealer"] != held).to_numpy())
    other = next(row["dealer"] for row in rows[3:])
    assert fewer.row(held) is None
    service.runtime.replace(fewer)
    for dealer in (held, other):
        holds.place(service.runtime.store, dealer, owners=["chief"], starts_on=SINCE)
    service.runtime.refresh_holds()
    at = f"/v1/lists/{listed['list_id']}"
    seen = service.get(at, "supervisor").json()
    n = next(
        one["n_rows"]
        for one in service.get("/v1/lists", "supervisor").json()["lists"]
        if one["list_id"] == listed["list_id"]
    )
    kept = [row["dealer"] for row in rows if row["dealer"] not in {held, other}]
    assert [row["dealer"] for row in seen["rows"]] == kept
    assert n == len(kept)
    ranks = [row["national_rank"] for row in seen["rows"]]
    assert ranks == sorted(set(ranks))
    assert ranks[0] >= 1
    assert seen["design"]["k"] == listed["design"]["k"] - 2
    assert seen["design"]["n_in_area"] == listed["design"]["n_in_area"] - 2
    for kind in ("csv", "csvm"):
        assert held not in service.get(f"{at}.{kind}", "supervisor").text
    assert service.get(at, "chief").json()["rows"] == rows


def test_a_table_of_the_same_number_at_another_home_is_not_the_lists_own(tmp_path):
    folder = tmp_path / "scored" / "000001"
    folder.mkdir(parents=True)
    pd.DataFrame({"dealer": ["1-10-00001"]}).to_parquet(folder / "scored.parquet")
    (folder / "manifest.json").write_text('{"fingerprint": "a"}')
    asked = (tmp_path, "000001", ["1-10-00001"], ["dealer"])
    assert len(rows_of(*asked, fingerprint="a")) == 1
    assert rows_of(*asked, fingerprint="b") is None
