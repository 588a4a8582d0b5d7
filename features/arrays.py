"""Types of arrays, each named once: what a function takes and returns, whatever its shape."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]
# Days since 1970 and positions within a block, as Arrow, DuckDB and the kernels share them.
Ints32: TypeAlias = npt.NDArray[np.int32]
Flags: TypeAlias = npt.NDArray[np.bool_]
