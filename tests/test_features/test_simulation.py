"""The simulated country: refusals, determinism, invention, and what ingest makes of its dirt."""

import dataclasses
import hashlib
from datetime import date
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import ffl_risk
from features import public_records
from features.errors import InvalidValueError
from features.ingest import ingest
from features.schema import TABLES, Table
from features.simulation.country.dealers import make_dealers
from features.simulation.country.options import POLICIES, Options
from features.simulation.country.places import RESERVED_LETTERS
from features.simulation.files.write import SIMULATED, TRUTH, CountryWriter
from features.simulation.simulate import simulate
from features.simulation.targets.bias import inspected_and_true
from features.simulation.targets.check import OutOfToleranceError, check_country, require_within
from features.simulation.targets.single_signals import single_signals
from features.warehouse import Warehouse

SMALL = {"dealers": 600, "years": 3}


@pytest.fixture(scope="module")
def country(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("simulated") / "country"
    simulate(Options(dealers=1500, years=4), out)
    return out


def _simulated() -> list[tuple[str, Table]]:
    return [(name, TABLES[name]) for name in SIMULATED]


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*.parquet"))
    }


@pytest.mark.parametrize(
    ("bad", "named"),
    [
        ({"years": -1}, "--years"),
        ({"years": 0}, "--years"),
        ({"dealers": 0}, "--dealers"),
        ({"traces_scale": 0.0}, "--traces-scale"),
        ({"traces_scale": float("nan")}, "--traces-scale"),
        ({"seed": -1}, "--seed"),
        ({"policy": "historical"}, "did you mean 'historic'"),
        ({"end": date(1999, 1, 1)}, "--end"),
    ],
)
def test_bad_options_are_refused(bad: dict[str, object], named: str) -> None:
    with pytest.raises(InvalidValueError, match=named):
        Options(**bad)  # type: ignore[arg-type]


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InvalidValueError, match="holds something"):
        simulate(Options(**SMALL), tmp_path)  # type: ignore[arg-type]
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]


