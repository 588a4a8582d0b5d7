"""The closed loop: what is ordered, what is kept, what goes on after an interruption."""

import json
from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from typer.testing import CliRunner

from features.simulation.country.options import Options
from features.simulation.ongoing import Ongoing
from ffl_risk import app
from models.order.random_share import Draw
from training.errors import TrainingError
from training.progress import Steps
from training.recipe import load_recipe
from training.studies.rehearsal import Plan, choosing, loop, rehearse, require_sound, verdict
from training.studies.rehearsal.page import rehearsal_page
from training.studies.rehearsal.product import Said

SMALL = Plan(rounds=2, arms=("random_only",), dealers=400, history_years=3, end=date(2022, 1, 1))


@pytest.fixture(scope="module")
def country():
    made = Ongoing(Options(dealers=800, years=4, end=date(2022, 1, 1), seed=2))
    for _ in range(30):
        made.live()
    return made


@pytest.fixture
def draw():
    return Draw(11, date(2022, 1, 1), date(2023, 1, 1))


@pytest.fixture
def told_by_truth(monkeypatch):
    """Let the product say the truth, with an interval of a fifth; no training."""

    def make(scale: float = 1.0) -> None:
        def said(recipe, warehouse, today, steps):
            world = loop.Ongoing.current  # type: ignore[attr-defined]
            chance = world.chances()
            keys = world.world.dealers.keys
            return Said(
                keys,
                chance,
                scale * chance,
                scale * np.column_stack([0.8 * chance, 1.2 * chance]),
                True,
                ("passed better_than_chance (compliance): told",),
            )

        def choose(plan, run, recipe, country, store, steps):
            loop.Ongoing.current = country  # type: ignore[attr-defined]
            return original(plan, run, recipe, country, store, steps)

        original = loop._choose
        monkeypatch.setattr(loop, "_choose", choose)
        monkeypatch.setattr(loop, "said", said)

    yield make
    if hasattr(loop.Ongoing, "current"):
        del loop.Ongoing.current


def test_a_list_is_visited_by_its_design(country, draw):
    order = np.flatnonzero(country.eligible)
    year = choosing.of_list(country, order, 80, share=0.1, obey=1.0, draw=draw)
    orders = year.orders
    assert len(orders.dealer) == len(set(orders.dealer.tolist())) == 80
    assert sorted(year.listed.tolist()) == sorted(order[:76].tolist())
    model, drawn = orders.why == "model", orders.why == "random"
    assert (model.sum(), drawn.sum()) == (76, 4)
    assert orders.is_mandatory.sum() == 8
    assert set(orders.inclusion_probability[drawn]) == {4 / (len(order) - 76)}
    assert set(orders.mandatory_probability[model]) == {4 / 76}


def test_inspectors_who_follow_their_own_mind_leave_the_mandatory_rows(country, draw):
    order = np.flatnonzero(country.eligible)
    year = choosing.of_list(country, order, 80, share=0.1, obey=0.7, draw=draw)
    orders = year.orders
    model = orders.why == "model"
    assert len(orders.dealer) == 80
    assert model.sum() == round(0.7 * 76)
    assert orders.is_mandatory[model].sum() == 4
    own = orders.dealer[orders.list_id == np.array(None)]
    assert len(own) == 76 - model.sum()
    assert not np.isin(own, year.listed).any()
    assert np.isnan(orders.inclusion_probability[orders.list_id == np.array(None)]).all()


def test_the_visits_of_a_year_survive_their_file(country, draw):
    order = np.flatnonzero(country.eligible)
    year = choosing.of_list(country, order, 40, share=0.2, obey=0.5, draw=draw)
    again = choosing.Year.read(year.arrays())
    assert again.of(3).list_id.tolist() == year.of(3).list_id.tolist()
    assert again.listed.tolist() == year.listed.tolist()
    assert sum(len(again.of(month).dealer) for month in range(12)) == 40


class StoppedError(Exception):
    """Stands in for the hand that stops a rehearsal."""


class Impatient(Steps):
    def say(self, text: str) -> None:
        raise StoppedError(text)


