"""What a design says of visits: probabilities, obedience, and what levels may rest on."""

from datetime import date

import numpy as np
import pandas as pd
import pytest

from models.order.random_share import random_places
from models.policy import SevereFinding
from training.heads.compliance.compliance import level_in_words, place_labels
from training.labels import dated_labels as labels
from training.labels.weights.propensity import Propensity
from training.labels.weights.sample_design import probabilities, sampled

RULE = SevereFinding("warning_conference", 1, 5)


def a_list(n_visited: int, *, n_places: int = 40, n_mandatory: int = 4, name: str = "L"):
    """Visits of a list of `n_places`, its mandatory rows first."""
    is_mandatory = np.arange(n_visited) < n_mandatory
    return pd.DataFrame(
        {
            "dealer": [f"D{i}" for i in range(n_visited)],
            "list_id": name,
            "why": "model",
            "inclusion_probability": 1.0,
            "is_mandatory": is_mandatory,
            "mandatory_probability": n_mandatory / n_places,
            "certain_places": n_places,
            "mandatory_places": n_mandatory or None,
        }
    )


def test_an_obeyed_list_is_a_census():
    assert (probabilities(a_list(40)) == 1.0).all()
    assert (probabilities(a_list(39)) == 1.0).all()


def test_of_a_list_not_obeyed_only_mandatory_rows_speak():
    found = probabilities(a_list(12))
    assert found[:4].tolist() == [0.1] * 4
    assert np.isnan(found[4:]).all()


def test_each_list_is_judged_by_itself():
    both = pd.concat([a_list(40), a_list(12, name="M")], ignore_index=True)
    found = probabilities(both)
    assert (found[:40] == 1.0).all()
    assert np.isfinite(found[40:]).sum() == 4


def test_a_list_whose_mandatory_rows_were_not_visited_says_nothing():
    found = probabilities(a_list(12, n_mandatory=4).assign(is_mandatory=False))
    assert np.isnan(found).all()


def test_a_short_list_visited_in_part_is_no_census():
    """Three of ten places, visited by choice, were certain: ten places have no mandatory one."""
    assert random_places(10, 0.1)[0] == 0
    rows = a_list(3, n_places=9, n_mandatory=0).assign(mandatory_probability=None)
    assert np.isnan(probabilities(rows)).all()
    whole = a_list(9, n_places=9, n_mandatory=0).assign(mandatory_probability=None)
    assert (probabilities(whole) == 1.0).all()


@pytest.mark.parametrize("why", ["model", "coverage"])
def test_places_are_not_counted_by_what_came_back(why):
    """With one of two mandatory rows still open, 20 chosen visits of 40 places were a census."""
    came_back = a_list(22, n_mandatory=2).iloc[1:].assign(why=why).reset_index(drop=True)
    found = probabilities(came_back, told=np.full(21, 0.5))
    assert found[0] == 0.05
    assert np.isnan(found[1:]).all()
    # Long after, none is open any more: who of the two was visited is somebody's choice.
    assert np.isnan(probabilities(came_back)).all()


@pytest.mark.parametrize(
    ("n_drawn", "n_visited", "is_sample"), [(200, 100, False), (200, 190, True), (2, 1, False)]
)
def test_a_draw_visited_in_part_is_no_random_sample(n_drawn, n_visited, is_sample):
    """The half that inspectors picked stood for everybody: .070 was stated of a true .050."""
    rows = a_list(n_visited, n_places=2000, n_mandatory=0).assign(
        why="random", inclusion_probability=0.01, mandatory_probability=1.0, is_mandatory=True,
        mandatory_places=n_drawn, selected_by="random", as_of="2022",
    )  # fmt: skip
    chance = probabilities(rows)
    assert (np.isfinite(chance) == is_sample).all()
    # Nor is it one of an equal chance.
    found = sampled(rows.assign(probability=chance), np.ones(n_visited, bool))
    assert (found.is_drawn == is_sample).all()
    assert (found.is_known == is_sample).all()
    assert (probabilities(rows.assign(mandatory_places=None)) == 0.01).all()


