"""An agency's own families of signals: what they are written with, and how they come in.

All that a family needs is imported from here: `Signal` describes a number, `Sum`, `Last`,
`Quantile`, `Distinct` and `DistinctSum` ask the context for grids over windows such as `Y1`,
`covariate` gives the value in force of a state or county, `rate` divides and says why a quotient is
missing.
"""

from __future__ import annotations

from features.domain.asof import D90, EVER, Y1, Y2, Y3, Y5, Y10
from features.engine.context import Context, Distinct, DistinctSum, Last, Quantile, Sum
from features.signals.own.covariates import covariate
from features.signals.signal import FamilyColumns, Signal, rate

__all__ = [
    "D90",
    "EVER",
    "Y1",
    "Y2",
    "Y3",
    "Y5",
    "Y10",
    "Context",
    "Distinct",
    "DistinctSum",
    "FamilyColumns",
    "Last",
    "Quantile",
    "Signal",
    "Sum",
    "covariate",
    "rate",
]
