"""A JSON document that holds one list of records: each record becomes a line.

The list is the document, or it stands in it under a name, as most services answer:
``{"made_on": "2024-05-01", "records": [{...}, {...}]}``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import duckdb

from features.errors import SourceError
from features.sources.files.source_file import HEAD_BYTES, SourceFile
from features.sources.files.streams import BLOCK
from features.sql import literal

# A record of a list, and a document that is no list and is held in memory whole.
_MAX_RECORD: Final = 16 << 20
_MAX_DOCUMENT: Final = 256 << 20
_LIST: Final = re.compile(rb"\s*\[\s*[\[{\]]")
_DEPTH: Final = 3


def is_document(source: SourceFile) -> bool:
    """Tell a document from records that stand one a line.

    A line that ends within an object is no record; a single line may hold a list.
    """
    if source.form != "text":
        return False
    head = source.head.lstrip()
    if _LIST.match(head):
        return True
    first, _, rest = head.partition(b"\n")
    if not first.startswith(b"{"):
        return False
    if first.rstrip().endswith((b"{", b"[", b",")):
        return True
    return not rest.strip() and re.search(rb":\s*\[\s*\{", first) is not None


def as_lines(source: SourceFile, folder: Path) -> SourceFile:
    """Write the records of a document one a line under `folder`; return that file.

    It keeps the name and the hash of the document.

    Raises
    ------
    SourceError
        When it is no valid JSON, or holds not exactly one list of records.
    """
    folder.mkdir(parents=True, exist_ok=True)
    number = len(list(folder.iterdir()))
    plain, lines = folder / f"{number:04d}.json", folder / f"{number:04d}.jsonl"
    with source.open() as stream, plain.open("wb") as out:
        out.write(stream.read(len(b"\xef\xbb\xbf")).removeprefix(b"\xef\xbb\xbf"))
        while block := stream.read(BLOCK):
            out.write(block)
    try:
        with duckdb.connect() as con, lines.open("w", encoding="utf-8", newline="") as text:
            text.writelines(f"{line}\n" for line in _records(con, source, plain))
    except duckdb.Error as error:
        raise SourceError(
            f"{source.name} is no valid JSON.",
            found=str(error).splitlines()[0].replace(str(plain), source.name),
            expected="a list of records, or one record a line",
            fix="write the file again, or the table as CSV",
        ) from error
    plain.unlink()
    head = _head(lines)
    if not head.startswith(b"{"):
        raise _not_one(source, [])
    return replace(
        source, path=lines, compression="", translation="", ends_in_newline=True,
        head=head, has_end_marks=False,
    )  # fmt: skip


def _head(lines: Path) -> bytes:
    with lines.open("rb") as stream:
        return stream.read(HEAD_BYTES)


def _records(con: Any, source: SourceFile, plain: Path) -> Iterator[str]:
    file = literal(str(plain))
    if _LIST.match(source.head):
        query = (
            f"SELECT json(json) FROM read_json_objects({file}, format='array', "
            f"maximum_object_size={_MAX_RECORD})"
        )
    else:
        size = plain.stat().st_size
        if size > _MAX_DOCUMENT:
            raise SourceError(
                f"{source.name} is too large for a document that is no list.",
                found=f"{size >> 20:,} MB",
                expected=f"at most {_MAX_DOCUMENT >> 20} MB",
                fix="write its list of records alone, or one record a line",
            )
        whole = f"read_json_objects({file}, format='unstructured', maximum_object_size={size + 1})"
        path = literal(_only_list(con, source, whole) + "[*]")
        query = f"SELECT json(unnest(json_extract(json, {path}))) FROM {whole}"
    answer = con.execute(query)
    while batch := answer.fetchmany(10_000):
        for (record,) in batch:
            yield record


def _only_list(con: Any, source: SourceFile, whole: str) -> str:
    """Return the path to the one list of records in a document."""
    found, level = [], ["$"]
    for _ in range(_DEPTH):
        below = []
        for path in level:
            at = literal(path)
            keys = con.execute(f"SELECT json_keys(json, {at}) FROM {whole}").fetchall()
            if len(keys) != 1:
                raise _not_one(source, [])
            for key in keys[0][0] or ():
                inside = f"{path}.{json.dumps(key, ensure_ascii=False)}"
                kinds = con.execute(
                    f"SELECT json_type(json, {literal(inside)}), "
                    f"json_type(json, {literal(inside + '[0]')}) FROM {whole}"
                ).fetchone()
                if kinds == ("ARRAY", "OBJECT"):
                    found.append(inside)
                elif kinds[0] == "OBJECT":
                    below.append(inside)
        level = below
    if len(found) != 1:
        raise _not_one(source, found)
    return found[0]


def _not_one(source: SourceFile, found: list[str]) -> SourceError:
    return SourceError(
        f"{source.name} is JSON, but holds not one list of records.",
        found=", ".join(path.removeprefix("$.") for path in found) or "no list of records",
        expected='[{"trace_id": "T1"}, ...], such a list under a name, or one record a line',
        fix="write each list to a file of its own",
    )
