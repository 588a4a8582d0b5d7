from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.errors import WarehouseError
from features.ingest import IngestSummary, ingest
from features.warehouse import Warehouse, WarehouseMissingError
from features.warehouse.integrity import check, require_intact
from features.warehouse.stored import arrow_schema
from tests.test_features.ingest_samples import TODAY, digest, row, write


def load(folder: Path, n: int, rows: list[dict[str, str]], **options: object) -> IngestSummary:
    """Ingest rows of seizures as the n-th file of a warehouse."""
    path = write(folder / str(n), "seizures.csv", rows)
    return ingest(path, folder / "w", today=TODAY, **options)  # type: ignore[arg-type]


def seizure(reported: str, port: str, key: str = "S1") -> dict[str, str]:
    return row("seizures", seizure_id=key, reported_on=reported, port_code=port)


def ports(folder: Path, as_of: date | None = None) -> list[str]:
    return Warehouse.open(folder / "w").read("seizures", as_of=as_of)["port_code"].to_pylist()


def test_a_correction_supersedes_from_the_day_it_was_known(tmp_path: Path) -> None:
    load(tmp_path, 1, [seizure("2025-04-03", "1")])
    summary = load(tmp_path, 2, [seizure("2025-06-01", "2")])
    assert summary.counts["stored"] == 1
    assert ports(tmp_path) == ["2"]
    assert ports(tmp_path, date(2025, 4, 3)) == []
    assert ports(tmp_path, date(2025, 4, 4)) == ["1"]
    assert ports(tmp_path, date(2025, 6, 1)) == ["1"]
    assert ports(tmp_path, date(2025, 6, 2)) == ["2"]


def test_a_back_dated_version_is_stored_as_already_superseded(tmp_path: Path) -> None:
    load(tmp_path, 1, [seizure("2025-06-01", "2")])
    summary = load(tmp_path, 2, [seizure("2025-04-03", "1")])
    assert summary.counts["superseded"] == 1
    assert ports(tmp_path) == ["2"]
    assert ports(tmp_path, date(2025, 5, 1)) == ["1"]


def test_a_version_between_two_others_ends_the_first_and_is_ended_by_the_second(
    tmp_path: Path,
) -> None:
    load(tmp_path, 1, [seizure("2025-04-03", "1"), seizure("2025-08-01", "3")])
    load(tmp_path, 2, [seizure("2025-06-01", "2")])
    days = [date(2025, 5, 1), date(2025, 7, 1), date(2025, 9, 1)]
    assert [ports(tmp_path, day) for day in days] == [["1"], ["2"], ["3"]]


def test_of_disputed_rows_none_stands_whatever_their_order(tmp_path: Path) -> None:
    """Rows of a key and day say two things: what was known before goes on until one is settled."""
    before, one, two = (
        seizure("2025-04-02", "0"),
        seizure("2025-04-03", "1"),
        seizure("2025-04-03", "2"),
    )
    others = [seizure("2025-04-03", "9", f"K{n}") for n in range(9)]
    for name, order in (("ab", (one, two)), ("ba", (two, one))):
        folder = tmp_path / name
        load(folder, 0, [before])
        load(folder, 1, [order[0], *others])
        assert "0" not in ports(folder)
        summary = load(folder, 2, [order[1], *others])
        (counts,) = summary.files[0].tables
        assert (counts.reasons, counts.n_duplicate) == ({"duplicate_key_conflict": 1}, 9)
        assert "1; none stands until" in summary.files[0].notes[-1]
        assert sorted(ports(folder)) == ["0"] + ["9"] * 9
        assert sorted(ports(folder, date(2025, 4, 4))) == ["0"] + ["9"] * 9
        rejects = Warehouse.open(folder / "w").rejects("seizures")
        assert rejects is not None
        assert rejects["value"].to_pylist() == ["S1", "S1"]
        assert rejects["source_id"].to_pylist() == [1, 2]
        # One of the two told again settles nothing; a later version does.
        assert (
            load(folder, 3, [one, *others, row("seizures", seizure_id="K99")]).counts["stored"] == 1
        )
        assert "1" not in ports(folder)
        load(folder, 4, [seizure("2025-05-01", "1")])
        assert "1" in ports(folder)


def test_inside_one_file_disputed_rows_do_not_stand_either(tmp_path: Path) -> None:
    rows = [seizure("2025-04-03", "1"), seizure("2025-04-03", "2"), seizure("2025-04-03", "1")]
    for n, order in enumerate((rows, rows[::-1])):
        summary = load(tmp_path / str(n), 1, order, max_rejects=0.9)
        counts = summary.files[0].tables[0]
        assert (counts.n_stored, counts.n_rejected, counts.n_duplicate) == (0, 2, 1)
        assert ports(tmp_path / str(n)) == []


