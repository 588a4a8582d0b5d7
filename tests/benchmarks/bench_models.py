"""Explaining a country, fitting, scoring, and the quality of the defaults against others' defaults.

Quality lines: `value` is `RiskClassifier` untuned, `peer` the best of scikit-learn's histogram
boosting, XGBoost and CatBoost at their defaults, each given its categories its own way and each the
mean over the seeds; `ratio` is the difference, and noise is its standard error.
"""

import json
import resource
import tempfile
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from catboost import CatBoostClassifier
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score
from xgboost import XGBClassifier

from models import RateRegressor, RiskClassifier
from models.margin.margin import MarginModel
from tests.benchmarks.inputs.inspections import inspections, known_probabilities
from tests.benchmarks.inputs.tables import tables

N_DEALERS = 79_000
N_TIMED = 1_000
SEEDS = range(4)


def say(measure: str, value: float, peer: float, ratio: float, target: str) -> None:
    row = {"measure": measure, "value": value, "peer": peer, "ratio": ratio, "target": target}
    print(json.dumps(row), flush=True)  # noqa: T201  what a benchmark is for


def seconds(work: Callable[[], object]) -> float:
    """Processor seconds: another process on the machine does not change them."""
    return timed(work)[0]


def timed(work: Callable[[], object]) -> tuple[float, Any]:
    """Processor seconds, and what the work returned."""
    before = time.process_time()
    result = work()
    return time.process_time() - before, result


def peak_gib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def explain_a_country() -> None:
    X, y = inspections(10_000, seed=0)
    counts = np.random.default_rng(0).poisson(np.exp(0.5 * np.log1p(X["signal_0"])))
    monotone = {f"signal_{j}": 1 for j in range(20)}
    heads = [
        RiskClassifier(monotone=monotone).fit(X, y),
        RateRegressor(monotone=monotone).fit(X, counts),
    ]
    country = inspections(N_DEALERS, seed=1)[0]
    few = country.iloc[:N_TIMED]
    heads[0].explain(few, method="table")  # compiles
    whole = seconds(lambda: [head.explain(country, method="table") for head in heads])
    encoded = [(margin_of(head), margin_of(head).encode(country)) for head in heads]
    trees = seconds(lambda: [model.tables.contributions(Z) for model, Z in encoded])
    by_shap, gap = shap_seconds(heads, few)
    by_shap *= N_DEALERS / N_TIMED
    say(
        "tree contributions of 79,000 rows, both heads: s, against shap (from 1,000 rows)",
        trees, by_shap, by_shap / trees, "at least 10x",
    )  # fmt: skip
    say(
        "the same with encoding, linear part and additivity check: s",
        whole, by_shap, by_shap / whole, "",
    )  # fmt: skip
    say("largest difference from shap's values, of the margin", gap, 1e-5, gap / 1e-5, "at most 1x")
    say("peak memory after it: GiB", peak_gib(), np.nan, np.nan, "")
    one = country.iloc[[0]]
    each = seconds(lambda: [heads[0].explain(one) for _ in range(50)]) / 50
    say("explain one row: ms", 1e3 * each, 10.0, each * 100, "at most 10 ms")
    score = seconds(lambda: [head.predict_margin(country) for head in heads])
    say("score 79,000 rows, both heads: s", score, np.nan, np.nan, "")


def margin_of(head: RiskClassifier | RateRegressor) -> MarginModel:
    return head.models_[0] if isinstance(head, RiskClassifier) else head.model_


