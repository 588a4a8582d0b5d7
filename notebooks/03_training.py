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
# # From a warehouse to a bundle in force
#
# A model is trained, judged, and put in force or refused. This notebook does it on a small
# simulated country and stops at each place where a training can fool itself: labels that were not
# known yet, follow-up visits, figures without intervals, a model that a simple rule beats.

# %%
import tempfile
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
from IPython.display import SVG, Markdown, display
from rich.console import Console

from features.ingest import ingest
from features.simulation.country.options import Options
from features.simulation.simulate import simulate
from features.warehouse import Warehouse
from models.policy import Policy
from models.severity import independent
from training.heads import country_history as country
from training.labels import dated_labels as labels
from training.evaluation.candidate import open_candidate
from training.errors import FutureLabelError, GateRefusedError
from training.pages.plots import calibration, contributions, forest, gain_curve
from training.progress import Steps, one_thread
from training.commands.promote import promote_candidate
from training.recipe import load_recipe
from training.commands.train import train_candidate

limits = one_thread()
folder = Path(tempfile.mkdtemp())
steps = Steps(Console(force_jupyter=False, force_terminal=False, width=100))
simulate(Options(dealers=3500, years=5, end=date(2025, 1, 1), traces_scale=0.15), folder / "raw")
ingest(sorted((folder / "raw").glob("*.parquet")), folder / "warehouse")
warehouse = Warehouse.open(folder / "warehouse")
pd.Series({name: table["rows"] for name, table in warehouse.manifest["tables"].items()}, name="rows").to_frame()

# %% [markdown]
# ## What the recipe asks for
#
# A recipe is a reviewed file: heads, labels, rules to beat, limits of the gates. Here the shipped
# one, with one head less, one judged year and coarser intervals, to be quick.

# %%
shipped = load_recipe("country")
recipe = shipped.model_copy(
    update={
        "heads": tuple(
            h.model_copy(update={"max_rows": 8000} if h.max_rows else {})
            for h in shipped.heads
            if h.name != "mexico"
        ),
        "evaluation": shipped.evaluation.model_copy(update={"n_resamples": 60, "n_judged": 1}),
    }
)
pd.DataFrame(
    [(h.name, h.label, h.kind, ", ".join(h.rules)) for h in recipe.heads],
    columns=["head", "label", "predicts", "must not be beaten by"],
)

# %% [markdown]
# ## Time runs one way
#
# Signals stand at as-of dates. The last one is judged; the others teach, but only with inspections
# that had *closed* before the training day. A label has the day on which it became known, and one
# from the future is refused by name.

# %%
history = country.assemble(recipe, warehouse, steps)
split = history.split
rule = Policy.read().severe_finding
print("taught by", ", ".join(map(str, split.train_as_of)), "| trained on", split.trained_on,
      "| judged at", split.test_as_of[0])
then = labels.compliance(warehouse, split.train_as_of, rule=rule, known_before=split.trained_on)
hindsight = labels.compliance(warehouse, split.train_as_of, rule=rule)
print(f"{len(then)} labels known by then, {then.n_positive} severe; "
      f"{len(hindsight) - len(then)} more in hindsight")
try:
    hindsight.require_known(split.trained_on)
except FutureLabelError as refusal:
    print(refusal)
then.frame[["dealer", "as_of", "opened_on", "closed_on", "known_on", "y", "regime"]].head()

# %% [markdown]
# Most dealers are never inspected in a year, and a visit that follows a bad finding is no
# independent event: follow-ups never teach, nor do visits other than compliance inspections.

# %%
visits = labels.inspections(warehouse)
of_no_label = visits[~independent(visits)]
assert not set(of_no_label["inspection_id"]) & set(then.frame["inspection_id"])
inspected = then.frame.merge(history.rows, on=["dealer", "as_of"])
share = inspected.groupby("as_of").size() / history.rows.groupby("as_of").size()
pd.DataFrame({"labels": inspected.groupby("as_of").size(), "share of dealers": share}).dropna().round(3)

# %% [markdown]
# ## Train and judge
#
# One call trains the heads, scores the held-out date, runs every rule beside the model, and
# registers a candidate. What it prints is what an inspector's analyst reads first.