def test_an_equal_row_known_later_is_a_duplicate(tmp_path: Path) -> None:
    known = [row("holds") | {"known_on": day} for day in ("2025-05-05", "2025-06-05")]
    path = write(tmp_path, "holds.csv", known)
    summary = ingest(path, tmp_path / "w", today=TODAY)
    assert (summary.counts["stored"], summary.counts["duplicate"]) == (1, 1)


def test_an_open_inspection_is_known_when_opened_and_its_findings_when_closed(
    tmp_path: Path,
) -> None:
    opened = row("inspections", closed_on="", outcome="none", hours="")
    ingest(write(tmp_path / "1", "inspections.csv", [opened]), tmp_path / "w", today=TODAY)
    closed = write(tmp_path / "2", "inspections.csv", [row("inspections")])
    ingest(closed, tmp_path / "w", today=TODAY)
    warehouse = Warehouse.open(tmp_path / "w")
    seen = {
        day: warehouse.read("inspections", as_of=day)["outcome"].to_pylist()
        for day in (date(2025, 1, 10), date(2025, 1, 11), date(2025, 3, 10), date(2025, 3, 11))
    }
    assert list(seen.values()) == [[], ["none"], ["none"], ["warning_letter"]]


def test_violations_are_known_when_their_inspection_closes(tmp_path: Path) -> None:
    opened = row("inspections", closed_on="", outcome="none")
    write(tmp_path / "in", "inspections.csv", [opened, row("inspections")])
    write(tmp_path / "in", "violations.csv", [row("violations")])
    ingest(tmp_path / "in", tmp_path / "w", today=TODAY)
    known = Warehouse.open(tmp_path / "w").read("violations")["known_on"].to_pylist()
    assert known == [date(2025, 3, 10)]


versions = st.lists(
    st.tuples(st.sampled_from("AB"), st.integers(0, 9), st.sampled_from("xyz")),
    min_size=1,
    max_size=12,
)


@pytest.mark.slow
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(versions=versions, split=st.integers(0, 12))
def test_as_of_reads_agree_with_a_slow_oracle(
    tmp_path_factory: pytest.TempPathFactory, versions: list[tuple[str, int, str]], split: int
) -> None:
    """However the versions arrive, a read as of a day sees the latest one known before it."""
    folder = tmp_path_factory.mktemp("versions")
    first = date(2025, 4, 3)
    rows = [seizure((first + timedelta(n)).isoformat(), port, key) for key, n, port in versions]
    for n, part in enumerate((rows[:split], rows[split:])):
        if part:
            load(folder, n, part, max_rejects=1.0)
    ports_of: dict[tuple[str, int], set[str]] = {}
    for key, day, port in versions:
        ports_of.setdefault((key, day), set()).add(port)
    # Where a day tells two things, neither stands.
    told = {at: next(iter(found)) for at, found in ports_of.items() if len(found) == 1}
    warehouse = Warehouse.open(folder / "w")
    for after in range(12):
        as_of = first + timedelta(after)
        expected = {
            key: told[key, max(d for k, d in told if k == key and d < after)]
            for key in {k for k, d in told if d < after}
        }
        read = warehouse.read("seizures", as_of=as_of).to_pylist()
        assert {r["seizure_id"]: r["port_code"] for r in read} == expected
        assert len(read) == len(expected)


def test_a_read_tells_nothing_of_later_corrections(tmp_path: Path) -> None:
    load(tmp_path, 1, [seizure("2025-04-03", "1")])
    warehouse = Warehouse.open(tmp_path / "w")
    names = arrow_schema("seizures").names
    assert warehouse.read("seizures").column_names == names
    assert "superseded_on" not in warehouse.read("seizures", as_of=TODAY).column_names
    chosen = warehouse.read("seizures", as_of=TODAY, columns=["port_code", "dealer"])
    assert chosen.column_names == ["port_code", "dealer"]


def test_stored_types_and_order_are_those_promised(tmp_path: Path) -> None:
    rows = [
        row("tips", tip_id=f"P{n}", dealer=f"5-74-{90009 - n}", received_on=f"2025-05-{20 - n}")
        for n in range(9)
    ]
    ingest(write(tmp_path, "tips.csv", rows), tmp_path / "w", today=TODAY)
    warehouse = Warehouse.open(tmp_path / "w")
    (file,) = warehouse.files("tips")
    assert file == tmp_path / "w" / "tips" / "batch=000000" / "part-0.parquet"
    stored = pq.read_table(file, partitioning=None)
    assert stored.schema.equals(arrow_schema("tips"))
    assert stored["dealer"].to_pylist() == sorted(stored["dealer"].to_pylist())
    with duckdb.connect() as con:
        scanned = con.sql(f"FROM {warehouse.scan('tips')}").to_arrow_table()
    assert scanned.num_rows == 9


