"""The properties that every signal has, family by family, on random worlds of several seeds."""

from __future__ import annotations

from importlib import import_module

import numpy as np
import pandas as pd
import pytest

from features.engine.embedded import EmbeddedEngine
from features.signals.registry import FAMILIES, SIGNALS
from features.table import FeatureTable, build_features
from tests.properties import invented
from tests.properties.conftest import DATES, World

BY_FAMILY = pytest.mark.parametrize("family", FAMILIES)


def assert_same(mine: FeatureTable, other: FeatureTable, family: str | None = None) -> None:
    """Equal values, bit for bit, and equal reasons, for the same dealers and dates."""
    names = [s.name for s in mine.signals if family in {None, s.family}]
    keys = ["dealer", "as_of"]
    pd.testing.assert_frame_equal(
        mine.frame[keys].reset_index(drop=True), other.frame[keys].reset_index(drop=True)
    )
    for name in names:
        np.testing.assert_array_equal(
            mine.frame[name].to_numpy(), other.frame[name].to_numpy(), err_msg=name
        )
        np.testing.assert_array_equal(
            mine.reasons[name].to_numpy(), other.reasons[name].to_numpy(), err_msg=name
        )


def as_of(table: FeatureTable, when: object) -> FeatureTable:
    """The rows of one date."""
    here = (table.frame["as_of"] == pd.Timestamp(when)).to_numpy()
    return FeatureTable(
        table.frame[here], table.reasons[here], table.signals, table.variant, "", ""
    )


@pytest.fixture(scope="module", params=DATES, ids=str)
def eve(request: pytest.FixtureRequest, world: World) -> tuple[FeatureTable, FeatureTable]:
    """Signals as of a date: of the whole world, and of what was known on the eve."""
    return as_of(world.table, request.param), world.at(request.param)


@BY_FAMILY
def test_future_rows_change_nothing(eve: tuple[FeatureTable, FeatureTable], family: str) -> None:
    """Neither later events, nor later corrections, nor events that came in late."""
    assert_same(*eve, family)


@pytest.fixture(scope="module")
def shuffled(world: World, tmp_path_factory: pytest.TempPathFactory) -> FeatureTable:
    """The same rows in another order, cut into three loads, some twice."""
    folder = tmp_path_factory.mktemp("shuffled")
    tables = {
        name: pd.concat([frame, frame.head(9)]).sample(frac=1.0, random_state=3)
        for name, frame in world.country.tables.items()
    }
    for part in range(3):
        # Citations need their inspection, so that both stay in the order of loads.
        pieces = {
            name: frame if name == "inspections" and part == 0 else frame.iloc[part::3]
            for name, frame in tables.items()
            if name != "violations" or part
        }
        if part == 1:
            pieces["violations"] = tables["violations"]
        # The token of an old report is kept only where a trace known by then carries it.
        pieces.pop("multiple_sales", None)
        if part == 2:
            pieces["multiple_sales"] = tables["multiple_sales"]
        invented.load(pieces, folder, part)
    return build_features(invented.opened(folder), DATES)


@BY_FAMILY
def test_order_cuts_and_repetition_change_nothing(
    world: World, shuffled: FeatureTable, family: str
) -> None:
    assert_same(world.table, shuffled, family)


def test_blocks_of_any_size_give_the_same(world: World) -> None:
    with EmbeddedEngine(world.warehouse, rows_per_block=7, dealers_per_block=3) as engine:
        cut = build_features(world.warehouse, DATES, engine=engine)
    assert_same(world.table, cut)
    assert cut.fingerprint == world.table.fingerprint


def test_dates_together_are_as_each_alone(world: World) -> None:
    for when in DATES:
        assert_same(as_of(world.table, when), build_features(world.warehouse, when))


def test_fingerprint_is_of_the_content(world: World, shuffled: FeatureTable) -> None:
    again = build_features(world.warehouse, DATES)
    assert again.fingerprint == world.table.fingerprint
    fewer = build_features(world.warehouse, DATES[:1])
    assert fewer.fingerprint != again.fingerprint
    assert shuffled.content_fingerprint == again.content_fingerprint


# Signals of a dealer compared with, or shrunk toward, those described with it.
AMONG = {
    "traces_per_1000_sales_3y", "traces_over_expected_3y", "time_to_crime_median_change",
    "volume_county_share_1y",
}  # fmt: skip


def test_a_cohort_is_part_of_the_population(world: World) -> None:
    picked = world.table.frame[["dealer", "as_of"]].iloc[::3]
    part = build_features(world.warehouse, cohort=picked)
    whole = world.table.frame.iloc[::3].reset_index(drop=True)
    own = [s.name for s in SIGNALS if s.name not in AMONG and "shrunk" not in s.definition]
    pd.testing.assert_frame_equal(
        part.frame[["dealer", "as_of", *own]], whole[["dealer", "as_of", *own]], check_exact=True
    )


@BY_FAMILY
def test_an_independent_oracle_agrees(world: World, family: str) -> None:
    tables = {name: invented.stored(world.warehouse, name) for name in world.country.tables}
    oracle = import_module(f"tests.oracles.oracle_{family}").oracle
    names = [s.name for s in SIGNALS if s.family == family]
    for when in DATES:
        mine = as_of(world.table, when).frame.set_index("dealer")
        expected = oracle(tables, when, list(mine.index)).reindex(mine.index)
        assert set(expected.columns) <= set(names)
        expected = expected.reindex(columns=names)
        for name in names:
            np.testing.assert_allclose(
                mine[name].to_numpy(np.float64),
                expected[name].to_numpy(np.float64),
                rtol=2e-5,
                atol=2e-3 if name.startswith("border_km") else 1e-5,
                err_msg=f"{name} as of {when}",
            )


@BY_FAMILY
def test_every_signal_varies_somewhere(world: World, family: str) -> None:
    """One that no world ever shows would be compared on nothing but zeros and missing values."""
    never = {"area_rural_code"}  # the edition was public in 2024 only
    for signal in SIGNALS:
        if signal.family == family and signal.name not in never:
            column = world.table.frame[signal.name]
            assert column.notna().any(), signal.name
