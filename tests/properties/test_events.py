"""Properties that every signal over events must have, on random worlds of several seeds.

The time cut is a matter of arithmetic (a row counts from the day after it was known until the day
it is superseded), so equality with the past is exact; an oracle sums in another order and in
double precision, so agreement with it is up to single precision.
"""

from __future__ import annotations

from datetime import date
from importlib import import_module

import numpy as np
import pandas as pd
import pytest

from features.table import build_features
from tests.properties.random_events import World, store, stored

FAMILIES = (
    "traces",
    "time_to_crime",
    "southbound",
    "losses",
    "multiple_sales",
    "volume",
    "ballistics",
    "tips",
)
DATES = (date(2015, 3, 1), date(2016, 8, 15), date(2018, 1, 1), date(2020, 3, 1))


@pytest.fixture(scope="module", params=[1, 2, 3], ids=lambda seed: f"seed {seed}")
def world(request):
    return World(request.param)


@pytest.fixture(scope="module")
def warehouse(world, tmp_path_factory):
    return store(tmp_path_factory.mktemp("world") / "all", world.tables)


@pytest.fixture(scope="module")
def built(warehouse):
    return build_features(warehouse, DATES, families=FAMILIES)


def at(table, when):
    is_here = (table.frame["as_of"] == pd.Timestamp(when)).to_numpy()
    return (
        table.frame[is_here].reset_index(drop=True),
        table.reasons[is_here].reset_index(drop=True),
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_an_independent_oracle_agrees(family, warehouse, built):
    oracle = import_module(f"tests.oracles.oracle_{family}").oracle
    tables = stored(warehouse)
    names = [s.name for s in built.signals if s.family == family]
    for when in DATES:
        mine = at(built, when)[0].set_index("dealer")
        expected = oracle(tables, when, list(mine.index))
        assert sorted(expected.columns) == sorted(names)
        for name in names:
            np.testing.assert_allclose(
                mine[name].to_numpy(float),
                expected[name].to_numpy(float),
                rtol=2e-5,
                atol=1e-6,
                err_msg=f"{name} as of {when}",
            )


@pytest.mark.parametrize("when", DATES)
def test_future_rows_change_nothing(tmp_path, world, built, when):
    past = build_features(
        store(tmp_path / "past", world.tables, before=when), when, families=FAMILIES
    )
    frame, reasons = at(built, when)
    pd.testing.assert_frame_equal(frame, past.frame, check_exact=True)
    pd.testing.assert_frame_equal(reasons, past.reasons, check_exact=True)


def test_order_and_partition_change_nothing(tmp_path, world, built):
    mixed = build_features(
        store(tmp_path / "mixed", world.tables, shuffled=7), DATES, families=FAMILIES
    )
    pd.testing.assert_frame_equal(built.frame, mixed.frame, check_exact=True)
    pd.testing.assert_frame_equal(built.reasons, mixed.reasons, check_exact=True)


def test_size_of_the_blocks_changes_nothing(warehouse, built):
    from features.engine.embedded import EmbeddedEngine

    with EmbeddedEngine(warehouse, rows_per_block=200, dealers_per_block=7) as engine:
        small = build_features(warehouse, DATES, families=FAMILIES, engine=engine)
    assert small.fingerprint == built.fingerprint


def test_every_signal_is_seen_and_varies_somewhere(built):
    same = [s.name for s in built.signals if built.frame[s.name].nunique() < 2]
    assert not same
