"""The record of one signal, and what a family of signals hands back.

A family is one module of this folder with

- ``SIGNALS``: a tuple of `Signal`, in the order of its columns;
- ``build(context) -> FamilyColumns``: one value and one reason for each signal and cohort row.

A family over events asks the context for grids (`features.engine.context.Context`): counts, sums,
last rows, quantiles and distinct values of many windows, evaluated by the kernels of
`features.engine.kernels` for all as-of dates in one pass. A family that crosses dealers (places,
networks, peers) works on the context's cohort directly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from features.arrays import Floats
from features.errors import FeatureError, InvalidValueError

Reasons = npt.NDArray[np.int8]

# Why a value is there or missing; stored as codes beside every value.
OBSERVED: Final = 0
NO_SOURCE: Final = 1  # the warehouse holds no such table, or nothing was published yet
NO_EXPOSURE: Final = 2  # nothing to divide by: no sales, no traces, no inspection
TOO_FEW: Final = 3  # a rate on fewer events than its stated minimum
REASON_NAMES: Final = ("observed", "no_source", "no_exposure", "too_few")


@dataclass(frozen=True, kw_only=True)
class Signal:
    """One number about a dealer as of a date.

    Parameters
    ----------
    name : str
        Column name: family prefix, measure, window (``traces_short_ttc_3y``).
    family : str
        The family module it comes from.
    unit : str
        ``firearms``, ``share``, ``per 1,000 sales``, ``days``, ``km``, ``code``, …
    definition : str
        One sentence; a rate states its denominator and the count below which it is null.
    table : str
        The table it is mainly read from.
    reason : str
        Sentence template for an inspector. ``{value}`` is the value in the unit of the sentence,
        ``{percentile}`` its national percentile.
    reference : str
        The published source of the idea or of the law.
    window : str, optional
        Look-back in words of `features.domain.asof.Window`, such as ``3y``.
    direction : {-1, 0, 1}
        +1 raises risk, -1 lowers it, 0 unconstrained.
    restriction : {"public", "restricted"}
        Restricted signals are derived from trace or law-enforcement records.
    is_category : bool
        The value is an ordinal code, not a quantity.
    words : tuple of str
        What the codes 0, 1, 2, … mean, for sentences; empty when the value is no such code.
    """

    name: str
    family: str
    unit: str
    definition: str
    table: str
    reason: str
    reference: str
    window: str | None = None
    direction: Literal[-1, 0, 1] = 0
    restriction: Literal["public", "restricted"] = "public"
    is_category: bool = False
    words: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.name.startswith(f"{self.family}_"):
            raise FeatureError(f"Signal {self.name!r} does not start with {self.family!r}_.")

    def is_in(self, variant: str) -> bool:
        """Whether a variant of the table holds it: ``full`` holds all, ``public`` the public."""
        return variant == "full" or self.restriction == "public"


def require_variant(variant: str) -> None:
    """Refuse a variant that there is not.

    Raises
    ------
    InvalidValueError
    """
    if variant not in {"full", "public"}:
        raise InvalidValueError(f"{variant!r} is no variant.", expected="full or public")


def signals_of(family: str, **shared: object) -> Callable[..., Signal]:
    """Return what makes a family's signals: its name before theirs, and what most of them share.

    >>> make = signals_of("tips", table="tips", unit="tips", reference="OIG")
    >>> make("n_1y", "Tips of a year.", "{value} tips in a year").name
    'tips_n_1y'
    """

    def make(name: str, definition: str, reason: str, **own: object) -> Signal:
        stated: dict[str, Any] = {"definition": definition, "reason": reason, **shared, **own}
        return Signal(name=f"{family}_{name}", family=family, **stated)

    return make


@dataclass(frozen=True)
class FamilyColumns:
    """The columns of one family, one row a cohort row.

    Parameters
    ----------
    values : mapping of str to ndarray, shape (n_rows,)
        By signal name; NaN where missing.
    reasons : mapping of str to ndarray of int8, shape (n_rows,)
        By signal name; `OBSERVED` or why the value is missing. A signal left out is observed
        wherever its value is a number, and `NO_EXPOSURE` elsewhere.
    """

    values: Mapping[str, npt.NDArray[np.floating]]
    reasons: Mapping[str, Reasons]


def no_source(signals: tuple[Signal, ...], n_rows: int) -> FamilyColumns:
    """Return the columns of signals whose table the warehouse does not hold."""
    missing = np.full(n_rows, np.nan, dtype=np.float32)
    why = np.full(n_rows, NO_SOURCE, dtype=np.int8)
    return FamilyColumns({s.name: missing for s in signals}, {s.name: why for s in signals})


def rate(
    numerator: npt.NDArray[np.floating],
    denominator: npt.NDArray[np.floating],
    *,
    at_least: float = 1.0,
    times: float = 1.0,
) -> tuple[Floats, Reasons]:
    """Divide, and say why a quotient is missing.

    Parameters
    ----------
    numerator, denominator : ndarray, shape (n_rows,)
    at_least : float
        Denominators below it give no rate: `NO_EXPOSURE` at zero, `TOO_FEW` above zero.
    times : float
        Factor of the rate, 1,000 for "per 1,000".

    Returns
    -------
    values, reasons : ndarray, shape (n_rows,)
    """
    below = np.asarray(denominator, dtype=np.float64)
    is_known = below >= at_least
    values = np.full(len(below), np.nan)
    np.divide(np.asarray(numerator, dtype=np.float64) * times, below, out=values, where=is_known)
    reasons = np.where(is_known, OBSERVED, np.where(below > 0, TOO_FEW, NO_EXPOSURE))
    return values, reasons.astype(np.int8)
