"""Retention: purchaser tokens of multiple sales go two years after the sale, unless traced.

References
----------
GAO-16-552 (2016): the policy of purging purchasers' identities from the records of multiple sales
after two years unless a trace links to them. The project keeps the report and forgets the token.
"""

from __future__ import annotations

from datetime import date
from typing import Any, Final

from features.domain.asof import add_months
from features.reference.legal.law import law
from features.sql import literal, quoted
from features.warehouse.batches import live, rewrite_batch, scan
from features.warehouse.manifest import Draft
from features.warehouse.stored import scan_table, stored_columns

TABLE: Final = "multiple_sales"
RULE: Final = "multiple_sale_purchaser_retention_years"


def kept_after(today: date) -> date:
    """Return the day after which a sale's token is kept, traced or not."""
    return add_months(today, -12 * int(law(RULE, today)))


def expired_sql(today: date, traces: list[str]) -> str:
    """Return the SQL condition of multiple sales whose purchaser token is to be dropped.

    Parameters
    ----------
    today : date
        Sales two years before it and earlier are over the time.
    traces : list of str
        The live files of traces: a token that stands in one is kept.
    """
    before = literal(kept_after(today).isoformat())
    expired = f"purchaser_token IS NOT NULL AND sold_on <= DATE {before}"
    if not traces:
        return expired
    traced = f"SELECT purchaser_token FROM {scan(traces)} WHERE purchaser_token IS NOT NULL"
    return f"{expired} AND purchaser_token NOT IN ({traced})"


def count_expired(con: Any, files: list[str], today: date, traces: list[str]) -> int:
    """Return how many stored tokens are over their time."""
    if not files:
        return 0
    condition = expired_sql(today, traces)
    return int(con.execute(f"SELECT count(*) FROM {scan(files)} WHERE {condition}").fetchone()[0])


def drop_expired(con: Any, draft: Draft, today: date) -> int:
    """Rewrite the batches that hold expired tokens without them; return how many there were."""
    traces = live(draft, "traces")
    condition = expired_sql(today, traces)
    columns = ", ".join(
        f"CASE WHEN {condition} THEN NULL ELSE purchaser_token END AS purchaser_token"
        if name == "purchaser_token"
        else quoted(name)
        for name in stored_columns(TABLE)
    )
    n_dropped = 0
    for file in live(draft, TABLE):
        n = count_expired(con, [file], today, traces)
        if n:
            query = f"SELECT {columns} FROM {scan_table(TABLE, [file])}"
            rewrite_batch(con, draft, TABLE, place=file, query=query)
            n_dropped += n
    return n_dropped
