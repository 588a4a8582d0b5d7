"""A gap between groups is shown with the right reason."""

import numpy as np
import pandas as pd
import pytest

from training.evaluation.head_evaluation import groups
from training.studies.fairness import by_group
from training.studies.pages.fairness import fairness_page


def rows(rate: dict[str, float], score: dict[str, float], n: int = 6000) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    state = rng.choice(sorted(rate), n)
    p = pd.Series(state).map(rate).to_numpy()
    return pd.DataFrame(
        {
            "y": (rng.random(n) < p).astype(float),
            "weight": 1.0,
            "cluster": np.arange(n),
            "score": pd.Series(state).map(score).to_numpy() * rng.uniform(0.5, 1.5, n),
            "group_state": state,
        }
    )


def reasons(frame: pd.DataFrame) -> dict[str, str]:
    return {g["group"]: g["reason"] for g in by_group(frame, 0.1)["state"]}


def test_equal_groups_have_no_gap():
    even = {"NC": 0.1, "VA": 0.1}
    assert reasons(rows(even, even)) == {"NC": "none", "VA": "none"}


def test_a_higher_rate_is_a_base_rate_gap():
    unequal = {"NC": 0.05, "VA": 0.2}
    assert reasons(rows(unequal, unequal))["VA"] == "base rate"


def test_scores_off_the_rate_are_the_models_doing():
    found = by_group(rows({"NC": 0.1, "VA": 0.1}, {"NC": 0.1, "VA": 0.2}), 0.1)["state"]
    (va,) = [g for g in found if g["group"] == "VA"]
    assert va["reason"] == "model"
    assert va["bias"]["low"] > 0.5
    assert va["list_share"] > va["dealer_share"]


def test_what_those_who_chose_knew_is_not_the_models_doing():
    """Chosen dealers find 1.7 times what all would: every group was "model", at -45% and -43%."""
    frame = rows({"NC": 0.17, "OH": 0.17, "VA": 0.34}, {"NC": 0.1, "OH": 0.1, "VA": 0.2})
    chosen = frame.assign(is_level_known=False)
    assert "model" not in reasons(chosen).values()
    off = chosen.assign(score=chosen["score"].where(chosen["group_state"] != "NC", 0.2))
    assert reasons(off)["NC"] == "model"
    (nc,) = [g for g in by_group(off, 0.1)["state"] if g["group"] == "NC"]
    assert nc["bias_against"] == "all groups"


def test_where_enough_were_drawn_a_group_is_judged_by_them():
    frame = rows({"NC": 0.1, "VA": 0.1}, {"NC": 0.1, "VA": 0.1}, n=12000)
    rng = np.random.default_rng(1)
    is_drawn = rng.random(len(frame)) < 0.5
    hearsay = ~is_drawn & (rng.random(len(frame)) < 0.1)
    frame["y"] = np.maximum(frame["y"], hearsay)
    assert set(reasons(frame).values()) == {"model"}
    judged = frame.assign(level_weight=is_drawn.astype(float), is_level_known=True)
    assert set(reasons(judged).values()) == {"none"}


def test_the_groups_of_a_report_stand_for_their_dealers_not_for_their_visits():
    """Of one state the bad were visited four times as often: its rate was that of its visits."""
    everyone = rows({"NC": 0.1, "VA": 0.1}, {"NC": 0.1, "VA": 0.1}, n=20000)
    is_sought = (everyone["group_state"] == "NC") & (everyone["y"] == 0)
    seen = np.random.default_rng(2).random(len(everyone)) < np.where(is_sought, 0.2, 0.8)
    visited = everyone.assign(weight=np.where(is_sought, 4.0, 1.0))[seen].reset_index(drop=True)

    nc, va = groups(visited, 0.1)["state"]

    assert [nc["rate"], va["rate"]] == pytest.approx([0.1, 0.1], abs=0.02)
    assert visited.loc[visited["group_state"] == "NC", "y"].mean() > 0.25
    assert nc["share_of_dealers"] == pytest.approx(0.5, abs=0.02)
    for told, same in zip((nc, va), by_group(visited, 0.1)["state"], strict=True):
        assert told["share_of_list"] == pytest.approx(same["list_share"])
        assert told["mean_score"] == pytest.approx(same["mean_score"])
        assert told["recall"] == pytest.approx(same["recall"]["value"])


def test_a_tiny_group_is_not_judged():
    frame = rows({"NC": 0.1, "VA": 0.1}, {"NC": 0.1, "VA": 0.1})
    frame.loc[:4, "group_state"] = "GU"
    assert reasons(frame)["GU"] == "too few"


def test_a_group_scored_far_off_its_rate_is_named_even_where_the_list_shows_no_gap():
    # CA finds half as much and is scored as the others: its share of the list looks right.
    frame = rows({"CA": 0.05, "OH": 0.1, "VA": 0.1}, {"CA": 0.1, "OH": 0.1, "VA": 0.1})
    found = {g["group"]: g for g in by_group(frame, 0.1)["state"]}
    assert 0.8 <= found["CA"]["list_share"] / found["CA"]["dealer_share"] <= 1.25
    assert found["CA"]["bias"]["low"] > 0.5
    assert found["CA"]["reason"] == "model"
    page = fairness_page({"candidate": "000001", "heads": {"h": by_group(frame, 0.1)}})
    assert page.advice[0].startswith("Scored off their rate") or "state" in page.advice[0]
    assert "state CA" in page.advice[0].split(";")[0]
