"""One source out of the warehouse: as of now, or as if it had never been loaded."""

from __future__ import annotations

import json
import zipfile
from datetime import date
from pathlib import Path

import pytest
from typer.testing import CliRunner

from features.errors import InvalidValueError, SourceError
from features.ingest import ingest
from features.ingest.withdrawal import sources, withdraw
from features.warehouse import Warehouse
from features.warehouse.integrity import check
from features.warehouse.manifest import read_manifest
from ffl_risk import app
from tests.test_features.ingest_samples import TODAY, csv_text, row, write

BEFORE, AFTER = date(2026, 5, 31), date(2026, 6, 2)


def seizure(reported: str, port: str, key: str = "S1") -> dict[str, str]:
    return row("seizures", seizure_id=key, reported_on=reported, port_code=port)


def load(folder: Path, name: str, *rows: dict[str, str]) -> None:
    path = write(folder / name, "seizures.csv", list(rows))
    path = path.rename(path.with_name(f"{name}.csv"))
    ingest(path, folder / "w", as_table="seizures", today=TODAY)


def ports(folder: Path, as_of: date | None = None) -> list[str]:
    read = Warehouse.open(folder / "w").read("seizures", as_of=as_of)
    assert len(set(read["seizure_id"].to_pylist())) == len(read)  # never two rows of a key
    return sorted(read["port_code"].to_pylist())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two keys; the second source corrects one and adds one."""
    load(tmp_path, "a", seizure("2025-05-01", "1"))
    load(tmp_path, "b", seizure("2025-06-01", "2"), seizure("2025-06-01", "3", "S2"))
    return tmp_path


def test_as_of_now_history_stays_and_what_was_before_stands_again(folder: Path) -> None:
    done = withdraw("b.csv", folder / "w", why="wrong office", today=TODAY)
    assert (done.rows, done.restored) == ({"seizures": 2}, {"seizures": 1})
    assert ports(folder) == ["1"]
    assert ports(folder, AFTER) == ["1"]
    assert ports(folder, BEFORE) == ["2", "3"]
    assert ports(folder, TODAY) == ["2", "3"]
    assert ports(folder, date(2025, 5, 15)) == ["1"]
    assert check(folder / "w", today=TODAY).faults == ()


def test_a_corrected_file_replaces_and_never_mixes(folder: Path) -> None:
    withdraw("b.csv", folder / "w", why="wrong office", today=TODAY)
    load(folder, "c", seizure("2025-06-01", "4"), seizure("2025-06-01", "5", "S2"))
    assert ports(folder) == ["4", "5"]
    assert ports(folder, AFTER) == ["4", "5"]
    assert ports(folder, BEFORE) == ["2", "3"]
    # What became known between the two is of its own day; the corrected row came after it.
    load(folder, "d", seizure("2026-05-01", "6"))
    assert ports(folder, BEFORE) == ["3", "6"]
    assert ports(folder, AFTER) == ["4", "5"]


def test_the_same_file_may_come_again(folder: Path) -> None:
    withdraw("b.csv", folder / "w", why="by mistake", today=TODAY)
    ingest(folder / "b" / "b.csv", folder / "w", as_table="seizures", today=TODAY)
    assert ports(folder) == ["2", "3"]
    assert ports(folder, AFTER) == ["2", "3"]
    assert ports(folder, BEFORE) == ["2", "3"]


def test_from_the_start_no_day_has_it_and_the_corrected_file_counts_from_its_own(
    folder: Path,
) -> None:
    done = withdraw("1", folder / "w", why="wrong mapping", is_from_start=True, today=TODAY)
    assert done.rows == {"seizures": 2}
    for when in (date(2025, 5, 15), date(2025, 7, 1), BEFORE, AFTER, None):
        assert ports(folder, when) == ["1"]
    assert [p.name for p in (folder / "w" / "withdrawn").iterdir()] == ["000001-seizures.parquet"]
    load(folder, "c", seizure("2025-06-01", "4"), seizure("2025-06-01", "5", "S2"))
    assert ports(folder, date(2025, 7, 1)) == ["4", "5"]
    assert ports(folder, date(2025, 5, 15)) == ["1"]


@pytest.mark.parametrize("is_from_start", [False, True])
def test_a_dispute_is_settled_by_taking_one_side_out(is_from_start: bool, tmp_path: Path) -> None:
    load(tmp_path, "a", seizure("2025-05-01", "1"))
    rows = [seizure("2025-05-01", "2"), seizure("2025-05-01", "9", "S9")]
    ingest(
        write(tmp_path / "b", "b.csv", rows),
        tmp_path / "w",
        as_table="seizures",
        max_rejects=1.0,
        today=TODAY,
    )
    assert ports(tmp_path) == ["9"]
    assert check(tmp_path / "w", today=TODAY).tables[0].rejects == {"duplicate_key_conflict": 2}
    withdraw("b.csv", tmp_path / "w", why="test", is_from_start=is_from_start, today=TODAY)
    assert ports(tmp_path, AFTER) == ["1"]
    # Rejects of what was withdrawn are of no load that counts.
    assert check(tmp_path / "w", today=TODAY).tables[0].rejects == {"duplicate_key_conflict": 1}


def test_what_another_file_repeated_may_be_loaded_again(tmp_path: Path) -> None:
    load(tmp_path, "a", seizure("2025-05-01", "1"))
    load(tmp_path, "b", seizure("2025-05-01", "1"), seizure("2025-05-02", "2", "S2"))
    done = withdraw("a.csv", tmp_path / "w", why="test", is_from_start=True, today=TODAY)
    assert done.again == ("b.csv",)
    ingest(tmp_path / "b" / "b.csv", tmp_path / "w", as_table="seizures", today=TODAY)
    assert ports(tmp_path) == ["1", "2"]


def test_it_is_recorded_and_asked_for_by_name(folder: Path) -> None:
    with pytest.raises(InvalidValueError, match="needs a reason"):
        withdraw("b.csv", folder / "w", why=" ")
    with pytest.raises(SourceError, match=r"0: a\.csv"):
        withdraw("z.csv", folder / "w", why="test")
    place = ["--warehouse", str(folder / "w")]
    told = CliRunner().invoke(app, ["withdraw", "b.csv", "--why", "wrong office", "--json", *place])
    assert json.loads(told.output)["rows"] == {"seizures": 2}
    entry = sources(folder / "w")[1]["withdrawn"]
    assert (entry["why"], entry["rows"]) == ("wrong office", {"seizures": 2})
    assert "wrong office" in CliRunner().invoke(app, ["sources", *place]).output
    with pytest.raises(SourceError, match="No source"):
        withdraw("b.csv", folder / "w", why="again")


def _months(folder: Path, *, first: int) -> Path:
    """Return a zip of two files, the later of which corrects a key of the earlier."""
    folder.mkdir(parents=True)
    path = folder / "months.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for n in (first, first + 1):
            rows = [seizure(f"2025-0{n}-01", "1", f"K{n}"), seizure(f"2025-0{n}-01", str(n))]
            archive.writestr(f"sent/{n}.csv", csv_text(rows))
    return path


@pytest.mark.parametrize("is_from_start", [False, True])
def test_all_files_of_an_archive_go_at_once(is_from_start: bool, tmp_path: Path) -> None:
    load(tmp_path, "a", seizure("2025-04-05", "7"))
    zipped = _months(tmp_path / "z", first=5)
    ingest(zipped, tmp_path / "w", as_table="seizures", today=TODAY)
    assert ports(tmp_path) == ["1", "1", "6"]
    batch = read_manifest(tmp_path / "w")
    done = withdraw(
        "months.zip", tmp_path / "w", why="test", is_from_start=is_from_start, today=TODAY
    )
    assert (done.sources, done.file) == ((1, 2), "months.zip")
    assert (done.read, done.rows, done.standing) == (
        {"seizures": 4}, {"seizures": 4}, {"seizures": 3},
    )  # fmt: skip
    assert ports(tmp_path, AFTER) == ["7"]
    assert ports(tmp_path, BEFORE) == (["7"] if is_from_start else ["1", "1", "6"])
    gone = [e["withdrawn"] for e in sources(tmp_path / "w") if "withdrawn" in e]
    assert [one["rows"] for one in gone] == [{"seizures": 2}, {"seizures": 2}]
    assert len({one["at"] for one in gone}) == 1
    assert batch["sources"][1]["load"] == batch["sources"][2]["load"] == 1
    assert check(tmp_path / "w", today=TODAY).faults == ()


def test_a_folder_is_named_as_it_was_given_and_two_loads_are_told_apart(tmp_path: Path) -> None:
    for name, first in (("jan", 5), ("feb", 7)):
        ingest(
            _months(tmp_path / name, first=first), tmp_path / "w", as_table="seizures", today=TODAY
        )
    with pytest.raises(SourceError, match=r"0-1: months\.zip, 2 files of .*; 2-3: months\.zip"):
        withdraw("months.zip", tmp_path / "w", why="test")
    with pytest.raises(SourceError, match=r"(?s)No source is called 'z\.zip'.*0-1: months\.zip"):
        withdraw("z.zip", tmp_path / "w", why="test")
    assert withdraw("feb/months.zip", tmp_path / "w", why="test", today=TODAY).sources == (2, 3)
    assert withdraw("0-1", tmp_path / "w", why="test", today=TODAY).sources == (0, 1)
    folder = tmp_path / "many"
    for n in range(1, 4):
        write(folder, f"{n}.csv", [seizure("2025-05-01", "1", f"M{n}")])
    ingest(folder, tmp_path / "w", as_table="seizures", today=TODAY)
    told = CliRunner().invoke(
        app, ["withdraw", f"{folder}/", "--why", "test", "--warehouse", str(tmp_path / "w")]
    )
    assert "3 sources, 4-6" in told.output
    assert "Of 3 rows of seizures read, 3 were stored: 3 stood until now" in told.output
