"""Tables of every kind: read alike, or refused with the column's name."""

from datetime import date, time

import numpy as np
import pandas as pd
import pytest

from models import RateRegressor, RiskClassifier
from models.columns.dates import days
from models.errors import InputError, LabelError, ParameterError, WeightError

QUICK = {"n_repeats": 1, "max_rounds": 15, "n_folds": 3}


@pytest.fixture(scope="module")
def data(draw):
    X, y, _ = draw(400, 5)
    return X, y


def fitted(X, y, **more):
    return RiskClassifier(**QUICK).fit(X, y, **more)


@pytest.mark.parametrize(
    "change",
    [
        lambda X: X.assign(empty=np.nan),
        lambda X: X.assign(constant=7),
        lambda X: X.assign(mixed=[1, "a", None, 2.5] * 100),
        lambda X: X.assign(text_numbers=np.array(["1", "2"] * 200)),
        lambda X: X.assign(nothing=None),
        lambda X: X.set_axis(pd.Index([f"d{i}" for i in range(400)])),
        lambda X: X.set_axis(pd.MultiIndex.from_product([range(20), range(20)])),
        lambda X: X.astype({f"count_{j}": "float32" for j in range(8)}),
        lambda X: X.convert_dtypes(),
        lambda X: X.assign(kind=X["kind"].astype("category")),
        lambda X: X.assign(maybe=pd.array([True, None] * 200, dtype="boolean")),
        lambda X: X.assign(level=pd.Categorical([3, 1, 2, None] * 100, ordered=True)),
        lambda X: X[["count_0"]],
        lambda X: X[["kind"]],
        lambda X: X.assign(day=pd.date_range("2020-01-01", periods=400)),
        lambda X: X.assign(day=pd.date_range("2020-01-01", periods=400, tz="America/Chicago")),
        lambda X: X.assign(day=[date(2020, 1, 1), None] * 200),
        lambda X: X.assign(span=pd.to_timedelta(range(400), unit="D")),
        lambda X: X.assign(day=pd.date_range("2020-01-01", periods=400).strftime("%m/%d/%Y")),
        lambda X: X.set_axis(range(X.shape[1]), axis=1),
        lambda X: X.set_axis([0, *X.columns[1:]], axis=1),
        lambda X: X.set_axis([7] * 400),
        lambda X: X.assign(level=pd.Categorical([None] * 400), gone=pd.array([pd.NA] * 400)),
        lambda X: X.assign(name=[f"premises {i}" for i in range(400)]),
        lambda X: X.assign(license=np.arange(400) // 4 * 1_000_003),
        lambda X: X.assign(small=X["count_0"].clip(upper=99).astype("int8"), half=np.float16(0.5)),
        lambda X: X.assign(share=X["share"].astype("float32"), code=[b"a", b"b"] * 200),
        lambda X: X.convert_dtypes(dtype_backend="pyarrow"),
        lambda X: X.assign(flag=pd.arrays.SparseArray(np.arange(400) % 7 == 0)),
        lambda X: X.assign(blank=["", " ", "nan", "None"] * 100),
    ],
)
def test_a_table_of_any_kind_is_fitted_scored_and_explained(data, change):
    X, y = change(data[0]), data[1]
    model = fitted(X, y)
    p = model.predict_proba(X)[:, 1]
    assert np.isfinite(p).all()
    assert model.explain(X).values.shape == X.shape


def test_column_types_do_not_change_what_is_learned(data):
    X, y = data
    plain = fitted(X, y).predict_proba(X)
    for same in (X.convert_dtypes(), X.assign(kind=X["kind"].astype("category"))):
        np.testing.assert_array_equal(fitted(same, y).predict_proba(same), plain)


def test_more_columns_than_rows():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(80, 200))
    model = fitted(X, X[:, 0] > 0)
    assert model.explain(X).columns[:2] == ("x0", "x1")


