"""HiGHS as every part of the project uses it: silent, and on one thread.

The threads of HiGHS are one pool for a whole process. Whoever asked for another number of them than
the first to solve got no answer at all, so a service that had made a plan could release nothing.
"""

from __future__ import annotations

import highspy


def new_solver() -> highspy.Highs:
    """Return a solver without a model."""
    solver = highspy.Highs()
    solver.silent()
    solver.setOptionValue("threads", 1)
    return solver
