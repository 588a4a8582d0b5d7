"""Paths to files: folders, zip archives and workbooks become the tables in them, within bounds.

Nothing is left out without a word: what is not read is returned as well, with its reason.
"""

from __future__ import annotations

import lzma
import os
import re
import shutil
import stat
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Final

from features.errors import SourceError
from features.schema import TABLES
from features.sources.files import workbook
from features.sources.files.source_file import HARMLESS_BYTES, MAX_RATIO, ZIP_MAGIC, is_markup
from features.sources.files.streams import BLOCK, Compression, open_bytes, text_of

_TEXTS: Final = (".csv", ".txt", ".tsv", ".psv", ".dat", ".jsonl", ".ndjson", ".json")
ENDINGS: Final = (
    *(text + packed for text in _TEXTS for packed in ("", ".gz", ".bz2", ".xz", ".zst")),
    ".parquet",
)
_MAX_MEMBERS: Final = 1_000
_MAX_FILES: Final = 20_000
_ENCRYPTED: Final = 0x1
_NOTE: Final = re.compile(r"(read[-_ ]?me|notes?|change-?log|copying)\b", re.IGNORECASE)
# What `simulate` writes beside its tables. Nothing but an evaluation that asks for it reads it.
TRUTH: Final = "truth"
_NO_FILE: Final = "a pipe, a socket or a device"
_HIDDEN: Final = (".", "~$")
_KINDS: Final = (
    "tables as text (.csv, .txt, .tsv, also .gz, .bz2, .xz or .zst), .parquet, .xlsx or .zip"
)


@dataclass(frozen=True)
class Found:
    """A file found under a path.

    Parameters
    ----------
    path : Path
        Where its bytes are.
    name : str
        What the user calls it.
    table : str or None
        The table that its folder or sheet says it holds.
    sheet : str
        Its name where it is one of several sheets, some of which may be notes.
    given : Path or None
        What was named to be loaded: the file itself, or the folder or archive it stood in.
    note : str
        What to tell of it.
    """

    path: Path
    name: str
    table: str | None = None
    sheet: str = ""
    given: Path | None = None
    note: str = ""


@dataclass(frozen=True)
class Unread:
    """A file under a given folder or archive that is not read.

    Parameters
    ----------
    file : str
        What the user calls it.
    why : str
        The reason.
    """

    file: str
    why: str


@dataclass
class Finds:
    """What stands under the given paths.

    Parameters
    ----------
    found : list of Found
        To be read.
    unread : list of Unread
        Left out, with the reason.
    """

    found: list[Found] = field(default_factory=list)
    unread: list[Unread] = field(default_factory=list)


def expand(paths: Iterable[Path], unpack_to: Path) -> Finds:
    """Return the files under `paths`; archives and workbooks are unpacked into `unpack_to`.

    Raises
    ------
    SourceError
        When a path does not exist, a folder holds no table, or an archive is not safe to unpack.
    """
    finds = Finds()
    for n, path in enumerate(paths):
        before = len(finds.found)
        try:
            _given(path, unpack_to / str(n), finds)
        except SourceError as error:
            error.given = path
            raise
        finds.found[before:] = [replace(one, given=path) for one in finds.found[before:]]
    return finds


def _given(path: Path, unpack_to: Path, finds: Finds) -> None:
    if path.is_dir():
        _folder(path, unpack_to, finds)
    elif not path.exists():
        raise SourceError(
            f"{path} does not exist.", fix="check the path; it is taken from where you are"
        )
    elif not path.is_file():
        raise SourceError(
            f"{named(path.name)} is no file.",
            found=_NO_FILE,
            expected="a file, a folder or an archive: it is read more than once",
            fix="write what comes through it to a file, and load that",
        )
    else:
        _file(path, named(path.name), unpack_to, finds)


def named(name: str) -> str:
    """Return the name of a file as text, also where its bytes are not UTF-8."""
    return text_of(os.fsencode(name))


def _plain_path(path: Path, folder: Path) -> Path:
    """Return a path that every reader can be told, a link where the file's own is not UTF-8."""
    if os.fsencode(path) == named(str(path)).encode():
        return path
    link = folder.with_name(f"{folder.name}-named")
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(path.absolute())
    return link


def _file(path: Path, name: str, unpack_to: Path, finds: Finds) -> None:
    """Take one file: a workbook, an archive or a table."""
    path = _plain_path(path, unpack_to)
    magic = _magic(path)
    if workbook.is_workbook(path, magic):
        _sheets(path, name, unpack_to, finds)
    elif name.lower().endswith(workbook.ENDINGS):
        raise _no_workbook(name, magic)
    elif magic.startswith(ZIP_MAGIC):
        _unpacked(path, name, unpack_to, finds)
    else:
        finds.found.append(Found(path, name, table_of(name)))


