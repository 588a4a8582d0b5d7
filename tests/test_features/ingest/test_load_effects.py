"""What the files of a load do to each other's rows, and to rows of earlier loads."""

from pathlib import Path

from features.warehouse import Warehouse
from features.warehouse.integrity import check
from tests.test_features.ingest.test_ingest import adds_up, load
from tests.test_features.ingest_samples import TODAY, row, write


def test_a_load_counts_what_its_files_do_to_each_other_and_to_earlier_ones(tmp_path: Path) -> None:
    """Summary and `check` agree, whatever file a row is superseded or disputed by."""

    def seizures(name: str, *rows: tuple[str, str, str]) -> None:
        told = [
            row("seizures", seizure_id=key, reported_on=day, port_code=port)
            for key, day, port in rows
        ]
        write(tmp_path / name.split("/", maxsplit=1)[0], name.split("/")[1], told)

    good = [(f"S{n}", "2025-05-01", "1") for n in range(10)]
    seizures("first/a.csv", *good)
    seizures("then/b.csv", ("S0", "2025-06-01", "2"), ("N1", "2025-06-01", "1"),
             *((f"P{n}", "2025-06-01", "1") for n in range(10)))  # fmt: skip
    seizures("then/c.csv", ("S1", "2025-05-01", "9"), ("N1", "2025-07-01", "2"),
             ("P0", "2025-06-01", "7"),
             *((f"Q{n}", "2025-06-01", "1") for n in range(10)))  # fmt: skip
    load(tmp_path / "first", tmp_path / "w", as_table="seizures")
    summary = load(tmp_path / "then", tmp_path / "w", as_table="seizures")
    assert adds_up(summary)
    b, c = (file.tables[0] for file in summary.files)
    assert (b.n_stored, b.n_superseded, b.reasons) == (10, 1, {"duplicate_key_conflict": 1})
    assert (b.n_superseded_before, b.n_disputed_before) == (1, 0)
    assert (c.n_stored, c.n_superseded, c.n_rejected) == (11, 0, 2)
    assert (c.n_superseded_before, c.n_disputed_before) == (0, 1)
    held = check(tmp_path / "w", today=TODAY).tables[0]
    # Of the first load one row is superseded and one in dispute.
    assert (held.n_superseded, held.n_never) == (b.n_superseded + 1, 4)
    assert held.rejects == {"duplicate_key_conflict": b.n_rejected + c.n_rejected + 1}
    entries = Warehouse.open(tmp_path / "w").manifest["sources"]
    assert [entry["rejected"] for entry in entries] == [0, 1, 2]
    assert summary.warnings == ()


def test_a_key_that_does_not_tell_rows_apart_is_warned_of(tmp_path: Path) -> None:
    (tmp_path / "m.toml").write_text(
        'table = "tips"\n[columns.tip_id]\nfrom = "OFFICE"\n[columns.received_on]\nfrom = "DAY"\n'
        '[columns.source]\nconstant = "public"\n[columns.dealer]\nfrom = "FFL"\n'
        '[columns.is_self_report]\nconstant = "false"\n'
    )
    (tmp_path / "in").mkdir()
    for month in (1, 2, 3):
        lines = [f"{n},2025-0{month}-0{n % 9 + 1},1-01-0000{n}" for n in range(1, 4)]
        (tmp_path / "in" / f"{month}.csv").write_text("\n".join(["OFFICE,DAY,FFL", *lines]) + "\n")
    summary = load(tmp_path / "in", tmp_path / "w", mapping=tmp_path / "m.toml")
    assert (summary.counts["stored"], summary.counts["superseded"]) == (3, 6)
    (told,) = summary.warnings
    assert "6 of 9 rows of tips are replaced by other rows of this load" in told
    assert "tip_id (read from OFFICE); 3 rows are of '3'" in told
    assert check(tmp_path / "w", today=TODAY).tables[0].n_superseded == 6
