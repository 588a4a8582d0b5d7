"""Explaining a country, fitting, scoring, and the quality of the defaults against others' defaults.

Quality lines: `value` is `RiskClassifier` untuned, `peer` the best of logistic regression on
log-transformed signals, scikit-learn's histogram boosting, XGBoost and CatBoost at their defaults,
each the mean over the seeds; `ratio` is the difference, and noise is its standard error.
"""

import json
import resource
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from catboost import CatBoostClassifier
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from xgboost import XGBClassifier

from models import RateRegressor, RiskClassifier
from models.margin import MarginModel
from tests.benchmarks.inspections import inspections

N_DEALERS = 79_000
N_TIMED = 1_000
SEEDS = range(3)


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


def peers() -> dict[str, Callable[[], object]]:
    def signed_log(values: np.ndarray) -> np.ndarray:
        return np.sign(values) * np.log1p(np.abs(values))

    return {
        "logistic": lambda: make_pipeline(
            FunctionTransformer(signed_log),
            SimpleImputer(add_indicator=True),
            StandardScaler(),
            LogisticRegression(max_iter=2000),
        ),
        "histogram": lambda: HistGradientBoostingClassifier(random_state=0),
        "xgboost": lambda: XGBClassifier(random_state=0, n_jobs=1),
        "catboost": lambda: CatBoostClassifier(
            random_seed=0, verbose=0, thread_count=1, allow_writing_files=False
        ),
    }


def tasks() -> Iterator[tuple[str, int, Callable[[int], tuple[np.ndarray, np.ndarray]]]]:
    """Name, training rows, and rows by seed."""
    X, y = load_breast_cancer(return_X_y=True)
    yield "breast cancer", 300, lambda seed: (X, 1 - y)
    rare = np.flatnonzero((y == 1) | (np.random.default_rng(0).random(len(y)) < 0.12))
    yield "breast cancer, 6% malignant", 250, lambda seed: (X[rare], 1 - y[rare])
    digits, label = load_digits(return_X_y=True)
    yield "digits, an 8 or not", 900, lambda seed: (digits, (label == 8).astype(int))
    for n in (1_000, 3_000, 10_000, 50_000):

        def drawn(seed: int, n: int = n) -> tuple[np.ndarray, np.ndarray]:
            frame, found = inspections(n + 20_000, seed=100 + seed)
            return frame.to_numpy(dtype=np.float64), found

        yield f"inspections, {n:,} labels", n, drawn


def quality() -> None:
    for name, n, rows in tasks():
        seeds = SEEDS if n < 50_000 else range(1)
        found: dict[str, list[tuple[float, float]]] = {}
        for seed in seeds:
            X, y = rows(seed)
            order = np.random.default_rng(seed).permutation(len(y))
            train, rest = order[:n], order[n:]
            for who, make in ({"ours": RiskClassifier} | peers()).items():
                p = make().fit(X[train], y[train]).predict_proba(X[rest])[:, 1]  # type: ignore[attr-defined]
                p = np.clip(p, 1e-6, 1 - 1e-6)
                pair = (roc_auc_score(y[rest], p), log_loss(y[rest], p))
                found.setdefault(who, []).append(pair)
        compare(name, found)


def compare(name: str, found: dict[str, list[tuple[float, float]]]) -> None:
    for k, (measure, sign) in enumerate((("AUC", 1.0), ("log loss", -1.0))):
        values = {who: np.array([pair[k] for pair in pairs]) for who, pairs in found.items()}
        ours = values.pop("ours")
        best = max(values, key=lambda who: sign * float(values[who].mean()))
        gain = sign * (ours - values[best])
        noise = float(gain.std(ddof=1) / np.sqrt(len(gain))) if len(gain) > 1 else 0.0
        say(
            f"{measure}, {name} (best peer: {best}; noise {noise:.1g})",
            float(ours.mean()), float(values[best].mean()), float(gain.mean()), ">= 0 within noise",
        )  # fmt: skip


if __name__ == "__main__":
    explain_a_country()
    fit_times()
    quality()
