"""What one more visit finds, from how findings moved where visits moved.

Not the average: in the surge of 2009 visits at the border doubled and severe findings did not.

References
----------
DOJ OIG I-2011-001 (Project Gunrunner): border inspections up 133%.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from features.arrays import Floats
from features.insight.field_records import FieldRecords

_MIN_SEGMENTS: Final = 6  # for what past changes in visits say
_Z: Final = 1.645
_EPS: Final = 1e-9


@dataclass(frozen=True)
class Yield:
    """Severe findings of one more visit, from how findings moved where visits moved."""

    value: float | None
    low: float
    high: float
    basis: str


def marginal_yield(records: FieldRecords) -> Yield:
    """Estimate what one more visit finds, from past changes within offices.

    Severe findings on visits, by office (border and other states apart) and year, with effects of
    office and year taken out; errors are clustered by office. It is held between nothing and the
    average, which is also the range where the past says nothing: no visits moved, or findings moved
    with them by what no visit can find, so that something else moved both.
    """
    visits = records.visits
    average = float(visits["is_severe"].mean())
    found = visits.groupby(["office", "is_border", "year"])["is_severe"].agg(["size", "sum"])
    table = found.unstack("year", fill_value=0)
    n, severe = (table[name].to_numpy(float) for name in ("size", "sum"))
    if len(table) < _MIN_SEGMENTS or visits["year"].nunique() < 2:
        return Yield(None, 0.0, average, "too few offices or years to tell")
    x, y = (_within(values) for values in (n, severe))
    power = float((x**2).sum())
    if power < _EPS:
        return Yield(None, 0.0, average, "visits of offices never moved apart")
    slope = float((x * y).sum() / power)
    scores = (x * (y - slope * x)).sum(axis=1)
    many = len(scores)
    error = math.sqrt(float((scores**2).sum()) * many / (many - 1)) / power
    if slope - _Z * error > average + _EPS or slope + _Z * error < -_EPS:
        return Yield(None, 0.0, average, "findings moved by more than visits alone can move them")
    low, value, high = (min(max(slope + z * error, 0.0), average) for z in (-_Z, 0.0, _Z))
    return Yield(value, low, high, "past changes within offices")


def _within(values: Floats) -> Floats:
    rows, columns = values.mean(axis=1, keepdims=True), values.mean(axis=0, keepdims=True)
    centered: Floats = values - rows - columns + values.mean()
    return centered
