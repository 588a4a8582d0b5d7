"""The families that look across dealers, held to slow oracles on random worlds."""

from __future__ import annotations

from datetime import date
from importlib import import_module

import numpy as np
import pandas as pd
import pytest

from features.table import build_features
from tests.test_features import random_country

FAMILIES = ("license", "violations", "border", "area", "network")
DATES = [date(2017, 8, 1), date(2018, 8, 15), date(2020, 3, 1)]


@pytest.fixture(scope="module", params=[1, 2])
def world(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("country")
    return *random_country.build(folder, request.param), request.param


@pytest.fixture(scope="module")
def table(world):
    return build_features(world[0], DATES, families=FAMILIES)


@pytest.mark.parametrize("family", FAMILIES)
def test_family_agrees_with_its_oracle(world, table, family):
    oracle = import_module(f"tests.oracles.oracle_{family}").oracle
    names = [s.name for s in table.signals if s.family == family]
    for when in DATES:
        mine = table.frame[table.frame["as_of"] == pd.Timestamp(when)].set_index("dealer")
        expected = oracle(world[1], when, list(mine.index)).reindex(columns=names)
        for name in names:
            np.testing.assert_allclose(
                mine[name].to_numpy(np.float64),
                expected[name].to_numpy(np.float64),
                rtol=2e-5,
                atol=2e-3 if name.startswith("border_km") else 1e-6,
                err_msg=f"{name} as of {when}",
            )


def test_dates_built_together_are_as_built_alone(world, table):
    for when in DATES:
        alone = build_features(world[0], when, families=FAMILIES)
        mine = table.frame[table.frame["as_of"] == pd.Timestamp(when)].reset_index(drop=True)
        pd.testing.assert_frame_equal(mine, alone.frame)


@pytest.mark.parametrize("when", DATES)
def test_future_rows_change_nothing(tmp_path, table, world, when):
    """Built on all rows is built on the rows known before the date, bit for bit."""
    cut, _ = random_country.build(tmp_path, world[2], before=when)
    past = build_features(cut, when, families=FAMILIES)
    mine = table.frame[table.frame["as_of"] == pd.Timestamp(when)].reset_index(drop=True)
    pd.testing.assert_frame_equal(mine, past.frame, check_exact=True)


def test_order_and_repetition_change_nothing(tmp_path, table, world):
    shuffled, _ = random_country.build(tmp_path, world[2], shuffled=9)
    again = build_features(shuffled, DATES, families=FAMILIES)
    pd.testing.assert_frame_equal(table.frame, again.frame, check_exact=True)
    pd.testing.assert_frame_equal(table.reasons, again.reasons)


def test_every_signal_is_seen_somewhere(table):
    """A signal that no random world ever shows would be compared on nothing but missing values."""
    never = {"area_rural_code"}  # the codes came out in 2024
    for signal in table.signals:
        if signal.name not in never:
            assert table.frame[signal.name].notna().any(), signal.name
