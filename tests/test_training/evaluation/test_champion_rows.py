"""A champion is judged beside a candidate on the same footing, row by row."""

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from training.evaluation.candidate import Candidate
from training.evaluation.judge import champion_rows

DAY = pd.Timestamp("2024-01-01")


@dataclass(frozen=True)
class Kept(Candidate):
    """A candidate whose judged rows, signals and bundle are at hand."""

    rows: pd.DataFrame = None

    def order(self):
        return self.rows

    def judged_signals(self):
        return self.rows[["y"]]

    def bundle(self):
        """One that learned whatever was known before its day, by heart."""
        learned = (self.rows["known_on"] < self.evaluation["trained_on"]).to_numpy()
        y = self.rows["y"].to_numpy()
        return SimpleNamespace(score=lambda X: pd.DataFrame({"priority": np.where(learned, y, 0)}))


def both(n_old: int, n_new: int) -> tuple[pd.DataFrame, str]:
    """Judge two models that know nothing but what they learned by heart; so many findings each."""
    y = np.tile([1.0, 0.0, 0.0], n_old + n_new)
    day = np.repeat([DAY - pd.Timedelta(days=1), DAY], [3 * n_old, 3 * n_new])
    rows = pd.DataFrame({"y": y, "known_on": day, "score": 0.0})
    kept = (
        Kept(Path(name), {"trained_on": trained, "heads": {}, "bundle_heads": []}, rows)
        for name, trained in (("000002", "2025-01-01"), ("000001", str(DAY.date())))
    )
    return champion_rows(*kept)


@pytest.mark.parametrize(
    ("n_old", "n_new", "n_judged", "said"),
    [
        (80, 60, 60, "neither having learned"),
        (80, 40, 80, "40 findings newer than the champion left out"),
        (10, 40, 40, "neither having learned"),
        (80, 0, 80, "both as shipped, having learned from them"),
    ],
)
def test_neither_of_two_models_that_know_nothing_new_is_ahead(n_old, n_new, n_judged, said):
    """The candidate had learned from the newest findings, the champion had not."""
    rows, how = both(n_old, n_new)
    assert (rows["score"] == rows["champion"]).all()
    assert (rows["y"].sum(), said in how) == (n_judged, True)
