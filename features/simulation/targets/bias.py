"""What the chosen inspections show against what all would."""

from __future__ import annotations

from pathlib import Path

import duckdb


def inspected_and_true(folder: Path) -> tuple[float, float]:
    """Return the share of inspections that found a violation, and the true chance over all dealers.

    Recalls are left out; the second figure is the mean chance of every eligible dealer-month.
    """
    con = duckdb.connect()
    found = con.execute(
        "SELECT avg((outcome IN ('report', 'warning_letter', 'warning_conference', 'revocation'))"
        f"::INT) FROM read_parquet('{folder / 'inspections.parquet'}') "
        "WHERE kind = 'compliance' AND closed_on IS NOT NULL"
    ).fetchone()
    true = con.execute(
        f"SELECT avg(p_any) FROM read_parquet('{folder / 'truth' / 'dealer_month.parquet'}') "
        "WHERE is_eligible"
    ).fetchone()
    return float(found[0]), float(true[0])
