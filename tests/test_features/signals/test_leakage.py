"""The proof finds nothing in the project's signals, and finds a leak when there is one."""

from __future__ import annotations

import json
from datetime import date

import numpy as np
import pytest
from typer.testing import CliRunner

from features.errors import LeakError
from features.leakage import COPIES, with_canaries, without_future
from features.signals import registry
from features.signals.families import tips
from features.signals.signal import FamilyColumns
from ffl_risk import app
from tests.properties import invented

WHEN = date(2019, 7, 15)


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory):
    country = invented.Country(5, n_dealers=40)
    return invented.store(country.tables, tmp_path_factory.mktemp("leaks") / "all")


def invoke(*words):
    return CliRunner().invoke(app, ["features", *map(str, words)])


def test_the_future_moves_no_signal(warehouse):
    result = invoke("--as-of", WHEN, "--prove", "--json", "--warehouse", warehouse.path)
    assert result.exception is None, result.exception
    told = json.loads(result.stdout)
    assert told["moved"] == []
    assert told["signals"] == len(registry.SIGNALS)
    assert told["dealers"] > 10


class Leaking:
    """A family that counts what it should not see."""

    SIGNALS = tips.SIGNALS

    def __init__(self, condition):
        self.condition = condition

    def build(self, context):
        sql = "SELECT dealer, count(*) AS n FROM tips WHERE {} GROUP BY dealer"
        counted = context.query(sql.format(self.condition)).to_pandas()
        n = counted.set_index("dealer")["n"].reindex(context.cohort.dealers).fillna(0)
        values = n.to_numpy(np.float64)[context.cohort.dealer]
        return FamilyColumns({s.name: values for s in self.SIGNALS}, {})


@pytest.mark.parametrize(
    "condition",
    [
        "TRUE",  # reads every row
        f"known_on <= DATE '{WHEN}'",  # one day too many
        f"received_on < DATE '{WHEN}'",  # goes by the event, not by the day it was known
        f"known_on < DATE '{WHEN}' AND superseded_on IS NULL",  # knows what will be corrected
    ],
)
def test_a_leak_is_found_and_named(warehouse, monkeypatch, condition):
    monkeypatch.setattr(registry, "FAMILIES", {**registry.FAMILIES, "tips": Leaking(condition)})
    result = invoke("--as-of", WHEN, "--prove", "--families", "tips", "--warehouse", warehouse.path)
    assert isinstance(result.exception, LeakError)
    assert result.exception.exit_code == 5
    assert "tips_agency_3y" in str(result.exception)


def test_the_copies_differ_in_the_future_only(warehouse, tmp_path):
    for name, alter in zip(COPIES, (without_future, with_canaries), strict=True):
        folder = tmp_path / alter.__name__
        folder.mkdir()
        other = alter(warehouse, WHEN, folder)
        for table in invented.TABLES:
            mine, others = (
                w.read(table, as_of=WHEN).drop(["source_id", "source_line"]).to_pandas()
                for w in (warehouse, other)
            )
            columns = list(mine.columns)
            assert mine.sort_values(columns).to_csv(index=False) == others.sort_values(
                columns
            ).to_csv(index=False), f"{table}: {name}"
    assert with_more(other, "traces") > with_more(warehouse, "traces")


def with_more(warehouse, table):
    return warehouse.read(table).num_rows
