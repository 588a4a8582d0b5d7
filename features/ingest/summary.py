"""What an ingest did, in numbers that add up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from features.ingest.dry_run import Preview
from features.openjson import Json
from features.sources.files.archive import Unread


@dataclass(frozen=True)
class TableCounts:
    """What became of the rows of one table of one file, as they stand at the end of the load.

    ``n_read = n_stored + n_superseded + n_duplicate + n_set_aside + n_rejected``.

    Parameters
    ----------
    table : str
        The table.
    n_read : int
        Rows of the file, or made of its rows.
    n_stored : int
        Stored as the current version.
    n_superseded : int
        Stored as an earlier version: a later one of the same key was known already.
    n_duplicate : int
        Nothing new: the row is stored already, or repeats what was known before it.
    n_set_aside : int
        Left out on purpose, such as collectors' licenses.
    n_rejected : int
        Bad, kept in ``rejects/``.
    reasons : mapping of str to int
        Rejected rows by reason code.
    n_superseded_before : int
        Rows of earlier loads that stood until now and that rows of this file supersede.
    n_disputed_before : int
        Rows of earlier loads that stood until now and that rows of this file bring into dispute.
    """

    table: str
    n_read: int
    n_stored: int = 0
    n_superseded: int = 0
    n_duplicate: int = 0
    n_set_aside: int = 0
    n_rejected: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)
    n_superseded_before: int = 0
    n_disputed_before: int = 0


@dataclass(frozen=True)
class FileSummary:
    """What became of one file.

    Parameters
    ----------
    file : str
        Its name.
    sha256 : str
        Of its bytes.
    layout : str
        The layout recognized.
    is_new : bool
        False when the same file was ingested before: nothing changed.
    tables : tuple of TableCounts
        One for each table that it makes.
    notes : tuple of str
        What else to know.
    seconds : mapping of str to float
        Wall time by step.
    """

    file: str
    sha256: str
    layout: str
    is_new: bool
    tables: tuple[TableCounts, ...] = ()
    notes: tuple[str, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class IngestSummary:
    """What an ingest did.

    Parameters
    ----------
    files : tuple of FileSummary
        In the order of loading.
    fingerprint : str
        Of the warehouse afterwards.
    seconds : mapping of str to float
        Wall time by step, all files together.
    unread : tuple of Unread
        Files in given folders, archives and workbooks that were not read, each with its reason.
    is_trial : bool
        Whether nothing was changed.
    preview : Preview or None
        Of a trial: rows as they would be stored, and rejects.
    warnings : tuple of str
        What looks like a load that went wrong.
    """

    files: tuple[FileSummary, ...]
    fingerprint: str
    seconds: Mapping[str, float]
    unread: tuple[Unread, ...] = ()
    is_trial: bool = False
    preview: Preview | None = None
    warnings: tuple[str, ...] = ()

    @property
    def counts(self) -> dict[str, int]:
        """All tables of all files together."""
        names = ("read", "stored", "superseded", "duplicate", "set_aside", "rejected")
        tables = [table for file in self.files for table in file.tables]
        return {name: sum(getattr(table, f"n_{name}") for table in tables) for name in names}

    def as_dict(self) -> Json:
        """Return everything as plain values, for JSON."""
        return asdict(self) | {"counts": self.counts}
