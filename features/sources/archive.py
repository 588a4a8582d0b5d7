"""Paths to files: folders and zip archives become the tables in them, within bounds."""

from __future__ import annotations

import shutil
import stat
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from features.errors import SourceError
from features.schema import TABLES
from features.sources.files import BLOCK, HARMLESS_BYTES, MAX_RATIO, ZIP_MAGIC

ENDINGS: Final = (
    ".csv", ".csv.gz", ".txt", ".txt.gz", ".tsv", ".tsv.gz", ".jsonl", ".jsonl.gz", ".ndjson",
    ".ndjson.gz", ".json", ".json.gz", ".parquet",
)  # fmt: skip
_MAX_MEMBERS: Final = 1_000
_ENCRYPTED: Final = 0x1


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
        The table that its folder says it holds.
    """

    path: Path
    name: str
    table: str | None = None


def expand(paths: Iterable[Path], unpack_to: Path) -> list[Found]:
    """Return the files under `paths`; archives are unpacked into `unpack_to`.

    Raises
    ------
    SourceError
        When a path does not exist, a folder holds no table, or an archive is not safe to unpack.
    """
    found: list[Found] = []
    for n, path in enumerate(paths):
        if path.is_dir():
            found += _folder(path)
        elif not path.exists():
            raise SourceError(
                f"{path} does not exist.", fix="check the path; it is taken from where you are"
            )
        elif _is_zip(path):
            found += _unpacked(path, unpack_to / str(n))
        else:
            found.append(Found(path, path.name))
    return found


def _folder(folder: Path) -> list[Found]:
    """Return the tables in `folder`: files, and folders of Parquet parts named after a table."""
    found: list[Found] = []
    for path in sorted(folder.iterdir()):
        table = path.name.removesuffix(".parquet")
        if path.is_dir() and table in TABLES:
            parts = sorted(path.rglob("*.parquet"))
            found += [Found(p, f"{path.name}/{p.relative_to(path)}", table) for p in parts]
        elif path.is_file() and _is_data(path.name):
            found.append(Found(path, path.name))
    if not found:
        raise SourceError(
            f"The folder {folder} holds no table.",
            expected="files such as traces.csv, traces.csv.gz or traces.parquet",
            fix="name the files themselves if they are called otherwise",
        )
    return found


def _is_data(name: str) -> bool:
    return not name.startswith(".") and name.lower().endswith(ENDINGS)


def _is_zip(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(4) == ZIP_MAGIC


def _unpacked(path: Path, folder: Path) -> list[Found]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = [m for m in archive.infolist() if not m.is_dir()]
            _check_members(path, members)
            free = shutil.disk_usage(_existing(folder)).free
            _check_sizes(path, members, free)
            folder.mkdir(parents=True)
            return [_extract(path, archive, m, folder) for m in members if _is_wanted(m)]
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise SourceError(
            f"{path.name} is damaged or cut off inside its zip compression.",
            found=str(error),
            fix="copy the file again from its origin",
        ) from error


def _check_members(path: Path, members: Sequence[zipfile.ZipInfo]) -> None:
    """Refuse an archive that would write outside its folder or that cannot be read."""
    names = [member.filename for member in members]
    for member in members:
        parts = PurePosixPath(member.filename).parts
        is_link = stat.S_ISLNK(member.external_attr >> 16)
        is_outside = ".." in parts or member.filename.startswith("/") or ":" in parts[0]
        if is_outside or is_link or "\\" in member.filename:
            raise SourceError(
                f"{path.name} is refused: a member of it points outside the archive.",
                found=repr(member.filename) + (" (a link)" if is_link else ""),
                expected="plain file names such as traces.csv",
                fix="make the archive again from the files alone",
            )
        if member.flag_bits & _ENCRYPTED:
            raise SourceError(
                f"{path.name} is encrypted.", fix="unpack it yourself and ingest the files"
            )
    if len(names) > _MAX_MEMBERS or len(set(names)) < len(names):
        raise SourceError(
            f"{path.name} holds too many members, or two of the same name.",
            found=f"{len(names):,} members, {len(set(names)):,} names",
            expected=f"at most {_MAX_MEMBERS:,}, each once",
        )
    if not any(map(_is_wanted, members)):
        raise SourceError(
            f"{path.name} holds no table.",
            found=", ".join(names[:10]) or "nothing",
            expected="files such as traces.csv, traces.csv.gz or traces.parquet",
        )


def _is_wanted(member: zipfile.ZipInfo) -> bool:
    return _is_data(PurePosixPath(member.filename).name)


def _check_sizes(path: Path, members: Sequence[zipfile.ZipInfo], free: int) -> None:
    """Refuse an archive by what it declares; `_extract` holds it to its word."""
    declared = sum(member.file_size for member in members)
    packed = max(path.stat().st_size, 1)
    if declared > HARMLESS_BYTES and declared > MAX_RATIO * packed:
        raise _bomb(path.name, f"{declared >> 20:,} MB out of {max(packed >> 10, 1):,} kB")
    if declared > free:
        raise SourceError(
            f"{path.name} does not fit the disk when unpacked.",
            found=f"{declared >> 20:,} MB declared, {free >> 20:,} MB free",
            fix="free disk space beside the warehouse, or name another one with --warehouse",
        )


def _extract(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo, folder: Path) -> Found:
    # The name on disk is ours: nothing of the member's own path is used.
    target = folder / f"{len(list(folder.iterdir())):04d}"
    n_bytes = 0
    with archive.open(member) as packed, target.open("wb") as out:
        while block := packed.read(BLOCK):
            n_bytes += len(block)
            if n_bytes > member.file_size:
                raise _bomb(path.name, f"{member.filename} holds more than it declares")
            out.write(block)
    table = PurePosixPath(member.filename).parent.name.removesuffix(".parquet")
    name = f"{path.name}!{member.filename}"
    return Found(target, name, table if table in TABLES else None)


def _bomb(name: str, found: str) -> SourceError:
    return SourceError(
        f"{name} unpacks beyond all measure and was not unpacked.",
        found=found,
        expected=f"at most {MAX_RATIO} bytes out of one",
        fix="unpack the file yourself where you trust it, and ingest the result",
    )


def _existing(folder: Path) -> Path:
    return next(parent for parent in (folder, *folder.parents) if parent.exists())