def test_the_fingerprint_follows_the_content_alone(tmp_path: Path) -> None:
    rows = [seizure("2025-04-03", "1"), seizure("2025-04-03", "2", "S2")]
    a = load(tmp_path / "a", 1, rows).fingerprint
    b = load(tmp_path / "b" / "elsewhere", 7, rows).fingerprint
    c = load(tmp_path / "c", 1, rows[:1]).fingerprint
    assert a == b == Warehouse.open(tmp_path / "a" / "w").fingerprint
    assert a != c


def test_files_that_the_manifest_does_not_name_are_ignored_and_swept(tmp_path: Path) -> None:
    load(tmp_path, 1, [seizure("2025-04-03", "1")])
    orphan = tmp_path / "w" / "seizures" / "batch=000009" / "part-0.parquet"
    orphan.parent.mkdir()
    (live,) = Warehouse.open(tmp_path / "w").files("seizures")
    orphan.write_bytes(live.read_bytes())
    staged = tmp_path / "w" / ".staging" / "left.parquet"
    staged.parent.mkdir()
    staged.write_bytes(b"half")
    assert ports(tmp_path) == ["1"]
    load(tmp_path, 2, [seizure("2025-04-03", "2", "S2")])
    assert not orphan.exists()
    assert not staged.parent.exists()


def test_a_reader_outlives_the_ingests_that_replace_its_files(tmp_path: Path) -> None:
    """Its files stay for the grace period, whatever is written meanwhile."""
    load(tmp_path, 1, [seizure("2025-04-03", "1")])
    reader = Warehouse.open(tmp_path / "w")
    before = reader.read("seizures")
    for n, day in ((2, "2025-05-01"), (3, "2025-06-01"), (4, "2025-07-01")):
        load(tmp_path, n, [seizure(day, str(n))])
    assert reader.read("seizures").equals(before)
    with duckdb.connect() as con:
        assert con.sql(f"FROM {reader.scan('seizures')}").to_arrow_table().num_rows == 1
    assert ports(tmp_path) == ["4"]
    assert check(tmp_path / "w", today=TODAY).faults == ()


