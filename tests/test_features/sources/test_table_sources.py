"""A table that begins later is no source yet, and that it will begin does not show."""

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.signals.signal import NO_SOURCE
from features.table import build_features
from features.warehouse import Warehouse
from tests.properties import invented

BEGINS = date(2020, 1, 1)


def store(tables: dict[str, pd.DataFrame], folder: Path) -> Warehouse:
    return invented.store(tables, folder, today=date(2022, 1, 1))


@pytest.mark.slow
def test_a_table_that_begins_later_gives_no_source_before(tmp_path: Path) -> None:
    tables = dict(invented.Country(1).tables)
    tips = tables["tips"]
    tables["tips"] = tips[pd.to_datetime(tips["received_on"]).dt.date >= BEGINS]
    first = pd.to_datetime(tables["tips"]["received_on"]).min().date()
    dates = [date(2019, 7, 15), first, first + timedelta(days=90)]
    both = build_features(store(tables, tmp_path / "all"), dates)
    for when in dates:
        rows = (both.frame["as_of"] == pd.Timestamp(when)).to_numpy()
        alone = build_features(Warehouse.open(both_path(tmp_path)), when)
        pd.testing.assert_frame_equal(both.X[rows].reset_index(drop=True), alone.X)
        codes = both.reasons.loc[rows, "tips_substantiated_3y"].to_numpy()
        assert np.all((codes == NO_SOURCE) == (when <= first))
    past = dict(tables)
    del past["tips"]
    without = build_features(store(past, tmp_path / "past"), first)
    rows = (both.frame["as_of"] == pd.Timestamp(first)).to_numpy()
    pd.testing.assert_frame_equal(both.X[rows].reset_index(drop=True), without.X)


def both_path(folder: Path) -> Path:
    return next(p.parent for p in (folder / "all").rglob("manifest.json"))
