"""An engine that keeps what it worked out gives what a build from nothing gives."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.engine import kept_file
from features.engine.context import Cohort
from features.engine.embedded import EmbeddedEngine
from features.engine.incremental import KeptEngine
from features.schema import TABLES
from features.table import build_features
from features.warehouse import Warehouse
from tests.properties import invented
from tests.properties.conftest import DATES
from tests.properties.test_registry import assert_same

WHEN, LATER = DATES[-1], date(2021, 4, 1)
# Tables whose new rows say whose they are; the others make the engine begin anew.
NAMED = ("traces", "multiple_sales", "tips", "thefts_losses", "sales_volume", "denials")

Tables = dict[str, pd.DataFrame]

# Each ingests a country of its own and builds its signals.
pytestmark = pytest.mark.built


def cut(tables: Tables, seed: int, n_pieces: int = 5) -> list[Tables]:
    """Deal rows known before a date into loads: most in the first, corrections after originals."""
    rng = np.random.default_rng(seed)
    pieces: list[Tables] = [{} for _ in range(n_pieces)]
    for name, frame in invented.known_before(tables, WHEN).items():
        piece = rng.choice(
            n_pieces, size=len(frame), p=[0.8] + [0.2 / (n_pieces - 1)] * (n_pieces - 1)
        )
        if name in ("licenses", "inspections", "violations", "holds"):
            piece[:] = 0
        for number in range(n_pieces):
            pieces[number][name] = frame[piece == number]
    return pieces


@pytest.fixture(params=(1, 2))
def arriving(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, list[Tables]]:
    return tmp_path, cut(invented.Country(request.param).tables, request.param)


@pytest.fixture
def worked_out(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """How many dealers each evaluation of measures was for."""
    from features.engine import context

    counted: list[int] = []
    plain = context.Context.evaluate

    def evaluate(self, view, measures):
        counted.append(len(self.cohort.dealers))
        return plain(self, view, measures)

    monkeypatch.setattr(context.Context, "evaluate", evaluate)
    return counted


@pytest.mark.slow
def test_after_every_load_it_gives_what_a_build_from_nothing_gives(
    arriving: tuple[Path, list[Tables]],
) -> None:
    folder, pieces = arriving
    invented.load(pieces[0], folder, 0)
    with KeptEngine(invented.opened(folder)) as engine:
        for number, piece in enumerate(pieces):
            if number:
                invented.load(piece, folder, number)
            warehouse = invented.opened(folder)
            engine.renew(warehouse)
            kept = build_features(warehouse, WHEN, engine=engine)
            plain = build_features(warehouse, WHEN)
            assert_same(kept, plain)
            assert kept.fingerprint == plain.fingerprint
        later = build_features(warehouse, LATER, engine=engine)
        assert_same(later, build_features(warehouse, LATER))


@pytest.mark.parametrize("table", NAMED)
def test_only_the_dealers_that_new_rows_name_are_worked_out_again(
    tmp_path: Path, worked_out: list[int], table: str
) -> None:
    tables = invented.known_before(invented.Country(1).tables, WHEN)
    rows = tables[table]
    listed = build_features(invented.store(tables, tmp_path / "whole"), WHEN).frame["dealer"]
    # A key of which other versions are stored would rewrite files.
    is_alone = ~rows.duplicated(list(TABLES[table].key), keep=False)
    new = rows[rows["dealer"].isin(listed) & is_alone].tail(1)
    invented.load(tables | {table: rows.drop(new.index)}, tmp_path, 0)
    with KeptEngine(invented.opened(tmp_path)) as engine:
        build_features(engine.warehouse, WHEN, engine=engine)
        invented.load({table: new}, tmp_path, 1)
        worked_out.clear()
        warehouse = invented.opened(tmp_path)
        engine.renew(warehouse)
        kept = build_features(warehouse, WHEN, engine=engine)
        assert worked_out
        assert set(worked_out) == {1}
        assert_same(kept, build_features(warehouse, WHEN))


def test_nothing_new_needs_nothing_worked_out(tmp_path: Path, worked_out: list[int]) -> None:
    warehouse = invented.store(invented.known_before(invented.Country(2).tables, WHEN), tmp_path)
    with KeptEngine(warehouse) as engine:
        first = build_features(warehouse, WHEN, engine=engine)
        worked_out.clear()
        engine.renew(Warehouse.open(tmp_path / "warehouse"))
        second = build_features(warehouse, WHEN, engine=engine)

    assert worked_out == []
    assert first.fingerprint == second.fingerprint


def test_a_new_listing_makes_it_begin_anew(tmp_path: Path) -> None:
    tables = invented.known_before(invented.Country(1).tables, WHEN)
    licenses = tables["licenses"]
    late = licenses["listed_on"] >= sorted(licenses["listed_on"].unique())[-2]
    invented.load(tables | {"licenses": licenses[~late]}, tmp_path, 0)
    with KeptEngine(invented.opened(tmp_path)) as engine:
        build_features(engine.warehouse, WHEN, engine=engine)
        invented.load({"licenses": licenses[late]}, tmp_path, 1)
        warehouse = invented.opened(tmp_path)
        engine.renew(warehouse)
        assert_same(build_features(warehouse, WHEN, engine=engine), build_features(warehouse, WHEN))


def test_kept_grids_cannot_be_written_into(tmp_path: Path) -> None:
    from features.domain.asof import Y1, to_day
    from features.engine.measures import Sum

    warehouse = invented.store(invented.Country(1).tables, tmp_path)
    cohort = Cohort(
        np.array(["1-54-90001"], dtype=object),
        np.array([to_day(WHEN)], dtype=np.int32),
        np.zeros(1, dtype=np.int32),
        np.zeros(1, dtype=np.int32),
    )
    with KeptEngine(warehouse) as engine:
        grid = engine.grids("traces", [Sum("n", (Y1,))], cohort)["n_1y"]
        with pytest.raises(ValueError, match="read-only"):
            grid[0] = 1.0


def test_some_dealers_are_worked_out_among_all(tmp_path: Path) -> None:
    tables = invented.known_before(invented.Country(1).tables, WHEN)
    warehouse = invented.store(tables, tmp_path)
    whole = build_features(warehouse, WHEN)
    some = whole.frame["dealer"].iloc[[7, 2]].tolist()
    part = build_features(warehouse, WHEN, only=[*some, some[0], "no dealer"])
    rows = np.array([2, 7])
    pd.testing.assert_frame_equal(part.frame, whole.frame.iloc[rows].reset_index(drop=True))
    pd.testing.assert_frame_equal(part.reasons, whole.reasons.iloc[rows].reset_index(drop=True))


@pytest.mark.parametrize("table", ["seizures", "traces"])
def test_a_seizure_finds_its_dealer_by_its_trace_whichever_comes_first(
    tmp_path: Path, table: str
) -> None:
    """Of its two rows the one names a dealer in another table, or none until the other is there."""
    tables = invented.known_before(invented.Country(1).tables, WHEN)
    tables["seizures"] = tables["seizures"].assign(dealer=None)
    only = {"families": ["southbound"]}
    whole = build_features(invented.store(tables, tmp_path / "whole"), WHEN, **only)
    found = whole.frame.set_index("dealer")["southbound_seizures_3y"]
    dealer = found[found > 0].index[0]
    own = tables["traces"]["dealer"] == dealer
    moved = {"traces": tables["traces"][own]}
    seized = tables["seizures"]["trace_id"].isin(set(moved["traces"]["trace_id"]))
    moved["seizures"] = tables["seizures"][seized]
    rest = {"traces": tables["traces"][~own], "seizures": tables["seizures"][~seized]}
    before = {
        name: rest[name] if name == table else tables[name] for name in ("traces", "seizures")
    }
    invented.load(tables | before, tmp_path, 0)
    with KeptEngine(invented.opened(tmp_path)) as engine:
        early = build_features(engine.warehouse, WHEN, engine=engine, **only)
        invented.load({table: moved[table]}, tmp_path, 1)
        warehouse = invented.opened(tmp_path)
        engine.renew(warehouse)
        kept = build_features(warehouse, WHEN, engine=engine, **only)
    assert_same(kept, whole)
    counted = [t.frame.set_index("dealer")["southbound_seizures_3y"][dealer] for t in (early, kept)]
    assert counted[0] < counted[1] == found[dealer]


def test_rows_of_a_few_dealers_are_their_own_while_another_thread_asks_for_others(
    tmp_path: Path,
) -> None:
    warehouse = invented.store(invented.Country(1).tables, tmp_path)
    with EmbeddedEngine(warehouse) as engine:
        names = np.array(sorted(invented.Country(1).dealers), dtype=object)
        asked = {"view": "traces", "columns": {}, "days": range(30_000), "in_order": False}
        alone = [next(engine.blocks(dealers=names[[at]], **asked)) for at in (0, 1)]
        assert all(len(block.dealer) for block in alone)
        plain, turns = engine.query, [1]

        def query(sql, **tables):
            if turns:  # another thread is quicker, between finding the rows and asking for them
                (block,) = engine.blocks(dealers=names[[turns.pop()]], **asked)
                assert len(block.dealer) == len(alone[1].dealer)
            return plain(sql, **tables)

        engine.query = query
        (block,) = engine.blocks(dealers=names[[0]], **asked)
    assert len(block.dealer) == len(alone[0].dealer)


def test_only_families_that_read_a_new_row_are_built_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from features.signals.families import tips, traces, violations

    tables = invented.known_before(invented.Country(1).tables, WHEN)
    rows = tables["tips"]
    new = rows[~rows.duplicated(list(TABLES["tips"].key), keep=False)].tail(1)
    invented.load(tables | {"tips": rows.drop(new.index)}, tmp_path, 0)
    built: list[str] = []
    for family in (tips, traces, violations):

        def counted(context, name=family.__name__, build=family.build):
            built.append(name.rpartition(".")[2])
            return build(context)

        monkeypatch.setattr(family, "build", counted)
    with KeptEngine(invented.opened(tmp_path)) as engine:
        build_features(engine.warehouse, WHEN, engine=engine)
        invented.load({"tips": new}, tmp_path, 1)
        built.clear()
        engine.renew(invented.opened(tmp_path))
        build_features(engine.warehouse, WHEN, engine=engine)
    assert built == ["tips"]


@pytest.mark.parametrize(("country", "state"), [("US", None), ("MX", None), ("MX", "MX-SON")])
def test_what_rests_on_answers_is_made_again_when_one_is_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, country: str, state: str | None
) -> None:
    """Coverage rests on Mexican requests of a known state; no other new trace changes it."""
    from features.signals.shared import coverage

    tables = invented.known_before(invented.Country(1).tables, WHEN)
    rows = tables["traces"]
    new = rows[rows["dealer"].notna() & ~rows.duplicated("trace_id", keep=False)].tail(1)
    tables["traces"] = rows.drop(new.index)
    invented.load(tables, tmp_path, 0)
    plain, days = coverage.estimate, list[int]()

    def estimate(requests, agencies, as_of):
        days.append(as_of)
        return plain(requests, agencies, as_of)

    monkeypatch.setattr(coverage, "estimate", estimate)
    with KeptEngine(invented.opened(tmp_path)) as engine:
        build_features(engine.warehouse, WHEN, engine=engine)
        new = new.assign(recovery_country=country, recovery_state=state)
        invented.load({"traces": new}, tmp_path, 1)
        days.clear()
        warehouse = invented.opened(tmp_path)
        engine.renew(warehouse)
        kept = build_features(warehouse, WHEN, engine=engine)
        assert len(days) == (state is not None)
        assert_same(kept, build_features(warehouse, WHEN))


@pytest.mark.slow
def test_an_engine_that_begins_later_goes_on_from_what_another_wrote(
    arriving: tuple[Path, list[Tables]], worked_out: list[int]
) -> None:
    """It built every signal of every dealer again for the first event after a start."""
    folder, pieces = arriving
    path = folder / "kept.npz"
    invented.load(pieces[0], folder, 0)
    with KeptEngine(invented.opened(folder)) as engine:
        build_features(engine.warehouse, WHEN, engine=engine)
        engine.save(path)
    for number, piece in enumerate(pieces[1:], 1):
        invented.load(piece, folder, number)
        warehouse = invented.opened(folder)
        with KeptEngine(warehouse) as engine:
            assert engine.resume(path) is None
            kept = build_features(warehouse, WHEN, engine=engine)
            plain = build_features(warehouse, WHEN)
            assert_same(kept, plain)
            assert kept.fingerprint == plain.fingerprint
            if number % 2:  # what came in since another load, and since this one
                engine.save(path)
    with KeptEngine(warehouse) as engine:
        assert engine.resume(path) is None
        worked_out.clear()
        later = build_features(warehouse, LATER, engine=engine)
        assert_same(later, build_features(warehouse, LATER))


def test_after_a_start_only_the_dealers_of_new_rows_are_worked_out(
    tmp_path: Path, worked_out: list[int]
) -> None:
    tables = invented.known_before(invented.Country(1).tables, WHEN)
    rows = tables["traces"]
    listed = build_features(invented.store(tables, tmp_path / "whole"), WHEN).frame["dealer"]
    is_alone = ~rows.duplicated(list(TABLES["traces"].key), keep=False)
    new = rows[rows["dealer"].isin(listed) & is_alone].tail(1)
    invented.load(tables | {"traces": rows.drop(new.index)}, tmp_path, 0)
    with KeptEngine(invented.opened(tmp_path)) as engine:
        build_features(engine.warehouse, WHEN, engine=engine)
        engine.save(tmp_path / "kept.npz")
    invented.load({"traces": new}, tmp_path, 1)
    warehouse = invented.opened(tmp_path)
    with KeptEngine(warehouse) as engine:
        assert engine.resume(tmp_path / "kept.npz") is None
        worked_out.clear()
        kept = build_features(warehouse, WHEN, engine=engine)
        assert set(worked_out) == {1}
        assert_same(kept, build_features(warehouse, WHEN))


def test_what_no_longer_holds_is_not_gone_on_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another program, another warehouse, a torn file: each is told of and worked out anew."""
    warehouse = invented.store(invented.known_before(invented.Country(2).tables, WHEN), tmp_path)
    other = invented.store(
        invented.known_before(invented.Country(3).tables, WHEN), tmp_path / "other"
    )
    path = tmp_path / "kept.npz"
    with KeptEngine(warehouse) as engine:
        assert engine.resume(path) == "there is none"
        build_features(warehouse, WHEN, engine=engine)
        engine.save(path)
        whole = path.read_bytes()
    with KeptEngine(other) as engine:
        assert engine.resume(path) == "it rests on another warehouse"
    with KeptEngine(warehouse) as engine:
        for torn in (b"", whole[: len(whole) // 2], whole[:-1], whole.replace(b"told", b"tolt")):
            path.write_bytes(torn)
            assert str(engine.resume(path)).startswith("it cannot be read")
        flipped = bytearray(whole)
        flipped[len(whole) // 3] ^= 1
        path.write_bytes(bytes(flipped))
        assert engine.resume(path) is not None
        path.write_bytes(whole)
        monkeypatch.setattr(kept_file, "made_by", lambda: "another")
        assert engine.resume(path) == "it was made by another version"
        monkeypatch.undo()
        assert engine.resume(path) is None
        kept = build_features(warehouse, WHEN, engine=engine)
        assert_same(kept, build_features(warehouse, WHEN))


def test_nothing_of_a_purchaser_is_kept_in_the_file(tmp_path: Path) -> None:
    """Tokens, and numbers made of them, end with the rows of the warehouse."""
    warehouse = invented.store(invented.known_before(invented.Country(1).tables, WHEN), tmp_path)
    with KeptEngine(warehouse) as engine:
        build_features(warehouse, WHEN, engine=engine)
        asked = [kept.made for kept in engine._answers.values()]
        engine.save(tmp_path / "kept.npz")
    state = kept_file.read(tmp_path / "kept.npz")
    assert isinstance(state, kept_file.KeptState)
    assert asked
    keys = [one.key for one in (*state.grids, *state.families, *state.shared)]
    assert not [key for key in keys if "SELECT" in " ".join(key)]
    assert {key[0] for key in keys} >= {"traces", "network", "listings"}
    content = (tmp_path / "kept.npz").read_bytes()
    for table in ("traces", "multiple_sales"):
        tokens = warehouse.read(table, columns=["purchaser_token"])["purchaser_token"]
        for token in tokens.drop_null().unique().to_pylist():
            assert token.encode() not in content
            assert token.encode("utf-32-le") not in content


def test_values_that_are_no_arrays_are_not_written(tmp_path: Path) -> None:
    assert kept_file.can_be_kept({"a": [np.zeros(2), (1, "b", None, date(2024, 1, 1))]})
    assert not kept_file.can_be_kept(np.array([object()], dtype=object))
    assert not kept_file.can_be_kept(lambda: None)


def test_what_was_compiled_in_the_meantime_is_no_other_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kernels are compiled on first use: what the first start kept held for no second one."""
    room = tmp_path / "engine"
    (room / "__pycache__").mkdir(parents=True)
    (room / "kernels.py").write_text("one = 1")
    monkeypatch.setattr(kept_file.features, "__file__", str(tmp_path / "__init__.py"))
    before = kept_file.made_by.__wrapped__()
    for compiled in ("kernels.put-96.py311.nbi", "kernels.put-96.py311.1.nbc", "kernels.pyc"):
        (room / "__pycache__" / compiled).write_bytes(b"compiled")
    assert kept_file.made_by.__wrapped__() == before
    (room / "kernels.py").write_text("one = 2")
    assert kept_file.made_by.__wrapped__() != before