def test_replaced_files_are_swept_after_the_grace_period(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(tmp_path, 1, [seizure("2025-04-03", "1")])
    reader = Warehouse.open(tmp_path / "w")
    load(tmp_path, 2, [seizure("2025-05-01", "2")])
    (old,) = reader.files("seizures")
    monkeypatch.setattr("features.warehouse.manifest.GRACE", timedelta(0))
    again = load(tmp_path, 2, [seizure("2025-05-01", "2")])
    assert not again.files[0].is_new
    assert not old.exists()
    with pytest.raises(WarehouseError, match="open the warehouse again"):
        reader.read("seizures")
    load(tmp_path, 3, [seizure("2025-05-02", "3")])
    warehouse = Warehouse.open(tmp_path / "w")
    assert old.relative_to(tmp_path / "w").as_posix() not in str(warehouse.manifest["retired"])
    assert ports(tmp_path) == ["3"]


def test_rejects_of_an_ingest_that_was_not_committed_are_ignored_and_cut(tmp_path: Path) -> None:
    bad = [seizure("2025-04-03", "1", f"S{n}") for n in range(9)] + [seizure("nonsense", "2", "X")]
    load(tmp_path, 1, bad)
    file = tmp_path / "w" / "rejects" / "seizures.parquet"
    table = pq.read_table(file)
    pq.write_table(pa.concat_tables([table, table]), file)
    assert Warehouse.open(tmp_path / "w").rejects("seizures").num_rows == 1  # type: ignore[union-attr]
    load(tmp_path, 2, [seizure("2025-04-03", "2", "T")])
    assert pq.read_metadata(file).num_rows == 1


def test_a_second_writer_is_told_to_wait(tmp_path: Path) -> None:
    from features.warehouse.manifest import write_lock

    (tmp_path / "w").mkdir()
    with (
        write_lock(tmp_path / "w"),
        pytest.raises(WarehouseError, match="Another process is writing"),
    ):
        load(tmp_path, 1, [seizure("2025-04-03", "1")])


def test_a_missing_warehouse_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(WarehouseMissingError, match="ffl-risk ingest") as caught:
        Warehouse.open(tmp_path / "none")
    assert caught.value.exit_code == 4


def test_wrong_names_are_answered_with_the_nearest(tmp_path: Path) -> None:
    load(tmp_path, 1, [seizure("2025-04-03", "1")])
    warehouse = Warehouse.open(tmp_path / "w")
    with pytest.raises(WarehouseError, match="did you mean 'seizures'"):
        warehouse.read("seizure")
    with pytest.raises(WarehouseError, match="did you mean 'port_code'"):
        warehouse.read("seizures", columns=["portcode"])
    with pytest.raises(WarehouseError, match="holds no tips"):
        warehouse.scan("tips")
    assert warehouse.read("tips").num_rows == 0


@pytest.mark.parametrize(("content", "match"), [("{", "cannot be read"), ("{}", "schema version")])
def test_a_foreign_manifest_is_refused(tmp_path: Path, content: str, match: str) -> None:
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(WarehouseError, match=match):
        Warehouse.open(tmp_path)


def test_check_finds_changed_and_missing_files(tmp_path: Path) -> None:
    load(tmp_path, 1, [seizure("2025-04-03", "1")])
    load(tmp_path, 2, [seizure("2025-04-03", "1", "S2")])
    assert check(tmp_path / "w", today=TODAY).faults == ()
    first, second = Warehouse.open(tmp_path / "w").files("seizures")
    content = bytearray(first.read_bytes())
    content[len(content) // 2] ^= 1
    first.write_bytes(content)
    second.unlink()
    report = check(tmp_path / "w", today=TODAY)
    assert [fault.split(" ", 1)[1] for fault in report.faults] == [
        "has changed since it was written",
        "is missing",
    ]
    with pytest.raises(WarehouseError, match=r"batch=000000/part-0\.parquet has changed"):
        require_intact(report)


def test_check_counts_rows_and_rejects_and_forgets_expired_tokens(tmp_path: Path) -> None:
    sales = [row("multiple_sales", report_id=f"M{n}") for n in range(9)]
    path = write(tmp_path, "multiple_sales.csv", [*sales, row("multiple_sales", kind="cannon")])
    ingest(path, tmp_path / "w", today=TODAY)
    before = digest(tmp_path / "w")
    report = check(tmp_path / "w", today=TODAY)
    assert digest(tmp_path / "w") == before
    (table,) = report.tables
    assert (table.n_rows, table.rejects) == (9, {"unknown_code": 1})
    assert (table.first_known_on, table.last_known_on) == ("2025-05-02", "2025-05-02")
    later = check(tmp_path / "w", today=date(2027, 5, 1))
    assert (report.n_tokens_dropped, later.n_tokens_dropped) == (0, 9)
    assert later.fingerprint != report.fingerprint
    tokens = Warehouse.open(tmp_path / "w").read("multiple_sales")["purchaser_token"]
    assert pc.all(tokens.is_null()).as_py()
    assert json.dumps(later.as_dict())


def test_files_older_than_a_column_have_no_value_there(tmp_path: Path) -> None:
    """A warehouse outlives an addition to the contract: reads, scans and corrections go on."""
    path = write(tmp_path / "1", "traces.csv", [row("traces"), row("traces", trace_id="T2")])
    ingest(path, tmp_path / "w", today=TODAY)
    _drop_column(tmp_path / "w", "traces", "acquisition_route")
    warehouse = Warehouse.open(tmp_path / "w")
    read = warehouse.read("traces", as_of=date(2026, 1, 1))
    assert read["acquisition_route"].to_pylist() == [None, None]
    rows = duckdb.sql("FROM " + warehouse.scan("traces")).to_arrow_table()
    assert rows["acquisition_route"].null_count == 2
    later = row("traces", trace_id="T2", completed_on="2025-04-01", acquisition_route="export")
    summary = ingest(write(tmp_path / "2", "traces.csv", [later]), tmp_path / "w", today=TODAY)
    assert summary.counts["stored"] == 1
    read = Warehouse.open(tmp_path / "w").read("traces")
    routes = dict(
        zip(read["trace_id"].to_pylist(), read["acquisition_route"].to_pylist(), strict=True)
    )
    assert routes == {"T1": None, "T2": "export"}


def _drop_column(warehouse: Path, table: str, column: str) -> None:
    """Give the one batch of `table` another name and take a column out of it."""
    manifest = json.loads((warehouse / "manifest.json").read_text())
    [file] = manifest["tables"][table]["files"]
    before = warehouse / file["path"]
    file["path"] = f"{table}/batch=900000/part-0.parquet"
    (warehouse / file["path"]).parent.mkdir()
    pq.write_table(
        pq.read_table(before, partitioning=None).drop_columns([column]), warehouse / file["path"]
    )
    (warehouse / "manifest.json").write_text(json.dumps(manifest))
