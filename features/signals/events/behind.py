"""Which events stand behind a signal: the door to what the families ask."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from features.domain.asof import DAYS_A_YEAR, EVER, Window
from features.engine.measures import Sum
from features.engine.named_rows import Counted, counted
from features.engine.views import BY_DEALER
from features.schema import TABLES
from features.signals.events import (
    ballistics,
    losses,
    multiple_sales,
    network,
    southbound,
    time_to_crime,
    tips,
    traces,
    violations,
    volume,
)
from features.signals.events.asked import Asked, Measures


@dataclass(frozen=True)
class _Family:
    """What a family asks, and the grids behind those signals that are not named as their grid."""

    measures: Callable[[Asked], Measures]
    behind: Mapping[str, tuple[str, ...]]


FAMILIES: Final[Mapping[str, _Family]] = {
    module.__name__.rpartition(".")[2]: _Family(module.measures, module.BEHIND)
    for module in (
        traces, time_to_crime, southbound, violations, losses, multiple_sales, volume, ballistics,
        network, tips,
    )
}  # fmt: skip
# The listings of the dealer itself are behind these; those of others are no records about it.
_LISTED: Final = frozenset({"license", "border"})
_WINDOW: Final = re.compile(r"(\d+)([dy])")


def behind(name: str, family: str, table: str, window: str | None, asked: Asked) -> list[Counted]:
    """Return the events that stand behind a signal, those first that its value counts.

    Parameters
    ----------
    name, family, table, window
        As the signal states them.
    asked : Asked
        With one as-of date.

    Returns
    -------
    list of Counted
        Empty for what is read of others: of a county, of dealers near by. Of a family of an
        agency's own, the rows of its table in its window.

    Examples
    --------
    >>> from datetime import date
    >>> one, = behind("tips_agency_3y", "tips", "tips", "3y", Asked((date(2025, 1, 1),)))
    >>> one.view, one.window.name
    ('tips', '3y')
    """
    if family in FAMILIES:
        return _of_family(family, name.removeprefix(f"{family}_"), asked)
    view = BY_DEALER.get(table, table)
    is_about_dealer = table in TABLES and (view != table or "dealer" in TABLES[table].names)
    if family == "area" or not is_about_dealer:
        return []
    over = EVER if family in _LISTED else _window(window)
    return [Counted(view, Sum("rows", (over,)), over)]


def _of_family(family: str, short: str, asked: Asked) -> list[Counted]:
    grids, stated = _grids(family, asked), FAMILIES[family].behind
    year = asked.dates[0].year - 1
    if short in stated:
        return [grids[name.format(year=year)] for name in stated[short]]
    own = (one for name, one in grids.items() if name.partition(".")[2] == short)
    return [one for one in (next(own, None),) if one is not None]


@lru_cache(maxsize=32)
def _grids(family: str, asked: Asked) -> Mapping[str, Counted]:
    """Return what each grid of a family counts, put together once for all of its signals."""
    return {
        f"{view}.{name}": one
        for view, measures in FAMILIES[family].measures(asked).items()
        for name, one in counted(view, measures).items()
    }


def _window(stated: str | None) -> Window:
    found = _WINDOW.fullmatch(stated or "")
    if found is None:
        return EVER
    days = int(found[1]) * (DAYS_A_YEAR if found[2] == "y" else 1)
    return Window(found[0], days)