def test_a_draw_left_out_does_not_undo_a_census():
    rows = a_list(40).assign(mandatory_places=9)
    assert (probabilities(rows) == 1.0).all()
    assert np.isnan(probabilities(rows[:12])).all()


def test_a_second_visit_is_no_second_place():
    five = a_list(5, n_places=10, n_mandatory=0)
    assert np.isnan(probabilities(pd.concat([five, five], ignore_index=True))).all()


def test_a_list_of_unknown_length_is_no_census_and_a_stated_chance_holds():
    rows = a_list(5, n_mandatory=0).assign(mandatory_probability=None, certain_places=None)
    rows.loc[3, "inclusion_probability"] = 0.3
    rows.loc[4, ["why", "inclusion_probability"]] = ["random", 0.02]
    found = probabilities(rows)
    assert np.isnan(found[:3]).all()
    assert found[3:].tolist() == [0.3, 0.02]


def test_random_without_a_probability_is_an_equal_chance_of_its_date():
    rows = pd.DataFrame(
        {
            "as_of": ["2020"] * 100 + ["2021"] * 50,
            "selected_by": ["random"] * 5 + ["risk"] * 95 + ["random"] + ["risk"] * 49,
        }
    )
    found = sampled(rows, np.ones(150, bool))
    assert found.probability[[0, 100]].tolist() == [0.05, 0.02]
    assert np.isnan(found.probability[[5, 101]]).all()
    assert found.standing(np.ones(150)).sum() == pytest.approx(150)


def test_rows_put_there_by_hand_set_no_level():
    rows = pd.DataFrame(
        {
            "as_of": "2020",
            "selected_by": ["other", "risk", "random", "risk"],
            "why": ["manual", "model", "random", ""],
            "probability": [1.0, 1.0, 0.01, np.nan],
        }
    )
    found = sampled(rows, np.ones(4, bool))
    weight = found.level_weight(np.ones(4))
    assert weight.tolist() == [0.0, 1.0, 1.0, 0.0]
    # The drawn one stands for the dealers that are left.
    assert found.standing(np.ones(4)).tolist() == [1.0, 1.0, 2.0, 0.0]


def test_the_design_reaches_the_labels_and_their_weights(make_warehouse):
    """A drawn dealer once had the weight of a model of who is chosen; now it has its design's."""
    design = {"list_id": "L", "why": "random", "inclusion_probability": 0.01, "is_mandatory": True}
    visits = [
        {"inspection_id": f"I{i}", "dealer": f"1-54-{i:05d}", "opened_on": "2022-03-01",
         "closed_on": "2022-04-01", "outcome": "warning_conference" if i % 3 == 0 else "none"}
        for i in range(6)
    ]  # fmt: skip
    visits[0] |= design
    visits[1] |= design | {"why": "model", "inclusion_probability": 1.0, "certain_places": 1}
    warehouse = make_warehouse(inspections=[design_of(v) for v in visits])
    rows = pd.DataFrame(
        {"dealer": [f"1-54-{i:05d}" for i in range(60)], "as_of": pd.Timestamp("2022-01-01")}
    ).astype({"as_of": "datetime64[s]"})
    found = labels.compliance(warehouse, [date(2022, 1, 1)], rule=RULE)
    looked = place_labels(rows, found)
    assert looked.sampled.probability[:3].tolist()[:2] == [0.01, 1.0]
    assert looked.is_random.tolist()[:2] == [True, False]
    assert looked.level_weight[:6].tolist() == [1.0, 1.0, 0.0, 0.0, 0.0, 0.0]
    propensity = Propensity(
        np.linspace(0.02, 0.4, 60),
        looked.is_inspected,
        0.7,
        known=looked.sampled.standing(np.ones(60)),
    )
    weight = propensity.weights()
    assert weight[0] / weight[1] == pytest.approx(59.0)
    assert propensity.training_weights()[:2].tolist() == [1.0, 1.0]
    assert not np.isclose(propensity.training_weights()[2], 1.0)