def test_an_interrupted_run_leaves_nothing(tmp_path: Path) -> None:
    def stop(_: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate(Options(**SMALL), tmp_path / "out", progress=stop)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_command_says_what_it_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("features.simulation.simulate.simulate", stop)
    monkeypatch.setattr("sys.argv", ["ffl-risk", "simulate", "--out", str(tmp_path / "out")])
    with pytest.raises(SystemExit) as ended:
        ffl_risk.main()
    assert ended.value.code == 130
    assert "Interrupted. Nothing was written to the folder." in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_an_empty_folder_is_used(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    with CountryWriter(out):
        pass
    assert (out / "traces.parquet").is_file()


@pytest.mark.slow
def test_same_seed_same_bytes(tmp_path: Path) -> None:
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        simulate(Options(**SMALL, seed=seed), tmp_path / name)  # type: ignore[arg-type]
    first, second, other = (digests(tmp_path / name) for name in "abc")
    assert first == second
    alike = {"holds.parquet", "agencies.parquet"}  # few, and who may submit is no matter of chance
    assert all(first[name] != other[name] for name in first if name not in alike)


@pytest.mark.slow
def test_five_seeds_give_the_same_statistics(tmp_path: Path) -> None:
    found = []
    for seed in range(5):
        out = tmp_path / str(seed)
        simulate(Options(dealers=800, years=2, seed=seed), out)
        traces = pq.read_table(out / "traces.parquet", columns=["firearm_type", "recovery_country"])
        truth = pq.read_table(out / "truth/dealer_month.parquet").to_pandas()
        frame = traces.to_pandas()
        found.append(
            {
                "traces": len(frame) / 800 / 2,
                "pistols": (frame["firearm_type"] == "pistol").mean(),
                "mexico": (frame["recovery_country"] == "MX").mean(),
                "severe": truth["p_severe"].mean(),
                "any": truth["p_any"].mean(),
                "dealers": len(truth) / 24 / 800,
            }
        )
    table = pd.DataFrame(found)
    spread = table.std() / table.mean()
    limits = pd.Series(
        {
            "traces": 0.03,
            "pistols": 0.02,
            "mexico": 0.15,
            "severe": 0.2,
            "any": 0.1,
            "dealers": 0.05,
        }
    )
    assert (spread < limits).all(), spread.to_dict()


def test_every_table_follows_the_contract(country: Path) -> None:
    for name, table in _simulated():
        schema = pq.read_schema(country / f"{name}.parquet")
        assert tuple(schema.names) == table.names
        assert pq.read_metadata(country / f"{name}.parquet").num_rows > 0
    for name, schema in TRUTH.items():
        assert pq.read_schema(country / f"{name}.parquet").names == schema.names


def test_no_dealer_or_name_is_real(country: Path) -> None:
    real = [_real_columns(path) for path in public_records.files()]
    keys, names = (set().union(*column) for column in zip(*real, strict=True))
    assert len(keys) > 18_000
    listed = pq.read_table(
        country / "licenses.parquet",
        columns=["dealer", "license_number", "licensee_name", "business_name", "premises_street"],
    ).to_pandas()
    invented = set(listed["dealer"].unique())
    traced = pq.read_table(country / "traces.parquet", columns=["dealer"]).to_pandas()["dealer"]
    assert not (invented | set(traced.dropna().unique())) & keys
    for column in ("licensee_name", "business_name", "premises_street"):
        assert not set(listed[column].dropna().unique()) & names
    # By construction: a real sequence has five digits, an invented one opens with a letter.
    assert all(key[5] in RESERVED_LETTERS for key in invented)
    assert not any(key[5].isalpha() for key in keys)


def _real_columns(path: Path) -> tuple[set[str], set[str]]:
    if "listing" in path.name:
        frame = pd.read_csv(path, sep="\t", dtype=str, encoding="latin-1", skiprows=[1])
        keys = frame["Lic Regn"] + "-" + frame["Lic Dist"] + "-" + frame["Lic Seqn"]
        texts = ("License Name", "Business Name", "Premise Street")
        return set(keys.dropna()), set().union(*(frame[t].dropna() for t in texts))
    numbers = pd.read_csv(path, dtype=str)["ffl_number"].dropna().str.split("-", expand=True)
    return set((numbers[0] + "-" + numbers[1] + "-" + numbers[5]).dropna()), set()


def test_ingest_finds_the_dirt_and_only_the_dirt(country: Path, tmp_path: Path) -> None:
    summary = ingest([country], tmp_path / "warehouse", today=date(2025, 3, 1))
    counts = {c.table: c for file in summary.files for c in file.tables}
    dirt = pq.read_table(country / "truth/dirt.parquet").to_pandas()
    dirt = dirt[dirt["table"] == "traces"]
    expected = dirt["ingest"].value_counts().to_dict()
    traces = counts["traces"]
    assert traces.reasons == {
        reason: n for reason, n in expected.items() if reason in set(traces.reasons)
    }
    assert set(traces.reasons) == set(expected) - {"stored", "duplicate", "superseded"}
    assert (traces.n_duplicate, traces.n_superseded) == (
        expected["duplicate"],
        expected["superseded"],
    )
    assert all(c.n_rejected == 0 for name, c in counts.items() if name != "traces")
    rejects = pd.read_parquet(tmp_path / "warehouse/rejects/traces.parquet")
    assert len(rejects) == traces.n_rejected


def test_nothing_dirty_is_repaired(country: Path, tmp_path: Path) -> None:
    ingest([country], tmp_path / "warehouse", today=date(2025, 3, 1))
    stored = Warehouse.open(tmp_path / "warehouse").read("traces", columns=["trace_id"])
    dirt = pq.read_table(country / "truth/dirt.parquet").to_pandas()
    bad = dirt[
        (dirt["table"] == "traces") & ~dirt["ingest"].isin(["stored", "duplicate", "superseded"])
    ]
    assert not set(bad["row_key"]) & set(stored["trace_id"].to_pylist())


def test_license_numbers_and_expiry_agree(country: Path) -> None:
    bad = (
        duckdb.read_parquet(str(country / "licenses.parquet"))
        .query(
            "listed",
            "SELECT count(*) FROM (SELECT license_number n, expires_on, listed_on, dealer, "
            "county_fips, license_type FROM listed) WHERE left(n, 5) || right(n, 5) <> dealer "
            "OR substr(n, 6, 3) <> right(county_fips, 3) OR substr(n, 10, 2) <> license_type "
            "OR substr(n, 13, 1)::INT <> year(expires_on) % 10 OR expires_on <= listed_on "
            "OR expires_on > listed_on + INTERVAL 37 MONTH "
            "OR substr('ABCDEFGHJKLM', month(expires_on), 1) <> substr(n, 14, 1)",
        )
        .fetchone()
    )
    assert bad == (0,)


def test_no_fact_lies_beyond_the_history(country: Path) -> None:
    end = pd.Timestamp(2025, 1, 1)
    for name, table in _simulated():
        dates = [c.name for c in table.columns if c.kind == "date"]
        frame = pq.read_table(country / f"{name}.parquet", columns=dates).to_pandas()
        for column in set(dates) - {"expires_on", "ends_on"}:
            latest = pd.to_datetime(frame[column]).max()
            if not pd.isna(latest):
                assert latest <= end + pd.Timedelta(days=95), (name, column)
                if name != "traces":
                    assert latest <= end, (name, column)


def test_no_dealer_is_visited_twice_within_twelve_months(country: Path) -> None:
    gap = (
        duckdb.read_parquet(str(country / "inspections.parquet"))
        .query(
            "visits",
            "SELECT min(gap) FROM (SELECT opened_on - lag(opened_on) OVER (PARTITION BY dealer "
            "ORDER BY opened_on) gap FROM visits WHERE kind IN ('compliance', 'recall'))",
        )
        .fetchone()
    )
    assert gap is not None
    assert gap[0] >= 365


def test_causes_are_weakly_correlated_and_drift(country: Path) -> None:
    truth = pq.read_table(country / "truth/dealer_month.parquet").to_pandas()
    last = truth[truth["as_of"] == truth["as_of"].max()].set_index("dealer")
    first = truth[truth["as_of"] == truth["as_of"].min()].set_index("dealer")
    rho = np.corrcoef(-last["care"], last["diversion"])[0, 1]
    assert 0.15 < rho < 0.35
    then = first["care"].reindex(last.index)
    stayed = then.notna()
    assert 0.4 < np.corrcoef(then[stayed], last["care"][stayed])[0, 1] < 0.95


def test_expected_traces_are_those_that_come(country: Path) -> None:
    truth = pq.read_table(country / "truth/dealer_month.parquet").to_pandas()
    truth = truth[pd.to_datetime(truth["as_of"]) == pd.Timestamp(2023, 7, 1)]
    came = (
        duckdb.read_parquet(str(country / "traces.parquet"))
        .query(
            "traces",
            "SELECT dealer, count(DISTINCT trace_id) n FROM traces WHERE recovered_on - sold_on "
            "BETWEEN 0 AND 1095 AND recovered_on >= DATE '2023-07-01' "
            "AND recovered_on < DATE '2024-07-01' GROUP BY 1",
        )
        .df()
    )
    both = truth.merge(came, on="dealer", how="left").fillna({"n": 0})
    assert both["n"].sum() == pytest.approx(both["expected_diverted_12m"].sum(), rel=0.06)
    assert np.corrcoef(both["n"], both["expected_diverted_12m"])[0, 1] > 0.97


def test_dealers_of_an_office_are_numbered_apart() -> None:
    dealers = make_dealers(Options(dealers=5000, years=5))
    keys = dealers.keys[dealers.keys != ""]
    assert len(np.unique(keys.astype(str))) == len(keys)


@pytest.mark.slow
def test_a_country_is_held_to_the_published_figures(tmp_path: Path) -> None:
    options = Options(dealers=4000, years=4)
    simulate(options, tmp_path / "out")
    figures = check_country(tmp_path / "out", options)
    assert len(figures) >= 40
    require_within(figures)
    missed = dataclasses.replace(figures[0], simulated=float("nan"))
    with pytest.raises(OutOfToleranceError, match=missed.name):
        require_within([missed])
    shares = {s.name: s.share_of_best for s in single_signals(tmp_path / "out", options)}
    assert max(shares.values()) < 0.5, shares
    assert sum(value > 0.1 for value in shares.values()) >= 6


@pytest.mark.slow
def test_policies_bias_what_inspections_show(tmp_path: Path) -> None:
    naive = {}
    for policy in POLICIES:
        options = Options(dealers=4000, years=2, policy=policy)
        simulate(options, tmp_path / policy)
        naive[policy] = inspected_and_true(tmp_path / policy)
    seen, true = naive["random_only"]
    assert seen == pytest.approx(true, abs=0.035)
    assert naive["historic"][0] > naive["historic"][1] + 0.03
    assert naive["trace_chasing"][0] > naive["trace_chasing"][1] + 0.03
    assert naive["border_surge"][0] < naive["historic"][0]
