"""HiGHS as every part of the project uses it: silent, and on one thread.

The threads of HiGHS are one pool for a whole process. Whoever asked for another number of them than
the first to solve got no answer at all, so a service that had made a plan could release nothing.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import highspy

_first = threading.Lock()
_has_greeted = False


def new_solver() -> highspy.Highs:
    """Return a solver without a model."""
    solver = _made()
    solver.silent()
    solver.setOptionValue("threads", 1)
    return solver


def _made() -> highspy.Highs:
    """Make a solver; the first of a process prints its name, whatever is set, into nothing.

    It would stand on standard output between the lines of a log, or in what a command prints.
    """
    import highspy  # slow to import

    global _has_greeted  # noqa: PLW0603 - once a process, as the library does it
    with _first:
        if _has_greeted:
            return highspy.Highs()
        sys.stdout.flush()
        kept, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, 1)
            solver = highspy.Highs()
            ctypes.CDLL(None).fflush(None)  # what waits in the C library's own buffer
        finally:
            os.dup2(kept, 1)
            os.close(kept)
            os.close(nowhere)
        _has_greeted = True
        return solver
