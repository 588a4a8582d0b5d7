"""What a market would draw from each source by its sales, and by how much of them is traced.

A firearm sold where everything recovered is traced turns up in more traces, wherever it goes. How
completely a source is traced is told by the traces within its own state over those that its sales
would bring at the rate of all sources, drawn toward 1 by how far sources truly differ (a gamma
prior by moments). Within its own state a source cannot be held against that: what is drawn there is
what its tracing is told by.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from features.arrays import Floats

_SURE: Final = 1e9  # worth of a prior that nothing moves
_TAIL: Final = 0.025


@dataclass(frozen=True)
class Tracing:
    """Sales of each source weighed by how completely it is traced.

    Parameters
    ----------
    weight : Series of float
        By source.
    worth : Series of float
        Traces that the weight rests on, the prior's among them.
    """

    weight: pd.Series
    worth: pd.Series

    @classmethod
    def of(cls, cells: pd.DataFrame, sales: pd.DataFrame, by: str) -> Tracing:
        """Weigh the sources of a country.

        Parameters
        ----------
        cells, sales : DataFrame
            As `Tally.cells` and `Tally.sales` give them.
        by : {"state", "county"}
            What a source is.
        """
        sold = sales.groupby(by)["sales"].sum().astype(np.float64)
        home = cells[cells["market"] == cells["state"]].groupby(by)["n"].sum()
        x = home.reindex(sold.index).fillna(0.0).astype(np.float64)
        expected = sold * (x.sum() / max(float(sold.sum()), 1e-9))
        squares = float((expected**2).sum())
        between = float(((x - expected) ** 2).sum() - expected.sum()) / max(squares, 1e-9)
        prior = 1 / between if between > 1 / _SURE else _SURE
        return cls(sold * (x + prior) / (expected + prior), x + prior)

    def expected(self, grouped: pd.DataFrame, by: str) -> Floats:
        """Return what each corridor would draw, shape (n,); NaN within the source's own state."""
        own = grouped[by].map(self.weight).fillna(0.0).to_numpy(np.float64)
        drawn = grouped.groupby("market")["n"].transform("sum").to_numpy(np.float64)
        is_home = (grouped["state"] == grouped["market"]).to_numpy()
        return np.where(is_home, np.nan, drawn * own / max(float(self.weight.sum()), 1e-9))

    def excess_range(self, n: Floats, sources: pd.Series) -> tuple[Floats, Floats]:
        """Return the 95% interval of counted traces over a weight of 1, shape (n,) each.

        Of counting, and of how well the weight of the source is known.
        """
        from scipy import stats  # slow to import

        worth = sources.map(self.worth).fillna(_SURE).to_numpy(np.float64)
        ends = [stats.f.ppf(tail, 2 * n + 1, 2 * worth) for tail in (_TAIL, 1 - _TAIL)]
        low, high = ((n + 0.5) * end for end in ends)
        return np.where(n > 0, low, 0.0), high