# %%
home = folder / "home"
with train_candidate(recipe, warehouse, home, steps) as (candidate, tracker):
    print("candidate", candidate.number, "with heads", ", ".join(candidate.heads) or "none")
    try:
        champion = promote_candidate(candidate, home, tracker, steps)
        print("in force:", champion.name, "version", champion.version)
    except GateRefusedError as refusal:
        print(refusal)
evaluation = open_candidate(home).evaluation

# %% [markdown]
# ## The model beside the rules it must not lose to
#
# Every figure has an interval over dealers. With few severe findings the intervals are wide, and
# that is the result: a point alone would pretend to know. `gain` is the paired difference to the
# model on the same resamples; it can be told apart from zero long before the two intervals part.


# %%
def line(figures):
    found = {}
    for name, key in (("AUC", "auc"), ("found in 10%", "recall"), ("gain of the model", "recall_gain")):
        if key in figures:
            found |= {name: figures[key]["value"], f"{name}, from": figures[key]["low"],
                      f"{name}, to": figures[key]["high"]}
    return found


for name, head in evaluation["heads"].items():
    display(Markdown(f"**{name}**: {head['n']} judged rows, {head['n_positive']} positive; {head['judged_on']}"))
    table = {"model": line(head["model"])} | {rule: line(f) for rule, f in head["rules"].items()}
    display(pd.DataFrame(table).T.round(3))

# %%
for head in evaluation["heads"].values():
    display(SVG(gain_curve(head, capacity=recipe.evaluation.capacity)))
    display(SVG(calibration(head)))

# %% [markdown]
# ## Who inspects is not who is inspected
#
# Part of a list's gain may be the inspectors it happens to send: strict ones find more anywhere.
# What each office and investigator finds beyond the others is fitted and taken out of training, and
# the gain is stated three times. Neither is ever an input of the model.

# %%
compliance = evaluation["heads"]["compliance"]
display(pd.Series(compliance["gains"], name="precision, multiple of random").round(2).to_frame())
pd.DataFrame(compliance["strictness"]["effects"]["office"]["groups"]).set_index("group").round(2)

# %% [markdown]
# ## What the list would find
#
# The judged rows are inspections that somebody chose. The same list is estimated in several ways;
# `04_selection_bias` asks which of them to believe.

# %%
estimates = {name.replace("_", " "): e for name, e in compliance["yield"].items() if e is not None}
display(SVG(forest(estimates, label="share of listed dealers with a severe finding", null=float("nan"))))

# %% [markdown]
# ## Gates
#
# Each says what it measured and what it wanted: passed, refused, or *cannot be said*. A refusal
# changes nothing, and a head that is no better than chance never enters a bundle.

# %%
pd.DataFrame(evaluation["verdicts"])[["gate", "head", "outcome", "measured", "wanted"]]

# %% [markdown]
# ## Why a dealer is on the list
#
# The priority is the weighted sum of the heads' log-odds or log-rates, less part of what goes with
# how much a dealer sells and what counts of firearms owe to the place, one signal at a time, so its
# explanation is as exact as theirs. Contributions and base add up to the margin on every row; red
# raises and blue lowers.

# %%
for name in candidate.heads:
    display(SVG(contributions(evaluation["heads"][name]["contributions"], n=10)))
if candidate.heads:
    bundle = candidate.bundle()
    newest = history.table.X[history.is_at(split.test_as_of)]
    scored = bundle.score(newest)
    first = newest.loc[[scored["priority"].idxmax()]]
    explained = bundle.explain(first)["priority"]
    assert np.allclose(explained.values.sum(axis=1) + explained.base, scored.loc[first.index, "priority"])
    why = pd.Series(explained.values[0], index=explained.columns, name="contribution")
    display(why[why.abs().sort_values(ascending=False).index[:8]].round(3).to_frame())

# %% [markdown]
# ## The bundle
#
# A folder of text files with a hash for each; loading verifies every one. The card states what was
# learned, on what it was judged, and what it cannot say.

# %%
if candidate.heads:
    display(pd.Series({k: v[:12] for k, v in bundle.manifest["files"].items()}, name="sha256").to_frame())
display(Markdown("\n".join(f"- {sentence}" for sentence in recipe.cannot_say)))
assert set(evaluation["heads"]) == {"compliance", "diversion"}
assert evaluation["heads"]["diversion"]["model"]["auc"]["low"] > 0.8
