"""Visits ordered from outside the simulated country, with the design that ordered them.

Countries that differ only in who is visited are compared: so what a visit of a dealer in a month
finds may not depend on who else is visited. Its luck belongs to the dealer and the month.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy.stats import nbinom

from features.arrays import Flags, Floats, Ints


class Chance(Protocol):
    """What visits draw from, one value a visit."""

    def random(self, size: int) -> Floats:
        """Draw from 0 to 1."""

    def normal(self, loc: float, scale: float, size: int) -> Floats:
        """Draw from the normal distribution."""

    def integers(self, low: int, high: int, size: int) -> Ints:
        """Draw whole numbers from `low` to before `high`."""

    def negative_binomial(self, n: float, p: Floats) -> Ints:
        """Draw counts."""


class SameLuck:
    """Draws for every dealer and hands out those of the visited.

    Parameters
    ----------
    rng : Generator
        Of the month.
    dealer : array of int, shape (v,)
        Who is visited.
    n : int
        Dealers of the country.
    """

    def __init__(self, rng: np.random.Generator, dealer: Ints, n: int) -> None:
        self._rng, self._dealer, self._n = rng, dealer, n

    def random(self, size: int) -> Floats:
        """Draw from 0 to 1."""
        del size  # one a visit, as always
        return self._rng.random(self._n)[self._dealer]

    def normal(self, loc: float, scale: float, size: int) -> Floats:
        """Draw from the normal distribution."""
        del size
        return self._rng.normal(loc, scale, self._n)[self._dealer]

    def integers(self, low: int, high: int, size: int) -> Ints:
        """Draw whole numbers from `low` to before `high`."""
        del size
        return self._rng.integers(low, high, self._n)[self._dealer]

    def negative_binomial(self, n: float, p: Floats) -> Ints:
        """Draw counts: the quantile of each dealer's own chance."""
        return np.asarray(nbinom.ppf(self.random(len(p)), n, p), dtype=np.int64)


@dataclass(frozen=True)
class Orders:
    """Visits to make in a month, sorted by dealer; arrays of shape (v,).

    Parameters
    ----------
    dealer : array of int
        Rows of the country's dealers.
    reason : array of int
        Codes into `features.simulation.visits.selection.REASONS`.
    list_id, why : array of object
        The list that ordered it and why; None without one.
    inclusion_probability, mandatory_probability : array
        NaN where there is none.
    is_mandatory : array of bool
    certain_places : array
        How many places of its list no draw gave; NaN without one.
    """

    dealer: Ints
    reason: Ints
    list_id: npt.NDArray[Any]
    why: npt.NDArray[Any]
    inclusion_probability: Floats
    is_mandatory: Flags
    mandatory_probability: Floats
    certain_places: Floats

    def taken(self, rows: npt.NDArray[Any]) -> Orders:
        """Return some of the orders."""
        return Orders(*(getattr(self, field.name)[rows] for field in fields(self)))

    def lawful(self, eligible: Flags) -> Orders:
        """Return the orders that the law allows now, sorted by dealer."""
        order = np.argsort(self.dealer, kind="stable")
        return self.taken(order[eligible[self.dealer[order]]])

    def told(self, inspections: pa.Table) -> pa.Table:
        """Return the inspections of the month, these visits first, with their design."""
        rest = len(inspections) - len(self.dealer)
        has_list = np.array([one is not None for one in self.list_id], dtype=bool)
        columns = {
            "list_id": pa.array(self.list_id.tolist(), pa.string()),
            "why": pa.array(self.why.tolist(), pa.string()),
            "inclusion_probability": _numbers(self.inclusion_probability),
            "is_mandatory": pa.array(self.is_mandatory, mask=~has_list),
            "mandatory_probability": _numbers(self.mandatory_probability),
            "certain_places": _numbers(self.certain_places).cast(pa.int64()),
        }
        for name, own in columns.items():
            place = inspections.schema.get_field_index(name)
            whole = pa.concat_arrays([own, pa.nulls(rest, own.type)])
            inspections = inspections.set_column(place, inspections.schema.field(place), whole)
        return inspections


def _numbers(values: Floats) -> pa.Array:
    return pa.array(values, pa.float64(), mask=np.isnan(values))
