"""Formulas of a workbook that no program has computed: their cells are empty to every reader."""

from __future__ import annotations

import html
import posixpath
import re
import zipfile
from collections import Counter
from pathlib import Path
from typing import Final

_SHEET: Final = re.compile(r"<(?:\w+:)?sheet\s[^>]*>")
_RELATION: Final = re.compile(r"<(?:\w+:)?Relationship\s[^>]*>")
# A cell with a formula and no value, or one of no length.
_UNCOMPUTED: Final = re.compile(
    rb'<(?:\w+:)?c r="([A-Z]+)[0-9]+"[^>]*>\s*<(?:\w+:)?f(?:\s[^>]*)?(?:/>|>[^<]*</(?:\w+:)?f>)\s*'
    rb"(?:<(?:\w+:)?v\s*/>|<(?:\w+:)?v>\s*</(?:\w+:)?v>)?\s*</(?:\w+:)?c>"
)


def uncomputed(path: Path) -> dict[str, str]:
    """Return, for each sheet of a workbook (.xlsx) with formulas that have no values, what to tell.

    Programs that write workbooks without computing them leave such formulas; a spreadsheet that
    opens and saves the workbook computes them.
    """
    if not zipfile.is_zipfile(path):
        return {}
    with zipfile.ZipFile(path) as archive:
        told = {}
        for place, sheet in sheet_parts(archive).items():
            content = archive.read(place) if place.endswith(".xml") else b""
            found = Counter(_UNCOMPUTED.findall(content)) if b"f>" in content else Counter()
            if found:
                counts = ", ".join(f"{n:,} in column {c.decode()}" for c, n in found.items())
                told[sheet] = (
                    f"formulas without computed values, read as nothing: {counts}; open the "
                    "workbook in a spreadsheet, save it, and load it again"
                )
    return told


def sheet_parts(archive: zipfile.ZipFile) -> dict[str, str]:
    """Return the name of each sheet of a workbook (.xlsx, .xlsb) by the part that holds it.

    The parts of .xlsb name their sheets in records, so there each is called by its part.
    """
    names = set(archive.namelist())
    if not {"xl/workbook.xml", "xl/_rels/workbook.xml.rels"} <= names:
        return {n: n for n in sorted(names) if re.fullmatch(r"xl/worksheets/[^/]+\.bin", n)}
    relations = archive.read("xl/_rels/workbook.xml.rels").decode(errors="replace")
    targets = {_of(tag, "Id"): _of(tag, "Target") for tag in _RELATION.findall(relations)}
    told = {}
    for tag in _SHEET.findall(archive.read("xl/workbook.xml").decode(errors="replace")):
        place = posixpath.normpath(posixpath.join("/xl", targets.get(_of(tag, "id"), "")))
        if place.lstrip("/") in names:
            told[place.lstrip("/")] = _of(tag, "name")
    return told


def _of(tag: str, name: str) -> str:
    """Return an attribute of a tag, or nothing.

    >>> _of('<sheet name="A &amp; B" r:id="rId1"/>', "id"), _of('<sheet name="A &amp; B"/>', "name")
    ('rId1', 'A & B')
    """
    found = re.search(rf'[\s:]{name}="([^"]*)"', tag)
    return html.unescape(found[1]) if found else ""
