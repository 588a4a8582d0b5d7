"""What a source adapter says of a file: how to read it, and which tables its rows make."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from features.sources.files.source_file import SourceFile
from features.sources.rows.dates import DateChoice
from features.sources.rows.delimited import TextForm


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
    dates : tuple of DateChoice
        Columns whose date format the rows of the file settle, in the place of `columns`.
    """

    table: str
    columns: Mapping[str, str]
    rows: str = "raw"
    set_aside: str = "false"
    undecodable: str = "false"
    dates: tuple[DateChoice, ...] = ()


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
    joins : tuple of Join
        Other files whose columns stand beside those of this one.
    query : str
        SQL over ``export``, this file with what is joined to it; its columns are then those of
        ``raw``.
    lined_query : str
        The same with the line of the file beside each row, where each comes from one.
    told_as : mapping of str to str
        Columns of the contract that faults call otherwise, because the file has others for them.
    """

    name: str
    plans: tuple[Plan, ...]
    form: TextForm | None = None
    notes: tuple[str, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)
    joins: tuple[Join, ...] = ()
    query: str = ""
    lined_query: str = ""
    told_as: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_read_once(self) -> bool:
        """Whether one pass over the rows will do."""
        plans = self.plans
        has_more = self.joins or self.query or any(plan.dates for plan in plans)
        return len(plans) == 1 and plans[0].table != "violations" and not has_more


@dataclass(frozen=True)
class Join:
    """Another file of the same export.

    Parameters
    ----------
    source : SourceFile
        The file.
    form : TextForm or None
        How its text is written; None for Parquet.
    names : tuple of str
        Its columns.
    left, right : str
        The column of the main file and that of this one which are equal.
    """

    source: SourceFile
    form: TextForm | None
    names: tuple[str, ...]
    left: str
    right: str
