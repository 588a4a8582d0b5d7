"""Compile once, after an installation, what would otherwise surprise its first user."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Final

import numpy as np

from features.ingest import ingest
from features.simulation.country.options import Options
from features.simulation.simulate import simulate
from features.table import build_features
from features.warehouse import Warehouse
from models import RateRegressor, RiskClassifier

# The smallest country that there is: what is compiled depends on types, not on sizes.
_END: Final = date(2024, 1, 1)
_DEALERS: Final = 200


def warm_up(tell: Callable[[str], None]) -> None:
    """Take a tiny invented country through signals, fit and explanation; nothing of it is kept.

    The compiled kernels are (numba's cache beside the code, or the user's own where that cannot be
    written).
    """
    with tempfile.TemporaryDirectory(prefix="ffl-risk-warm-up-") as folder:
        world, place = Path(folder) / "world", Path(folder) / "warehouse"
        tell("inventing a small country")
        simulate(Options(dealers=_DEALERS, years=1, end=_END), world)
        ingest([world], place, today=_END)
        tell("compiling the kernels of the signals")
        table = build_features(Warehouse.open(place), _END)
        tell("compiling the kernels of the explanations")
        X = table.X
        y = np.arange(len(X)) % 5 == 0
        for model in (RiskClassifier(max_rounds=2), RateRegressor(max_rounds=2)):
            model.fit(X, y.astype(int)).explain(X, method="table")
