"""What may be chosen about a simulated country, checked before any work."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final, Literal, get_args

import numpy as np

from features.domain import agency_day
from features.domain.asof import add_months
from features.errors import InvalidValueError, did_you_mean

Policy = Literal["historic", "random_only", "trace_chasing", "volume_chasing", "border_surge"]
POLICIES: Final[tuple[str, ...]] = get_args(Policy)
FULL_COUNTRY: Final = 79_000  # business licensees of fiscal year 2024


@dataclass(frozen=True)
class Options:
    """One country to simulate.

    Parameters
    ----------
    dealers : int
        Dealers in business at a time, from 200 to 500,000.
    years : int
        Length of the history, 1 to 25.
    end : date
        First day after the history.
    seed : int
        The same seed gives the same bytes.
    traces_scale : float
        Factor on the number of traces, up to 50.
    policy : str
        How past inspections were chosen, one of `POLICIES`.

    Raises
    ------
    InvalidValueError
        When an option is outside its range.
    """

    dealers: int = FULL_COUNTRY
    years: int = 10
    end: date = date(2025, 1, 1)
    seed: int = 1
    traces_scale: float = 1.0
    policy: str = "historic"

    def __post_init__(self) -> None:
        _check("--dealers", self.dealers, 200, 500_000)
        _check("--years", self.years, 1, 25)
        _check("--seed", self.seed, 0, 2**63 - 1)
        _check("--traces-scale", self.traces_scale, 0.01, 50)
        if self.policy not in POLICIES:
            raise InvalidValueError(
                f"--policy {self.policy!r} is unknown{did_you_mean(self.policy, POLICIES)}",
                expected=", ".join(POLICIES),
            )
        if not date(2005, 1, 1) <= self.end <= agency_day.today():
            raise InvalidValueError(
                f"--end {self.end} is outside the range.", expected="2005-01-01 up to today"
            )

    @property
    def start(self) -> date:
        """First day of the history, the first of a month."""
        return add_months(self.end.replace(day=1), -12 * self.years)

    @property
    def n_months(self) -> int:
        """Months of the history."""
        return 12 * self.years

    @property
    def scale(self) -> float:
        """Size of the country against the full one."""
        return self.dealers / FULL_COUNTRY

    def month(self, index: int) -> date:
        """First day of a month of the history."""
        return add_months(self.start, int(index))

    def generator(self, *stage: int) -> np.random.Generator:
        """Return the generator of one stage; stages never share a stream."""
        return np.random.Generator(np.random.PCG64(np.random.SeedSequence([self.seed, *stage])))


def check_output(out: Path) -> None:
    """Refuse an output folder that holds something else than an earlier simulation.

    Raises
    ------
    InvalidValueError
        When it is a file, or a folder that is not empty and has no ``truth/``.
    """
    if out.is_file():
        raise InvalidValueError(f"{out} is a file.", expected="a folder, new or empty")
    if out.is_dir() and any(out.iterdir()):
        raise InvalidValueError(
            f"{out} holds something already.",
            expected="a folder that is new or empty",
            fix="name another folder with --out, or empty this one",
        )


def _check(name: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:
        raise InvalidValueError(
            f"{name} {value:g} is outside its range.", expected=f"{least:g} to {most:g}"
        )
