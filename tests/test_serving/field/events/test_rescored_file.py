"""Files on the way of an event: the rows that are ingested, and what was rescored of a table."""

from __future__ import annotations

import csv

import numpy as np
import pandas as pd

from features.schema import TABLES
from serving.field.events.rescoring import Rescored, Waiting, _canonical_files

ROW = {
    "trace_id": "T", "requested_on": "2025-12-29", "recovery_country": "US", "requester": "police",
    "serial_status": "legible", "outcome": "purchaser", "firearm_type": "pistol",
    "is_fifty_caliber": False, "caliber": None, "dealer": None,
}  # fmt: skip


def waiting(number, **more):
    return Waiting(number, "traces", None, ROW | more, "2026-01-05T10:00:00+00:00")


def test_only_columns_that_some_event_fills_are_read_and_those_that_a_row_needs(tmp_path):
    events = [waiting(1, trace_id="T1"), waiting(2, trace_id="T2", dealer="1-10-00001")]
    (file,) = _canonical_files(events, tmp_path)
    first, second = csv.DictReader(file.read_text(encoding="utf-8").splitlines())
    filled = {name for name, value in ROW.items() if value is not None}
    assert set(first) == filled | {"dealer", "known_on", *TABLES["traces"].required}
    assert (first["is_fifty_caliber"], first["dealer"], second["dealer"]) == (
        "false", "", "1-10-00001",
    )  # fmt: skip
    assert first["known_on"] == "2026-01-05"


def rescored(dealers, seed):
    rng, n = np.random.default_rng(seed), len(dealers)
    inputs = rng.normal(size=(n, 4)).astype(np.float32)
    inputs[0, 1] = np.nan
    values = {
        "priority": rng.random(n),
        "signal_0": np.array(["a", np.nan, "c"][:n], dtype=object),
        "as_of": np.full(n, np.datetime64("2026-01-05", "s")),
        "is_recall_due": rng.random(n) < 0.5,
    }
    return Rescored(tuple(dealers), inputs, np.isnan(inputs).astype(np.int8), values)


def same(found, wanted, rows):
    assert found.inputs.dtype == np.float32
    assert found.missing.dtype == np.int8
    np.testing.assert_array_equal(found.inputs, wanted.inputs[rows])
    np.testing.assert_array_equal(found.missing, wanted.missing[rows])
    for name, values in wanted.values.items():
        read = pd.Series(found.values[name].astype(values.dtype))
        pd.testing.assert_series_equal(read, pd.Series(values[rows]))


def test_what_was_rescored_reads_back_bit_for_bit_a_dealer_once(tmp_path):
    path, early, late = tmp_path / "rescored.parquet", rescored("ABC", 1), rescored("DA", 2)
    assert Rescored.load(path, after=0) == (None, 0)
    early.save(path, batch=1)
    late.save(path, batch=2)
    first, newest = Rescored.load(path, after=0)
    assert (first.dealers, newest) == (("B", "C", "D", "A"), 2)
    since, newest = Rescored.load(path, after=1)
    assert (since.dealers, newest) == (("D", "A"), 2)
    same(since, late, np.array([0, 1]))
    assert Rescored.load(path, after=2) == (None, 2)
    (tmp_path / "other").mkdir()
    early.save(tmp_path / "other" / path.name, batch=1)
    same(Rescored.load(tmp_path / "other" / path.name, after=0)[0], early, np.arange(3))
