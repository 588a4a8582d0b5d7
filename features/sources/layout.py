"""What a source adapter says of a file: how to read it, and which tables its rows make."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from features.sources.delimited import TextForm


@dataclass(frozen=True)
class Plan:
    """How one table comes out of a file.

    Parameters
    ----------
    table : str
        The table.
    columns : mapping of str to str
        For each canonical column, and optionally ``known_on``, the SQL expression over the
        columns of the file. Text is parsed by the checks; a typed expression is taken as it is.
    rows : str
        The SQL relation that `columns` read; ``raw`` holds the rows of the file.
    set_aside : str
        SQL condition of rows that are counted and left out, such as collectors' licenses.
    undecodable : str
        SQL condition of rows that cannot be read at all, beyond what the text form finds.
    """

    table: str
    columns: Mapping[str, str]
    rows: str = "raw"
    set_aside: str = "false"
    undecodable: str = "false"


@dataclass(frozen=True)
class Layout:
    """A publisher's file, recognized.

    Parameters
    ----------
    name : str
        Name of the layout, kept in the manifest.
    plans : tuple of Plan
        The tables it makes, in the order in which they are to be stored.
    form : TextForm or None
        How its text is written; None for Parquet.
    notes : tuple of str
        What the summary should say about the file.
    options : mapping
        What, besides its bytes, decides what the file means; part of its identity.
    """

    name: str
    plans: tuple[Plan, ...]
    form: TextForm | None = None
    notes: tuple[str, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)
