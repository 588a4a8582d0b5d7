"""A linear program, whole or relaxed, solved by HiGHS in a way that can be ended from outside.

A time limit bounds a solver that nobody waits for any more by seconds, and a dozen of them by
minutes. HiGHS asks again and again while it works whether to go on; here the answer is no as soon
as the work was abandoned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from features import abandonment
from features.arrays import Floats
from features.highs import new_solver
from features.openjson import Options
from serving.planning.request import policy

if TYPE_CHECKING:
    import highspy
    from scipy.optimize import LinearConstraint

_SOLVED: Final = ("kOptimal", "kTimeLimit", "kIterationLimit", "kSolutionLimit")


@dataclass(frozen=True)
class Solution:
    """What was found.

    Parameters
    ----------
    x : array, shape (n,)
    bound : float
        Proven lower bound on the cost of any solution.
    """

    x: Floats
    bound: float


def minimize(
    cost: Floats,
    lower: Floats,
    *,
    rows: Sequence[LinearConstraint],
    is_whole: bool,
    upper: Floats | None = None,
) -> Solution | None:
    """Return the cheapest point between two ends within the rows, None when none was found.

    Parameters
    ----------
    upper : array, optional
        1 everywhere by default.

    Raises
    ------
    AbandonedError
        As soon as nobody waits for the result.
    """
    import highspy  # slow to import

    abandonment.check()
    solver = new_solver()
    for name, value in _options().items():
        solver.setOptionValue(name, value)
    solver.passModel(_model(cost, lower, upper, rows, is_whole=is_whole))
    is_abandoned = abandonment.is_abandoned()

    def asked(event: Any) -> None:
        event.interrupt(is_abandoned())

    for when in (solver.cbMipInterrupt, solver.cbSimplexInterrupt, solver.cbIpmInterrupt):
        when.subscribe(asked)
    solver.run()
    abandonment.check()
    info = solver.getInfo()
    has_point = info.primal_solution_status == highspy.SolutionStatus.kSolutionStatusFeasible
    if solver.getModelStatus().name not in _SOLVED or not has_point:
        return None
    bound = info.mip_dual_bound if is_whole else info.objective_function_value
    return Solution(np.asarray(solver.getSolution().col_value), float(bound))


def _options() -> Options:
    rule = policy()
    return {
        "mip_rel_gap": float(rule["solver_gap"]),
        "mip_max_nodes": int(rule["solver_nodes"]),
        "time_limit": float(rule["solver_seconds"]),
    }


def _model(
    cost: Floats,
    lower: Floats,
    upper: Floats | None,
    rows: Sequence[LinearConstraint],
    *,
    is_whole: bool,
) -> highspy.HighsLp:
    import highspy
    from scipy.sparse import csr_array, vstack

    n = len(cost)
    matrix = csr_array(vstack([csr_array(row.A) for row in rows]))
    model = highspy.HighsLp()
    model.num_col_, model.num_row_ = n, matrix.shape[0]
    model.col_cost_, model.col_lower_ = cost, lower
    model.col_upper_ = np.ones(n) if upper is None else upper
    model.row_lower_ = np.concatenate([_ends(row, row.lb) for row in rows])
    model.row_upper_ = np.concatenate([_ends(row, row.ub) for row in rows])
    model.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    model.a_matrix_.start_ = matrix.indptr
    model.a_matrix_.index_ = matrix.indices
    model.a_matrix_.value_ = matrix.data
    if is_whole:
        model.integrality_ = [highspy.HighsVarType.kInteger] * n
    return model


def _ends(row: LinearConstraint, end: Any) -> Floats:
    whole: Floats = np.broadcast_to(np.ravel(end), (row.A.shape[0],)).astype(np.float64)
    return whole
