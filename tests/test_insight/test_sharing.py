"""What leaves the house: an attack of its own, releases in a row, insiders, rules, refusals."""

from __future__ import annotations

import io
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
from features.insight.bulletin import bulletin
from features.insight.sharing.attack import bounds
from features.insight.sharing.bound_cells import Cell, System
from features.insight.sharing.quarters import (
    FOLDER,
    Published,
    Quarter,
    keep,
    kept,
    published,
    released_year,
    year_tables,
)
from features.insight.sharing.release import part_of, release, require_past
from features.insight.sharing.rules import (
    NoAgreementError,
    latest_release,
    partner_for,
    quarter_of,
    rules_on,
)
from features.insight.sharing.suppression import (
    Pattern,
    UnprotectedReleaseError,
    protect,
    require_protected,
)
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
    return year_tables(simulated.warehouse, "2023Q2")


@pytest.fixture(scope="module")
def shown(quarters: list[Quarter]) -> list[Published]:
    return [published(quarter, "f" * 64) for quarter in quarters]


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
    assert not hidden & set(published(second, "").shown)
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


def test_all_partners_get_parts_of_the_same_tables(tmp_path: Path, shown: list[Published]) -> None:
    (tmp_path / "agreements.toml").write_text(AGREEMENT.replace('"hsi"', '"mexico"') + AGREEMENT)
    made = shown[0]
    by_cell: dict[tuple[str, str, str], set[str]] = {}
    day = date(2024, 5, 15)
    for name in ("hsi", "mexico", "public"):
        partner = partner_for(name, home=tmp_path, on=day)
        files = part_of(made, partner, (day, "statistics")).files
        manifest = json.loads(files["manifest.json"])
        assert manifest["for"] == name
        assert manifest["disclaimers"]
        assert ("outbound.csv" in files) == ("crossings.csv" in files) == (name == "hsi")
        for table in partner.tables:
            for line in files[f"{table}.csv"].decode().splitlines()[1:]:
                row, column, n, status = line.split(",")
                by_cell.setdefault((table, row, column), set()).add(n)
                assert (n == "") == (status == "hidden")
                if name == "mexico":
                    assert "domestic" not in (row, column)
    assert all(len(values) == 1 for values in by_cell.values())


def test_files_hold_no_dealer(tmp_path: Path, simulated: Simulated, shown) -> None:
    public = partner_for("public", home=tmp_path, on=date(2023, 5, 15))
    files = part_of(shown[0], public, (date(2023, 5, 15), "statistics")).files
    text = b"".join(files.values()).decode()
    dealers = simulated.warehouse.read("licenses", columns=["dealer"])["dealer"].to_pylist()
    assert not any(dealer in text for dealer in set(dealers))


def test_a_quarterly_brief_can_be_written_from_the_released_tables(shown) -> None:
    text = bulletin(shown)
    for word in ("By destination", "Corridors", "2023Q1 | 2023Q2", "not a zero"):
        assert word in text
    for (table, row, column), n in shown[0].shown.items():
        if table == "classes" and column == "all" and row != "all":
            assert f"{n:,}" in text


def test_an_analyst_writes_a_corridor_brief_from_the_files_alone(
    tmp_path: Path, shown: list[Published]
) -> None:
    """Nothing but two releases: corridors, how they changed, classes, and the ports across."""
    (tmp_path / "agreements.toml").write_text(AGREEMENT.replace("hsi", "cbp"))
    cbp = partner_for("cbp", home=tmp_path, on=date(2024, 5, 15))
    frames = []
    for one in shown:
        files = part_of(one, cbp, (date(2024, 5, 15), "brief")).files
        manifest = json.loads(files["manifest.json"])
        for name in ("corridors", "classes", "outbound"):
            frame = pd.read_csv(io.BytesIO(files[f"{name}.csv"]))
            frames.append(frame.assign(table=name, quarter=manifest["quarter"]))
        crossings = pd.read_csv(io.BytesIO(files["crossings.csv"]), dtype=str)
    told = pd.concat(frames).query("status == 'published'")
    told = told.assign(firearms=told["firearms"].astype(int))
    wide = told.pivot_table(index=["table", "row", "column"], columns="quarter", values="firearms")
    assert list(wide.columns) == ["2023Q1", "2023Q2"]
    both = wide.dropna()
    # How many were recovered in Mexico, of which class, and whether it is more than before.
    assert ("classes", "mexico", "all") in both.index
    assert ("classes", "mexico", "semiautomatic_rifle") in both.index
    # Through which corridors, with their classes; even in a country of 1,500 dealers some show.
    abroad = both[both.index.get_level_values("column").str.contains("MX-|other Mexican")]
    assert len(abroad.loc["corridors"]) >= 1
    lanes = both.loc["outbound"].index.get_level_values("row")
    assert lanes.str.contains(" to MX-| to other Mexican").all()
    assert len(lanes) >= 2
    # Each corridor to a Mexican state stands beside the ports that lead there.
    across = crossings.groupby("mexico_state")["port_name"].agg(list)
    assert "Nogales" in " ".join(across["MX-SON"])
    named = {lane.split(" to ")[1] for lane in told.loc[told["table"] == "outbound", "row"]}
    assert {market for market in named if market.startswith("MX-")} <= set(across.index)
    assert set(manifest["rules"]) >= {"min_firearms", "min_dealers", "max_dealer_share"}


STATE = """
[[agreement]]
partner = "state"
reference = "TX 1"
starts_on = 2024-01-01
accounts = ["texas"]
states = ["TX"]
[[agreement]]
partner = "state"
reference = "AZ 1"
starts_on = 2024-01-01
accounts = ["arizona"]
states = ["AZ"]
"""


