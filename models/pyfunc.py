"""A bundle as MLflow loads it from a registered version, with nothing of the tracker imported.

The version carries this package's code (`training.registry.packaging`), so that a process that
never heard of the project can score with ``mlflow.pyfunc.load_model``.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from models.bundle.bundle import Bundle


class BundleModel:
    """A registered bundle, as MLflow calls it.

    Parameters
    ----------
    path : str
        Folder of the bundle; every hash is verified.
    """

    def __init__(self, path: str) -> None:
        self.bundle = Bundle.load(Path(path))

    def predict(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Score rows of signals: every head with its interval, priority, support."""
        return self.bundle.score(frame)


def _load_pyfunc(path: str) -> BundleModel:
    """Load a bundle; MLflow looks for this name in a loader module."""
    return BundleModel(path)