def shap_seconds(
    heads: list[RiskClassifier | RateRegressor], few: pd.DataFrame
) -> tuple[float, float]:
    """Time shap on the trees of both heads, and compare what both say."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)  # matplotlib's, in shap's plots
        import shap
    total, gap = 0.0, 0.0
    for head in heads:
        model = margin_of(head)
        Z = model.encode(few)
        explainer = shap.TreeExplainer(model.booster)
        spent, values = timed(lambda e=explainer, rows=Z: e.shap_values(rows))
        total += spent
        scale = max(1.0, float(np.abs(head.predict_margin(few)).max()))
        gap = max(gap, float(np.abs(values - model.tables.contributions(Z)).max()) / scale)
    return total, gap


def fit_times() -> None:
    for n in (1_000, 10_000, 100_000):
        X, y = inspections(n, seed=2)
        ours = seconds(lambda X=X, y=y: RiskClassifier().fit(X, y))
        peer = seconds(lambda X=X, y=y: HistGradientBoostingClassifier().fit(X, y))
        say(f"fit {n:,} rows: s, against histogram boosting", ours, peer, ours / peer, "")
    model = RiskClassifier().fit(*inspections(10_000, seed=3))
    with tempfile.TemporaryDirectory() as folder:
        save = seconds(lambda: model.save(folder))
        load = seconds(lambda: RiskClassifier.load(folder).models_[0].booster)
    say("save and load: s", save + load, np.nan, np.nan, "")


def texts(X: pd.DataFrame) -> list[str]:
    """Return the columns that are neither numbers nor booleans."""
    return [name for name in X if not pd.api.types.is_numeric_dtype(X[name])]


def as_text(X: pd.DataFrame) -> pd.DataFrame:
    """Return the table as CatBoost takes it: categories as text, missing ones too."""
    return X.assign(**{name: X[name].astype(object).fillna("").astype(str) for name in texts(X)})


class AsCategories:
    """Gives a booster its categories the way its manual says; levels of the training rows only."""

    def __init__(self, model: Any, *, most: int) -> None:
        self.model, self.most, self.levels = model, most, dict[str, pd.Index]()

    def fit(self, X: pd.DataFrame, y: Any) -> "AsCategories":
        self.levels = {name: pd.Index(X[name].dropna().astype(str).unique()) for name in texts(X)}
        self.model.fit(self._read(X), y)
        return self

    def predict_proba(self, X: pd.DataFrame) -> Any:
        return self.model.predict_proba(self._read(X))

    def _read(self, X: pd.DataFrame) -> pd.DataFrame:
        read = X.astype({name: int for name in X if X[name].dtype == bool})
        for name, levels in self.levels.items():
            codes = levels.get_indexer(
                X[name].astype(object).where(X[name].notna(), "\0").astype(str)
            )
            # More levels than the booster can hold as categories become numbers.
            read[name] = (
                pd.Categorical.from_codes(codes, categories=range(len(levels)))
                if len(levels) <= self.most
                else np.where(codes < 0, np.nan, codes)
            )
        return read


class AsText:
    """Gives CatBoost its categories."""

    def fit(self, X: pd.DataFrame, y: Any) -> "AsText":
        self.model = CatBoostClassifier(
            random_seed=0,
            verbose=0,
            thread_count=1,
            allow_writing_files=False,
            cat_features=texts(X),
        ).fit(as_text(X), y)
        return self

    def predict_proba(self, X: pd.DataFrame) -> Any:
        return self.model.predict_proba(as_text(X))


def peers() -> dict[str, Callable[[], Any]]:
    histogram = {"random_state": 0, "categorical_features": "from_dtype"}
    boosted = {"random_state": 0, "n_jobs": 1, "enable_categorical": True}
    return {
        "histogram": lambda: AsCategories(HistGradientBoostingClassifier(**histogram), most=250),
        "xgboost": lambda: AsCategories(XGBClassifier(**boosted), most=100_000),
        "catboost": AsText,
    }


def quality() -> None:
    for table in tables():
        found: dict[str, list[tuple[float, ...]]] = {}
        for seed in SEEDS if table.n_train < 50_000 else range(1):
            X, y, new, truth = table.split(seed)
            for who, make in ({"ours": RiskClassifier} | peers()).items():
                before = time.process_time()
                model = make().fit(X, y)
                spent = time.process_time() - before
                p = np.clip(model.predict_proba(new)[:, 1].astype(float), 1e-7, 1 - 1e-7)
                scores = roc_auc_score(truth, p), average_precision_score(truth, p)
                found.setdefault(who, []).append((*scores, log_loss(truth, p), spent))
        compare(table.name, found)


def compare(name: str, found: dict[str, list[tuple[float, ...]]]) -> None:
    measures = (("AUC", 1.0), ("average precision", 1.0), ("log loss", -1.0))
    for k, (measure, sign) in enumerate(measures):
        values = {who: np.array([each[k] for each in scores]) for who, scores in found.items()}
        ours = values.pop("ours")
        best = max(values, key=lambda who: sign * float(values[who].mean()))
        gain = sign * (ours - values[best])
        noise = float(gain.std(ddof=1) / np.sqrt(len(gain))) if len(gain) > 1 else 0.0
        say(
            f"{measure}, {name} (best peer: {best}; noise {noise:.1g})",
            float(ours.mean()), float(values[best].mean()), float(gain.mean()), ">= 0 within noise",
        )  # fmt: skip
    seconds_of = {who: float(np.mean([each[3] for each in found[who]])) for who in found}
    ours_s, peer_s = seconds_of["ours"], seconds_of["catboost"]
    say(f"fit, {name}: s, against catboost", ours_s, peer_s, ours_s / peer_s, "at most 2x")


def intervals() -> None:
    """Coverage of the true probability, overall and in the worst-covered group."""
    for n, n_fits in ((500, 20), (2_000, 20), (10_000, 6)):
        held = []
        for seed in range(n_fits):
            X, y, _ = known_probabilities(n, seed=seed)
            model = RiskClassifier().fit(X, y)
            new, _, p = known_probabilities(4_000, seed=1_000 + seed)
            lower, upper = model.predict_interval(new).T
            held.append(new[["kind", "region"]].assign(is_held=(lower <= p) & (p <= upper)))
        together = pd.concat(held)
        overall = float(together["is_held"].mean())
        say(f"coverage at 90%, {n:,} rows, {n_fits} fits", overall, 0.9, overall - 0.9, "+-0.02")
        for group in ("kind", "region"):
            by_level = together.groupby(group)["is_held"].mean()
            worst = float(by_level.iloc[(by_level - 0.9).abs().argmax()])
            say(f"the same, {group} farthest off", worst, 0.9, worst - 0.9, "+-0.02")


if __name__ == "__main__":
    explain_a_country()
    fit_times()
    quality()
    intervals()
