"""What the peers of the signal benchmarks compute: additive measures over the tables, as data.

Each peer writes them in its own language. They are a part of what the families hold: no quantile,
no distinct count, no shrinkage, no place, no network and nothing that joins two tables. So a peer
has less to do than the engine it is compared with.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

YEAR: Final = 365


@dataclass(frozen=True)
class Count:
    """Count the rows of a window that pass every test, or sum a column over them.

    Parameters
    ----------
    name : str
    days : int
        Length of the window.
    tests : tuple of (column, operator, value)
        ``is`` a value, ``in`` some, ``known``, ``true``, ``false``, ``upto`` whole days from 0.
    value : str
        Column to sum; empty counts.
    """

    name: str
    days: int
    tests: tuple[tuple[str, str, Any], ...] = ()
    value: str = ""


def _years(name: str, years: tuple[int, ...], *tests: Any, value: str = "") -> list[Count]:
    return [Count(f"{name}_{y}y", y * YEAR, tests, value) for y in years]


_MX: Final = ("recovery_country", "is", "MX")
# A column that the tables do not have: days from the sale to the recovery.
TTC: Final = ("recovered_on", "sold_on")

TRACES: Final = (
    Count("n_90d", 90),
    *_years("n", (1, 3, 5)),
    *_years("domestic", (3,), ("recovery_country", "is", "US")),
    *_years("latin", (3,), ("recovery_country", "in", ("GT", "HN", "SV", "BZ", "CO"))),
    *_years("canada", (3,), ("recovery_country", "is", "CA")),
    *_years("unanswered", (3,), ("outcome", "is", "no_dealer_answer")),
    *_years("answered", (3,), ("outcome", "in", ("purchaser", "dealer"))),
    *_years("obliterated", (3,), ("serial_status", "is", "obliterated")),
    *_years("unserialized", (3,), ("serial_status", "is", "none")),
    *_years("possessor_known", (3,), ("is_purchaser_possessor", "known", None)),
    *_years("other_possessor", (3,), ("is_purchaser_possessor", "false", None)),
    *_years("short", (1, 3), ("ttc", "upto", 1095)),
)
MORE_TRACES: Final = (
    *_years("under_90d", (1, 3), ("ttc", "upto", 90)),
    *_years("under_1y", (1, 3), ("ttc", "upto", 365)),
    *_years("mexico", (1, 3, 5), _MX),
    *_years("mexico_short", (3,), _MX, ("ttc", "upto", 1095)),
    *_years("mexico_rifles", (5,), _MX, ("is_semiautomatic_rifle", "true", None)),
    *_years("mexico_fifty", (5,), _MX, ("is_fifty_caliber", "true", None)),
    *_years("tokened", (2,), ("purchaser_token", "known", None)),
)
_CLOSED: Final = ("closed_on", "known", None)

TRACE_FAMILY: Final = {
    "traces": TRACES,
    "sales_volume": tuple(_years("checks", (3,), value="n_checks")),
}
ALL_FAMILIES: Final = {
    "traces": TRACES + MORE_TRACES,
    "sales_volume": tuple(_years("checks", (1, 3), value="n_checks")),
    "denials": tuple(_years("denied", (1, 3), value="n_denied")),
    "multiple_sales": (
        *_years("handgun", (1, 3), ("kind", "is", "handgun")),
        *_years("rifle", (1, 3), ("kind", "is", "rifle")),
        *_years("reports", (3,)),
        *_years("firearms", (3,), value="n_firearms"),
    ),
    "thefts_losses": (
        *_years("reports", (1,)),
        *_years("burglary", (5,), ("kind", "is", "burglary")),
        *_years("larceny", (5,), ("kind", "is", "larceny")),
        *_years("loss", (5,), ("kind", "is", "loss")),
        *_years("firearms", (3, 5), value="n_firearms"),
    ),
    "inspections": (
        *_years("closed", (5, 10), _CLOSED),
        *_years("visits", (5, 10), _CLOSED, ("kind", "in", ("compliance", "recall"))),
        *_years("warned", (5,), _CLOSED, ("outcome", "is", "warning_letter")),
    ),
    "tips": tuple(_years("tips", (1, 3))),
}
SCOPES: Final = {"traces": TRACE_FAMILY, "all": ALL_FAMILIES}


def columns_of(counts: tuple[Count, ...]) -> list[str]:
    """Return the stored columns that some counts read, without the dealer and the days."""
    names = {column for c in counts for column, _, _ in c.tests} | {c.value for c in counts}
    if "ttc" in names:
        names |= set(TTC)
    return sorted(names - {"ttc", ""})


def sql_of(count: Count) -> str:
    """Return the SQL condition of a count."""
    parts = [_sql(*test) for test in count.tests]
    return " AND ".join(parts) or "TRUE"


def _sql(column: str, operator: str, value: Any) -> str:
    name = f"({TTC[0]} - {TTC[1]})" if column == "ttc" else column
    match operator:
        case "is":
            return f"{name} = '{value}'"
        case "in":
            return f"{name} IN {value}"
        case "known":
            return f"{name} IS NOT NULL"
        case "upto":
            return f"{name} BETWEEN 0 AND {value}"
        case _:
            return name if operator == "true" else f"NOT {name}"
