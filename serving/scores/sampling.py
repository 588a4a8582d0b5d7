"""The random share of a list: drawn so that each dealer's probability is known and never zero."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


def systematic(rows: Ints, n: int, *, seed: int) -> tuple[Ints, float]:
    """Draw `n` of `rows` with equal probability, spread evenly over their order.

    A systematic sample: one random start, then steps of ``len(rows) / n``. Sorting the rows by
    stratum first makes it stratified in proportion, and even a stratum too small for a place of
    its own keeps its probability.

    Parameters
    ----------
    rows : array of int, shape (m,)
        What may be drawn, sorted by stratum.
    n : int
        How many to draw, at most m.
    seed : int
        The same seed draws the same rows.

    Returns
    -------
    (array of int, float)
        The drawn rows in the order given, and the probability n / m that each had.

    Examples
    --------
    >>> drawn, probability = systematic(np.arange(10), 5, seed=1)
    >>> len(set(drawn.tolist())), probability
    (5, 0.5)
    """
    n = min(n, len(rows))
    if n == 0:
        return rows[:0], 0.0
    step = len(rows) / n
    start = np.random.Generator(np.random.PCG64(seed)).random() * step
    places = np.floor(start + step * np.arange(n)).astype(np.int64)
    # Rounding of the last step must not point behind the end.
    return rows[np.minimum(places, len(rows) - 1)], n / len(rows)
