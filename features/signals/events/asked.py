"""What a family's questions depend on, and their shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from features.domain.asof import Y3
from features.engine.measures import Measure, Sum

# Measures by the view over which they are asked.
Measures = Mapping[str, Sequence[Measure]]

# The sales over which rates are taken.
CHECKS: Final = Sum("checks", (Y3,), value="n_checks")
CHECKS_BEHIND: Final = "sales_volume.checks_3y"


@dataclass(frozen=True)
class Asked:
    """What measures are asked for.

    Parameters
    ----------
    dates : tuple of date
        The as-of dates, ascending.
    citations : tuple of str
        The distinct citations that the rows may hold.
    """

    dates: tuple[date, ...]
    citations: tuple[str, ...] = ()
