"""A dealer's timeline at real density: what an inspector reads in sight, the rest by month."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

# In sight always; all other tables are counted by month and kind.
_IN_SIGHT: Final = frozenset({"inspections", "outcomes", "decisions", "thefts_losses", "tips"})
_MOST_IN_SIGHT: Final = 60
# A dossier holds at most so many of one kind.
_MOST_OF_A_KIND: Final = 500
_NAMES: Final[Mapping[str, tuple[str, str]]] = {
    "traces": ("trace", "traces"),
    "multiple_sales": ("multiple sale", "multiple sales"),
    "seizures": ("seizure", "seizures"),
    "licenses": ("listing", "listings"),
}
KINDS: Final[Mapping[str, str]] = {
    "inspections": "inspection", "outcomes": "outcome told", "decisions": "decision",
    "thefts_losses": "theft or loss", "tips": "tip",
}  # fmt: skip
_BOX: Final = (560.0, 90.0)


@dataclass(frozen=True)
class Month:
    """What happened in one month, by kind."""

    name: str
    said: str
    ids: tuple[str, ...]


@dataclass(frozen=True)
class Year:
    """One year of the counted kinds."""

    name: str
    said: str
    months: tuple[Month, ...]


@dataclass(frozen=True)
class YearBar:
    """The bar of one year: how many of each charted kind, stacked."""

    x: float
    width: float
    name: str
    parts: tuple[tuple[str, float, float], ...]
    n: int


@dataclass(frozen=True)
class Timeline:
    """A timeline ready for the template."""

    in_sight: tuple[Mapping[str, Any], ...]
    years: tuple[Year, ...]
    bars: tuple[YearBar, ...]
    most: int
    is_cut: bool


def timeline(entries: Sequence[Mapping[str, Any]]) -> Timeline:
    """Arrange the entries of a dossier.

    Parameters
    ----------
    entries : sequence of mapping
        on, table, what, record_id; the newest first.
    """
    seen = [entry for entry in entries if entry["table"] in _IN_SIGHT][:_MOST_IN_SIGHT]
    counted = [entry for entry in entries if entry["table"] in _NAMES]
    by_year: dict[str, dict[str, list[Mapping[str, Any]]]] = {}
    for entry in counted:
        day = str(entry["on"])
        by_year.setdefault(day[:4], {}).setdefault(day[:7], []).append(entry)
    years = tuple(
        Year(
            year,
            _said([entry for own in months.values() for entry in own]),
            tuple(
                Month(month, _said(own), tuple(str(entry["record_id"]) for entry in own))
                for month, own in sorted(months.items(), reverse=True)
            ),
        )
        for year, months in sorted(by_year.items(), reverse=True)
    )
    bars, most = _bars(counted)
    longest = max(Counter(str(entry["table"]) for entry in counted).values(), default=0)
    return Timeline(tuple(seen), years, bars, most, is_cut=longest >= _MOST_OF_A_KIND)


def _said(entries: Sequence[Mapping[str, Any]]) -> str:
    counts = Counter(str(entry["table"]) for entry in entries)
    return ", ".join(
        f"{n:,} {_NAMES[name][n != 1]}" for name, n in sorted(counts.items(), key=lambda i: -i[1])
    )


def _bars(entries: Sequence[Mapping[str, Any]]) -> tuple[tuple[YearBar, ...], int]:
    charted = [entry for entry in entries if entry["table"] != "licenses"]
    counts = Counter((int(str(entry["on"])[:4]), str(entry["table"])) for entry in charted)
    if not counts:
        return (), 0
    first, last = min(year for year, _ in counts), max(year for year, _ in counts)
    span = range(first, last + 1)
    totals = {year: sum(n for (y, _), n in counts.items() if y == year) for year in span}
    most = max(totals.values())
    step = _BOX[0] / len(span)
    out = []
    for i, year in enumerate(span):
        y, parts = _BOX[1], []
        for table in ("traces", "multiple_sales", "seizures"):
            height = _BOX[1] * counts[year, table] / most
            y -= height
            if height:
                parts.append((table, round(y, 1), round(height, 1)))
        x = round(i * step + 0.1 * step, 1)
        out.append(YearBar(x, round(0.8 * step, 1), str(year), tuple(parts), totals[year]))
    return tuple(out), most
