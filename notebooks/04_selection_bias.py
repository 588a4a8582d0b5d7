# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Past inspections were chosen
#
# What inspections found is not what inspections would find: inspectors go where they expect
# something. This notebook asks two questions under three ways of choosing, and answers each in
# every way the project has, beside the truth, which only a simulated country can tell:
#
# 1. What share of *all* dealers would an inspection find severe?
# 2. What share of a *proposed list* would it?

# %%
import tempfile
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
from IPython.display import SVG, display
from matplotlib.figure import Figure
from rich.console import Console

from features.ingest import ingest
from features.simulation.country.options import Options
from features.simulation.simulate import simulate
from features.warehouse import Warehouse
from models.policy import Policy
from training.heads.compliance import compliance
from training.heads import country_history as country
from training.heads.compliance import yield_estimates as yields
from training.labels import dated_labels as labels
from training.studies.backtest import read_truth
from training.evaluation.baselines import LogLogistic, apply_rule
from training.errors import TooFewLabelsError
from training.evaluation.head_evaluation import list_membership
from training.heads.fit import design
from training.pages.plots import forest
from training.progress import Steps, one_thread
from training.labels.weights.propensity import Propensity, fit_propensity, overlap
from training.recipe import load_recipe
from training.labels.splits import group_folds

limits = one_thread()
steps = Steps(Console(force_jupyter=False, force_terminal=False, width=100))
recipe = load_recipe("country")
head = recipe.head_of_label("compliance")
POLICIES = ("historic", "trace_chasing", "random_only")

# %% [markdown]
# ## Three countries, the same dealers, other choices
#
# `historic` mixes what was done: risk, routine, tips and a small random share. `trace_chasing` goes
# where traces are. `random_only` draws lots. The proposed list is the same simple one everywhere:
# the tenth of dealers with the most points in the manner of the published indicators, as of each
# date. Nothing here needs a model, so what differs is only who was inspected.


# %%
@dataclass
class Country:
    """Dealers as of several dates: who was inspected, what was found, and what would have been."""

    X: pd.DataFrame
    past: yields.History
    listed: np.ndarray
    expected: np.ndarray
    true: np.ndarray


def expected_rate(X, found, propensity, dealer):
    """A model of the findings that never saw the dealer, fitted on the inspected, weighted."""
    out, folds = np.zeros(len(X)), group_folds(dealer, n_folds=3, seed=0)
    inspected = propensity.is_inspected
    for fold in range(3):
        taught = np.flatnonzero(inspected & (folds != fold))
        model = LogLogistic(strength=0.02)
        model.fit(X.iloc[taught], found[taught], sample_weight=propensity.weights()[taught])
        out[folds == fold] = 1 / (1 + np.exp(-model.log_odds(X[folds == fold])))
    return out


def make(policy):
    place = Path(tempfile.mkdtemp())
    options = Options(
        dealers=4000, years=5, end=date(2025, 1, 1), policy=policy, traces_scale=0.1, seed=4
    )
    simulate(options, place / "raw")
    ingest(sorted((place / "raw").glob("*.parquet")), place / "warehouse")
    warehouse = Warehouse.open(place / "warehouse")
    history = country.assemble(recipe, warehouse, steps)
    rows, X = history.rows, design(history.table, head).X
    dates = (*history.split.train_as_of, *history.split.test_as_of)
    found = labels.compliance(warehouse, dates, rule=Policy.read().severe_finding)
    looked = compliance.place_labels(rows, found)
    dealer = rows["dealer"].to_numpy(dtype=str)
    propensity = looked.propensity(X, dealer, seed=recipe.seed)
    points, listed = apply_rule(head.rules["points"], history.table.X), np.zeros(len(rows))
    for when in dates:
        is_at = history.is_at((when,))
        listed[is_at] = list_membership(points[is_at], recipe.evaluation.capacity)
    truth = read_truth(place / "raw" / "truth")[["dealer", "as_of", "p_severe"]]
    true = rows.merge(truth, on=["dealer", "as_of"], how="left")["p_severe"].fillna(0).to_numpy()
    office = history.where["office"].to_numpy(dtype=str)
    past = yields.History(propensity, looked.y, looked.is_random, dealer, office)
    return Country(X, past, listed, expected_rate(X, past.found, propensity, dealer), true)


countries = {policy: make(policy) for policy in POLICIES}
pd.DataFrame(
    {
        policy: {
            "dealers, over all dates": len(c.true),
            "inspected": int(c.past.inspected.sum()),
            "drawn at random": int(c.past.is_random.sum()),
            "severe": int(c.past.found.sum()),
        }
        for policy, c in countries.items()
    }
)

# %% [markdown]
# ## How foreseeable was an inspection?
#
# From the same signals, the probability of being inspected. An AUC of one half says that nobody
# could have foreseen it; far above, the inspected are unlike the rest, each weight must speak for
# more dealers, and the inspections are worth fewer (`effective_n`). `imbalance` is the largest
# difference of a signal between the inspected and all, in standard deviations, before and after
# weighting: weights that leave it large, or make it larger, have not done their work.

# %%
pd.DataFrame({p: overlap(c.past.propensity, c.X).as_dict() for p, c in countries.items()}).round(3)

# %%
figure = Figure(figsize=(9, 2.6), layout="constrained")
for axes, (policy, c) in zip(figure.subplots(1, len(countries), sharey=True), countries.items()):
    p, bins = c.past.propensity.probability, np.geomspace(0.005, 1, 40)
    axes.hist(p, bins, density=True, histtype="step", color="#8a8a8a", label="all dealers")
    axes.hist(p[c.past.inspected], bins, density=True, histtype="step", color="#1f4e79", label="inspected")
    axes.set(xscale="log", title=policy, xlabel="probability of being inspected")
    axes.set_yticks([])
