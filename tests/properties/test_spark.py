"""Both engines give the same table, on random worlds and for every family."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from features.engine.spark import SparkEngine, session
from features.signals.registry import FAMILIES
from features.table import build_features
from tests.properties.conftest import DATES, SEEDS, World
from tests.properties.test_registry import assert_same

pytestmark = [pytest.mark.spark, pytest.mark.xdist_group("spark")]


@pytest.fixture(scope="module")
def spark() -> Iterator[object]:
    started = session("local[2]")
    started.conf.set("spark.sql.shuffle.partitions", "2")
    yield started
    started.stop()


@pytest.mark.slow
@pytest.mark.parametrize("world", SEEDS[:1], indirect=True)
def test_engines_agree(world: World, spark: object) -> None:
    with SparkEngine(world.warehouse, spark=spark, n_buckets=2) as engine:
        table = build_features(world.warehouse, DATES, engine=engine)
    for family in FAMILIES:
        assert_same(world.table, table, family)
    assert table.fingerprint == world.table.fingerprint
