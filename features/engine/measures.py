"""Measures over events: what a family may ask of a view, as values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from features.domain.asof import Window


@dataclass(frozen=True)
class Sum:
    """Count events, or sum a value over them, in each window.

    Parameters
    ----------
    name : str
        Grid name; each window's grid is ``name_window``.
    windows : tuple of Window
    where : str
        SQL condition on the view; null is false.
    value : str
        SQL number to sum, missing counts as zero; empty counts events.
    """

    name: str
    windows: tuple[Window, ...]
    where: str = "TRUE"
    value: str = ""


@dataclass(frozen=True)
class Last:
    """The last event known in the window, and some of its values.

    Gives ``name_column`` for each column, NaN where there is no event; ``name_known_on`` is
    always there (days since 1970). With `by`, a SQL number, the event for which it is highest
    instead: a listing that came in late, or was corrected, is not the newest one for that.
    """

    name: str
    window: Window
    columns: Mapping[str, str] = field(default_factory=dict)
    where: str = "TRUE"
    by: str = ""


@dataclass(frozen=True)
class Quantile:
    """Exact quantiles of whole days, 0 to 65,535, of the events in each window.

    Gives ``name_p50_window`` for level 0.5; NaN where no event is inside.
    """

    name: str
    windows: tuple[Window, ...]
    value: str
    levels: tuple[float, ...] = (0.5,)
    where: str = "TRUE"


@dataclass(frozen=True)
class Distinct:
    """How many different values occur in each window, and how they concentrate.

    Gives ``name_window``, ``name_repeated_window`` (events that share their value with another)
    and ``name_squares_window`` (sum of the squared counts); null values do not count.
    """

    name: str
    windows: tuple[Window, ...]
    value: str
    where: str = "TRUE"


@dataclass(frozen=True)
class DistinctSum:
    """A sum in each window over things, each counted once with the largest value of its events.

    Gives ``name_window``. What `of` tells apart are the things; an event where it is null counts
    for none. No value is taken to be below zero.
    """

    name: str
    windows: tuple[Window, ...]
    of: str
    value: str
    where: str = "TRUE"


Measure = Sum | Last | Quantile | Distinct | DistinctSum


@dataclass(frozen=True)
class Plan:
    """What to read and what to compute, worked out from measures."""

    measures: tuple[Measure, ...]
    columns: dict[str, str]
    outputs: dict[str, type]
    conditions: list[str]
    values: list[str]
    windows: list[Window]

    @property
    def longest(self) -> int:
        """Days of the longest window."""
        return max(
            w.days
            for m in self.measures
            for w in ((m.window,) if isinstance(m, Last) else m.windows)
        )

    @classmethod
    def of(cls, measures: Sequence[Measure]) -> Plan:
        """Work out what to read for `measures`."""
        conditions = list(dict.fromkeys(m.where for m in measures))
        if len(conditions) > 64:
            raise ValueError(f"{len(conditions)} conditions in one pass; 64 fit")
        values = list(dict.fromkeys(m.value for m in measures if isinstance(m, Sum) and m.value))
        spans = list(dict.fromkeys(w for m in measures if isinstance(m, Sum) for w in m.windows))
        bits = " | ".join(
            f"(CASE WHEN {sql} THEN {1 << bit}::UBIGINT ELSE 0::UBIGINT END)"
            for bit, sql in enumerate(conditions)
        )
        columns = {"_bits": bits}
        columns |= {f"_v{i}": f"coalesce(({v})::DOUBLE, 0)" for i, v in enumerate(values)}
        outputs: dict[str, type] = {}
        for m in measures:
            if isinstance(m, Sum):
                outputs |= {f"{m.name}_{w.name}": np.float32 for w in m.windows}
            elif isinstance(m, Last):
                columns |= {f"{m.name}_{c}": f"({sql})::DOUBLE" for c, sql in m.columns.items()}
                outputs |= {f"{m.name}_{c}": np.float64 for c in (*m.columns, "known_on")}
                if m.by:
                    columns[f"_by_{m.name}"] = f"({m.by})::DOUBLE"
            elif isinstance(m, Quantile):
                columns[f"_q_{m.name}"] = f"({m.value})::INTEGER"
                outputs |= dict.fromkeys(quantile_names(m), np.float32)
            elif isinstance(m, DistinctSum):
                columns[f"_c_{m.name}"] = _code_sql(m.of, m.where)
                columns[f"_s_{m.name}"] = f"coalesce(({m.value})::DOUBLE, 0)"
                outputs |= {f"{m.name}_{w.name}": np.float32 for w in m.windows}
            else:
                columns[f"_c_{m.name}"] = _code_sql(m.value, m.where)
                outputs |= dict.fromkeys(distinct_names(m), np.float32)
                outputs |= {f"{m.name}_squares_{w.name}": np.float64 for w in m.windows}
        return cls(tuple(measures), columns, outputs, conditions, values, spans)


def _code_sql(value: str, where: str) -> str:
    """Return SQL that tells values apart, by their hash; 0 stands for none."""
    return (
        f"CASE WHEN ({where}) AND ({value}) IS NOT NULL "
        f"THEN greatest(hash({value}), 1::UBIGINT) ELSE 0::UBIGINT END"
    )


def quantile_names(m: Quantile) -> list[str]:
    """Return the grids of quantiles, in the order in which they are worked out."""
    return [f"{m.name}_p{round(100 * q)}_{w.name}" for w in m.windows for q in m.levels]


def distinct_names(m: Distinct) -> list[str]:
    """Return the grids of distinct values, in the order in which they are worked out."""
    kinds = ("", "repeated_", "squares_")
    return [f"{m.name}_{kind}{w.name}" for w in m.windows for kind in kinds]
