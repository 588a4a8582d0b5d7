"""Codes of ports, counties of another state and chances that no draw has."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from features.ingest import ingest
from features.schema import TABLES
from features.warehouse import Warehouse
from tests.test_features.ingest_samples import TODAY, row, write
from training.labels.weights.sample_design import Sampled


def test_a_port_gets_its_eaten_zero_back_and_what_is_no_port_is_told(tmp_path: Path) -> None:
    given = {
        "2304": "2304", "304": "0304", "304.0": "0304", "2304.0": "2304", "Laredo": "Laredo",
        "99999": "99999", "": None,
    }  # fmt: skip
    rows = [row("seizures", seizure_id=f"S{n}", port_code=code) for n, code in enumerate(given)]
    summary = ingest(write(tmp_path, "seizures.csv", rows), tmp_path / "w", today=TODAY)
    stored = Warehouse.open(tmp_path / "w").read("seizures").sort_by("seizure_id")
    assert stored["port_code"].to_pylist() == list(given.values())
    (note,) = [one for one in summary.files[0].notes if "port_code" in one]
    assert "not the four digits of a port (99999, Laredo): 2" in note


def test_a_county_of_another_state_is_told(tmp_path: Path) -> None:
    rows = [
        row("licenses"),
        row("licenses", county_fips="06037", listed_on="2026-02-01"),
        row("licenses", county_fips="00000", listed_on="2026-03-01"),
    ]
    summary = ingest(write(tmp_path, "licenses.csv", rows), tmp_path / "w", today=TODAY)
    (note,) = [one for one in summary.files[0].notes if "another state" in one]
    assert "(TX 06037): 1, both stored as listed" in note


@pytest.mark.parametrize("column", ["inclusion_probability", "mandatory_probability"])
def test_one_row_of_no_chance_at_all_does_not_undo_the_others(column: str, tmp_path: Path) -> None:
    least = TABLES["inspections"].column(column).minimum
    assert least is not None
    rows = [
        row("inspections", inspection_id=name, **{column: chance})
        for name, chance in (("I1", "1e-320"), ("I2", "0"), ("I3", repr(least)), ("I4", "1"))
    ]
    path = write(tmp_path, "inspections.csv", rows)
    summary = ingest(path, tmp_path / "w", today=TODAY, max_rejects=1.0)
    assert summary.files[0].tables[0].reasons == {"out_of_range": 2}
    chances = Warehouse.open(tmp_path / "w").read("inspections")[column].to_numpy()
    rows_ = Sampled(chances, np.ones(2, dtype=bool), np.zeros(2, dtype=bool))
    assert np.isfinite(rows_.level_weight(np.ones(2))).all()
    assert np.isfinite(rows_.standing(np.ones(2))).all()
