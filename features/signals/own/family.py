"""One family of an agency's own: what it must be, and its columns checked as they are made."""

from __future__ import annotations

import dataclasses
import re
import string
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import duckdb
import numpy as np
import numpy.typing as npt
import pandas as pd

from features.engine.context import Context
from features.errors import FflRiskError, OwnSignalError, did_you_mean
from features.schema import TABLES
from features.signals.signal import (
    NO_EXPOSURE,
    NO_SOURCE,
    OBSERVED,
    FamilyColumns,
    Reasons,
    Signal,
)

# Tables of which nothing may show outside law enforcement.
RESTRICTED: Final = frozenset(TABLES) - {
    "licenses", "inspections", "violations", "agencies", "area_covariates",
}  # fmt: skip
_NAME: Final = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_FIELDS: Final = frozenset({"value", "percentile", "unit", "window"})
_FAULTS: Final = (duckdb.Error, ArithmeticError, AttributeError, LookupError, NameError,
                  TypeError, ValueError)  # fmt: skip


@dataclass(frozen=True)
class OwnFamily:
    """A family that somebody else wrote.

    Parameters
    ----------
    name : str
    SIGNALS : tuple of Signal
    origin : str
        Its file or entry point, for messages.
    make : callable
        Its ``build(context)``.
    oracle : callable or None
        Its ``oracle(tables, as_of, dealers)``: a slow version of the same values, for `--check`.
    """

    name: str
    SIGNALS: tuple[Signal, ...]
    origin: str
    make: Callable[[Context], FamilyColumns]
    oracle: Callable[[dict[str, pd.DataFrame], date, list[str]], pd.DataFrame] | None = None

    @classmethod
    def of(cls, module: Any, origin: str) -> OwnFamily:
        """Check what a module offers and make a family of it.

        Raises
        ------
        OwnSignalError
            With all that is wrong at once.
        """
        signals = tuple(getattr(module, "SIGNALS", ()))
        make = getattr(module, "build", None)
        faults = []
        if not signals or not all(isinstance(signal, Signal) for signal in signals):
            faults.append("SIGNALS is no tuple of Signal")
        if not callable(make):
            faults.append("there is no function build(context)")
        faults = faults or _faults(signals)
        if faults or make is None:
            raise OwnSignalError(
                f"{origin} is no family of signals.",
                found="; ".join(faults),
                expected="SIGNALS, one Signal a column, and build(context) -> FamilyColumns",
            )
        return cls(signals[0].family, signals, origin, make, getattr(module, "oracle", None))

    def build(self, context: Context) -> FamilyColumns:
        """Return the family's columns, checked; a signal whose table is absent has no source.

        Raises
        ------
        OwnSignalError
            When the family fails, or what it returns is not what it promised.
        """
        try:
            with np.errstate(all="ignore"):  # what is not finite is refused below
                made = self.make(context)
        except FflRiskError:
            raise
        except _FAULTS as error:
            raise OwnSignalError(
                f"The family {self.name} of {self.origin} cannot be built.",
                found=f"{type(error).__name__}: {_first_line(error)}{self._line(error)}",
                fix="`ffl-risk contract` lists tables and columns; mend the family and prove it "
                "with `ffl-risk signals --check`",
            ) from error
        if not isinstance(made, FamilyColumns):
            raise self._not_promised("build", f"returned a {type(made).__name__}", "FamilyColumns")
        columns = {signal.name: self._column(signal, made, context) for signal in self.SIGNALS}
        return FamilyColumns(
            {name: values for name, (values, _) in columns.items()},
            {name: reasons for name, (_, reasons) in columns.items()},
        )

    def _column(
        self, signal: Signal, made: FamilyColumns, context: Context
    ) -> tuple[npt.NDArray[np.float32], Reasons]:
        if not context.has(signal.table):
            return (
                np.full(context.n_rows, np.nan, dtype=np.float32),
                np.full(context.n_rows, NO_SOURCE, dtype=np.int8),
            )
        name = signal.name
        if name not in made.values:
            near = did_you_mean(name, made.values)
            raise self._not_promised(name, f"no column of that name{near}", "one for each signal")
        given = np.asarray(made.values[name])
        if given.shape != (context.n_rows,) or given.dtype.kind not in "fiub":
            found = f"an array of {given.dtype} of shape {given.shape}"
            raise self._not_promised(name, found, f"{context.n_rows} numbers, one a row")
        with np.errstate(over="ignore"):
            values = given.astype(np.float32)
        n_endless = int(np.isinf(values).sum())
        if n_endless:
            found = f"{n_endless:,} of {len(values):,} values are not finite"
            raise self._not_promised(name, found, "finite numbers, NaN where there is none")
        return values, self._reasons(name, values, made.reasons)

    def _reasons(
        self, name: str, values: npt.NDArray[np.float32], given: Mapping[str, Reasons]
    ) -> Reasons:
        is_missing = np.isnan(values)
        if name not in given:
            return np.where(is_missing, NO_EXPOSURE, OBSERVED).astype(np.int8)
        reasons = np.asarray(given[name])
        if reasons.shape != values.shape or not np.array_equal(reasons != OBSERVED, is_missing):
            found = "reasons that do not go with the values"
            raise self._not_promised(name, found, "a reason where the value is NaN, 0 elsewhere")
        return reasons.astype(np.int8)

    def _not_promised(self, what: str, found: str, expected: str) -> OwnSignalError:
        return OwnSignalError(
            f"{what} of {self.origin} is not what its family promised.",
            found=found,
            expected=expected,
        )

    def _line(self, error: BaseException) -> str:
        """Say on which line of the family's own file it failed."""
        here = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == self.origin]
        return f" (line {here[-1].lineno})" if here else ""


def _first_line(error: BaseException) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2]) if lines else ""


def _faults(signals: tuple[Signal, ...]) -> list[str]:
    """Return a sentence for each thing that is wrong with descriptions of signals."""
    families = sorted({signal.family for signal in signals})
    faults = [] if len(families) == 1 else [f"signals of several families: {', '.join(families)}"]
    names = [signal.name for signal in signals]
    faults += [f"{name} stands there twice" for name in sorted(set(names)) if names.count(name) > 1]
    for signal in signals:
        faults += [f"{signal.name}: {fault}" for fault in _signal_faults(signal)]
    return faults


def _signal_faults(signal: Signal) -> list[str]:
    faults = []
    if not _NAME.fullmatch(signal.name):
        faults.append("a name is small letters, digits and underscores")
    if signal.table not in TABLES:
        faults.append(f"there is no table {signal.table!r}{did_you_mean(signal.table, TABLES)}")
    elif signal.table in RESTRICTED and signal.restriction != "restricted":
        faults.append(f"what is read from {signal.table} is restricted, not {signal.restriction}")
    if signal.direction not in (-1, 0, 1):
        faults.append("direction is -1, 0 or 1")
    if signal.restriction not in ("public", "restricted"):
        faults.append("restriction is public or restricted")
    for field in dataclasses.fields(signal):
        text = getattr(signal, field.name)
        if field.name in ("unit", "definition", "reason", "reference") and not str(text).strip():
            faults.append(f"{field.name} is empty")
    try:
        used = {name for _, name, _, _ in string.Formatter().parse(signal.reason) if name}
    except ValueError as error:
        return [*faults, f"reason is no template: {error}"]
    unknown = ", ".join(sorted(used - _FIELDS))
    return [*faults, f"reason names {unknown}, of which nothing is known"] if unknown else faults
