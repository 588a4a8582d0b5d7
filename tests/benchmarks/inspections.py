"""Invented inspection labels at the size that matters: many signals, few labels, few positives."""

import numpy as np
import pandas as pd

SHARE_POSITIVE = 0.04


def inspections(
    n: int, *, seed: int, n_signals: int = 130
) -> tuple[pd.DataFrame, np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """Correlated long-tailed counts and gapped shares; smooth effects and two interactions."""
    rng = np.random.default_rng(seed)
    n_counts = n_signals // 2
    hidden = rng.normal(size=(n, 6))
    parent = rng.integers(0, 6, n_signals)
    level = 0.8 * hidden[:, parent[:n_counts]] + rng.normal(-0.5, 1.0, n_counts)
    counts = rng.poisson(np.exp(level + 0.5 * rng.normal(size=level.shape))).astype(float)
    noise = rng.normal(size=(n, n_signals - n_counts))
    shares = 1.0 / (1.0 + np.exp(-0.7 * hidden[:, parent[n_counts:]] - noise))
    shares[rng.random(shares.shape) < 0.15] = np.nan
    known = np.nan_to_num(shares, nan=0.5)
    margin = sum(
        weight * np.log1p(counts[:, j]) for j, weight in enumerate((0.9, 0.6, 0.5, 0.4, 0.3))
    )
    margin += 2.0 * known[:, 0] + 1.2 * known[:, 1]
    margin += 0.9 * (counts[:, 5] > 2) * (known[:, 2] > 0.6) + 0.7 * (hidden[:, 0] > 1)
    low, high = -20.0, 10.0
    for _ in range(60):
        middle = (low + high) / 2
        too_many = (1.0 / (1.0 + np.exp(-(margin + middle)))).mean() > SHARE_POSITIVE
        low, high = (low, middle) if too_many else (middle, high)
    y = rng.random(n) < 1.0 / (1.0 + np.exp(-(margin + low)))
    columns = [f"signal_{j}" for j in range(n_signals)]
    frame = pd.DataFrame(np.hstack([counts, shares]).astype(np.float32), columns=columns)
    return frame, y.astype(np.int64)
