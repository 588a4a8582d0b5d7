"""Shipped model, naive model and every rule on simulated countries, against their truth.

Five policies of choosing inspections by three seeds; each judged at the last as-of date of a
ten-year country by a model that knows what was known then. Rates are means of the true
probability of a severe finding over the first tenth of the dealers that may be visited.

    make bench ONLY=policies                      25,000 dealers, seeds 1 to 3, about an hour
    FFL_RISK_BENCH_DEALERS=79000 FFL_RISK_BENCH_SEEDS=1 FFL_RISK_BENCH_POLICIES=historic make …

Countries and judgments are kept under ``$FFL_RISK_BENCH_FOLDER`` (default ``var/bench``); an
interrupted run goes on where it stopped.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from features.home import write_json
from features.signals.registry import SIGNALS
from features.table import build_features
from features.warehouse import Warehouse
from models import RateRegressor
from models.policy import Policy
from training.evaluation.baselines import RANDOM, LogLogistic
from training.evaluation.head_evaluation import RULE
from training.evaluation.metrics import LEVEL, Ranking, cluster_weights
from training.heads.compliance import compliance
from training.heads.compliance.yield_estimates import served
from training.heads.country_history import known_range
from training.heads.fit import Design, inputs_of, predict, rule_columns
from training.labels import dated_labels as labels
from training.labels.cohort import as_of_dates, places
from training.labels.dated_labels import Labels
from training.progress import one_thread
from training.recipe import Recipe, load_recipe

FOLDER = Path(os.environ.get("FFL_RISK_BENCH_FOLDER", "var/bench"))
N_DEALERS = int(os.environ.get("FFL_RISK_BENCH_DEALERS", "25000"))
N_YEARS = 10
SEEDS = [int(s) for s in os.environ.get("FFL_RISK_BENCH_SEEDS", "1,2,3").split(",")]
POLICIES = os.environ.get(
    "FFL_RISK_BENCH_POLICIES", "historic,random_only,trace_chasing,volume_chasing,border_surge"
).split(",")
LABEL_COUNTS = (1_000, 3_000, 10_000, 50_000)
N_DRAWS = 200
# Rows of the model that is taught the truth: all dealers of as many dates as fit.
LEARNABLE_ROWS = 50_000


@dataclass(frozen=True)
class Country:
    """Signals, labels and truth of one country at yearly as-of dates."""

    made: Design
    rows: pd.DataFrame
    where: pd.DataFrame
    found: Labels
    truth: np.ndarray
    may_visit: np.ndarray

    @property
    def cohort(self) -> pd.DataFrame:
        return pd.concat([self.rows, self.where.set_index(self.rows.index)], axis=1)

    @property
    def last(self) -> pd.Timestamp:
        return pd.Timestamp(self.rows["as_of"].max())

    @property
    def is_test(self) -> np.ndarray:
        return (self.rows["as_of"] == self.last).to_numpy()


def build(policy: str, seed: int, folder: Path) -> None:
    """Simulate, ingest and build signals; keep only what judging needs."""
    if (folder / "truth.parquet").exists():
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    source, place = folder / "source", folder / "warehouse"
    for arguments in (
        ("simulate", "--dealers", N_DEALERS, "--years", N_YEARS, "--seed", seed, "--policy",
         policy, "--out", source),
        ("ingest", source, "--warehouse", place),
    ):  # fmt: skip
        command = [sys.executable, "-m", "ffl_risk", *map(str, arguments)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    warehouse = Warehouse.open(place)
    first, end = known_range(warehouse)
    dates = as_of_dates(
        first + timedelta(days=365), end, every_months=12, n_dates=40, horizon_months=12
    )
    table = build_features(warehouse, dates)
    table.frame.to_parquet(folder / "x.parquet")
    places(warehouse, table.frame).to_parquet(folder / "where.parquet")
    found = labels.compliance(warehouse, dates, rule=Policy.read().severe_finding)
    found.frame.to_parquet(folder / "labels.parquet")
    truth = pd.read_parquet(
        source / "truth" / "dealer_month.parquet", filters=[("as_of", "in", list(dates))]
    )
    shutil.rmtree(source)
    shutil.rmtree(place)
    truth.to_parquet(folder / "truth.parquet")


def read(folder: Path) -> Country:
    frame = pd.read_parquet(folder / "x.parquet")
    signals = [s for s in SIGNALS if s.name in frame and frame[s.name].nunique() > 1]
    rows = frame[["dealer", "as_of"]].astype({"as_of": "datetime64[s]"})
    found = pd.read_parquet(folder / "labels.parquet").astype({"as_of": "datetime64[s]"})
    truth = pd.read_parquet(folder / "truth.parquet")
    truth["as_of"] = pd.to_datetime(truth["as_of"]).astype("datetime64[s]")
    joined = rows.merge(truth, on=["dealer", "as_of"], how="left")
    return Country(
        Design(frame[[s.name for s in signals]], tuple(signals)),
        rows,
        pd.read_parquet(folder / "where.parquet"),
        Labels(found, "severe finding", 12),
        joined["p_severe"].to_numpy(dtype=np.float64),
        (joined["is_eligible"] == True).to_numpy(),  # noqa: E712  missing is not eligible
    )


def learnable(country: Country, recipe: Recipe) -> np.ndarray:
    """Score by the same signals taught the truth of every dealer before the test date."""
    known = np.flatnonzero(~country.is_test & np.isfinite(country.truth))
    chosen = np.sort(np.random.default_rng(0).permutation(known)[:LEARNABLE_ROWS])
    model = RateRegressor(monotone=country.made.monotone, n_repeats=1, n_folds=3, random_state=1)
    model.fit(
        country.made.X.iloc[chosen],
        country.truth[chosen],
        groups=country.rows["dealer"].to_numpy(dtype=str)[chosen],
    )
    return predict(model, country.made.X[country.is_test])


def some(found: Labels, n: int) -> Labels:
    rows = np.sort(np.random.default_rng(n).permutation(len(found))[:n])
    return Labels(found.frame.iloc[rows].reset_index(drop=True), found.definition, 12)


class Judge:
    """Rates of lists against the truth, with paired draws of dealers."""

    def __init__(self, country: Country) -> None:
        self.keep = country.may_visit[country.is_test]
        self.true = country.truth[country.is_test][self.keep]
        dealer = country.rows.loc[country.is_test, "dealer"].to_numpy(dtype=str)[self.keep]
        codes, draws = cluster_weights(dealer, n_resamples=N_DRAWS, seed=0)
        self.draws = [np.ones(len(codes)), *(draw[codes] for draw in draws)]

    def rates(self, score: np.ndarray) -> list[float]:
        ranking = Ranking(score[self.keep])
        return [
            float(ranking.captured(self.true, share=0.10, weight=w) / (0.10 * w.sum()))
            for w in self.draws
        ]


def judge(country: Country, recipe: Recipe) -> dict[str, Any]:
    """Judge every scoring on all labels, and the shipped one and the logistic on fewer."""
    head = recipe.head_of_label("compliance")
    on = Judge(country)
    is_train = ~country.is_test
    X = country.made.X[country.is_test]
    rows = country.cohort[is_train]
    known = country.found.known_before(country.last.date())
    known = known.at([d.date() for d in sorted(rows["as_of"].unique())])
    best = float(np.mean(np.sort(on.true)[::-1][: round(0.10 * len(on.true))]))
    out: dict[str, Any] = {
        "n_labels": len(known),
        "n_positive": known.n_positive,
        "best": best,
        "chance": float(on.true.mean()),
        "rates": {"learnable": on.rates(learnable(country, recipe))},
        "counts": {},
    }
    for n in (*(n for n in LABEL_COUNTS if n < len(known)), len(known)):
        fitted = compliance.fit(recipe, head, country.made, rows, some(known, n))
        score = predict(fitted.model, X)
        logistic = fitted.logistic.log_odds(X)
        interval = fitted.model.predict_interval(inputs_of(fitted.model, X), LEVEL)
        listed = served(score[on.keep], interval[on.keep], share=0.10)
        entry = {
            "shipped": on.rates(score),
            "logistic": on.rates(logistic),
            "served": [listed.value, listed.low, listed.high],
        }
        if n < len(known):
            out["counts"][str(n)] = entry
            continue
        out["served"] = entry.pop("served")
        naive = compliance.fit(recipe, head, country.made, rows, known, is_treated=False)
        naive_score = predict(naive.model, X)
        out["naive_served"] = float(naive_score[on.keep][_first(naive_score[on.keep])].mean())
        out["strong_logistic"] = strong_logistic(country, rows, known, on, X)
        rules = rule_columns(head.rules, X, logistic)
        out["rates"] |= {"shipped": entry["shipped"], "naive": on.rates(naive_score)} | {
            name.removeprefix(RULE): on.rates(value) for name, value in rules.items()
        }
    return out


def _first(score: np.ndarray) -> np.ndarray:
    return np.argsort(-score, kind="stable")[: round(0.10 * len(score))]


def strong_logistic(
    country: Country, rows: pd.DataFrame, known: Labels, on: Judge, X: pd.DataFrame
) -> list[float]:
    """Rate of a logistic regression with a penalty well chosen in hindsight: a harder peer."""
    looked = compliance.place_labels(rows, known)
    index = np.flatnonzero(looked.is_inspected)
    fitted = LogLogistic(strength=0.003).fit(
        country.made.X.loc[rows.index].iloc[index], looked.y[index]
    )
    return on.rates(fitted.log_odds(X))


def emit(**row: object) -> None:
    sys.stdout.write(json.dumps(row) + "\n")
    sys.stdout.flush()


def _mean(judged: list[dict[str, Any]], scale: str, name: str) -> float:
    return float(np.mean([j["rates"][name][0] / _scale(j, scale) for j in judged]))


def _scale(judged: dict[str, Any], scale: str) -> float:
    return float({
        "best": judged["best"],
        "learnable": judged["rates"]["learnable"][0],
        "chance": judged["chance"],
    }[scale])  # fmt: skip


def report(policy: str, judged: list[dict[str, Any]]) -> None:
    """Print what the seeds of one policy give together."""
    target = 0.90 if policy == "historic" else 0.80
    for name in judged[0]["rates"]:
        if name == RANDOM:
            continue
        share = _mean(judged, "learnable", name)
        emit(
            measure=f"{policy}: {name.replace('_', ' ')}, share of learnable",
            value=share,
            peer=f"{_mean(judged, 'best', name):.1%} of best, "
            f"{_mean(judged, 'chance', name):.2f} x random",
            target=f"at least {target:.0%}" if name == "shipped" else "",
        )
    rivals = [n for n in judged[0]["rates"] if n not in ("shipped", "learnable", RANDOM)]
    for name in [*rivals, "strong_logistic"]:
        theirs = [j["rates"][name] if name in j["rates"] else j[name] for j in judged]
        _difference(f"{policy}: shipped - {name}", [j["rates"]["shipped"] for j in judged], theirs)
    for n in judged[0]["counts"]:
        mine = [j["counts"][n]["shipped"] for j in judged if n in j["counts"]]
        theirs = [j["counts"][n]["logistic"] for j in judged if n in j["counts"]]
        _difference(f"{policy}: shipped - logistic at {int(n):,} labels", mine, theirs)
    errors, naive, covered = [], [], 0
    for j in judged:
        true, (value, low, high) = j["rates"]["shipped"][0], j["served"]
        errors.append(value / true - 1.0)
        naive.append(j["naive_served"] / j["rates"]["naive"][0] - 1.0)
        covered += low <= true <= high
    emit(
        measure=f"{policy}: served rate of the list over the true one - 1",
        value=float(np.mean(errors)),
        peer=f"naive {np.mean(naive):+.1%}",
        target=f"within 5%; interval holds the truth in {covered} of {len(judged)}",
    )


def _difference(measure: str, mine: list[list[float]], theirs: list[list[float]]) -> None:
    """Print the mean relative difference of rates over seeds, with its interval over dealers."""
    draws = np.mean([np.array(a) / np.array(b) - 1.0 for a, b in zip(mine, theirs, strict=True)], 0)
    low, high = np.quantile(draws[1:], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    emit(
        measure=f"{measure}, relative",
        value=float(draws[0]),
        peer=f"{low:+.1%} to {high:+.1%}",
        target="interval above zero",
    )


def main() -> None:
    recipe = load_recipe("country")
    for policy in POLICIES:
        judged = []
        for seed in SEEDS:
            folder = FOLDER / f"{policy}_{seed}_{N_DEALERS}"
            if not (folder / "judged.json").exists():
                build(policy, seed, folder)
                write_json(folder / "judged.json", judge(read(folder), recipe))
            judged.append(json.loads((folder / "judged.json").read_text(encoding="utf-8")))
        report(policy, judged)


if __name__ == "__main__":
    with one_thread():
        main()
