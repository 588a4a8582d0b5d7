"""Whether the indicators work: each signal and family against what inspections found.

Answers the open audit recommendation to assess risk indicators recurrently (DOJ OIG 23-062): each
indicator alone, and each family alone and taken away from the rest, on inspections of the past
held out by dealer, by year and division, weighted for who was chosen, with intervals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.warehouse import Warehouse
from models.policy import Policy
from training import compliance, country, labels
from training.baselines import LogLogistic
from training.errors import TooFewLabelsError
from training.fit import Design, design
from training.metrics import Interval, Ranking, bootstrap
from training.progress import Steps
from training.propensity import Propensity, fit_propensity
from training.recipe import Recipe
from training.splits import group_folds

Floats = npt.NDArray[np.float64]
N_FOLDS = 3
N_RESAMPLES = 100
MIN_POSITIVE = 20


@dataclass(frozen=True)
class Inspected:
    """Past inspections with the signals that stood before them.

    Parameters
    ----------
    X : DataFrame of shape (n, p)
    y, weight : array of shape (n,)
        Severe or not; inverse propensity.
    dealer, year, division : array of shape (n,)
    is_random : array of shape (n,)
        Drawn at random: the unbiased stratum.
    """

    X: pd.DataFrame
    y: Floats
    weight: Floats
    dealer: npt.NDArray[Any]
    year: npt.NDArray[Any]
    division: npt.NDArray[Any]
    is_random: npt.NDArray[np.bool_]


def indicators(recipe: Recipe, warehouse: Warehouse, steps: Steps) -> dict[str, Any]:
    """Assess every indicator and family.

    Returns
    -------
    dict
        ``signals``: AUC of each alone, weighted and on the random stratum; ``families``: AUC of
        each alone and what the rest loses without it, in all, by year and by division.
    """
    head = next(h for h in recipe.heads if h.label == "compliance")
    history = country.assemble(recipe, warehouse, steps)
    made = design(history.table, head)
    with steps.step("inspections of the past"):
        past, _ = gather(recipe, warehouse, history, made)
    if past.y.sum() < MIN_POSITIVE:
        raise TooFewLabelsError(
            "Too few severe findings to assess indicators.",
            found=f"{int(past.y.sum())} of {len(past.y)}",
            expected=f"at least {MIN_POSITIVE}",
        )
    with steps.step("each signal alone"):
        signals = [
            {"signal": s.name, "family": s.family, "direction": s.direction, **_alone(past, s.name)}
            for s in made.signals
        ]
    with steps.step("each family alone and left out"):
        found = families(past, {s.name: s.family for s in made.signals}, seed=recipe.seed)
    return {"n": len(past.y), "n_positive": int(past.y.sum()), "signals": signals, **found}


def gather(
    recipe: Recipe, warehouse: Warehouse, history: country.CountryHistory, made: Design
) -> tuple[Inspected, Propensity]:
    """Collect the inspected rows at every as-of date of a history."""
    dates = (*history.split.train_as_of, *history.split.test_as_of)
    found = labels.compliance(
        warehouse, dates, rule=Policy.read().severe_finding, known_before=history.end
    )
    rows = history.rows
    looked = compliance.place_labels(rows, found)
    dealer = rows["dealer"].to_numpy(dtype=str)
    propensity = fit_propensity(made.X, looked.is_inspected, dealer, seed=recipe.seed)
    index = np.flatnonzero(looked.is_inspected)
    past = Inspected(
        X=made.X.iloc[index].reset_index(drop=True),
        y=looked.y[index],
        weight=propensity.weights()[index],
        dealer=dealer[index],
        year=rows["as_of"].dt.year.to_numpy()[index],
        division=looked.division.to_numpy(dtype=str)[index],
        is_random=looked.is_random[index],
    )
    return past, propensity


def _alone(past: Inspected, name: str) -> dict[str, Any]:
    """AUC of one signal; missing values rank lowest."""
    value = past.X[name].to_numpy(dtype=np.float64)
    is_seen = np.isfinite(value)
    if is_seen.sum() < 2:
        return {"share_seen": 0.0, "auc": None, "auc_random": None}
    lowest = float(np.nanmin(value)) - 1.0
    score = np.where(is_seen, value, lowest)
    return {
        "share_seen": float(is_seen.mean()),
        "auc": _auc(score, past, past.weight).as_dict(),
        "auc_random": _random_auc(score, past),
    }


def _auc(score: Floats, past: Inspected, weight: Floats) -> Interval:
    ranking = Ranking(score)
    (interval,) = bootstrap(
        lambda drawn: ranking.auc(past.y, weight=drawn * weight),
        past.dealer,
        n_resamples=N_RESAMPLES,
    )
    return interval


def _random_auc(score: Floats, past: Inspected) -> dict[str, float] | None:
    chosen = past.is_random
    if past.y[chosen].sum() < 5 or (1 - past.y[chosen]).sum() < 5:
        return None
    return _auc(score, past, chosen.astype(np.float64)).as_dict()


def families(past: Inspected, family_of: dict[str, str], *, seed: int) -> dict[str, Any]:
    """Assess families: alone, and what all others lose without them.

    Parameters
    ----------
    family_of : dict of str to str
        Family of each column of ``past.X``.
    """
    folds = group_folds(past.dealer, n_folds=N_FOLDS, seed=seed)
    names = list(dict.fromkeys(family_of.values()))
    whole = _held_out(past, list(past.X.columns), folds)
    everything = Ranking(whole).auc(past.y, weight=past.weight)
    out = []
    for family in names:
        own = [c for c in past.X.columns if family_of[str(c)] == family]
        rest = [c for c in past.X.columns if family_of[str(c)] != family]
        alone = _held_out(past, own, folds)
        without = Ranking(_held_out(past, rest, folds)) if rest else None
        full = Ranking(whole)

        def added(drawn: Floats, full: Ranking = full, without: Ranking | None = without) -> float:
            w = drawn * past.weight
            return full.auc(past.y, weight=w) - (without.auc(past.y, weight=w) if without else 0.5)

        (gain,) = bootstrap(added, past.dealer, n_resamples=N_RESAMPLES)
        out.append(
            {
                "family": family,
                "n_signals": len(own),
                "alone": _auc(alone, past, past.weight).as_dict(),
                "added": gain.as_dict(),
                "by_year": _by(alone, past, past.year),
                "by_division": _by(alone, past, past.division),
            }
        )
    return {"auc_of_all": everything, "families": out}


def _held_out(past: Inspected, columns: Sequence[str], folds: npt.NDArray[np.int64]) -> Floats:
    score = np.zeros(len(past.y))
    for fold in range(N_FOLDS):
        is_out = folds == fold
        model = LogLogistic().fit(
            past.X.loc[~is_out, list(columns)], past.y[~is_out], sample_weight=past.weight[~is_out]
        )
        score[is_out] = model.log_odds(past.X.loc[is_out, list(columns)])
    return score


def _by(score: Floats, past: Inspected, groups: npt.NDArray[Any]) -> dict[str, float]:
    """AUC within each group that has enough severe findings."""
    out = {}
    for value in np.unique(groups):
        rows = groups == value
        if MIN_POSITIVE <= past.y[rows].sum() < rows.sum():
            auc = Ranking(score[rows]).auc(past.y[rows], weight=past.weight[rows])
            out[str(value)] = float(auc)
    return out


def indicators_view(found: dict[str, Any]) -> Any:
    """Return the assessment as tables for the terminal."""
    from rich.console import Group
    from rich.table import Table

    from training.report import format_interval

    by_family = Table(title=f"Families, over {found['n']} inspections")
    for name in ("family", "signals", "AUC alone", "added to the rest"):
        by_family.add_column(name)
    for f in found["families"]:
        cells = (str(f["n_signals"]), format_interval(f["alone"]), format_interval(f["added"]))
        by_family.add_row(f["family"], *cells)
    by_signal = Table(title="Indicators alone")
    for name in ("signal", "expected", "AUC, weighted", "AUC, random share"):
        by_signal.add_column(name)
    seen = [s for s in found["signals"] if s["auc"] is not None]
    for s in sorted(seen, key=lambda s: -abs(s["auc"]["value"] - 0.5))[:30]:
        random = format_interval(s["auc_random"]) if s["auc_random"] else "too few"
        expected = {1: "raises", -1: "lowers", 0: "-"}[s["direction"]]
        by_signal.add_row(s["signal"], expected, format_interval(s["auc"]), random)
    return Group(by_family, by_signal)
