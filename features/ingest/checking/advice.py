"""What to do about rows that are rejected, and about rows that lack what signals need."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from features.errors import SourceError
from features.ingest.summary import IngestSummary, TableCounts
from features.schema import TABLES
from features.sql import literal, quoted

_OF_REASON: Final = {
    "undecodable": "save the text as UTF-8, or name its encoding in a mapping",
    "duplicate_key_conflict": "another row of the same key and day says something else: take the "
    "earlier load back (`ffl-risk sources`, `ffl-risk withdraw`), or load corrected rows with "
    "--known-on and the day of the export",
    "unknown_inspection": "load the inspections first, or together with their citations",
}
# What stands in a column that must be there for what an agency does not know.
_STAND_IN: Final = {"county_fips": "00000", "premises_city": "not recorded"}
_NUMBERS: Final = r"^([0-9]{1,2})[/.-]([0-9]{1,2})[/.-](?:[0-9]{4}|[0-9]{2})\b"
# Thousands apart from each other; blanks and apostrophes of every width.
_GROUPED: Final = (
    r"[+-]?[1-9][0-9]{0,2}(?P<sign>[., \u00a0\u2009\u202f'\u2019])[0-9]{3}((?P=sign)[0-9]{3})*"
)
# The tables whose rows count something, and what; a visit has its own number and counts nothing.
COUNTED: Final = {
    "violations": "instances",
    "multiple_sales": "n_firearms",
    "thefts_losses": "n_firearms",
    "sales_volume": "n_checks",
    "denials": "n_denied",
    "ballistic_leads": "n_linked_events",
}
_GROUPED_SQL: Final = "[+-]?[1-9][0-9]{0,2}([., \u00a0\u2009\u202f'\u2019][0-9]{3})+"
_CONFLICT_INSIDE: Final = (
    "put rows that belong together into one (`query` of a mapping, such as SELECT ..., "
    "sum(...) ... GROUP BY ...), or give rows of their own a key of their own"
)


@dataclass(frozen=True)
class Fault:
    """Rows that were rejected for one reason.

    Parameters
    ----------
    reason : str
        Its code.
    column : str or None
        The column at fault.
    value : str or None
        What stands there in the first of them.
    line : int
        The line of that one.
    n_rows : int
    of : str
        What the number is of where it is of no line of the file.
    """

    reason: str
    column: str | None
    value: str | None
    line: int
    n_rows: int
    of: str = ""

    def __str__(self) -> str:
        """Return the fault as a message tells it."""
        return (
            f"{self.n_rows:,} {self.reason}"
            + (f" in {self.column}" if self.column else "")
            + (f", such as {self.value!r}" if self.value else "")
            + f" (first in {'row' if self.of else 'line'} {self.line}{self.of})"
        )


def mending(faults: Sequence[Fault]) -> str:
    """Return what to do about the commonest fault, as the spelling of its value tells.

    >>> mending([Fault("bad_date", "sold_on", "45778", 2, 30)])[:49]
    'they look like the day numbers of a spreadsheet: '
    >>> mending([Fault("out_of_range", "hours", "1,5", 2, 30)])
    'say how numbers are written: `decimal = ","` or `thousands = ","` of a mapping'
    >>> [mending([Fault("bad_date", "sold_on", t, 2, 3)])[15:27] for t in ("1709251200", "1" * 13)]
    ['seconds sinc', 'milliseconds']
    >>> mending([Fault("unparsed_license", "dealer", "5.74E+14", 2, 30)])[:39]
    'a spreadsheet has cut their digits off,'
    >>> mending([Fault("missing_required", "county_fips", None, 2, 30)])
    'where it is not known write 00000, or `default = "00000"` of columns.county_fips in a mapping'
    """
    if any(fault.value and "inside a quote" in fault.value for fault in faults):
        return "close the quote, or write two for one that belongs to a value"
    if not faults:
        return "correct the file or read it through --mapping"
    first = faults[0]
    value = first.value or ""
    if first.reason == "bad_date":
        if re.fullmatch(r"[1-9][0-9]{4}([.][0-9]+)?", value):
            return (
                "they look like the day numbers of a spreadsheet: read the file through a mapping "
                'with `date_format = "excel"`'
            )
        if re.fullmatch("[0-2]?[0-9]{9}|[0-2]?[0-9]{12}", value):
            unit, factor = ("seconds", "000000") if len(value) < 11 else ("milliseconds", "000")
            return (
                f"they look like {unit} since 1970: make days of them in `query` of a mapping "
                f"(CAST(make_timestamp(CAST(X AS BIGINT) * 1{factor}) AS DATE) AS X, for a column "
                "X), or in that of its database"
            )
        return (
            "write dates as YYYY-MM-DD, or read the file through --mapping with their date_format "
            "(`ffl-risk mapping new` proposes one)"
        )
    if first.reason == "out_of_range" and _spelling(first.column or "", value):
        return _spelling(first.column or "", value)
    if first.reason == "unparsed_license" and re.fullmatch(
        r"(?i)[0-9][.,]?[0-9]*E\+?[0-9]+", value
    ):
        return (
            "a spreadsheet has cut their digits off, and they cannot be made again: export the "
            "column anew as text, and open the export in no spreadsheet before it is loaded"
        )
    stand_in = _STAND_IN.get(first.column or "")
    if first.reason == "missing_required" and stand_in:
        return (
            f"where it is not known write {stand_in}, or `default = "
            f'"{stand_in}"` of columns.{first.column} in a mapping'
        )
    if first.reason in ("unknown_code", "unknown_type"):
        return f"map its values to codes (`values` of columns.{first.column} in a mapping)"
    return _OF_REASON.get(first.reason, "correct the file or read it through --mapping")


def _spelling(column: str, value: str) -> str:
    r"""Return how to say in which spelling a number is written, or nothing.

    >>> _spelling("n_firearms", "1'250")
    'write `thousands = "\'"` at columns.n_firearms of a mapping'
    >>> _spelling("n_firearms", "1.000")[:63]
    '1.000 is 1000 or 1: write `thousands = "."` or `decimal = "."` '
    """
    where = f"at columns.{column} of a mapping"
    grouped = re.fullmatch(_GROUPED, value)
    sign = grouped["sign"] if grouped else ""
    is_whole = any(
        c.kind == "integer" for table in TABLES.values() for c in table.columns if c.name == column
    )
    if is_whole and re.fullmatch("[+-]?[0-9]{1,3}[.,]000", value):
        digits = value.replace(sign, "")
        return (
            f'{value} is {digits} or {digits[:-3]}: write `thousands = "{sign}"` or '
            f'`decimal = "{sign}"` {where}'
        )
    if grouped and (is_whole or sign not in ".,"):
        return f'write `thousands = "{sign}"` {where}'
    if grouped and sign == ".":
        return f'write `decimal = ","` and `thousands = "."` {where}'
    if re.fullmatch(r"[+-]?[0-9][0-9.,]*,[0-9]+", value):
        return 'say how numbers are written: `decimal = ","` or `thousands = ","` of a mapping'
    return ""


def refusal(
    file: str,
    counts: TableCounts,
    limit: float,
    faults: Sequence[Fault],
    notes: Sequence[str] = (),
) -> SourceError:
    """Return the error of a file with too large a share of bad rows.

    Parameters
    ----------
    file : str
        Its name.
    counts : TableCounts
        Of the table at fault.
    limit : float
        Largest share that is taken.
    faults : sequence of Fault
        The commonest first.
    notes : sequence of str
        What else to know of the file.
    """
    return SourceError(
        f"{file} is refused: {counts.n_rejected / counts.n_read:.1%} of its "
        f"{counts.n_read:,} rows of {counts.table} are bad; nothing of it was stored.",
        found="; ".join(map(str, (*faults, *notes))),
        expected=f"at most {limit:.1%}",
        fix=f"{mending(faults)}; raise --max-rejects only if so many bad rows are expected",
    )


def refused_at(summary: IngestSummary, limit: float) -> SourceError | None:
    """Return the error that a load as tried in `summary` would end with, if any."""
    for file in summary.files:
        for counts in file.tables:
            if counts.n_rejected > limit * counts.n_read:
                rejected = summary.preview.rejected if summary.preview else ()
                faults = []
                for reason, n_rows in counts.reasons.items():
                    of_it = [r for r in rejected if (r.table, r.reason) == (counts.table, reason)]
                    if of_it:
                        first = of_it[0]
                        told = (first.column, first.value, first.first_line)
                        faults.append(Fault(reason, *told, n_rows))
                return refusal(file.file, counts, limit, faults)
    return None


def conflicts_inside(table: str, n_rows: int) -> list[str]:
    """Tell of rows of one file that contradict each other."""
    if not n_rows:
        return []
    return [
        f"rows of {table} in this file that say different things of the same key and day: "
        f"{n_rows:,}; none stands: {_CONFLICT_INSIDE}"
    ]


def equal_counts(con: Any, table: str) -> list[str]:
    """Tell of rows of one file that say the same of one key, in a table that counts something.

    A file that was joined twice has them, and so has one whose rows each count apart.

    Parameters
    ----------
    con : duckdb connection
        Holds the rows as ``resolved``.
    table : str
        The table that they are of.
    """
    measure = COUNTED.get(table)
    if measure is None:
        return []
    names = TABLES[table].key
    key = ", ".join(map(quoted, names))
    n_more, example = con.execute(
        f"SELECT coalesce(sum(n - 1), 0), min(shown) FROM (SELECT count(*) AS n, "
        f"concat_ws(' ', {key}) AS shown FROM resolved WHERE file IS NULL "
        f"GROUP BY {key}, known_on HAVING n > 1 AND NOT bool_or(verdict = 'disputed'))"
    ).fetchone()
    if not n_more:
        return []
    return [
        f"rows of {table} that are equal to another of the same {', '.join(names)} in this file: "
        f"{n_more:,}, such as {example!r}; stored once. If each counts apart, add them up: `query` "
        f"of a mapping, such as SELECT ..., sum({measure}) ... GROUP BY ..."
    ]


def overtaken(con: Any, table: str) -> list[str]:
    """Tell of new rows that an earlier load overtook, because it told a later day."""
    keys = [quoted(name) for name in TABLES[table].key]
    same = " AND ".join(f"o.{key} = r.{key}" for key in keys)
    text = " || ' ' || ".join(f"CAST(r.{key} AS VARCHAR)" for key in keys)
    n_rows, example = con.execute(
        f"SELECT count(*), min({text}) FROM resolved r WHERE r.file IS NULL "
        "AND r.verdict = 'stored' AND EXISTS (FROM resolved o WHERE "
        f"{same} AND o.file IS NOT NULL AND o.verdict = 'stored' "
        "AND o.known_on = r.superseded_on)"
    ).fetchone()
    if not n_rows:
        return []
    return [
        f"rows of {table} that were known before what an earlier load told of the same: "
        f"{n_rows:,} (such as {example}); what it told goes on to stand. One that corrects it and "
        "moves the day back is loaded with --known-on and the day on which it came"
    ]


def other_dealers(con: Any, table: str) -> list[str]:
    """Tell of keys under which one file names several dealers: numbers that are not unique.

    Parameters
    ----------
    con : duckdb connection
        Holds the rows as ``good``.
    table : str
        The table that they are of.
    """
    about = TABLES[table]
    if "dealer" not in about.names or "dealer" in about.key:
        return []
    key = ", ".join(map(quoted, about.key))
    n_keys, example = con.execute(
        f"SELECT count(*), any_value(one) FROM (SELECT any_value({quoted(about.key[0])}) AS one "
        f"FROM good GROUP BY {key} HAVING count(DISTINCT dealer) > 1)"
    ).fetchone()
    if not n_keys:
        return []
    return [
        f"values of {about.key[0]} under which the file names several dealers: {n_keys:,}, such as "
        f"{example!r}; the later row was taken for a correction. Where numbers begin anew each "
        f"year or in each office, put both together in a mapping (`from` with several columns)"
    ]


def turned_dates(con: Any, table: str, source: int) -> list[str]:
    """Tell of rejected dates that are days with the day and the month the other way round.

    Where dates that are days either way are rejected too, the column's format is not the one that
    was named, and nothing of it was misread.

    Parameters
    ----------
    con : duckdb connection
        Holds the rejects.
    table : str
    source : int
        Number of the file.
    """
    parts = [f"TRY_CAST(regexp_extract(value, '{_NUMBERS}', {n}) AS INTEGER)" for n in (1, 2)]
    first, second = parts
    is_turned = f"(greatest({first}, {second}) BETWEEN 13 AND 31)"
    found = con.execute(
        f"SELECT column_name, count(*) FILTER ({is_turned}) AS n, "
        f"any_value(value) FILTER ({is_turned}) FROM rejected "
        f"WHERE table_name = '{table}' AND source_id = {source} AND reason = 'bad_date' "
        f"AND least({first}, {second}) BETWEEN 1 AND 12 AND greatest({first}, {second}) <= 31 "
        "GROUP BY 1 HAVING n > 9 * (count(*) - n) ORDER BY 2 DESC"
    ).fetchall()
    return [
        f"dates in {column} that are days with month and day the other way round: {n:,}, such as "
        f"{value!r}; the column holds two formats, and others of it may have been misread"
        for column, n, value in found
    ]


def grouped_numbers(con: Any, table: str, source: int) -> list[str]:
    """Tell of rejected numbers in which a sign stands between thousands, or may stand there.

    Parameters
    ----------
    con : duckdb connection
        Holds the rejects.
    table : str
    source : int
        Number of the file.
    """
    found = con.execute(
        "SELECT column_name, count(*), arg_min(value, source_line) FROM rejected "
        f"WHERE table_name = '{table}' AND source_id = {source} AND reason = 'out_of_range' "
        f"AND regexp_full_match(value, {literal(_GROUPED_SQL)}) GROUP BY 1 ORDER BY 2 DESC, 1"
    ).fetchall()
    return [
        f"numbers in {column} with a sign between thousands, or that may have one: {n:,}, such as "
        f"{value!r}, rejected; {_spelling(column, value)}"
        for column, n, value in found
    ]


def sales_without_recovery(con: Any, table: str) -> list[str]:
    """Tell when most traces of a file know the sale but not the recovery: days between are lost.

    Parameters
    ----------
    con : duckdb connection
        Holds the rows as ``good``.
    table : str
        The table that they are of.
    """
    if table != "traces":
        return []
    n_sold, n_lost = con.execute(
        "SELECT count(sold_on), count(sold_on) FILTER (recovered_on IS NULL) FROM good"
    ).fetchone()
    if 2 * n_lost <= n_sold:
        return []
    return [
        f"sales without a day of recovery: {n_lost:,} of {n_sold:,}; they tell no time-to-crime, "
        "which is counted from the sale to recovered_on"
    ]