def four_quarters(rng, p, *, is_certain, chance):
    """Visits of a year of quarterly lists: places by the order, and draws from the rest."""
    n = len(p)
    rows = pd.DataFrame(
        {"as_of": "2022", "selected_by": None, "why": "", "probability": np.nan, "list_id": None,
         "home": "O1", "opened_on": pd.NaT}, index=range(n)
    )  # fmt: skip
    rows = rows.astype({"selected_by": object, "list_id": object})
    seen = np.zeros(n, bool)
    for quarter in range(4):
        free = np.flatnonzero(~seen)
        listed = free[:is_certain]
        drawn = rng.choice(free[is_certain:], chance, replace=False)
        for why, some, p_in in (("model", listed, 1.0), ("random", drawn,
                                chance / (len(free) - is_certain))):  # fmt: skip
            rows.loc[some, ["why", "probability", "list_id"]] = [why, p_in, f"L{quarter}"]
            rows.loc[some, "opened_on"] = pd.Timestamp(2022, 3 * quarter + 1, 2)
            rows.loc[some, "selected_by"] = "risk" if why == "model" else "random"
            seen[some] = True
    return rows, seen


def test_quarterly_draws_stand_for_each_dealer_once():
    """Four draws stood for all dealers four times against the places of lists: 13% too low."""
    rng, rates, p = np.random.default_rng(3), [], np.sort(rng_p(10_000))[::-1]
    for _ in range(40):
        rows, seen = four_quarters(rng, p, is_certain=225, chance=25)
        standing = sampled(rows, seen).standing(seen.astype(float))
        assert standing.sum() == pytest.approx(len(p), rel=1e-6)
        rates.append((standing @ p) / standing.sum())
    assert np.mean(rates) == pytest.approx(p.mean(), rel=0.02)


def rng_p(n):
    return 0.5 * np.random.default_rng(1).beta(0.6, 4.0, n)


def test_draws_of_an_office_stand_for_its_own_dealers():
    """Two lists of two offices do not meet the same dealers; a draw from all meets everybody."""
    rows = pd.DataFrame(
        {"as_of": "2022", "home": ["A"] * 100 + ["B"] * 50, "why": "", "probability": np.nan,
         "list_id": "", "selected_by": "risk"}
    )  # fmt: skip
    drawn = [0, 1, 2, 3, 100, 101]
    rows.loc[drawn, ["why", "probability", "selected_by"]] = ["random", 0.02, "random"]
    rows.loc[[0, 1], "list_id"], rows.loc[[2, 3], "list_id"] = "A1", "A2"
    rows.loc[[100], "list_id"], rows.loc[[101], "list_id"] = "B1", "B2"
    seen = rows.index.isin(drawn)
    standing = sampled(rows, seen).standing(seen.astype(float))
    assert standing[drawn].tolist() == [25.0] * 4 + [25.0] * 2
    # Whoever is said to be random and no more was drawn from all: one population.
    rows.loc[149, "selected_by"] = "random"
    seen = rows.index.isin([*drawn, 149])
    assert sampled(rows, seen).standing(seen.astype(float)).sum() == pytest.approx(150.0)


def design_of(visit):
    blank = {"list_id": None, "why": None, "inclusion_probability": None, "is_mandatory": None,
             "certain_places": None}  # fmt: skip
    return blank | visit


@pytest.mark.parametrize(
    ("n", "n_severe", "is_warned"), [(99, 4, True), (320, 50, False), (1, 1, True)]
)
def test_a_level_says_what_it_rests_on(n, n_severe, is_warned):
    """Four drawn findings stated twice what a list found; the figure alone did not tell."""
    said = level_in_words(n, n_severe)
    visits = "1 visit" if n == 1 else f"{n} visits"
    assert f"{visits} of known probability, {n_severe} of them severe" in said
    assert ("half or twice" in said) == is_warned


def test_a_level_without_a_design_says_so():
    assert level_in_words(0, 0).startswith("No visit of known probability")