@pytest.mark.slow
def test_an_interrupted_rehearsal_goes_on_to_the_same_end(tmp_path):
    recipe = load_recipe("country")
    whole = rehearse(SMALL, recipe, tmp_path / "whole", Steps())
    with pytest.raises(StoppedError, match="round 1"):
        rehearse(SMALL, recipe, tmp_path / "parts", Impatient())
    kept = json.loads((tmp_path / "parts" / "1-random_only" / "rounds.json").read_text())
    assert [entry["round"] for entry in kept] == [1]
    resumed = rehearse(SMALL, recipe, tmp_path / "parts", Steps())
    assert resumed == whole
    assert rehearse(SMALL, recipe, tmp_path / "parts", Impatient()) == whole  # nothing is left


def test_a_folder_of_another_plan_is_refused(tmp_path):
    (tmp_path / "plan.json").write_text(json.dumps({"rounds": 9}))
    with pytest.raises(loop.RehearsalError, match="another plan"):
        rehearse(SMALL, load_recipe("country"), tmp_path, Steps())


@pytest.mark.slow
def test_chasing_traces_states_nothing_and_finds_less_than_the_truth(tmp_path, told_by_truth):
    told_by_truth()
    plan = replace(SMALL, arms=("list", "trace_chasing"), rounds=1, obey=(1.0,), dealers=800)
    found = rehearse(plan, load_recipe("country"), tmp_path, Steps())
    by_list, chasing = (run["rounds"][0] for run in found["runs"])
    assert chasing["stated"] is None
    assert by_list["true_yield"] > 1.5 * chasing["true_yield"]
    assert found["verdict"]["n_stated"] == 1
    assert found["verdict"]["n_missed"] == 0
    page = rehearsal_page(found)
    assert "cannot be said" in json.dumps([s.rows for s in page.sections])
    require_sound(found | {"verdict": found["verdict"] | {"starved": []}})


@pytest.mark.slow
def test_what_is_overstated_is_found_out(tmp_path, told_by_truth):
    told_by_truth(2.0)
    plan = replace(SMALL, arms=("list",), rounds=2, dealers=800)
    found = rehearse(plan, load_recipe("country"), tmp_path, Steps())
    assert found["verdict"]["n_missed"] == 2
    with pytest.raises(loop.TrainingError, match="2 of 2 stated intervals missed") as refused:
        require_sound(found)
    assert refused.value.exit_code == 5


def a_round(number: int, *, listed: float, stated: float = 0.1) -> dict:
    group = {"dealers": 10, "listed": listed, "right": 0.2, "never_seen": 0.9}
    return {
        "round": number,
        "true_yield": 0.1,
        "stated": {"value": stated, "low": stated - 0.02, "high": stated + 0.02},
        "groups": {"size: smallest third": group},
    }


@pytest.mark.parametrize(("listed", "n_starved"), [(0.2, 0), (0.11, 0), (0.09, 1)])
def test_a_group_below_half_of_its_right_share_starves(listed, n_starved):
    run = {"name": "1-list", "arm": "list", "rounds": [a_round(i, listed=listed) for i in range(4)]}
    found = verdict([run], starving=0.5)
    assert len(found["starved"]) == n_starved


def test_intervals_may_miss_as_often_as_chance_explains():
    rounds = [a_round(i, listed=0.2, stated=0.2 if i < 3 else 0.1) for i in range(40)]
    assert verdict([{"name": "r", "arm": "list", "rounds": rounds}], starving=0.5) == {
        "n_stated": 40,
        "n_missed": 3,
        "most_missed": 4,
        "starved": [],
    }


def test_unknown_arms_and_shares_are_refused_before_any_work(tmp_path):
    for arguments, expected in (
        (["--arms", "list,trace_chase"], "trace_chasing"),
        (["--obey", "1.5"], "0 to 1"),
        (["--random-share", "some"], "numbers"),
        (["--random-share", "nan"], "0 to 1"),
        (["--arms", " , "], "No arm"),
        (["--obey", ","], "names no share"),
    ):
        with pytest.raises(TrainingError) as refused:
            CliRunner().invoke(
                app, ["rehearse", *arguments, "--out", str(tmp_path / "r")], catch_exceptions=False
            )
        assert expected in str(refused.value)
    assert not (tmp_path / "r").exists()