axes.legend(frameon=False, fontsize=7)
figure

# %% [markdown]
# ## What share of all dealers?
#
# The dotted line is the truth. The naive figure is the rate among the inspected. The weighted one
# lets each inspected dealer stand for those like it. The random share needs no weights. The doubly
# robust estimate models everyone and corrects the model by its weighted errors.

# %%
ESTIMATORS = {
    "naive": lambda c, listed: yields.naive(c.past, listed),
    "weighted": lambda c, listed: yields.weighted(c.past, listed),
    "random share": lambda c, listed: yields.random_stratum(c.past, listed),
    "doubly robust": lambda c, listed: yields.doubly_robust(c.past, listed, c.expected),
    "bounds": lambda c, listed: yields.bounds(c.past, listed),
}


def estimate(c, listed):
    out = {}
    for name, estimator in ESTIMATORS.items():
        try:
            found = estimator(c, listed)
        except TooFewLabelsError:
            found = None
        # Without a single finding there is nothing to resample: the interval has no width.
        is_said = found is not None and found.low < found.high
        out[name] = found.as_dict() if is_said else None
    return out


def compare(who):
    rows = []
    for policy, c in countries.items():
        listed = who(c)
        true, found = float(listed @ c.true / listed.sum()), estimate(c, listed)
        drawn = {name: e for name, e in found.items() if e is not None}
        display(SVG(forest(drawn, label=f"severe findings, {policy}; truth {true:.3f}", null=true)))
        for name, e in found.items():
            is_said = e is not None and np.isfinite(e["value"])
            rows.append(
                {
                    "policy": policy,
                    "estimate": name,
                    "off by": abs(e["value"] - true) / true if is_said else np.nan,
                    "holds the truth": "-" if e is None else e["low"] <= true <= e["high"],
                }
            )
    return pd.DataFrame(rows).set_index(["estimate", "policy"]).unstack()


everyone = compare(lambda c: np.ones(len(c.true)))
everyone

# %% [markdown]
# Where inspections were chosen, the naive figure is far above the truth and its interval leaves the
# truth out: more data of the same kind would only make it surer of the wrong number. Weights take
# away what the signals can follow: much under `trace_chasing`, less under `historic`, where those
# who choose also act on what no table holds, and where a few unlikely inspections carry large
# weights (see `imbalance`). Where lots were drawn there is nothing to correct; weights that are
# fitted all the same add noise and no truth. That is why the shipped model takes the *level* of its
# probabilities from the random share, and only their order from everything else.

# %%
error = everyone["off by"]
for policy in ("historic", "trace_chasing"):
    assert error.loc["weighted", policy] < error.loc["naive", policy], policy
assert not everyone["holds the truth"].loc["naive", "trace_chasing"]
assert everyone["holds the truth"].loc["random share", "random_only"]

# %% [markdown]
# ## What share of the list?
#
# Harder: a tenth of the dealers, so a tenth of the inspections or, where the choice was like the
# list, more. Here the naive figure can be near the truth by luck: among dealers that are all risky,
# those chosen differ less from those left.

# %%
compare(lambda c: c.listed)

# %% [markdown]
# ## How large must the random share be?
#
# The one estimate that needs no assumption is the random share. Its interval shrinks with the root
# of its size, whatever the policy: ten times the visits for a third of the width.

# %%
lots = countries["random_only"].past
rng = np.random.default_rng(0)
drawn = np.flatnonzero(lots.is_random)
sizes = [n for n in (100, 200, 400, 800, 1600) if n <= len(drawn)]
widths = {}
for n in sizes:
    kept = np.zeros(len(lots.y))
    kept[rng.choice(drawn, n, replace=False)] = 1.0
    interval = yields.naive(lots, kept)
    widths[n] = {"estimate": interval.value, "from": interval.low, "to": interval.high}
pd.DataFrame(widths).T.rename_axis("random inspections").round(3)

# %% [markdown]
# ## What cannot be said
#
# - Weights and models correct for what the signals show. An inspector who acted on something they
#   do not show (a tip by telephone, the state of the shop) leaves a bias that no figure above
#   reveals. Only the random share does.
# - Where dealers like some on the list were never inspected, every point estimate is an
#   extrapolation. The project then gives bounds and no point; they may be too wide to act on.
# - A random share with a handful of findings is unbiased and says little: `cannot be said` is an
#   answer.
# - The truth here is that of a simulated country. How near each estimate comes in this one is no
#   promise for another; which of them can fail, and how, is.

# %%
hidden = countries["historic"]
few = Propensity(
    np.where(hidden.X["traces_n_3y"].fillna(0) > 3, 1e-4, hidden.past.propensity.probability),
    hidden.past.inspected & (hidden.X["traces_n_3y"].fillna(0) <= 3).to_numpy(),
    0.5,
)
blind = yields.History(few, hidden.past.y, hidden.past.is_random, hidden.past.dealer, hidden.past.office)
bounded = yields.bounds(blind, hidden.listed)
true = float(hidden.listed @ hidden.true / hidden.listed.sum())
print(f"had nobody inspected dealers with more than three traces: between {bounded.low:.3f} and "
      f"{bounded.high:.3f}, no point; truth {true:.3f}")
assert np.isnan(bounded.value)
assert bounded.low <= true <= bounded.high
