"""Cells and the sums that bind them: what an attacker knows of a release.

A cell is a count of firearms with the dealers that it rests on. A sum says that one cell is the sum
of others. Everything published is a system of such sums in which some cells are left open.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.insight.sharing.rules import Rules

TOTAL: Final = "all"


@dataclass(frozen=True)
class Cell:
    """One published or hidden count.

    Parameters
    ----------
    key : tuple of str
        Table, row, column.
    n, n_dealers, most : int
        Firearms, dealers, firearms of the largest dealer.
    """

    key: tuple[str, str, str]
    n: int
    n_dealers: int
    most: int

    @property
    def is_sought(self) -> bool:
        """Whether it tells of firearms abroad: what a release is read for."""
        return not {"domestic", "other"} & set(self.key[1:])

    def is_safe(self, rules: Rules) -> bool:
        """Whether the cell alone may be published."""
        return (
            self.n >= rules.min_firearms
            and self.n_dealers >= rules.min_dealers
            and self.most <= rules.max_dealer_share * self.n
        )


@dataclass
class System:
    """The cells of a release and the sums over them.

    Parameters
    ----------
    cells : list of Cell
    sums : list of (int, list of int)
        Place of a total, and the places of its parts.
    """

    cells: list[Cell] = field(default_factory=list)
    sums: list[tuple[int, list[int]]] = field(default_factory=list)
    place: dict[tuple[str, str, str], int] = field(default_factory=dict)

    def add(self, cells: Iterable[Cell]) -> None:
        """Add cells; one that is there already stays."""
        for cell in cells:
            if cell.key not in self.place:
                self.place[cell.key] = len(self.cells)
                self.cells.append(cell)

    def bind(self, total: tuple[str, str, str], parts: Iterable[tuple[str, str, str]]) -> None:
        """Say that a cell is the sum of others."""
        self.sums.append((self.place[total], [self.place[part] for part in parts]))

    @property
    def values(self) -> npt.NDArray[np.float64]:
        """Firearms of each cell, shape (n_cells,)."""
        return np.array([cell.n for cell in self.cells], dtype=np.float64)

    def check(self) -> None:
        """Prove that the sums hold; a fault here is one of this program."""
        n = self.values
        for total, parts in self.sums:
            if n[total] != n[parts].sum():
                raise AssertionError(f"{self.cells[total].key} is not the sum of its parts")


def counted(
    rows: pd.DataFrame,
    table: str,
    by: tuple[str | None, str | None],
    names: tuple[Sequence[str], Sequence[str]],
) -> list[Cell]:
    """Count firearms and dealers of each cell of a table, empty ones included.

    Parameters
    ----------
    rows : DataFrame
        One row a dealer and finest cell, with ``dealer`` and ``n``.
    by : (str or None, str or None)
        Columns of the rows and columns of the table; None for a total.
    names : (list of str, list of str)
        What occurs in both.
    """
    frame = rows.assign(
        r=rows[by[0]] if by[0] else TOTAL, c=rows[by[1]] if by[1] else TOTAL
    ).groupby(["r", "c", "dealer"], as_index=False)["n"].sum()  # fmt: skip
    stats = frame.groupby(["r", "c"])["n"].agg(["sum", "count", "max"])
    found = {
        key: tuple(map(int, row)) for key, row in zip(stats.index, stats.to_numpy(), strict=True)
    }
    return [Cell((table, r, c), *found.get((r, c), (0, 0, 0))) for r in names[0] for c in names[1]]
