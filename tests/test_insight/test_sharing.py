"""What leaves the house: an attack of its own, releases in a row, insiders, rules, refusals."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import linprog

from features.errors import InvalidValueError, WarehouseError
from features.insight.bulletin import bulletin, published
from features.insight.sharing.attack import bounds
from features.insight.sharing.release import Quarter, part_of, quarter_tables, release, year_tables
from features.insight.sharing.rules import (
    NoAgreementError,
    latest_release,
    partner_for,
    quarter_of,
    rules_on,
)
from features.insight.sharing.suppress import (
    Pattern,
    UnprotectedReleaseError,
    protect,
    require_protected,
)
from features.insight.sharing.system import Cell, System
from tests.simulated import AS_OF, Simulated

RULES = rules_on(AS_OF)
AGREEMENT = """
[[agreement]]
partner = "hsi"
reference = "MOU 12"
starts_on = 2024-01-01
ends_on = 2026-01-01
accounts = ["partner"]
"""


@pytest.fixture(scope="module")
def quarters(simulated: Simulated) -> list[Quarter]:
    return year_tables(simulated.warehouse, "2023Q2", RULES)


def little(values: list[list[int]], *, most: int = 3, dealers: int = 5) -> System:
    """A table with its margins, every cell of so many dealers."""
    system = System()
    rows, columns = [f"r{i}" for i in range(len(values))], [f"c{j}" for j in range(len(values[0]))]
    grid = np.array(values)
    for (i, r), (j, c) in product(enumerate(rows), enumerate(columns)):
        system.add([Cell(("t", r, c), int(grid[i, j]), dealers, min(most, int(grid[i, j])))])
    for i, r in enumerate(rows):
        system.add([Cell(("t", r, "all"), int(grid[i].sum()), dealers, most)])
        system.bind(("t", r, "all"), [("t", r, c) for c in columns])
    for j, c in enumerate(columns):
        system.add([Cell(("t", "all", c), int(grid[:, j].sum()), dealers, most)])
        system.bind(("t", "all", c), [("t", r, c) for r in rows])
    system.add([Cell(("t", "all", "all"), int(grid.sum()), dealers, most)])
    system.bind(("t", "all", "all"), [("t", r, "all") for r in rows])
    system.bind(("t", "all", "all"), [("t", "all", c) for c in columns])
    return system


def oracle(system: System, is_hidden: np.ndarray, at_least: np.ndarray) -> list[tuple]:
    """Least and greatest value of each hidden cell by SciPy, over every cell and sum at once."""
    n = system.values
    matrix, right = [], []
    for total, parts in system.sums:
        row = np.zeros(len(n))
        row[parts] = 1
        row[total] -= 1
        matrix.append(row)
        right.append(0.0)
    limits = [
        (lo, None) if hidden else (v, v)
        for lo, hidden, v in zip(at_least, is_hidden, n, strict=True)
    ]
    out = []
    for place in np.flatnonzero(is_hidden):
        cost = np.zeros(len(n))
        cost[place] = 1.0
        low = linprog(cost, A_eq=np.array(matrix), b_eq=right, bounds=limits)
        high = linprog(-cost, A_eq=np.array(matrix), b_eq=right, bounds=limits)
        out.append((low.fun, -high.fun if high.status == 0 else np.inf))
    return out


@pytest.mark.parametrize("seed", range(4))
def test_the_attack_is_that_of_an_independent_solver(seed: int) -> None:
    draw = np.random.default_rng(seed)
    system = little(draw.poisson(15, (4, 5)).tolist())
    is_hidden = draw.random(len(system.cells)) < 0.45
    floor = np.array([float(cell.most) for cell in system.cells])
    for known in (np.zeros(len(system.cells)), floor):
        found = bounds(system, is_hidden, at_least=known)
        expected = oracle(system, is_hidden, known)
        np.testing.assert_allclose(found.low, [e[0] for e in expected], atol=1e-6)
        np.testing.assert_allclose(found.high, [e[1] for e in expected], atol=1e-6)


def test_what_is_seen_wide_enough_is_never_narrower() -> None:
    draw = np.random.default_rng(8)
    system = little(draw.poisson(12, (6, 6)).tolist())
    is_hidden = draw.random(len(system.cells)) < 0.5
    exact, quick = bounds(system, is_hidden), bounds(system, is_hidden, enough=10)
    assert (quick.width <= exact.width + 1e-6).all()
    assert ((quick.width >= 10 - 1e-6) == (exact.width >= 10 - 1e-6)).all()


def test_a_threshold_alone_gives_cells_away_and_the_pattern_does_not() -> None:
    """One small cell in a row and a column of large ones: its margins tell it exactly."""
    system = little([[4, 50, 60], [70, 80, 90], [55, 65, 75]])
    alone = np.array([not cell.is_safe(RULES) for cell in system.cells])
    told = bounds(system, alone)
    assert told.width.tolist() == [0.0]
    pattern = protect(system, RULES)
    assert pattern.is_hidden.sum() >= 4
    exact = bounds(system, pattern.is_hidden)
    assert (exact.width >= RULES.min_width).all()


@pytest.mark.parametrize("seed", range(6))
def test_random_tables_are_protected(seed: int) -> None:
    draw = np.random.default_rng(seed)
    values = draw.negative_binomial(0.6, 0.02, (7, 6)).tolist()
    system = little(values)
    pattern = protect(system, RULES)
    floor = np.array([float(cell.most) for cell in system.cells])
    assert (bounds(system, pattern.is_hidden).width >= RULES.min_width - 1e-6).all()
    inside = bounds(system, pattern.is_hidden, at_least=floor)
    assert (inside.width >= RULES.min_width_insider - 1e-6).all()
    shown = [c for i, c in enumerate(system.cells) if not pattern.is_hidden[i]]
    assert all(cell.is_safe(RULES) for cell in shown)


def test_a_release_that_can_be_worked_out_is_refused_with_its_cells_named() -> None:
    system = little([[4, 50, 60], [70, 80, 90], [55, 65, 75]])
    alone = np.array([not cell.is_safe(RULES) for cell in system.cells])
    bad = Pattern(alone, alone, bounds(system, alone), bounds(system, alone))
    with pytest.raises(UnprotectedReleaseError, match="t / r0 / c0") as refused:
        require_protected(system, bad, RULES)
    assert "4" not in str(refused.value.found)


def test_rules_hide_few_firearms_few_dealers_and_one_large_dealer() -> None:
    assert not Cell(("t", "a", "b"), 9, 5, 3).is_safe(RULES)
    assert not Cell(("t", "a", "b"), 40, 2, 20).is_safe(RULES)
    assert not Cell(("t", "a", "b"), 40, 9, 29).is_safe(RULES)
    assert Cell(("t", "a", "b"), 40, 9, 28).is_safe(RULES)


def test_no_cell_of_a_country_is_exactly_recovered(quarters: list[Quarter]) -> None:
    for made in quarters:
        hidden = np.flatnonzero(made.pattern.is_hidden)
        some = np.random.default_rng(3).choice(hidden, 60, replace=False)
        exact = bounds(made.system, made.pattern.is_hidden, only=some)
        assert (exact.width >= RULES.min_width - 1e-6).all()
        shown = [c for i, c in enumerate(made.system.cells) if not made.pattern.is_hidden[i]]
        assert len(shown) > 30
        assert all(cell.is_safe(RULES) for cell in shown)


def test_a_partner_that_knows_its_own_dealer_finds_no_cell_out(
    simulated: Simulated, quarters: list[Quarter]
) -> None:
    """The largest dealer of the country subtracts itself from every cell that it is in."""
    from features.engine.embedded import EmbeddedEngine
    from features.insight.sharing.tables import seizures_of, system_of, traces_of

    made = quarters[0]
    with EmbeddedEngine(simulated.warehouse) as engine:
        rows, seized = traces_of(engine, made.name), seizures_of(engine, made.name)
    largest = rows.groupby("dealer")["n"].sum().idxmax()
    own = system_of(rows[rows["dealer"] == largest], seized.iloc[:0], made.groups)
    known = np.zeros(len(made.system.cells))
    for cell in own.cells:
        if cell.n and cell.key in made.system.place:
            known[made.system.place[cell.key]] = cell.n
    hidden = np.flatnonzero(made.pattern.is_hidden & (known > 0))
    assert len(hidden) > 3
    exact = bounds(made.system, made.pattern.is_hidden, at_least=known, only=hidden)
    assert (exact.width >= RULES.min_width_insider - 1e-6).all()


def test_the_pattern_of_a_year_never_opens(quarters: list[Quarter]) -> None:
    first, second = quarters
    hidden = {first.system.cells[i].key for i in np.flatnonzero(first.pattern.is_hidden)}
    shown = set(published(second))
    assert not hidden & shown
    assert first.groups == second.groups


def test_quarters_do_not_overlap_so_differences_tell_of_other_firearms(
    simulated: Simulated, quarters: list[Quarter]
) -> None:
    """Each firearm is in one quarter: that in which its trace first became known."""
    traces = pd.concat(
        [
            pd.read_parquet(file, columns=["trace_id", "known_on"])
            for file in simulated.warehouse.files("traces")
        ]
    )
    first = traces.groupby("trace_id")["known_on"].min()
    start, end = date(2023, 4, 1), date(2023, 7, 1)
    at_most = ((first >= start) & (first < end)).sum()
    whole = next(c.n for c in quarters[1].system.cells if c.key == ("corridors", "all", "all"))
    assert 0 < whole <= at_most


def test_all_partners_get_parts_of_the_same_tables(tmp_path: Path, quarters: list[Quarter]) -> None:
    (tmp_path / "agreements.toml").write_text(AGREEMENT.replace('"hsi"', '"mexico"') + AGREEMENT)
    made = quarters[0]
    by_cell: dict[tuple[str, str, str], set[str]] = {}
    day = date(2024, 5, 15)
    for name in ("hsi", "mexico", "public"):
        partner = partner_for(name, home=tmp_path, on=day)
        files = part_of(made, partner, "f" * 64, (day, "statistics")).files
        manifest = json.loads(files["manifest.json"])
        assert manifest["for"] == name
        assert manifest["disclaimers"]
        for table in partner.tables:
            for line in files[f"{table}.csv"].decode().splitlines()[1:]:
                row, column, n, status = line.split(",")
                by_cell.setdefault((table, row, column), set()).add(n)
                assert (n == "") == (status == "hidden")
                if name == "mexico":
                    assert "domestic" not in (row, column)
    assert all(len(values) == 1 for values in by_cell.values())


def test_files_hold_no_dealer(tmp_path: Path, simulated: Simulated, quarters) -> None:
    public = partner_for("public", home=tmp_path, on=date(2023, 5, 15))
    files = part_of(quarters[0], public, "f" * 64, (date(2023, 5, 15), "statistics")).files
    text = b"".join(files.values()).decode()
    dealers = simulated.warehouse.read("licenses", columns=["dealer"])["dealer"].to_pylist()
    assert not any(dealer in text for dealer in set(dealers))


def test_a_quarterly_brief_can_be_written_from_the_released_tables(quarters) -> None:
    text = bulletin(quarters)
    for word in ("By destination", "Corridors", "2023Q1 | 2023Q2", "not a zero"):
        assert word in text
    shown = [published(q) for q in quarters]
    for (table, row, column), n in shown[0].items():
        if table == "classes" and column == "all" and row != "all":
            assert f"{n:,}" in text


@pytest.mark.parametrize("bad", [date(2024, 11, 14), date(2024, 12, 15), date(2024, 1, 1)])
def test_a_day_off_the_calendar_is_refused(bad: date) -> None:
    with pytest.raises(InvalidValueError, match="no day of release"):
        quarter_of(bad)


def test_the_calendar() -> None:
    assert quarter_of(date(2024, 11, 15)) == "2024Q3"
    assert latest_release(date(2024, 11, 14)) == date(2024, 8, 15)


def test_partners_need_an_agreement_in_force(tmp_path: Path) -> None:
    with pytest.raises(NoAgreementError, match="hsi"):
        partner_for("hsi", home=tmp_path, on=AS_OF)
    (tmp_path / "agreements.toml").write_text(AGREEMENT)
    assert partner_for("hsi", home=tmp_path, on=AS_OF).agreement == "MOU 12"
    with pytest.raises(NoAgreementError):
        partner_for("hsi", home=tmp_path, on=date(2026, 1, 1))
    with pytest.raises(InvalidValueError, match="did you mean 'public'"):
        partner_for("publik", home=tmp_path, on=AS_OF)
    (tmp_path / "agreements.toml").write_text("[[agreement")
    with pytest.raises(InvalidValueError, match="TOML"):
        partner_for("hsi", home=tmp_path, on=AS_OF)


def test_a_release_still_to_come_is_refused(tmp_path: Path, simulated: Simulated) -> None:
    public = partner_for("public", home=tmp_path, on=AS_OF)
    with pytest.raises(InvalidValueError, match="still to come"):
        release(
            simulated.warehouse, public, date(2024, 11, 15), purpose="x", today=date(2024, 11, 1)
        )


def test_a_warehouse_without_traces_releases_nothing(tmp_path: Path, simulated) -> None:
    from features.ingest import ingest
    from features.warehouse import Warehouse

    ingest([simulated.folder / "licenses.parquet"], tmp_path / "w", today=AS_OF)
    with pytest.raises(WarehouseError, match="no traces"):
        quarter_tables(Warehouse.open(tmp_path / "w"), "2024Q1", RULES)


def test_sums_that_do_not_hold_are_a_fault_of_the_program() -> None:
    system = little([[20, 30], [40, 50]])
    system.cells[0] = replace(system.cells[0], n=21)
    with pytest.raises(AssertionError, match="not the sum"):
        protect(system, RULES)
