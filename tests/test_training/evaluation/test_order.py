"""The published order: what it goes with, and what offices of their own capacity find by it."""

import numpy as np
import pandas as pd
import pytest

from features.signals.registry import SIGNALS
from features.table import FeatureTable
from models.order.restraint import priorities, restrain
from models.order.set_against_alike import set_against
from models.policy import Policy
from training.evaluation.head_evaluation import RULE
from training.heads.compliance.judging import BEYOND, HOME, INSPECTED, STRICT
from training.heads.fit import HeadResult, held_out_table
from training.heads.published_order import (
    at_offices,
    judge_order,
    readings,
    strictness_dependence,
)
from training.recipe import load_recipe

KM = "border_km_to_mexico_line"


def dealers(*, leak: float, n: int = 6000, n_offices: int = 30, seed: int = 0) -> pd.DataFrame:
    """Dealers whose order leaks `leak` of the strictness of their office."""
    rng = np.random.default_rng(seed)
    home = rng.integers(0, n_offices, n)
    strict = rng.normal(0, 0.6, n_offices)[home]
    risk = rng.normal(-2, 0.7, n)
    y = (rng.random(n) < 1 / (1 + np.exp(-risk))).astype(float)
    return pd.DataFrame(
        {
            "dealer": [f"1-54-{i:05d}" for i in range(n)],
            "as_of": pd.Timestamp("2024-01-01"),
            "home": home.astype(str),
            "strictness": strict,
            "risk_beyond": risk,
            "score": risk + leak * strict + rng.normal(0, 0.2, n),
            "rule_random": 0.0,
            "y": y,
            "weight": 1.0,
        }
    )


def test_an_order_free_of_strictness_is_told_from_one_that_leaks_it():
    clean = strictness_dependence(dealers(leak=0.0))
    leaking = strictness_dependence(dealers(leak=1.0))
    assert abs(clean.value) < 0.1
    assert leaking.value > 0.4
    assert leaking.excludes(0.0)


def test_one_office_has_no_dependence():
    assert strictness_dependence(dealers(leak=1.0, n_offices=1)) is None


def by_luck(n_offices: int, seed: int) -> pd.DataFrame:
    """Offices whose dealers stand higher or lower for what has nothing to do with strictness."""
    frame = dealers(leak=0.0, n=800, n_offices=n_offices, seed=seed)
    luck = np.random.default_rng(seed + 1000).normal(0, 0.4, n_offices)
    return frame.assign(score=frame["score"] + luck[frame["home"].astype(int)])


@pytest.mark.parametrize(("n_offices", "at_most"), [(2, 0), (3, 0), (8, 4)])
def test_few_offices_that_differ_by_luck_do_not_show_a_dependence(n_offices, at_most):
    """Resampling two offices showed one in 40 of 40 cases, three in 14, eight in 11."""
    found = [strictness_dependence(by_luck(n_offices, seed)) for seed in range(20)]
    assert sum(abs(one.value) > 0.15 for one in found) > 6
    assert sum(one.excludes(0.0) for one in found) <= at_most


def test_eight_offices_that_leave_no_doubt_show_a_dependence():
    leaking = strictness_dependence(dealers(leak=1.0, n=1500, n_offices=8))
    assert leaking.excludes(0.0)
    assert -1.0 <= leaking.low < leaking.value < leaking.high <= 1.0


def test_offices_fill_their_own_lists():
    frame = dealers(leak=0.0)
    found = at_offices(frame, share=0.1)
    assert found["random"] == pytest.approx(0.1, abs=0.01)
    assert found["published"] > 0.15
    perfect = at_offices(frame.assign(score=frame["y"]), share=0.1)
    assert found["published"] < perfect["published"] <= 1.0


def test_read_as_risk_a_strict_office_has_more_of_the_list():
    rows = pd.DataFrame(readings(dealers(leak=0.0), share=0.1)).sort_values("level")
    mild, strict = rows.head(8), rows.tail(8)
    assert strict["risk"].mean() > 2 * mild["risk"].mean()
    assert strict["strictness"].mean() < 1.5 * mild["strictness"].mean()
    assert (rows["dealers"] * rows["risk"]).sum() == pytest.approx(600)


def heads_of(where: pd.DataFrame, places: dict[pd.Timestamp, tuple[str, ...]]) -> list[HeadResult]:
    """Return two heads that stood before each date: one of findings, one that falls with km."""
    recipe, rng = load_recipe("country"), np.random.default_rng(3)
    rows, n = where[["dealer", "as_of"]], len(where)
    margin = rng.normal(-2, 0.5, n)
    y = (rng.random(n) < 1 / (1 + np.exp(-margin))).astype(float)
    everyone = held_out_table(
        rows,
        y=y,
        score=1 / (1 + np.exp(-margin)),
        cluster=where["dealer"].to_numpy(dtype=str),
        rules={f"{RULE}points": np.zeros(n)},
        groups=pd.DataFrame(index=where.index),
    ).assign(**{"margin": margin, INSPECTED: True, HOME: "one", STRICT: 0.0, BEYOND: margin})
    mexico = rows.assign(margin=-np.log(where[KM]) + rng.normal(0, 0.3, n))
    X = where[[KM]]
    return [
        HeadResult(
            recipe.head("compliance"), "", "", everyone, None, X, {"is_in_bundle": True},
            everyone=everyone, judged_place_signals=places,
        ),
        HeadResult(
            recipe.head("mexico"), "", "", everyone, None, X, {"is_in_bundle": True},
            everyone=mexico,
        ),
    ]  # fmt: skip


def test_each_judged_year_is_put_in_order_by_what_its_own_model_knew_of_places():
    days = pd.to_datetime(["2021-01-01", "2022-01-01"]).astype("datetime64[s]")
    where = pd.DataFrame(
        {
            "dealer": np.tile([f"d{i}" for i in range(400)], 2),
            "as_of": np.repeat(days, 400),
            KM: np.random.default_rng(1).choice([5.0, 100.0, 900.0], 800),
        }
    )
    (signal,) = (one for one in SIGNALS if one.name == KM)
    table = FeatureTable(where, where[[KM]], (signal,), "full", "", "")
    results = heads_of(where, {days[1]: (KM,)})
    found = judge_order(load_recipe("country"), results, table)
    assert found is not None
    mexico = results[1].everyone["margin"]
    for day, is_told in zip(days, (False, True), strict=True):
        on = (where["as_of"] == day).to_numpy()
        margins = {
            "compliance": results[0].everyone["margin"].to_numpy()[on],
            "mexico": mexico.to_numpy()[on],
        }
        policy = Policy.read()
        beside = set_against(where.loc[on, [KM]], [KM] if is_told else [])
        restraint = restrain(policy, margins, beside)
        expected = priorities(policy, margins, beside, restraint)
        np.testing.assert_allclose(found.rows["score"].to_numpy()[on], expected)
        unlike = priorities(policy, margins, None, restraint)
        assert np.allclose(expected, unlike) is not is_told