def _no_workbook(name: str, magic: bytes) -> SourceError:
    """Return the error of a file that only its name calls a workbook."""
    found = f"first bytes {magic[:4]!r}"
    fix = "copy the file again from its origin, or correct its ending"
    if is_markup(magic):
        found = "a web page or XML, as many programs write for spreadsheets to open"
        fix = "open it in a spreadsheet and save it as a workbook (.xlsx) or as CSV in UTF-8"
    elif magic.isascii() and re.sub(rb"\s", b"", magic).decode().isprintable():
        found, fix = f"text that begins with {magic.decode()!r}", "give it the ending .csv"
    return SourceError(
        f"{name} is no workbook, whatever its name says.",
        found=found,
        expected="a workbook (.xlsx, .xlsb, .xls, .ods)",
        fix=fix,
    )


def _magic(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(8)
    except OSError as error:
        raise SourceError(
            f"{path.name} cannot be read.",
            found=error.strerror or str(error),
            fix="check the path and that you may read it",
        ) from error


def _sheets(path: Path, name: str, unpack_to: Path, finds: Finds) -> None:
    """Take the sheets of a workbook; those that it hides and those of one row are told."""
    made = workbook.sheets(path, name, unpack_to)
    finds.unread += [Unread(f"{name}[{sheet}]", "a hidden sheet") for sheet in made.hidden]
    finds.unread += [
        Unread(f"{name}[{sheet}]", "a sheet with one row, no header with rows")
        for sheet in made.single
    ]
    if len(made.texts) == 1:
        finds.found += [
            Found(text, name, table_of(name), note=made.notes.get(sheet, ""))
            for sheet, text in made.texts.items()
        ]
        return
    for sheet, text in made.texts.items():
        table = sheet.lower() if sheet.lower() in TABLES else None
        note = made.notes.get(sheet, "")
        finds.found.append(Found(text, f"{name}[{sheet}]", table, sheet, note=note))


def _folder(folder: Path, unpack_to: Path, finds: Finds) -> None:
    """Take every file in `folder` and below it; what cannot be read is told, not passed over."""
    before = len(finds.found)
    for n, name in enumerate(_walk(folder, finds)):
        path = folder / name
        is_other = path.exists() and not path.is_file()
        why = _why(name) or (_NO_FILE if is_other else _not_what_it_claims(path))
        if why:
            finds.unread.append(Unread(named(name), why))
        else:
            _file(path, named(name), unpack_to / str(n), finds)
    if len(finds.found) == before:
        raise SourceError(
            f"The folder {folder} holds no table.",
            found="; ".join(f"{u.file}: {u.why}" for u in finds.unread[:5]) or "nothing",
            expected="files such as traces.csv, traces.csv.gz, traces.parquet or traces.xlsx",
            fix="name the files themselves if they are called otherwise",
        )


def _walk(folder: Path, finds: Finds) -> list[str]:
    """Return the files below `folder`, in order; links to folders are not followed."""
    names: list[str] = []
    for place, folders, files in os.walk(folder):
        here = Path(place).relative_to(folder)
        for name in list(folders):
            if (Path(place) / name).is_symlink():
                folders.remove(name)
                finds.unread.append(Unread((here / name).as_posix(), "a link to another folder"))
        names += [(here / name).as_posix() for name in files]
        if len(names) > _MAX_FILES:
            raise SourceError(
                f"The folder {folder} holds more than {_MAX_FILES:,} files.",
                fix="name the folder of the tables itself",
            )
    return sorted(names)


def _not_what_it_claims(path: Path) -> str:
    """Return why a file of a folder is none of the kind that its ending says, or nothing.

    Only for kinds that are often something else: lock files of a spreadsheet, and downloads that
    were broken off. A table as text or Parquet that is damaged refuses the load instead.
    """
    ending = path.name.lower()
    magic = _magic(path)
    if ending.endswith(workbook.ENDINGS) and not workbook.is_workbook(path, magic):
        return "its content is no workbook"
    if ending.endswith(".zip") and not zipfile.is_zipfile(path):
        return "its content is no zip archive"
    packed: tuple[tuple[str, Compression], ...] = (
        (".bz2", "bzip2"), (".xz", "xz"), (".zst", "zstd"),
    )  # fmt: skip
    for last, how in packed:
        if ending.endswith(last):
            try:
                with open_bytes(path, how) as stream:
                    stream.read(1)
            except (OSError, EOFError, lzma.LZMAError) as error:
                return f"its content is no {how} ({error})"
    return ""


def _why(name: str, *, in_archive: bool = False) -> str:
    """Return why the file called `name` is not read, or nothing when it is to be."""
    path = PurePosixPath(name)
    if path.name.startswith(_HIDDEN) or "__MACOSX" in path.parts:
        return "a hidden or temporary file"
    if TRUTH in path.parts[:-1]:
        return "the truth of a simulated country, which only evaluations read"
    if _NOTE.match(path.name):
        return "a note, by its name"
    if path.name.lower().endswith(".zip"):
        return "an archive inside of an archive; unpack it first" if in_archive else ""
    if not path.name.lower().endswith((*ENDINGS, *workbook.ENDINGS)):
        return f"its ending is none of {_KINDS}"
    return ""


def table_of(name: str) -> str | None:
    """Return the table that a folder of the path `name` is called after; the nearest one counts.

    >>> table_of("2024/traces.parquet/part-0.parquet")
    'traces'
    """
    path = PurePosixPath(name)
    if path.name.split(".", 1)[0] in TABLES:
        return None  # the file says it itself
    parents = (parent.name.removesuffix(".parquet") for parent in path.parents)
    return next((parent for parent in parents if parent in TABLES), None)


def _unpacked(path: Path, name: str, folder: Path, finds: Finds) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            members = [m for m in archive.infolist() if not plain_name(m).endswith("/")]
            _check_members(name, members)
            free = shutil.disk_usage(_existing(folder)).free
            _check_sizes(name, path.stat().st_size, members, free)
            folder.mkdir(parents=True)
            for member in members:
                inside = plain_name(member)
                why = _why(inside, in_archive=True)
                if why:
                    finds.unread.append(Unread(f"{name}!{inside}", why))
                else:
                    _extract(name, archive, member, folder, finds)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise SourceError(
            f"{name} is damaged or cut off inside its zip compression.",
            found=str(error),
            fix="copy the file again from its origin",
        ) from error


def plain_name(member: zipfile.ZipInfo) -> str:
    """Return the name of a member with the separator of the format.

    Old tools of Windows write backslashes where the format wants slashes.
    """
    return member.filename.replace("\\", "/")


def _check_members(archive: str, members: Sequence[zipfile.ZipInfo]) -> None:
    """Refuse an archive that would write outside its folder or that cannot be read."""
    names = [plain_name(member) for member in members]
    for member, name in zip(members, names, strict=True):
        parts = PurePosixPath(name).parts
        is_link = stat.S_ISLNK(member.external_attr >> 16)
        is_outside = not parts or ".." in parts or name.startswith("/") or ":" in parts[0]
        if is_outside or is_link:
            raise SourceError(
                f"{archive} is refused: a member of it points outside the archive.",
                found=repr(member.filename) + (" (a link)" if is_link else ""),
                expected="plain file names such as traces.csv",
                fix="make the archive again from the files alone",
            )
        if member.flag_bits & _ENCRYPTED:
            raise SourceError(
                f"{archive} is encrypted.", fix="unpack it yourself and ingest the files"
            )
    if len(names) > _MAX_MEMBERS or len(set(names)) < len(names):
        raise SourceError(
            f"{archive} holds too many members, or two of the same name.",
            found=f"{len(names):,} members, {len(set(names)):,} names",
            expected=f"at most {_MAX_MEMBERS:,}, each once",
        )
    if not any(map(_is_wanted, members)):
        raise SourceError(
            f"{archive} holds no table.",
            found=", ".join(names[:10]) or "nothing",
            expected="files such as traces.csv, traces.csv.gz, traces.parquet or traces.xlsx",
            fix="unpack it and name the files themselves if they are called otherwise",
        )


def _is_wanted(member: zipfile.ZipInfo) -> bool:
    return not _why(plain_name(member), in_archive=True)


def _check_sizes(name: str, packed: int, members: Sequence[zipfile.ZipInfo], free: int) -> None:
    """Refuse an archive by what it declares; `_extract` holds it to its word."""
    declared = sum(member.file_size for member in members)
    if declared > HARMLESS_BYTES and declared > MAX_RATIO * max(packed, 1):
        raise _bomb(name, f"{declared >> 20:,} MB out of {max(packed >> 10, 1):,} kB")
    if declared > free:
        raise SourceError(
            f"{name} does not fit the disk when unpacked.",
            found=f"{declared >> 20:,} MB declared, {free >> 20:,} MB free",
            fix="free disk space beside the warehouse, or name another one with --warehouse",
        )


def _extract(
    name: str, archive: zipfile.ZipFile, member: zipfile.ZipInfo, folder: Path, finds: Finds
) -> None:
    # The name on disk is ours: nothing of the member's own path is used.
    target = folder / f"{len(list(folder.iterdir())):04d}"
    inside = plain_name(member)
    n_bytes = 0
    with archive.open(member) as packed, target.open("wb") as out:
        while block := packed.read(BLOCK):
            n_bytes += len(block)
            if n_bytes > member.file_size:
                raise _bomb(name, f"{member.filename} holds more than it declares")
            out.write(block)
    called = f"{name}!{inside}"
    if inside.lower().endswith(workbook.ENDINGS):
        why = _not_a_workbook(target)
        if why:
            finds.unread.append(Unread(called, why))
        else:
            _sheets(target, called, folder / f"{target.name}-sheets", finds)
        return
    finds.found.append(Found(target, called, table_of(inside)))


def _not_a_workbook(path: Path) -> str:
    return "" if workbook.is_workbook(path, _magic(path)) else "its content is no workbook"


def _bomb(name: str, found: str) -> SourceError:
    return SourceError(
        f"{name} unpacks beyond all measure and was not unpacked.",
        found=found,
        expected=f"at most {MAX_RATIO} bytes out of one",
        fix="unpack the file yourself where you trust it, and ingest the result",
    )


def _existing(folder: Path) -> Path:
    return next(parent for parent in (folder, *folder.parents) if parent.exists())
