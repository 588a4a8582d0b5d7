"""Find and read the files that ship beside this module, each of them once."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path

import pandas as pd

from features.openjson import Json

FOLDER = Path(__file__).parent
DATA = FOLDER / "data"


@cache
def read_toml(name: str) -> Json:
    """Read a TOML file of this folder or of a room in it; all callers share what is returned."""
    return tomllib.loads((FOLDER / name).read_text(encoding="utf-8"))


@cache
def read_table(name: str) -> pd.DataFrame:
    """Read a Parquet table of ``data/``; the result is shared, so callers never change it."""
    return pd.read_parquet(DATA / f"{name}.parquet")
