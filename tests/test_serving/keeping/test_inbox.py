"""Deliveries in an inbox: taken in once, set aside with a reason, or left until they are whole."""

from __future__ import annotations

import os
import shutil
import time
from datetime import date
from pathlib import Path

import pytest

from features.errors import SourceError, WarehouseError
from features.warehouse import Warehouse
from serving.errors import NotReadyError
from serving.schedule import inbox as inboxes
from serving.schedule.inbox import receive

DAY = date(2026, 3, 5)
INSPECTIONS = (
    "inspection_id,dealer,kind,opened_on,closed_on,selected_by,outcome\n"
    "I1,1-57-00001,compliance,2020-01-10,2020-02-10,risk,warning_letter\n"
    "I2,1-57-00002,compliance,2020-01-11,2020-02-12,risk,warning_letter\n"
)
VIOLATIONS = "inspection_id,citation\nI1,27 CFR 478.124\nI1,27 CFR 478.125(e)\n"


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


def take(inbox: Path, *, settled: float = 0.0, mappings: Path | None = None) -> inboxes.Received:
    return receive(inbox, inbox.parent / "warehouse", today=DAY, settled=settled, mappings=mappings)


def names(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def rows(inbox: Path, table: str) -> int:
    return Warehouse.open(inbox.parent / "warehouse").read(table).num_rows


def test_deliveries_are_loaded_together_and_moved(inbox: Path):
    # By name the violations come first; each refers to an inspection of the other file.
    (inbox / "a_violations.csv").write_text(VIOLATIONS)
    (inbox / "part").mkdir()
    (inbox / "part/inspections.csv").write_text(INSPECTIONS)
    found = take(inbox)
    assert (found.taken, found.refused) == (["a_violations.csv", "part"], [])
    assert (rows(inbox, "inspections"), rows(inbox, "violations")) == (2, 2)
    assert names(inbox) == [
        "taken/2026-03-05/a_violations.csv", "taken/2026-03-05/part/inspections.csv",
    ]  # fmt: skip
    assert (inbox / "taken").stat().st_mode & 0o077 == 0
    before = (inbox.parent / "warehouse/manifest.json").read_bytes()
    assert take(inbox).line == "0 taken in"
    assert (inbox.parent / "warehouse/manifest.json").read_bytes() == before


def test_the_same_name_comes_again(inbox: Path):
    for n, content in enumerate((INSPECTIONS, INSPECTIONS.replace("I2", "I3"), INSPECTIONS)):
        (inbox / "inspections.csv").write_text(content)
        assert take(inbox).taken == ["inspections.csv"], n
    assert rows(inbox, "inspections") == 3
    assert names(inbox / "taken/2026-03-05") == [
        "2-inspections.csv", "3-inspections.csv", "inspections.csv",
    ]  # fmt: skip


BAD = {
    "cut.zip": b"PK\x03\x04 and no more",
    "traces.csv": b"no,column,of,any,table\n1,2,3,4,5\n",
    "letter.pdf": b"%PDF-1.7 binary",
    "violations.parquet": b"PAR1 not one",
    "empty.csv": b"",
}


def test_what_is_refused_is_set_aside_with_its_reason_and_holds_up_nothing(inbox: Path):
    for name, content in BAD.items():
        (inbox / name).write_bytes(content)
    (inbox / "inspections.csv").write_text(INSPECTIONS)
    found = take(inbox)
    assert found.taken == ["inspections.csv"]
    assert sorted(found.refused) == sorted(BAD)
    assert rows(inbox, "inspections") == 2
    assert "5 refused (" in found.line
    assert "\n" not in found.line
    folder = inbox / "refused/2026-03-05"
    assert names(folder) == sorted([*BAD, *(f"{name}.why.txt" for name in BAD)])
    for name, content in BAD.items():
        assert (folder / name).read_bytes() == content
        assert name.split(".")[0] in (folder / f"{name}.why.txt").read_text()
    assert take(inbox).line == "0 taken in"


def test_too_many_bad_rows_refuse_their_own_delivery_alone(inbox: Path):
    (inbox / "one").mkdir()
    (inbox / "one/violations.csv").write_text(
        VIOLATIONS.replace("I1", "").replace("27 CFR", "nothing")
    )
    (inbox / "inspections.csv").write_text(INSPECTIONS)
    found = take(inbox)
    assert (found.taken, found.refused) == (["inspections.csv"], ["one"])
    assert rows(inbox, "inspections") == 2


def test_what_may_still_arrive_waits(inbox: Path):
    (inbox / "inspections.csv").write_text(INSPECTIONS)
    # A copy that keeps the original's time is no older for it.
    long_ago = time.time() - 86_400
    os.utime(inbox / "inspections.csv", (long_ago, long_ago))
    (inbox / ".violations.csv.x7").write_text("half")
    found = take(inbox, settled=300)
    assert (found.taken, found.waiting) == ([], ["inspections.csv"])
    assert names(inbox) == [".violations.csv.x7", "inspections.csv"]
    for name in ("violations.csv.part", "traces.csv.filepart"):
        (inbox / name).write_text("half")
    (inbox / "folder").mkdir()
    (inbox / "folder/thefts.csv.tmp").write_text("half")
    found = take(inbox)
    assert found.taken == ["inspections.csv"]
    assert found.waiting == ["folder", "traces.csv.filepart", "violations.csv.part"]
    assert "3 may still be arriving (folder)" in found.line


def test_links_are_not_followed(inbox: Path, tmp_path: Path):
    (tmp_path / "elsewhere.csv").write_text(INSPECTIONS)
    (inbox / "inspections.csv").symlink_to(tmp_path / "elsewhere.csv")
    (inbox / "folder").mkdir()
    (inbox / "folder/inspections.csv").symlink_to(tmp_path / "elsewhere.csv")
    found = take(inbox)
    assert (found.taken, sorted(found.refused)) == ([], ["folder", "inspections.csv"])
    assert not (tmp_path / "warehouse/manifest.json").exists()
    assert (tmp_path / "elsewhere.csv").read_text() == INSPECTIONS


def test_a_kill_between_loading_and_moving_loses_and_doubles_nothing(inbox: Path, monkeypatch):
    (inbox / "inspections.csv").write_text(INSPECTIONS)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(inboxes, "_put_away", killed)
        with pytest.raises(KeyboardInterrupt):
            take(inbox)
    assert names(inbox) == ["inspections.csv"]
    assert take(inbox).taken == ["inspections.csv"]
    assert rows(inbox, "inspections") == 2


def test_a_warehouse_that_fails_moves_nothing(inbox: Path):
    (inbox / "inspections.csv").write_text(INSPECTIONS)
    (inbox.parent / "warehouse").mkdir()
    (inbox.parent / "warehouse/manifest.json").write_text("{")
    with pytest.raises(WarehouseError):
        take(inbox)
    assert names(inbox) == ["inspections.csv"]


def test_a_read_only_inbox_is_loaded_and_left(inbox: Path, monkeypatch):
    (inbox / "inspections.csv").write_text(INSPECTIONS)
    monkeypatch.setattr(inboxes.os, "access", lambda *_: False)
    for _ in range(2):
        found = take(inbox)
        assert found.line == "1 taken in, left in place, as the inbox cannot be written"
    assert names(inbox) == ["inspections.csv"]
    assert rows(inbox, "inspections") == 2


def test_one_at_a_time_and_a_folder_there_must_be(inbox: Path):
    with inboxes._alone(inbox), pytest.raises(NotReadyError, match="Another command"):
        take(inbox)
    shutil.rmtree(inbox)
    with pytest.raises(SourceError, match="no folder"):
        take(inbox)


OWN_VISITS = """
table = "inspections"
date_format = "%d.%m.%Y"
[columns]
inspection_id = { from = "nr" }
dealer = { from = "ffl" }
kind = { constant = "compliance" }
opened_on = { from = "auf" }
closed_on = { from = "zu" }
selected_by = { constant = "unknown" }
outcome = { constant = "warning_letter" }
"""


@pytest.fixture
def mappings(tmp_path: Path) -> Path:
    """Patterns beside the inbox, and the mapping that they name."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own/visits.toml").write_text(OWN_VISITS)
    file = tmp_path / "own/inbox.toml"
    file.write_text('[deliveries]\n"besuche_*.csv" = "visits.toml"\n')
    return file


def test_an_export_of_its_own_layout_is_received_through_its_mapping(inbox: Path, mappings: Path):
    """Beside canonical deliveries that refer to it, all in one load."""
    (inbox / "a_violations.csv").write_text(VIOLATIONS)
    (inbox / "Besuche_2026-02.csv").write_text(
        "nr;ffl;auf;zu\nI1;1-57-00001;10.01.2020;10.02.2020\nSumme;1;;\n"
    )
    (inbox / "besuche_x.csv").write_text("nr;ffl\nI9;1-57-00001\n")
    found = take(inbox, mappings=mappings)
    assert (found.taken, found.refused) == (
        ["Besuche_2026-02.csv", "a_violations.csv"], ["besuche_x.csv"],
    )  # fmt: skip
    assert "lacks columns of the mapping" in found.reasons["besuche_x.csv"]
    assert (rows(inbox, "inspections"), rows(inbox, "violations")) == (1, 2)
    assert found.summary is not None
    assert found.summary.counts["set_aside"] == 1


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("inbox.toml", "[deliveries", "cannot be read"),
        ("inbox.toml", '[other]\n"a" = "b"', "names no mappings"),
        ("inbox.toml", '[deliveries]\n"a" = 1', "names no mappings"),
        ("inbox.toml", '[deliveries]\n"*" = "none.toml"', "none.toml cannot be read"),
        ("inbox.toml", '[deliveries]\n"*" = "../inbox/evil.toml"', "lies in the inbox"),
        ("visits.toml", 'table = "inspections"', "does not fit the data contract"),
        (
            "visits.toml",
            OWN_VISITS + '[database]\nurl_env = "X_URL"\nquery = "SELECT 1"',
            "asks a server",
        ),
    ],
)
def test_a_mapping_that_cannot_be_used_moves_nothing(
    file: str, text: str, said: str, inbox: Path, mappings: Path
):
    (mappings.parent / file).write_text(text)
    (inbox / "evil.toml").write_text(OWN_VISITS)
    (inbox / "inspections.csv").write_text(INSPECTIONS)
    with pytest.raises(SourceError, match=said):
        take(inbox, mappings=mappings)
    assert names(inbox) == ["evil.toml", "inspections.csv"]
