"""Training: default fits beside plain LightGBM, both heads, and the bootstrap of intervals."""

import json
import resource
import sys
import time

import numpy as np
import pandas as pd
from lightgbm import LGBMClassifier

from models import RateRegressor, RiskClassifier
from tests.benchmarks.inputs.inspections import inspections
from training.evaluation.metrics import Ranking, bootstrap
from training.heads.fit import thin
from training.progress import one_thread

N_DEALERS, N_DATES, N_SIGNALS = 79_000, 24, 80
N_LABELS, MAX_ROWS = 20_000, 20_000


def rows(n: int, seed: int) -> tuple[pd.DataFrame, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, N_SIGNALS)).astype(np.float32)
    margin = X[:, 0] + 0.5 * X[:, 1] * (X[:, 2] > 0)
    return pd.DataFrame(X, columns=[f"s{j}" for j in range(N_SIGNALS)]), margin


def emit(measure: str, value: float, peer: float | None = None, target: str = "") -> None:
    row: dict[str, object] = {"measure": measure, "value": value, "target": target}
    if peer is not None:
        row |= {"peer": peer, "ratio": value / peer}
    sys.stdout.write(json.dumps(row) + "\n")


def bench_heads() -> None:
    rng = np.random.default_rng(0)
    X, margin = rows(N_LABELS, 1)
    y = (rng.random(N_LABELS) < 1 / (1 + np.exp(3 - margin))).astype(float)
    start = time.perf_counter()
    RiskClassifier(n_repeats=1).fit(X, y)
    emit(f"compliance head, {N_LABELS:,} labels, s", time.perf_counter() - start)
    # Every dealer at every date is counted, then thinned to the rows that are fitted.
    n = N_DEALERS * N_DATES
    counts = rng.poisson(np.exp(rng.normal(-3, 1.5, n))).astype(float)
    start = time.perf_counter()
    index, weight = thin(counts, max_rows=MAX_ROWS, seed=0)
    X, margin = rows(len(index), 2)
    RateRegressor(n_repeats=1, n_folds=3).fit(X, counts[index], sample_weight=weight)
    emit(f"diversion head, {n:,} dealer-dates, s", time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    emit("peak memory, GB", peak)


def bench_default_fits() -> None:
    """Processor seconds beside a plain LightGBM, both on one thread."""
    for n, p, target in (
        (3_000, 120, "at most 4"),
        (17_000, 16, ""),
        (60_000, 40, "at most 2.5"),
    ):
        X, y = inspections(n, seed=2)
        X = X.iloc[:, :p]
        start = time.process_time()
        LGBMClassifier(n_estimators=300, num_threads=1, verbosity=-1).fit(X, y)
        plain = time.process_time() - start
        start = time.process_time()
        RiskClassifier(n_jobs=1).fit(X, y)
        ours = time.process_time() - start
        emit(f"default fit, {n:,} x {p}: s, against 300 plain trees", ours, plain, target)


def bench_intervals() -> None:
    rng = np.random.default_rng(3)
    score, y = rng.random(20_000), (rng.random(20_000) < 0.05).astype(float)
    ranking = Ranking(score)
    start = time.perf_counter()
    bootstrap(lambda w: ranking.auc(y, weight=w), np.arange(20_000), n_resamples=100)
    mine = time.perf_counter() - start
    from sklearn.metrics import roc_auc_score

    start = time.perf_counter()
    for _ in range(10):
        roc_auc_score(y, score, sample_weight=rng.poisson(1, 20_000))
    emit("AUC of 100 resamples, s", mine, (time.perf_counter() - start) * 10, "below 0.5")


if __name__ == "__main__":
    with one_thread():
        bench_default_fits()
        bench_heads()
        bench_intervals()
