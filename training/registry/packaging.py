"""What a registered version carries so that a process without the project can score with it.

The code of `models` and the few modules it needs lie beside the bundle; what they import of others
is listed in the versions installed here, by names that any package index knows.
"""

from __future__ import annotations

import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Final

import features
import models

# Of `features` these modules, which import nothing else of it.
FEATURES: Final = ("__init__.py", "arrays.py", "errors.py", "home.py", "openjson.py")
# What scoring a bundle imports, as a fresh process shows: `test_registry.py`.
DISTRIBUTIONS: Final = (
    "lightgbm", "numba", "numpy", "pandas", "pyarrow", "python-dateutil", "scikit-learn", "scipy",
    "threadpoolctl",
)  # fmt: skip


def requirements() -> list[str]:
    """Return what a registered version needs beside its own code, pinned.

    >>> [line for line in requirements() if line.startswith("lightgbm==")] != []
    True
    """
    return [f"{name}=={version(name)}" for name in DISTRIBUTIONS]


def copy_code(to: Path) -> list[str]:
    """Copy the code that loads and scores a bundle, and return the folders to log."""
    ours = Path(models.__file__).parent
    shutil.copytree(ours, to / "models", ignore=shutil.ignore_patterns("__pycache__"))
    (to / "features").mkdir()
    for name in FEATURES:
        shutil.copyfile(Path(features.__file__).parent / name, to / "features" / name)
    return [str(to / "models"), str(to / "features")]
