"""New records taken in from a folder: what is whole is loaded, and then moved to where it is seen.

Each entry of the inbox is a delivery: a table, a workbook, an archive, or a folder of them. A
delivery that was loaded goes to ``taken/DAY/``, one that is refused to ``refused/DAY/`` with its
reason beside it, so that one bad file does not hold up the others, nor the nights after it. Loading
comes first and moving second: a run that is killed in between finds the files known and moves them.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Final

from features.errors import SourceError
from features.home import write_atomically
from features.ingest import IngestSummary, ingest
from serving.errors import DiskError, NotReadyError
from serving.schedule.inbox_mappings import mappings_of

TAKEN: Final = "taken"
REFUSED: Final = "refused"
REASON: Final = ".why.txt"
# Names under which programs that copy write, until all of it is there.
_PARTS: Final = (".part", ".partial", ".filepart", ".tmp", ".crdownload", ".download", "~")


@dataclass
class Received:
    """What became of an inbox.

    Parameters
    ----------
    taken, refused, waiting : list of str
        Names of deliveries: loaded, set aside, and left because they may not be whole yet.
    reasons : dict of str to str
        Why, by the name of a refused one; the first line says what is wrong.
    is_left : bool
        Whether they were left where they stood, the inbox being read-only.
    summary : IngestSummary, optional
        Of what was loaded.
    """

    taken: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    reasons: dict[str, str] = field(default_factory=dict)
    is_left: bool = False
    summary: IngestSummary | None = None

    @property
    def line(self) -> str:
        """All of it in one line.

        >>> Received(taken=["traces.csv"], refused=["thefts.csv"],
        ...          reasons={"thefts.csv": "No header."}).line
        '1 taken in, 1 refused (thefts.csv: No header.)'
        """
        parts = [f"{len(self.taken)} taken in"]
        if self.refused:
            told = "; ".join(self._told(name) for name in self.refused[:3])
            parts.append(f"{len(self.refused)} refused ({told})")
        if self.waiting:
            parts.append(f"{len(self.waiting)} may still be arriving ({self.waiting[0]})")
        if self.is_left:
            parts.append("left in place, as the inbox cannot be written")
        return ", ".join(parts)

    def _told(self, name: str) -> str:
        what = self.reasons[name].splitlines()[0]
        return what if name in what else f"{name}: {what}"


def receive(
    inbox: Path, warehouse: Path, *, today: date, settled: float, mappings: Path | None = None
) -> Received:
    """Load what is whole in `inbox` into the warehouse, then move it.

    Parameters
    ----------
    settled : float
        Seconds for which nothing of a delivery may have changed.
    mappings : Path, optional
        The file that says which deliveries are read through which mapping.

    Raises
    ------
    SourceError
        When the inbox is no folder, or a mapping that is to be used cannot be; nothing is moved.
    NotReadyError
        When another command takes it in.
    DiskError
        When a delivery could not be moved; it is loaded then, and found known the next time.
    """
    if not inbox.is_dir():
        raise SourceError(
            f"The inbox {inbox} is no folder.", fix="make it, or name another one with --inbox"
        )
    with _alone(inbox):
        found = Received(is_left=not os.access(inbox, os.W_OK | os.X_OK))
        whole: list[Path] = []
        for path in deliveries(inbox):
            if why := _unsafe(path):
                _refuse(path, why, found)
            elif _is_whole(path, settled):
                whole.append(path)
            else:
                found.waiting.append(path.name)
        chosen = mappings_of(whole, mappings, inbox) if mappings and whole else {}
        try:
            found.summary = _loaded(whole, warehouse, found, chosen)
            found.taken = [path.name for path in whole]
        finally:
            _put_away(inbox, found, today)
        return found


def deliveries(inbox: Path) -> list[Path]:
    """Return what stands in an inbox, without what was put away and what is hidden."""
    return sorted(
        path
        for path in inbox.iterdir()
        if path.name not in {TAKEN, REFUSED} and not path.name.startswith((".", "~$"))
    )


def has_news(inbox: Path, settled: float) -> bool:
    """Whether something whole stands in an inbox that is moved away once it was taken in."""
    if not inbox.is_dir() or not os.access(inbox, os.W_OK | os.X_OK):
        return False
    return any(_is_whole(path, settled) for path in deliveries(inbox))


def _loaded(
    whole: list[Path], warehouse: Path, found: Received, mappings: Mapping[Path, Path]
) -> IngestSummary | None:
    """Load all of them together, as tables refer to each other; what is refused drops out."""
    while whole:
        try:
            return ingest(whole, warehouse, mapping=mappings)
        except SourceError as error:
            if error.given not in whole:
                raise
            whole.remove(error.given)
            _refuse(error.given, str(error), found)
    return None


def _refuse(path: Path, why: str, found: Received) -> None:
    found.refused.append(path.name)
    found.reasons[path.name] = why


def _unsafe(path: Path) -> str:
    """Say that a delivery leads elsewhere: whoever fills an inbox must not choose what is read."""
    links = [path] if path.is_symlink() else []
    if not links and path.is_dir():
        for place, folders, names in os.walk(path):
            links += [one for n in (*folders, *names) if (one := Path(place) / n).is_symlink()]
    return f"A link is not followed: {links[0].name}" if links else ""


def _is_whole(path: Path, settled: float) -> bool:
    """Whether nothing of it has changed for a while, by the clock of the disk it is on."""
    paths = [path, *path.rglob("*")] if path.is_dir() else [path]
    try:
        # Not the time of modification: programs that copy set it back to the original's.
        newest = max(one.stat().st_ctime for one in paths)
    except FileNotFoundError:
        return False
    is_part = any(one.name.lower().endswith(_PARTS) for one in paths)
    return not is_part and time.time() - newest >= settled


def _put_away(inbox: Path, found: Received, today: date) -> None:
    if found.is_left:
        return
    try:
        for name in found.taken:
            _moved(inbox / name, inbox / TAKEN / today.isoformat())
        for name in found.refused:
            moved = _moved(inbox / name, inbox / REFUSED / today.isoformat())
            reason = moved.with_name(moved.name + REASON)
            write_atomically(reason, f"{found.reasons[name]}\n".encode())
    except OSError as error:
        raise DiskError(
            f"What was taken in could not be moved within {inbox}.",
            found=error.strerror or str(error),
            expected="a folder in which this account may rename what others put there",
            fix="give this account's group the right to write; nothing is loaded twice",
        ) from error


def _moved(path: Path, folder: Path) -> Path:
    """Move a delivery into a folder under a name that is free there."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    target, n = folder / path.name, 1
    while os.path.lexists(target):
        n += 1
        target = folder / f"{n}-{path.name}"
    shutil.move(path, target)
    return target


@contextmanager
def _alone(inbox: Path) -> Iterator[None]:
    """Keep others from taking in the same inbox; the folder itself is locked, nothing written."""
    handle = os.open(inbox, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise NotReadyError(
            f"Another command takes in {inbox}.", fix="wait for its end; this one changed nothing"
        ) from None
    finally:
        os.close(handle)
