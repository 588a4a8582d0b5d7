"""A reading is that of its planned day; interval and power are those of the lot drawn."""

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t

from features.ingest import ingest
from features.warehouse import Warehouse
from serving.commands.store_access import recorded
from serving.commands.trial_steps import read_trial
from serving.errors import InvalidRequestError
from serving.trials import assignments, design, planning, reading
from serving.trials.visits import independent_visits
from tests.test_serving.test_trials import ASKED, OFFICES, STARTS, past


def without_spread(found_a: float, found_b: float) -> reading.Difference:
    """Read six offices of one pair, twenty visits a cell, each cell of an arm alike."""
    cells = design.by_office_and_period(OFFICES[:6], starts_on=STARTS, months=3, n_pairs=1, seed=1)
    is_a = np.array([cell.arm == "a" for cell in cells])
    return reading.by_office_and_period(
        np.where(is_a, found_a, found_b), np.full(len(cells), 20.0),
        office=np.array([OFFICES.index(cell.office) for cell in cells]),
        pair=np.zeros(len(cells), dtype=np.int64), is_a=is_a,
        is_first=np.array([cell.starts_on == STARTS for cell in cells]), level=0.95,
    )  # fmt: skip


def test_cells_that_happen_to_agree_are_no_proof():
    nothing = without_spread(0, 0)
    assert nothing.value == 0
    # By the rule of three 120 visits without a finding leave rates up to a fortieth.
    assert nothing.low < -0.02
    assert nothing.high > 0.02
    one = without_spread(1, 0)
    assert one.value == pytest.approx(0.05)
    assert one.high - one.low > 2 * 1.96 * np.sqrt(0.05 * 0.95 / 120)


@pytest.mark.parametrize(("n_offices", "n_pairs", "n_looks"), [(4, 1, 1), (6, 3, 3), (5, 2, 2)])
def test_power_is_that_of_the_reading_that_will_be_made(n_offices, n_pairs, n_looks):
    cells = design.by_office_and_period(
        OFFICES[:n_offices], starts_on=STARTS, months=3, n_pairs=n_pairs, seed=2
    )
    more, df = design.precision(cells)
    level = design.look_levels(n_looks)[-1]
    n = n_offices * n_pairs
    error = float(np.sqrt(more / n))  # of differences with a standard deviation of one
    shown = design.power_of(0.1, error, df, 3 * error, level=level)
    begun = cells[::2]  # the first period of each office's pair
    owner = np.array([OFFICES.index(cell.office) for cell in begun])
    pair = np.array([cell.pair for cell in begun])
    a_first = np.array([cell.arm == "a" for cell in begun])
    fit = design.Clustered(design.contrasts(owner, pair, a_first), np.ones(n), owner)
    rng = np.random.default_rng(0)
    estimates = [fit.estimate(3 * error + rng.normal(size=n)) for _ in range(4000)]
    reach = float(t.ppf((1 + level) / 2, fit.df))
    seen = np.mean([abs(value) > reach * np.sqrt(variance) for value, variance in estimates])
    assert seen == pytest.approx(shown.power, abs=0.04)
    assert shown.df <= n - n_pairs - 1 + 1e-9
    reached = design.power_of(0.1, error, df, shown.detectable, level=level)
    assert reached.power == pytest.approx(design.POWER, abs=1e-6)


def test_a_design_that_leaves_nothing_to_tell_chance_by_is_refused():
    with pytest.raises(InvalidRequestError, match="nothing left to tell chance by"):
        design.power_of(0.1, 0.02, 0.5, 0.05)


def test_a_look_is_read_as_the_records_stood_on_its_day(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("FFL_RISK_HOME", str(tmp_path))
    starts = date(2022, 1, 1)
    before = past()
    before["opened_on"] -= pd.Timestamp(STARTS) - pd.Timestamp(starts)
    asked = replace(ASKED, starts_on=starts)
    trial = planning.by_office_and_period(asked, before, offices=OFFICES, months=3, n_pairs=2)
    with recorded() as (opened, ledger):
        assignments.keep(opened, ledger, tmp_path, trial)
    rows = [
        {
            "inspection_id": f"T{i}-{cell.office}-{cell.starts_on}",
            "dealer": f"1-54-{i:05d}",
            "kind": "compliance",
            "opened_on": cell.starts_on + timedelta(days=i),
            "closed_on": cell.starts_on + timedelta(days=i + 20),
            "selected_by": "risk",
            "office": cell.office,
            "outcome": "warning_conference" if i % 9 == 0 else "none",
            "known_on": cell.starts_on + timedelta(days=i + 20),
            "arm": cell.arm,
        }
        for cell in trial.cells
        for i in range(20)
    ]
    look = trial.looks[-1].on
    load(tmp_path, rows)
    read_trial("spring", today=look, warehouse=None, as_json=False)
    first = capsys.readouterr().out
    assert "0.150" in first
    # All of an arm turn out severe, which is known on the day after.
    late = {"outcome": "revocation", "known_on": look + timedelta(days=1)}
    load(tmp_path, [row | late for row in rows if row["arm"] == "a"])
    read_trial("spring", today=look + timedelta(days=30), warehouse=None, as_json=False)
    assert capsys.readouterr().out == first
    known = independent_visits(
        Warehouse.open(tmp_path / "warehouse"), known_before=look + timedelta(days=30),
        rule=trial.rule,
    )  # fmt: skip
    assert known["y"].mean() > 0.5


def load(home: Path, rows: list[dict[str, Any]]) -> None:
    path = home / "inspections.parquet"
    pd.DataFrame(rows).drop(columns="arm").to_parquet(path, index=False)
    ingest([path], home / "warehouse")
