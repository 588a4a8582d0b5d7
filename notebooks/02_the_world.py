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
# # The simulated world
#
# Dealer-level traces may not leave law enforcement, so the project is developed on a country of
# invented dealers whose truth is known. This notebook makes small ones and shows what makes them
# hard: figures like the published ones, causes that no single column gives away, and inspections
# that were chosen. Nothing here is about a real dealer.

# %%
import tempfile
from pathlib import Path

import pandas as pd
from IPython.display import display
from matplotlib.figure import Figure

from features.simulation.targets.bias import inspected_and_true
from features.simulation.targets.check import check_country
from features.simulation.country.options import POLICIES, Options
from features.simulation.simulate import simulate
from features.simulation.targets.single_signals import single_signals

folder = Path(tempfile.mkdtemp())
options = Options(dealers=2000, years=4)
made = simulate(options, folder / "country")
pd.Series(made.n_rows, name="rows").to_frame()

# %% [markdown]
# ## Published figures beside simulated ones
#
# The targets come from published sources. The tolerance adds the sampling error of a small country.

# %%
columns = ["point", "text", "target", "simulated", "tolerance", "is_within"]
figures = pd.DataFrame([f.as_dict() for f in check_country(folder / "country", options)])
figures[columns].round(3)

# %% [markdown]
# ## No single column gives the answer away
#
# Rank the dealers by one plain signal and inspect the first tenth. `share_of_best` is the gain in
# severe findings over random, against the gain of ranking by the truth itself.

# %%
pd.DataFrame(single_signals(folder / "country", options)).round(3)

# %% [markdown]
# ## Who inspects chooses what is seen
#
# The share of inspections that found a violation, by how past inspections were chosen, against the
# true chance over all dealers. Only random choice tells the truth; a count of what was found under
# any other policy is about the choosing as much as about the dealers.

# %%
rows = {}
for policy in POLICIES:
    out = folder / policy
    simulate(Options(dealers=1500, years=2, policy=policy), out)
    rows[policy] = inspected_and_true(out)
bias = pd.DataFrame(rows, index=["among inspected", "true"]).T
bias["bias"] = bias["among inspected"] - bias["true"]
figure = Figure(figsize=(7, 2.6), layout="constrained")
axes = figure.subplots()
bias[["among inspected", "true"]].plot.barh(ax=axes)
axes.set_xlabel("share with a violation")
display(figure)
bias.round(3)