@pytest.mark.parametrize(
    "y",
    [
        lambda y: y.astype(bool),
        lambda y: np.where(y, "severe", "clean"),
        lambda y: pd.Series(y, dtype="boolean"),
        lambda y: pd.Series(y, dtype="Int64"),
        lambda y: pd.Series(np.where(y, "yes", "no"), dtype="category"),
        lambda y: y.astype(bool).astype(object),
        list,
    ],
)
def test_labels_of_any_kind(data, y):
    X, labels = data
    model = fitted(X, y(labels))
    reference = fitted(X, labels)
    positive = 0 if model.classes_[1] == "clean" else 1
    assert list(model.classes_)[positive] in (True, 1, "severe", "yes")
    if positive == 1:
        np.testing.assert_array_equal(model.predict_proba(X), reference.predict_proba(X))


def test_an_unseen_category_is_an_average_one(data):
    X, y = data
    rng = np.random.default_rng(0)
    X = X.assign(place=rng.choice(["risky", "plain", "safe"], 400))
    y = (rng.random(400) < X["place"].map({"risky": 0.8, "plain": 0.4, "safe": 0.1})).astype(int)
    model = fitted(X, y)
    p = {
        place: model.predict_proba(X.assign(place=place))[:, 1].mean()
        for place in ("risky", "never seen", "safe")
    }
    assert p["safe"] < p["never seen"] < p["risky"]


def test_text_in_an_array_is_read_as_categories(data):
    X, y = data
    mixed = X[["count_0", "kind", "share"]]
    as_array = fitted(mixed.to_numpy(dtype=object), y).predict_proba(mixed.to_numpy(dtype=object))
    np.testing.assert_array_equal(as_array, fitted(mixed, y).predict_proba(mixed))


@pytest.mark.parametrize(
    "way", ["datetime64", "object", "%Y-%m-%d", "%Y-%m-%dT%H:%M:%S.000", "%m/%d/%Y", "category"]
)
def test_a_date_is_one_date_however_it_is_written(data, way):
    X, y = data
    days = pd.Series(pd.date_range("2019-03-05", periods=400, freq="3D"))
    written = {
        "datetime64": days,
        "object": days.dt.date,
        "category": days.dt.strftime("%Y-%m-%d").astype("object"),
    }.get(way)
    if written is None:
        written = days.dt.strftime(way)
    plain = fitted(X.assign(day=days), y).predict_proba(X.assign(day=days))
    same = X.assign(day=written)
    np.testing.assert_array_equal(fitted(same, y).predict_proba(same), plain)


def test_the_day_comes_first_where_it_must():
    texts = pd.Series(["13/02/2020", "01/03/2020", None])
    np.testing.assert_array_equal(days(texts)[:2], [18_305.0, 18_322.0])


def test_dates_that_turned_into_words_are_refused(data):
    X, y = data
    model = fitted(X.assign(day=pd.date_range("2020-01-01", periods=400)), y)
    with pytest.raises(InputError, match="'day' held dates"):
        model.predict_proba(X.assign(day="soon"))
    with pytest.raises(InputError, match="'count_0' held numbers"):
        model.predict_proba(X.assign(day=None, count_0=pd.Timestamp("2020-01-01")))


