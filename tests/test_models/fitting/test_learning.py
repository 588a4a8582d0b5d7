"""What fitting promises: the same bytes again, monotone directions, groups kept whole."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from models import RateRegressor, RiskClassifier
from models.columns.categories import Target
from models.margin import fitting
from models.margin.fitting import worth_growing
from models.margin.folds import deal

QUICK = {"n_repeats": 1, "max_rounds": 40}


def files(folder):
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir())}


def test_no_fold_has_the_largest_counts_of_every_round():
    """Dealt in order, the first of five folds had 50 and the last 34."""
    y = np.random.default_rng(0).permutation(np.arange(1.0, 21.0))
    folds = deal(y, None, 5, seed=3)
    assert np.bincount(folds, weights=y).tolist() == [42.0] * 5
    grouped = deal(np.repeat(y, 2), np.repeat(np.arange(20), 2), 5, seed=3)
    assert np.bincount(grouped, weights=np.repeat(y, 2)).tolist() == [84.0] * 5
    assert (grouped[::2] == grouped[1::2]).all()


@pytest.mark.parametrize("kind", [RiskClassifier, RateRegressor])
def test_same_data_and_seed_give_the_same_bytes(kind, draw, tmp_path):
    X, y, _ = draw(800, 3)
    for name, n_jobs in (("one", 1), ("two", 3)):
        fitted = kind(**QUICK, n_jobs=n_jobs).fit(X, y)
        fitted.set_params(n_jobs=None).save(tmp_path / name)
    assert files(tmp_path / "one") == files(tmp_path / "two")
    kind(**QUICK, n_jobs=None, random_state=1).fit(X, y).save(tmp_path / "other")
    assert files(tmp_path / "one") != files(tmp_path / "other")


@pytest.mark.parametrize("kind", [RiskClassifier, RateRegressor])
def test_a_saved_model_predicts_and_explains_to_the_bit(kind, draw, tmp_path):
    X, y, _ = draw(800, 3)
    model = kind(**QUICK, monotone={"count_0": 1}).fit(X, y)
    model.save(tmp_path)
    again = kind.load(tmp_path)
    np.testing.assert_array_equal(again.predict_margin(X), model.predict_margin(X))
    np.testing.assert_array_equal(again.explain(X).values, model.explain(X).values)
    np.testing.assert_array_equal(again.predict_interval(X), model.predict_interval(X))
    assert again.get_params() == model.get_params()
    assert not any(p.suffix in {".pkl", ".joblib"} for p in tmp_path.iterdir())


class Trial:
    """The first member of a shape of trees, already grown."""

    def __init__(self, margin: np.ndarray, loss: float) -> None:
        self.margin, self.trial_loss = margin, loss

    def trial(self):
        return np.arange(len(self.margin)), self.margin

    def is_as_good_as(self, other: "Trial") -> bool:
        return self.trial_loss <= other.trial_loss


@pytest.mark.parametrize("family", ["binary", "poisson"])
def test_a_second_shape_of_trees_is_grown_only_where_it_tells_more(family):
    rng = np.random.default_rng(4)
    beside, one, other = rng.normal(size=(3, 6_000)) * 0.8

    def asked(margin: np.ndarray, first: np.ndarray, second: np.ndarray) -> list[str]:
        mean = np.exp(margin) if family == "poisson" else 1.0 / (1.0 + np.exp(-margin))
        y = rng.poisson(mean) if family == "poisson" else rng.random(6_000) < mean
        target = Target(family, y.astype(float), np.ones(6_000))
        crews = {"shallow": Trial(first, 1.0), "deep": Trial(second, 1.0)}
        grown = worth_growing(crews["shallow"], crews["deep"], beside, target)
        return [name for name, crew in crews.items() if crew in grown]

    assert asked(beside + one + other, one, other) == ["shallow", "deep"]
    assert asked(beside + one, one, one + 0.1 * other) == ["shallow"]
    assert asked(beside + other, one, other) == ["deep"]


def test_few_findings_keep_the_second_shape_unless_it_is_worse():
    target = Target("binary", (np.arange(6_000) % 100 == 0).astype(float), np.ones(6_000))
    same = np.zeros(6_000)
    shallow, deep, worse = Trial(same, 1.0), Trial(same, 1.0), Trial(same, 1.1)
    assert worth_growing(shallow, deep, same, target) == [shallow, deep]
    assert worth_growing(shallow, worse, same, target) == [shallow]


def test_several_classes_survive_the_round_trip(draw, tmp_path):
    X = draw(600, 3)[0]
    y = np.where(X["count_0"] > 10, "many", np.where(X["count_0"] > 2, "some", "few"))
    model = RiskClassifier(**QUICK).fit(X, y)
    model.save(tmp_path)
    again = RiskClassifier.load(tmp_path)
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    np.testing.assert_allclose(again.predict_proba(X).sum(axis=1), 1.0)


@pytest.mark.parametrize("direction", [-1, 1])
def test_a_monotone_column_moves_the_margin_one_way_only(draw, direction):
    X, y, _ = draw(1200, 13)
    model = RiskClassifier(**QUICK, monotone={"count_0": direction, "share": direction}).fit(X, y)
    for column, values in (("count_0", np.arange(0, 80)), ("share", np.linspace(0, 1, 50))):
        for i in range(5):
            rows = pd.concat([X.iloc[[i]]] * len(values)).assign(**{column: values})
            assert (direction * np.diff(model.predict_margin(rows)) >= -1e-9).all()


@pytest.mark.parametrize("seed", range(4))
def test_a_group_is_never_split_and_folds_are_even(seed):
    rng = np.random.default_rng(seed)
    groups = rng.integers(0, 150, 1000)
    y = (rng.random(1000) < 0.05).astype(float)
    folds = deal(y, groups, 5, seed)
    assert all(len(set(folds[groups == g])) == 1 for g in np.unique(groups))
    positives = np.bincount(folds, weights=y, minlength=5)
    assert positives.max() - positives.min() <= 6
    assert np.bincount(folds).min() >= 100


def test_one_positive_in_five_hundred_still_ranks(draw):
    rng = np.random.default_rng(0)
    X = draw(10000, 77)[0]
    margin = 1.2 * np.log1p(X["count_0"]).to_numpy()
    margin += np.log(0.002) - np.log(np.mean(np.exp(margin)))
    y = (rng.random(10000) < 1 / (1 + np.exp(-margin))).astype(int)
    assert 10 <= y.sum() <= 40
    model = RiskClassifier(**QUICK).fit(X, y)
    new = draw(5000, 78)[0]
    ranks = np.corrcoef(
        pd.Series(model.predict_margin(new)).rank(), pd.Series(new["count_0"]).rank()
    )[0, 1]
    assert ranks > 0.5
    assert model.predict_proba(new)[:, 1].mean() == pytest.approx(0.002, rel=0.6)


def test_weights_move_the_base_rate(draw):
    X, y, _ = draw(1500, 3)
    weights = np.where(y == 1, 3.0, 1.0)
    plain = RiskClassifier(**QUICK).fit(X, y).predict_proba(X)[:, 1].mean()
    heavy = RiskClassifier(**QUICK).fit(X, y, sample_weight=weights).predict_proba(X)[:, 1].mean()
    assert heavy > plain * 1.5


def test_only_ratios_of_weights_matter(draw):
    X, y, _ = draw(800, 3)
    weights = np.random.default_rng(0).uniform(0.5, 2.0, 800)
    one = RiskClassifier(**QUICK).fit(X, y, sample_weight=weights)
    other = RiskClassifier(**QUICK).fit(X, y, sample_weight=weights * 8.0)
    np.testing.assert_allclose(one.predict_margin(X), other.predict_margin(X), atol=1e-9)


def test_exposure_is_a_weight_on_a_rate(draw):
    X = draw(3000, 51)[0][["count_0", "count_1"]]
    rng = np.random.default_rng(52)
    exposure = rng.choice([0.25, 1.0], 3000)
    rate = np.exp(0.4 * np.log1p(X["count_0"]) - 1.0)
    y = rng.poisson(rate * exposure)
    model = RateRegressor(**QUICK).fit(X, y / exposure, sample_weight=exposure)
    assert model.predict(X).mean() == pytest.approx(rate.mean(), rel=0.1)


def test_a_clone_is_unfitted_and_equal(classifier):
    assert clone(classifier).get_params() == classifier.get_params()
    assert not hasattr(clone(classifier), "models_")


def test_trees_take_nothing_from_a_held_out_label(draw):
    # A column of pure identifiers carries no signal, and crossing the folds must see that.
    X, _, _ = draw(1000, 61)
    rng = np.random.default_rng(0)
    y = (rng.random(1000) < 0.1).astype(int)
    X = pd.DataFrame({"who": [f"d{i}" for i in rng.integers(0, 300, 1000)]})
    p = RiskClassifier(**QUICK).fit(X, y).predict_proba(X)[:, 1]
    assert np.std(p) < 0.08


def test_a_number_that_is_a_name_is_learned_by_name_unless_it_is_said_to_be_a_quantity():
    rng = np.random.default_rng(0)
    licenses = rng.integers(10_000, 90_000, 300)
    habit = rng.normal(0.0, 2.0, 300)
    whose = rng.integers(0, 300, 3_000)
    X = pd.DataFrame({"license": licenses[whose], "noise": rng.normal(size=3_000)})
    y = (rng.random(3_000) < 1 / (1 + np.exp(1.0 - habit[whose]))).astype(int)

    def correlation(model: RiskClassifier) -> float:
        margin = model.fit(X[:2_000], y[:2_000]).predict_margin(X[2_000:])
        return float(np.corrcoef(margin, habit[whose[2_000:]])[0, 1])

    as_quantity = correlation(RiskClassifier(**QUICK, monotone={"license": 0}))
    assert correlation(RiskClassifier(**QUICK)) > as_quantity + 0.1


def test_a_pair_says_what_its_halves_do_not():
    rng = np.random.default_rng(1)
    X = pd.DataFrame({"shop": rng.integers(0, 40, 4_000), "year": rng.integers(2010, 2020, 4_000)})
    X["shop"] = "shop " + X["shop"].astype(str)
    bad = rng.normal(0.0, 1.5, (40, 10))
    margin = bad[X["shop"].str[5:].astype(int), X["year"] - 2010] - 1.0
    y = (rng.random(4_000) < 1 / (1 + np.exp(-margin))).astype(int)
    model = RiskClassifier(**QUICK).fit(X[:3_000], y[:3_000])
    assert any(column.kind == "pair" for column in model.models_[0].columns)
    assert np.corrcoef(model.predict_margin(X[3_000:]), margin[3_000:])[0, 1] > 0.5
    explained = model.explain(X[3_000:])
    assert explained.columns == ("shop", "year")


@pytest.mark.parametrize("offset", [-1.5, 1.5])
def test_an_offset_that_all_rows_share_moves_the_level_alone(offset):
    rng = np.random.default_rng(3)
    X = pd.DataFrame({name: rng.choice(list("stuvwxyz"), 1_500) for name in "ab"})
    X["x"] = rng.normal(size=1_500)
    y = (rng.random(1_500) < 0.3).astype(int)
    plain = RiskClassifier(**QUICK).fit(X, y)
    moved = RiskClassifier(**QUICK).fit(X, y, offset=np.full(1_500, offset))
    for one, other in zip(plain.models_, moved.models_, strict=True):
        assert [c.kind for c in other.columns] == [c.kind for c in one.columns]
    np.testing.assert_allclose(moved.predict_margin(X) + offset, plain.predict_margin(X), atol=0.02)


def test_a_rare_kind_is_not_shrunk_away(draw):
    # Thirty columns of noise make the linear part shrink everything, the kind's effect too.
    said, found = [], []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        X = pd.DataFrame(rng.normal(size=(4_000, 30)), columns=[f"x{j}" for j in range(30)])
        X["kind"] = rng.choice(["plain", "risky"], 4_000, p=[0.9, 0.1])
        is_risky = X["kind"] == "risky"
        y = (rng.random(4_000) < np.where(is_risky, 0.15, 0.05)).astype(int)
        p = RiskClassifier(**QUICK).fit(X, y).predict_proba(X)[:, 1]
        said.append(p[is_risky].mean() - p[~is_risky].mean())
        found.append(y[is_risky].mean() - y[~is_risky].mean())
    assert np.mean(said) > 0.6 * np.mean(found)


def test_the_models_of_dates_know_seasons():
    days = pd.Series(pd.date_range("2015-01-01", periods=3_000))
    rng = np.random.default_rng(2)
    y = (rng.random(3_000) < np.where(days.dt.month.isin([6, 7, 8]), 0.5, 0.1)).astype(int)
    model = RiskClassifier(**QUICK).fit(days.to_frame("day"), y)
    later = pd.DataFrame({"day": ["2024-07-10", "2024-12-10"]})
    warm, cold = model.predict_proba(later)[:, 1]
    assert warm > 2 * cold


@pytest.mark.parametrize(
    ("losses", "chosen"),
    [
        # A count's loss may be below zero: a weaker penalty is taken where it gains a fiftieth.
        ((-10.0, -10.1, -12.0), 3000.0),
        ((-10.0, -10.3, -10.4), 1000.0),
        # What loses little may gain with the next; what loses much ends the search.
        ((1.0, 1.004, 0.9), 300.0),
        ((1.0, 1.006, 0.9), 3000.0),
    ],
)
def test_a_weaker_penalty_for_counts_must_gain_clearly(
    monkeypatch: pytest.MonkeyPatch, losses: tuple[float, ...], chosen: float
) -> None:
    said = dict(zip(fitting.PENALTIES, losses, strict=False))

    def loss(_family: object, _y: object, margin: np.ndarray) -> np.ndarray:
        return np.full(len(margin), said.get(margin[0], 99.0))

    def solve(penalty: float, _start: object) -> np.ndarray:
        return np.array([penalty, 0.0])

    monkeypatch.setattr(fitting, "losses", loss)
    n = 10
    whole = SimpleNamespace(
        family="poisson", y=np.zeros(n), w=np.ones(n), offset=None, features=np.zeros((n, 1))
    )
    problems = [SimpleNamespace(solve=solve)] * 2
    penalty, _ = fitting._choose_penalty(problems, whole, np.arange(n) % 2)
    assert penalty == chosen
