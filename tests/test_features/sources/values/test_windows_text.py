"""Text that is not UTF-8 is what Windows writes: its signs, and no controls in their place."""

from __future__ import annotations

from pathlib import Path

import pytest

from features.ingest import ingest
from features.warehouse import Warehouse
from tests.test_features.ingest_samples import LISTING_LATER, TODAY, listing_line

NAMES = ("O\u2019BRIEN \u2013 SONS", "\u0160MID \u0152UVRE \u20ac", "MU\u00d1OZ \u201cTWO\u201d")
MAPPING = """table = "tips"
encoding = "{encoding}"
[columns]
tip_id = {{ from = "ID" }}
dealer = {{ from = "FFL" }}
received_on = {{ from = "DAY" }}
source = {{ constant = "public" }}
is_self_report = {{ constant = "false" }}
"""


def names_of(content: bytes, folder: Path) -> list[str]:
    """The names that a listing gives the warehouse."""
    path = folder / "listing_2026-05.csv"
    path.write_bytes(content)
    ingest(path, folder / "w", today=TODAY)
    read = Warehouse.open(folder / "w").read("licenses").sort_by("dealer")
    return [str(name) for name in read["licensee_name"].to_pylist()]


def lines_of(names: tuple[str, ...]) -> list[str]:
    """Lines of a listing that holds these names."""
    return [",".join(listing_line(n, name=name)) for n, name in enumerate(names, 1)]


def test_a_listing_saved_by_windows_keeps_its_signs(tmp_path: Path) -> None:
    text = "\r\n".join([LISTING_LATER, *lines_of(NAMES)]) + "\r\n"
    assert names_of(text.encode("cp1252"), tmp_path) == list(NAMES)


def test_lines_of_two_encodings_in_one_listing_are_each_read_as_written(tmp_path: Path) -> None:
    windows, utf8 = lines_of((NAMES[2], NAMES[2].replace("MU", "NU")))
    content = b"\n".join([LISTING_LATER.encode(), windows.encode("cp1252"), utf8.encode(), b""])
    assert names_of(content, tmp_path) == [NAMES[2], NAMES[2].replace("MU", "NU")]


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252"])
def test_a_mapping_reads_every_byte_of_either_encoding(encoding: str, tmp_path: Path) -> None:
    (tmp_path / "m.toml").write_text(MAPPING.format(encoding=encoding))
    (tmp_path / "tips.txt").write_bytes(
        b"ID;FFL;DAY\nP\x96\xd1;5-74-90001;2025-05-05\nP\x81;5-74-90001;2025-05-05\n"
    )
    ingest(tmp_path / "tips.txt", tmp_path / "w", mapping=tmp_path / "m.toml", today=TODAY)
    read = Warehouse.open(tmp_path / "w").read("tips")["tip_id"].to_pylist()
    assert sorted(read) == ["P", "P\u2013\u00d1"]


def test_lines_of_fixed_width_are_cut_by_signs(tmp_path: Path) -> None:
    widths = "[fixed_width]\nID = [1, 4]\nFFL = [5, 14]\nDAY = [15, 24]\n"
    (tmp_path / "m.toml").write_text(MAPPING.format(encoding="cp1252") + widths)
    (tmp_path / "tips.txt").write_bytes(b"P\x96\xd11 5-74-90001 2025-05-05\n".replace(b" ", b""))
    ingest(tmp_path / "tips.txt", tmp_path / "w", mapping=tmp_path / "m.toml", today=TODAY)
    assert Warehouse.open(tmp_path / "w").read("tips")["tip_id"].to_pylist() == ["P\u2013\u00d11"]