@pytest.mark.parametrize(
    "groups",
    [
        [f"g{i // 4}" for i in range(400)],
        pd.Series([f"g{i // 4}" for i in range(400)]).where(np.arange(400) % 9 > 0, None),
        pd.Categorical(np.arange(400) // 40),
        np.array([1, "a", None, 2.5] * 100, dtype=object),
        np.arange(400) % 3,
        np.zeros(400),
    ],
)
def test_groups_of_any_kind(data, groups):
    p = fitted(*data, groups=groups).predict_proba(data[0])
    assert np.isfinite(p).all()


def test_one_group_that_holds_every_positive(data):
    X, y = data
    groups = np.where(y == 1, "all", [f"g{i}" for i in range(400)])
    assert np.isfinite(fitted(X, y, groups=groups).predict_proba(X)).all()
    assert np.isfinite(RateRegressor(**QUICK).fit(X, y, groups=groups).predict(X)).all()


def test_levels_unknown_to_a_category_column_at_prediction(data):
    X, y = data
    X = X.assign(kind=X["kind"].astype("category"))
    new = X.assign(kind=pd.Categorical(["other"] * 400, categories=["other", "pawn"]))
    assert np.isfinite(fitted(X, y).predict_proba(new)).all()


def test_weights_of_zero_and_of_many_sizes(data):
    X, y = data
    rng = np.random.default_rng(0)
    for weights in (rng.random(400) * (rng.random(400) > 0.5), 10.0 ** rng.uniform(-6, 6, 400)):
        assert np.isfinite(fitted(X, y, sample_weight=weights).predict_proba(X)).all()


@pytest.mark.parametrize("n", [2, 10, 60, 200])
def test_few_rows(data, n):
    X, y = data[0].iloc[:n], np.arange(n) % 2
    assert np.isfinite(fitted(X, y).predict_interval(X)).all()


def test_an_all_missing_row_is_scored(classifier, data):
    row = data[0].iloc[[0]].astype(object)
    row.loc[:, :] = None
    assert 0 < classifier.predict_proba(row)[0, 1] < 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda X: X.assign(hour=time(9, 30)), "'hour' holds times of day"),
        (lambda X: X.assign(month=pd.Period("2020-01", "M")), "'month' holds times of day"),
        (lambda X: X.assign(range=pd.Interval(0, 1)), "'range' holds"),
        (lambda X: X.assign(tags=[["a"], ["b"]] * 200), "'tags' holds cells that are no category"),
        (lambda X: X.set_axis([1, "1", *X.columns[2:]], axis=1), "Two columns have one name"),
        (lambda X: X.set_axis(["a"] * X.shape[1], axis=1), "Two columns have one name"),
        (lambda X: X.assign(count_1=np.inf), "infinity: column 'count_1'"),
        (lambda X: X.iloc[:0], "0 sample"),
        (lambda X: X.iloc[:, :0], "0 feature"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(data, change, words):
    X = change(data[0])
    with pytest.raises(InputError, match=words):
        fitted(X, data[1][: len(X)])


def test_missing_columns_are_named_with_the_nearest(classifier, data):
    with pytest.raises(InputError, match="'count_2'; did you mean 'count2'"):
        classifier.predict_proba(data[0].rename(columns={"count_2": "count2"}))


def test_a_number_that_turned_into_text_is_refused(classifier, data):
    with pytest.raises(InputError, match="'count_2' held numbers"):
        classifier.predict_proba(data[0].assign(count_2="many"))


def test_one_class_only(data):
    with pytest.raises(LabelError, match="only one class"):
        fitted(data[0], np.zeros(400))


def test_one_class_once_weights_are_counted(data):
    X, y = data
    with pytest.raises(LabelError, match="only one class"):
        fitted(X, y, sample_weight=(y == 0).astype(float))


@pytest.mark.parametrize("bad", [np.nan, -1.0, np.inf])
def test_bad_weights(data, bad):
    X, y = data
    weights = np.ones(400)
    weights[7] = bad
    with pytest.raises(WeightError, match="row 7"):
        fitted(X, y, sample_weight=weights)


def test_weights_that_are_all_zero(data):
    with pytest.raises(WeightError, match="zero"):
        fitted(*data, sample_weight=np.zeros(400))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_targets_that_are_not_finite(data, bad):
    X, y = data
    y = y.astype(float)
    y[3] = bad
    with pytest.raises(LabelError, match=r"NaN|infinity"):
        fitted(X, y)
    with pytest.raises(LabelError, match=r"NaN|infinity"):
        RateRegressor(**QUICK).fit(X, y)


@pytest.mark.parametrize("y", [np.full(400, -1.0), np.zeros(400)])
def test_counts_no_rate_can_be_learned_from(data, y):
    with pytest.raises(LabelError):
        RateRegressor(**QUICK).fit(data[0], y)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"monotone": {"count_00": 1}}, "did you mean 'count_0'"),
        ({"monotone": {"count_0": 2}}, "direction"),
        ({"n_folds": 1}, "n_folds"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"n_jobs": 0}, "n_jobs"),
    ],
)
def test_parameters_out_of_range(data, parameters, words):
    with pytest.raises(ParameterError, match=words):
        RiskClassifier(**parameters).fit(*data)


def test_groups_of_another_length(data):
    with pytest.raises(InputError, match="one a row"):
        fitted(*data, groups=np.zeros(3))
