"""An invented office: dealers that exist nowhere, with hours and yields of plausible shape."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd

STARTS_ON = date(2026, 1, 5)


def invented_office(n_dealers: int, *, seed: int = 0) -> pd.DataFrame:
    """Return candidates around 39 N, 96 W: towns of uneven size, a few large and late dealers."""
    rng = np.random.default_rng(seed)
    n_towns = max(3, n_dealers // 40)
    town = rng.choice(n_towns, n_dealers, p=rng.dirichlet(np.full(n_towns, 0.7)))
    latitude = 39.0 + rng.normal(0, 1.0, n_towns)[town] + rng.normal(0, 0.05, n_dealers)
    longitude = -96.0 + rng.normal(0, 1.3, n_towns)[town] + rng.normal(0, 0.05, n_dealers)
    hours = np.clip(rng.lognormal(np.log(20.0), 0.6, n_dealers), 8, 160)
    unseen = rng.exponential(1800, n_dealers).round()
    wait = np.where(rng.random(n_dealers) < 0.12, rng.integers(1, 120, n_dealers), 0)
    return pd.DataFrame(
        {
            "dealer": [f"5-48-{i:05d}" for i in range(n_dealers)],
            "latitude": latitude,
            "longitude": longitude,
            "expected_yield": rng.beta(0.6, 12.0, n_dealers),
            "hours": hours,
            "eligible_on": pd.Timestamp(STARTS_ON) + pd.to_timedelta(wait, unit="D"),
            "is_recall_due": rng.random(n_dealers) < 0.004,
            "unseen_days": unseen,
        }
    )
