"""The source records behind each signal of a dealer: which table, which of its rows, how many."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from features.warehouse.own_rows import OwnRows, own_rows
from serving.contract.records.dealers import SourceRecords

if TYPE_CHECKING:
    from features.engine.named_rows import Counted, Named

MOST_IDS: Final = 50


def named_records(
    warehouse: Path | OwnRows, signals: Sequence[Mapping[str, Any]], dealer: str, as_of: date
) -> dict[str, Named]:
    """Return the records that each signal counted of a dealer as of a day, by the signal's name.

    Within the signal's own window and by its own rule: a trace that counts toward no dealer, or a
    citation that was taken back, is not among them. What is read of other dealers is not named.

    Parameters
    ----------
    warehouse : Path or OwnRows
        Where it is, or the dealer's rows of it.
    signals : sequence of mapping
        As a bundle states them.
    dealer : str
    as_of : date
    """
    from features.engine.named_rows import named_rows
    from features.signals.events.asked import Asked
    from features.signals.events.behind import behind

    with own_rows(warehouse, dealer) as own:
        asked = Asked((as_of,), _citations(own))
        places: dict[str, range] = {}
        counted: list[Counted] = []
        for signal in signals:
            found = behind(
                signal["name"], signal["family"], signal["table"], signal.get("window"), asked
            )
            places[signal["name"]] = range(len(counted), len(counted) + len(found))
            counted += found
        named = named_rows(own, as_of, counted)
    return {name: merged(named[n] for n in at) for name, at in places.items()}


def _citations(own: OwnRows) -> tuple[str, ...]:
    """Return the distinct citations of a dealer, of which the tiers are looked up."""
    if not (own.has("violations") and own.has("inspections")):
        return ()
    from features.engine.named_rows import relation

    sql = f"{relation(own, 'citations')}SELECT DISTINCT citation FROM citations"  # noqa: S608 - own
    return tuple(str(citation) for (citation,) in own.query(sql).fetchall())


def merged(parts: Iterable[Named]) -> Named:
    """Return all records of some parts, by table, each once."""
    found: dict[str, list[Mapping[str, int]]] = {}
    for part in parts:
        for table, ids in part.items():
            found.setdefault(table, []).append(ids)
    return {table: _together(several) for table, several in found.items()}


def _together(several: Sequence[Mapping[str, int]]) -> Mapping[str, int]:
    if len(several) == 1:
        return several[0]
    days: dict[str, int] = {}
    for ids in several:
        days |= ids
    return dict(sorted(days.items(), key=lambda item: (-item[1], item[0])))


def said(named: Named, *, most: int | None = MOST_IDS) -> list[SourceRecords]:
    """Return records as they are told: how many of which table, and the newest of them by name."""
    told: list[SourceRecords] = []
    for table, ids in named.items():
        told.append({"table": table, "n_records": len(ids), "ids": list(islice(ids, most))})
    return told
