"""Gains are stated in all and with who was sent held fixed."""

import numpy as np
import pandas as pd
import pytest

from training.labels.gains import three_gains


def test_a_gain_that_is_only_who_was_sent_vanishes_within_investigators():
    rng = np.random.default_rng(3)
    investigator = rng.integers(0, 10, 5000)
    p = np.linspace(0.02, 0.4, 10)[investigator]
    frame = pd.DataFrame(
        {
            "y": (rng.random(5000) < p).astype(float),
            "weight": 1.0,
            "score": p + rng.normal(0, 1e-6, 5000),  # knows who looks, nothing of the dealer
            "investigator": investigator,
        }
    )
    gains = three_gains(frame, share=0.1, within=[("within_investigator", "investigator")])
    assert gains["total"] > 1.6
    assert gains["within_investigator"] == pytest.approx(1.0, abs=0.15)