def test_a_state_gets_its_own_state_and_no_other(tmp_path: Path, shown: list[Published]) -> None:
    (tmp_path / "agreements.toml").write_text(STATE)
    day = date(2024, 5, 15)
    for account, reference, state, fips in (
        ("texas", "TX 1", "TX", "48"), ("arizona", "AZ 1", "AZ", "04"),
    ):  # fmt: skip
        own = partner_for("state", home=tmp_path, on=day, account=account)
        assert own == partner_for("state", home=tmp_path, on=day, reference=reference)
        files = part_of(shown[0], own, (day, "statistics")).files
        assert json.loads(files["manifest.json"])["states"] == [state]
        corridors = pd.read_csv(io.BytesIO(files["corridors.csv"]))
        assert set(corridors["row"]) == {state, "all"}
        rows = set(pd.read_csv(io.BytesIO(files["counties.csv"]), dtype=str)["row"])
        assert rows >= {f"all of {state}"}
        assert all(row.endswith(f"of {state}") or row[:2] == fips for row in rows)
    with pytest.raises(InvalidValueError, match="Several agreements") as several:
        partner_for("state", home=tmp_path, on=day)
    assert "TX 1, AZ 1" in str(several.value)
    for account in ("nobody", ""):
        with pytest.raises(NoAgreementError):
            partner_for("state", home=tmp_path, on=day, account=account, reference="NV 1")


@pytest.mark.parametrize("states", ["", "states = []", 'states = ["XX"]', 'states = "TX"'])
def test_an_agreement_with_a_state_names_its_states(tmp_path: Path, states: str) -> None:
    text = AGREEMENT.replace('"hsi"', '"state"') + states
    (tmp_path / "agreements.toml").write_text(text)
    with pytest.raises(InvalidValueError, match="does not name its states"):
        partner_for("state", home=tmp_path, on=AS_OF)


def test_a_quarter_is_kept_as_it_was_first_released(tmp_path: Path, shown) -> None:
    """What is worked out later, from other records, changes no release."""
    first = keep(shown[0], tmp_path)
    assert first == shown[0]
    path = tmp_path / FOLDER / "2023Q1.json"
    assert path.stat().st_mode & 0o077 == 0
    key = next(iter(shown[0].shown))
    other = replace(shown[0], cells=shown[0].cells | {key: 999_999})
    assert keep(other, tmp_path) == first
    assert kept(tmp_path, "2023Q1") == first
    assert kept(tmp_path, "2023Q2") is None
    # Nothing hidden is in the file.
    told = [cell for cell in json.loads(path.read_text())["cells"] if cell[3] is not None]
    assert {tuple(cell[:3]): cell[3] for cell in told} == first.shown
    path.write_text("{}")
    with pytest.raises(InvalidValueError, match="cannot be read"):
        kept(tmp_path, "2023Q1")


def test_a_kept_year_asks_no_warehouse(tmp_path: Path, shown: list[Published]) -> None:
    from features.warehouse import Warehouse

    for one in shown:
        keep(one, tmp_path)
    nowhere = Warehouse.__new__(Warehouse)
    assert released_year(nowhere, "2023Q2", tmp_path) == shown
    public = partner_for("public", home=tmp_path, on=date(2023, 8, 15))
    found = release(nowhere, public, date(2023, 8, 15), purpose="x", home=tmp_path)
    assert found == part_of(shown[1], public, (date(2023, 8, 15), "x"))


@pytest.mark.parametrize("seed", range(5))
def test_no_covering_cell_could_be_shown(seed: int) -> None:
    """The pattern is as small as it can be cell by cell: each cover, shown, gives a cell away."""
    draw = np.random.default_rng(seed)
    system = little(draw.negative_binomial(1.2, 0.03, (3, 4)).tolist())
    pattern = protect(system, RULES)
    floor = np.array([float(cell.most) for cell in system.cells])
    for place in np.flatnonzero(pattern.is_hidden & ~pattern.is_primary):
        less = pattern.is_hidden.copy()
        less[place] = False
        outside, inside = oracle(system, less, 0 * floor), oracle(system, less, floor)
        narrow = [high - low < RULES.min_width - 1e-6 for low, high in outside]
        narrow += [high - low < RULES.min_width_insider - 1e-6 for low, high in inside]
        assert any(narrow), system.cells[place].key


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
    # It is judged on the day it is asked for, not on that of the release.
    with pytest.raises(NoAgreementError):
        partner_for("hsi", home=tmp_path, on=date(2026, 1, 1), released=AS_OF)
    with pytest.raises(InvalidValueError, match="did you mean 'public'"):
        partner_for("publik", home=tmp_path, on=AS_OF)
    (tmp_path / "agreements.toml").write_text("[[agreement")
    with pytest.raises(InvalidValueError, match="TOML"):
        partner_for("hsi", home=tmp_path, on=AS_OF)


def test_a_release_still_to_come_is_refused() -> None:
    with pytest.raises(InvalidValueError, match="still to come"):
        require_past(date(2024, 11, 15), date(2024, 11, 1))
    assert require_past(date(2024, 11, 15), date(2024, 11, 15)) == "2024Q3"


def test_a_warehouse_without_traces_releases_nothing(tmp_path: Path, simulated) -> None:
    from features.ingest import ingest
    from features.warehouse import Warehouse

    ingest([simulated.folder / "licenses.parquet"], tmp_path / "w", today=AS_OF)
    with pytest.raises(WarehouseError, match="no traces"):
        year_tables(Warehouse.open(tmp_path / "w"), "2024Q1")


def test_sums_that_do_not_hold_are_a_fault_of_the_program() -> None:
    system = little([[20, 30], [40, 50]])
    system.cells[0] = replace(system.cells[0], n=21)
    with pytest.raises(AssertionError, match="not the sum"):
        protect(system, RULES)
