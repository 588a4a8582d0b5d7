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
from scipy import sparse
from scipy.sparse import csgraph

from features.arrays import Flags, Floats, Ints
from features.highs import new_solver
from features.insight.sharing.bound_cells import System

_LOOKS: Final = 16
_SAME: Final = 1e-6


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
        self.solver = new_solver()
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
        draw = np.random.default_rng(len(self.low))
        for _ in range(min(2 * len(self.low), _LOOKS)):
            self.far(draw)

    def far(self, draw: np.random.Generator) -> Floats:
        """Return a far corner, in a direction drawn at random."""
        every = np.arange(len(self.low), dtype=np.int32)
        self.solver.changeColsCost(len(every), every, draw.choice((-1.0, 1.0), len(every)))
        found = self._solve()
        self.solver.changeColsCost(len(every), every, np.zeros(len(every)))
        return found

    def ask(self, column: int) -> None:
        """Find the least and the greatest value of a column, and note where the others stood."""
        for sign in (1.0, -1.0):
            self.corner(column, sign)

    def corner(self, column: int, sign: float) -> Floats:
        """Return a point at which a column is least (sign 1) or greatest (sign -1)."""
        self.solver.changeColCost(column, sign)
        found = self._solve()
        self.solver.changeColCost(column, 0.0)
        return found

    def bound(self, column: int, low: float, high: float) -> None:
        """Let a column vary between two values alone."""
        self.solver.changeColBounds(column, low, high)

    def _solve(self) -> Floats:
        self.solver.run()
        status = self.solver.getModelStatus()
        if status != highspy.HighsModelStatus.kOptimal:
            raise AssertionError(f"the attack's program ended as {status}")
        point = np.asarray(self.solver.getSolution().col_value, dtype=np.float64)
        self.see(point)
        return point


class Probe:
    """Asks whether hidden cells may be shown after all, one after another.

    Points that agree with all that is known are kept. Of two between which a cell has its true
    value, a mixture has it too and still agrees once the cell is shown, so that few questions are
    put to the solver.

    Parameters
    ----------
    system : System
    is_hidden : ndarray of bool, shape (n_cells,)
    at_least : ndarray, shape (n_cells,)
        What the attacker knows each cell to hold at the least.
    least : float
        The least width of an interval.
    """

    def __init__(self, system: System, is_hidden: Flags, at_least: Floats, least: float) -> None:
        hidden = np.flatnonzero(is_hidden)
        matrix, right = _equations(system, is_hidden, hidden)
        self.column = {int(place): i for i, place in enumerate(hidden)}
        self.floor, self.least = at_least[hidden].astype(np.float64), least
        self.ceiling = 10.0 * float(system.values.sum()) + 1000.0
        self.truth = system.values[hidden]
        self.program = _Program(sparse.csc_array(matrix), right, self.floor, self.ceiling)
        self.is_open = np.ones(len(hidden), dtype=np.bool_)
        self.draw = np.random.default_rng(len(hidden))
        corners = [self.program.far(self.draw) for _ in range(_LOOKS)]
        self.points = np.vstack([self.truth, *corners])

    def show(self, place: int) -> bool:
        """Show a cell, if every other hidden cell then keeps an interval wide enough."""
        column = self.column[place]
        value = float(self.truth[column])
        ends = [self.program.corner(column, sign) for sign in (1.0, -1.0)]
        self.points = np.vstack([self.points, *ends])
        self.program.bound(column, value, value)
        self.is_open[column] = False
        before, self.points = self.points, self._mixed(column)
        if self._stands():
            return True
        self.hide(place)
        self.points = _spread(np.vstack([before, self.points]))
        return False

    def hide(self, place: int) -> None:
        """Take back that a cell is shown."""
        column = self.column[place]
        self.program.bound(column, float(self.floor[column]), self.ceiling)
        self.is_open[column] = True

    def _mixed(self, column: int) -> Floats:
        """Return points in which a column has its true value: such points, and mixtures of two."""
        away = self.points[:, column] - self.truth[column]
        above, below = np.flatnonzero(away > _SAME), np.flatnonzero(away < -_SAME)
        found = [self.truth[None, :], self.points[np.abs(away) <= _SAME]]
        if len(above) and len(below):
            # The farther the other point, the less of it is needed.
            ends = (below[away[below].argmin()], above[away[above].argmax()])
            one = np.concatenate([above, below])
            other = np.repeat(ends, (len(above), len(below)))
            part = (away[one] / (away[one] - away[other]))[:, None]
            found.append((1 - part) * self.points[one] + part * self.points[other])
        return _spread(np.vstack(found))

    def _stands(self) -> bool:
        """Whether every open column is wide enough, the narrowest as far as seen asked first."""
        seen, waits = _Seen(self.points), self.is_open.copy()
        while True:
            narrow = np.flatnonzero(waits & (seen.width < self.least))
            if not len(narrow):
                break
            one = int(narrow[seen.width[narrow].argmin()])
            waits[one] = False
            for sign in (1.0, -1.0):
                if seen.width[one] < self.least:
                    seen.add(self.program.corner(one, sign))
            if seen.width[one] < self.least - _SAME:
                break
        self.points = np.vstack([self.points, *seen.points])
        return not len(narrow)


class _Seen:
    """Points, and how far they reach in each column."""

    def __init__(self, points: Floats) -> None:
        self.points: list[Floats] = []
        self.low, self.high = points.min(axis=0), points.max(axis=0)

    @property
    def width(self) -> Floats:
        wide: Floats = self.high - self.low
        return wide

    def add(self, point: Floats) -> None:
        self.points.append(point)
        self.low, self.high = np.minimum(self.low, point), np.maximum(self.high, point)


def _spread(points: Floats) -> Floats:
    """Return the first point and those at which some column is least or greatest."""
    kept = np.unique(np.concatenate([[0], points.argmin(axis=0), points.argmax(axis=0)]))
    ends: Floats = points[kept]
    return ends
