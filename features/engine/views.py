"""Views over the tables in all their versions: what families read when one table does not do.

A row that joins two tables is known when both are, and superseded when either is; one that is
superseded no later than it is known was never in force and is left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final

from features.reference.attribution import LAWFUL_SQL, UNSERIALIZED_SQL
from features.schema import TABLES

# SQL number of a state.
STATE_CODE: Final = "(ascii(premises_state) * 128 + ascii(substr(premises_state, 2, 1)))"
_STATES: Final = 128**2  # more than any such number
_NUMBER: Final = "({} - DATE '0001-01-01')::BIGINT"
_DAYS: Final = 2**22  # more than any such number: days up to the year 9999


@dataclass(frozen=True)
class View:
    """One view.

    Parameters
    ----------
    needs : tuple of str
        Tables without which it says nothing.
    sql : str
        Its query, in which every table stands with all versions of its rows.
    key : tuple of str
        Columns that, with the version, order its rows totally.
    uses : tuple of str
        Other tables that it reads, which may be empty.
    parts : tuple of str
        Other views that it reads.
    is_kept : bool
        Whether it is worked out once and kept, because it is small and dear.
    """

    needs: tuple[str, ...]
    sql: str
    key: tuple[str, ...]
    uses: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    is_kept: bool = False


def _both(left: str = "l", right: str = "r") -> str:
    """Columns of the days between which two rows are both in force."""
    return (
        f"greatest({left}.known_on, {right}.known_on) AS known_on, "
        f"least({left}.superseded_on, {right}.superseded_on) AS superseded_on"
    )


def _were_both(left: str = "l", right: str = "r") -> str:
    """Condition that two rows were in force on one day at least; `least` passes over nulls."""
    return (
        f"greatest({left}.known_on, {right}.known_on) < "
        f"coalesce(least({left}.superseded_on, {right}.superseded_on), DATE '9999-12-31')"
    )


VIEWS: Final[Mapping[str, View]] = {
    "citations": View(
        ("violations", "inspections"),
        f"""
        SELECT l.* EXCLUDE (known_on, superseded_on), r.dealer, r.opened_on, r.closed_on, r.kind,
               {_both()}
        FROM violations l JOIN inspections r USING (inspection_id) WHERE {_were_both()}
        """,
        ("inspection_id", "citation"),
    ),
    # From when to when each dealer was known to stand in which state. A listing that came in late,
    # or was corrected, speaks only where none of a later day is known. Day, day of knowledge and
    # state stand in one number, whose largest is the newest.
    "homes": View(
        ("licenses",),
        f"""
        SELECT dealer, chr((newest % {_STATES} // 128)::INTEGER)
               || chr((newest % 128)::INTEGER) AS state,
               known_on AS since, lead(known_on, 1, DATE '9999-12-31') OVER d AS until
        FROM (
            SELECT dealer, known_on, newest, lag(newest) OVER d AS before
            FROM (
                SELECT dealer, known_on,
                       max(newest) OVER (PARTITION BY dealer ORDER BY known_on) AS newest
                FROM (
                    SELECT dealer, known_on,
                           max(({_NUMBER.format("listed_on")} * {_DAYS}
                                + {_NUMBER.format("known_on")}) * {_STATES} + {STATE_CODE}
                           ) AS newest
                    FROM licenses GROUP BY dealer, known_on
                )
            )
            WINDOW d AS (PARTITION BY dealer ORDER BY known_on)
        )
        WHERE newest % {_STATES} IS DISTINCT FROM before % {_STATES}
        WINDOW d AS (PARTITION BY dealer ORDER BY known_on)
        """,
        ("dealer", "since"),
        is_kept=True,
    ),
    # The state of the premises as listed when a trace became known; null before any listing.
    "traces_home": View(
        ("traces",),
        """
        SELECT t.*, h.state AS home_state FROM traces t LEFT JOIN homes h
        ON h.dealer = t.dealer AND t.known_on >= h.since AND h.until > t.known_on
        """,
        ("trace_id",),
        uses=("licenses",),
        parts=("homes",),
    ),
    # Firearms that left lawfully, at the dealer that the answer names.
    "lawful_exports": View(
        ("traces",),
        f"""
        SELECT * EXCLUDE (dealer, named_dealer), named_dealer AS dealer FROM traces
        WHERE {LAWFUL_SQL} AND NOT {UNSERIALIZED_SQL}
        """,
        ("trace_id",),
    ),
    # The dealer as the seizure report names it, else as the trace of the firearm found it.
    "seizures_known": View(
        ("seizures",),
        f"""
        SELECT * FROM seizures WHERE dealer IS NOT NULL
        UNION ALL BY NAME
        SELECT l.* EXCLUDE (dealer, known_on, superseded_on), r.dealer, {_both()}
        FROM seizures l JOIN traces r USING (trace_id)
        WHERE l.dealer IS NULL AND r.dealer IS NOT NULL AND {_were_both()}
        """,
        ("seizure_id",),
        uses=("traces",),
    ),
    # A multiple sale and a trace that led back to the same buyer, dealer and sale.
    "multiple_sales_traced": View(
        ("multiple_sales", "traces"),
        f"""
        SELECT l.report_id, r.trace_id, l.dealer, l.sold_on, r.recovered_on, {_both()}
        FROM multiple_sales l JOIN traces r
          ON r.dealer = l.dealer AND r.purchaser_token = l.purchaser_token
         AND r.sold_on BETWEEN l.sold_on - 7 AND l.sold_on + 7
        WHERE {_were_both()}
        """,
        ("report_id", "trace_id"),
    ),
    # A multiple sale whose buyer stands in a trace of the same dealer too, from the day on which
    # such a trace was known. Tokens are kept beyond two years only where a trace carries them, so
    # that an old one tells that a trace was still to come.
    "multiple_sales_buyers": View(
        ("multiple_sales", "traces"),
        """
        SELECT l.* EXCLUDE (known_on), greatest(l.known_on, r.traced_on) AS known_on
        FROM multiple_sales l JOIN (
            SELECT dealer, purchaser_token, min(known_on) AS traced_on
            FROM traces SEMI JOIN multiple_sales USING (dealer, purchaser_token) GROUP BY ALL
        ) r USING (dealer, purchaser_token)
        WHERE greatest(l.known_on, r.traced_on) < coalesce(l.superseded_on, DATE '9999-12-31')
        """,
        ("report_id",),
    ),
    "leads": View(
        ("ballistic_leads", "traces"),
        f"""
        SELECT l.* EXCLUDE (known_on, superseded_on), r.dealer, {_both()}
        FROM ballistic_leads l JOIN traces r USING (trace_id) WHERE {_were_both()}
        """,
        ("lead_id", "trace_id"),
    ),
}

# Of the tables whose rows name a dealer only by another record, the view in which they do.
BY_DEALER: Final[Mapping[str, str]] = {
    "violations": "citations",
    "ballistic_leads": "leads",
    "seizures": "seizures_known",
}

KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    **{name: table.key for name, table in TABLES.items()},
    **{name: view.key for name, view in VIEWS.items()},
}


_WORD: Final = re.compile(r"\w+")


@cache
def tables_of(view: str) -> frozenset[str]:
    """Return the tables that a view, or a table, is read from.

    >>> sorted(tables_of("traces_home"))
    ['licenses', 'traces']
    """
    if view not in VIEWS:
        return frozenset({view})
    found = VIEWS[view]
    return frozenset((*found.needs, *found.uses)).union(*map(tables_of, found.parts))


@cache
def tables_in(sql: str) -> frozenset[str]:
    """Return the tables that a query names, by themselves or through a view.

    >>> sorted(tables_in("SELECT dealer FROM leads"))
    ['ballistic_leads', 'traces']
    """
    named = KEYS.keys() & set(_WORD.findall(sql))
    return frozenset[str]().union(*map(tables_of, named))
