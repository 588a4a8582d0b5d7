"""What an attacker can find out: least and greatest value of each hidden cell, by linear programs.

The attacker knows the published cells, the sums, and that no count is negative; an insider also
knows the largest dealer's part of every cell (more than any one partner does). Each hidden cell is
minimized and maximized over all that agrees with this (HiGHS).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import highspy
import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse import csgraph

from features.insight.sharing.system import Flags, System

_LOOKS: Final = 16
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Bounds:
    """Least and greatest value of hidden cells.

    Parameters
    ----------
    place : ndarray of int, shape (n_hidden,)
        Places of the hidden cells.
    low, high : ndarray, shape (n_hidden,)
    """

    place: Ints
    low: Floats
    high: Floats

    @property
    def width(self) -> Floats:
        """Width of each interval, shape (n_hidden,)."""
        return self.high - self.low


def bounds(
    system: System,
    is_hidden: Flags,
    *,
    at_least: Floats | None = None,
    only: Ints | None = None,
    enough: float = np.inf,
) -> Bounds:
    """Return what an attacker can say of hidden cells.

    Parameters
    ----------
    system : System
    is_hidden : ndarray of bool, shape (n_cells,)
    at_least : ndarray, shape (n_cells,), optional
        What the attacker knows each cell to hold at the least; zero otherwise.
    only : ndarray of int, optional
        Places to look at; by default every hidden cell.
    enough : float
        A cell that was seen to vary by so much in answers for others is not asked for itself: its
        interval is then at least as wide as the one returned. By default every interval is exact.
    """
    hidden = np.flatnonzero(is_hidden)
    wanted = hidden if only is None else only
    floor = np.zeros(len(system.cells)) if at_least is None else at_least
    matrix, right = _equations(system, is_hidden, hidden)
    column = np.full(len(system.cells), -1)
    column[hidden] = np.arange(len(hidden))
    low, high = floor[wanted].astype(np.float64), np.full(len(wanted), np.inf)
    ceiling = 10.0 * float(system.values.sum()) + 1000.0
    joined = matrix.T @ matrix
    _, label = csgraph.connected_components(sparse.csr_array(joined), directed=False)
    of = label[column[wanted]]
    for part in np.unique(of):
        own = np.flatnonzero(label == part)
        rows = np.unique(matrix[:, own].nonzero()[0])
        equations = sparse.csc_array(matrix[rows][:, own])
        program = _Program(equations, right[rows], floor[hidden[own]], ceiling)
        program.see(system.values[hidden[own]])
        if np.isfinite(enough):
            program.look_around()
        inside = {int(c): i for i, c in enumerate(own)}
        for k in np.flatnonzero(of == part):
            at = inside[int(column[wanted[k]])]
            if program.high[at] - program.low[at] < enough:
                program.ask(at)
        for k in np.flatnonzero(of == part):
            at = inside[int(column[wanted[k]])]
            low[k] = program.low[at]
            high[k] = np.inf if program.high[at] > ceiling / 2 else program.high[at]
    return Bounds(wanted, low, high)


def _equations(system: System, is_hidden: Flags, hidden: Ints) -> tuple[sparse.csr_array, Floats]:
    """Return the sums over the hidden cells, and what the published ones leave for them."""
    column = np.full(len(system.cells), -1)
    column[hidden] = np.arange(len(hidden))
    n = system.values
    i: list[int] = []
    j: list[int] = []
    v: list[float] = []
    right: list[float] = []
    for total, parts in system.sums:
        members = [(total, -1.0), *((part, 1.0) for part in parts)]
        own = [(place, sign) for place, sign in members if is_hidden[place]]
        if not own:
            continue
        row = len(right)
        right.append(-sum(sign * n[place] for place, sign in members if not is_hidden[place]))
        for place, sign in own:
            i.append(row)
            j.append(column[place])
            v.append(sign)
    matrix = sparse.csr_array((v, (i, j)), shape=(len(right), len(hidden)))
    return matrix, np.array(right, dtype=np.float64)


class _Program:
    """One connected part of the system, solved again and again from where it stood."""

    def __init__(
        self, matrix: sparse.csc_array, right: Floats, floor: Floats, ceiling: float
    ) -> None:
        self.solver = highspy.Highs()
        self.solver.setOptionValue("log_to_console", False)
        self.solver.setOptionValue("output_flag", False)
        self.solver.setOptionValue("threads", 1)
        model = highspy.HighsLp()
        n_rows, n_columns = matrix.shape
        model.num_row_, model.num_col_ = n_rows, n_columns
        model.col_cost_ = np.zeros(n_columns)
        model.col_lower_ = floor
        # Beyond all that was counted nothing is bounded: the program stays finite, and a value
        # that reaches so far is told as infinite.
        model.col_upper_ = np.full(n_columns, ceiling)
        self.ceiling = ceiling
        model.row_lower_, model.row_upper_ = right, right
        model.a_matrix_.format_ = highspy.MatrixFormat.kColwise
        model.a_matrix_.start_ = matrix.indptr
        model.a_matrix_.index_ = matrix.indices
        model.a_matrix_.value_ = matrix.data
        self.solver.passModel(model)
        self.low, self.high = np.full(n_columns, np.inf), np.full(n_columns, -np.inf)

    def see(self, values: Floats) -> None:
        """Take note of a point that agrees with all that is known."""
        self.low, self.high = np.minimum(self.low, values), np.maximum(self.high, values)

    def look_around(self) -> None:
        """See far corners of what agrees with all that is known: many cells show their width."""
        every = np.arange(len(self.low), dtype=np.int32)
        draw = np.random.default_rng(len(self.low))
        for _ in range(min(2 * len(every), _LOOKS)):
            self.solver.changeColsCost(len(every), every, draw.choice((-1.0, 1.0), len(every)))
            self._solve()
        self.solver.changeColsCost(len(every), every, np.zeros(len(every)))

    def ask(self, column: int) -> None:
        """Find the least and the greatest value of a column, and note where the others stood."""
        for sign in (1.0, -1.0):
            self.solver.changeColCost(column, sign)
            self._solve()
        self.solver.changeColCost(column, 0.0)

    def _solve(self) -> None:
        self.solver.run()
        status = self.solver.getModelStatus()
        if status != highspy.HighsModelStatus.kOptimal:
            raise AssertionError(f"the attack's program ended as {status}")
        self.see(np.asarray(self.solver.getSolution().col_value, dtype=np.float64))
