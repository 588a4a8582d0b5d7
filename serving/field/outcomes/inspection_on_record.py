"""What is known of an inspection already, told here or in the records, and what telling changes.

One comparison for the keeping, which adds a version only where something differs, and for the page
that says so beforehand.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from features.domain.agency_day import day_of
from features.domain.number_words import counted
from features.reference.legal.citation import CITED_SQL

_OF_RECORDS: Final = (
    "kind", "opened_on", "closed_on", "selected_by", "hours", "investigator_token", "office",
    "outcome", "recommended_outcome", "firearms_unaccounted_initial", "firearms_unaccounted_final",
    "list_id",
)  # fmt: skip
# What makes it the same inspection, and what is compared by itself.
_SAME_ALWAYS: Final = frozenset({"inspection_id", "dealer", "violations"})
_CITED: Final = ("citation", "is_willful", "instances", "is_repeat")


@dataclass(frozen=True)
class OnRecord:
    """An inspection as it stands before it is told once more.

    Parameters
    ----------
    document : mapping
        As it is kept; of what came with the records, the columns that they have.
    at : str
        When it was told, an instant, or since which day the records have it.
    version : int
        0 where it came with the records.
    who : str
    """

    document: Mapping[str, Any]
    at: str
    version: int = 0
    who: str = ""


def as_recorded(warehouse: Path, inspection_id: str, dealer: str) -> OnRecord | None:
    """Return an inspection of a dealer as the records have it now, None where they have none."""
    import duckdb

    from features.warehouse import Warehouse, WarehouseMissingError

    try:
        opened = Warehouse.open(warehouse)
    except WarehouseMissingError:
        return None
    if not opened.has("inspections"):
        return None
    given = {"number": inspection_id}
    names = (*_OF_RECORDS, "CAST(known_on AS VARCHAR)", "dealer")
    query = (
        f"SELECT {', '.join(names)} FROM {opened.scan('inspections')} "  # noqa: S608 - own names
        "WHERE superseded_on IS NULL AND inspection_id = $number ORDER BY known_on DESC LIMIT 1"
    )
    with duckdb.connect(config={"threads": 1}) as connection:
        row = connection.execute(query, given).fetchone()
        if row is None or row[-1] != dealer:
            return None
        cited: list[Any] = []
        if opened.has("violations"):
            query = (
                f"SELECT {', '.join(_CITED)} FROM {opened.scan('violations')} "  # noqa: S608
                f"WHERE inspection_id = $number AND superseded_on IS NULL AND {CITED_SQL}"
            )
            cited = connection.execute(query, given).fetchall()
    document = {
        name: value if value is None or isinstance(value, (int, float)) else str(value)
        for name, value in zip(_OF_RECORDS, row, strict=False)
    }
    violations = [dict(zip(_CITED, one, strict=True)) for one in cited]
    return OnRecord(document | {"violations": violations}, at=row[-2])


def standing(told: OnRecord | None, in_records: OnRecord | None) -> OnRecord | None:
    """Return what stands of an inspection: what was told last, unless the records say it later.

    What was told and has come into the records since is still what was told.
    """
    if told is None or in_records is None:
        return told or in_records
    is_later = in_records.at > day_of(told.at)
    known = {name: told.document.get(name) for name in _OF_RECORDS}
    known["list_id"] = known["list_id"] or told.document.get("plan_id")
    cited = [one for one in told.document["violations"] if one["instances"] != 0]
    is_other = bool(differences(in_records.document, known | {"violations": cited}))
    return in_records if is_later and is_other else told


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return what of an inspection differs: by field what it was and what it is.

    What is not stated is the same as a field that an earlier version did not know; the order of
    citations says nothing.

    >>> differences({"hours": 8, "violations": []}, {"hours": 8.0, "why": None, "violations": []})
    {}
    """
    out = {
        name: (before.get(name), after.get(name))
        for name in dict.fromkeys((*after, *before))
        if name not in _SAME_ALWAYS and before.get(name) != after.get(name)
    }
    old, new = _cited(before), _cited(after)
    if old != new:
        out["violations"] = (_in_order(old - new), _in_order(new - old))
    return out


def changes_nothing(before: OnRecord | None, document: Mapping[str, Any]) -> bool:
    """Whether telling this adds no version: it was told so last, and that stands.

    What only the records have is told here for the first time, and kept.
    """
    return before is not None and before.version > 0 and not differences(before.document, document)


_Cited = tuple[str, bool | None, int | None, bool | None]


def _cited(document: Mapping[str, Any]) -> Counter[_Cited]:
    return Counter(
        (one["citation"], one.get("is_willful"), one.get("instances"), one.get("is_repeat"))
        for one in document.get("violations", ())
    )


def _in_order(cited: Counter[_Cited]) -> list[_Cited]:
    return sorted(cited.elements(), key=repr)


def citation_in_words(cited: _Cited) -> str:
    """Say a violation with all that was told of it.

    >>> citation_in_words(("478.124(c)(1)", True, 3, False))
    '478.124(c)(1) (willful, 3 instances, no repeat)'
    >>> citation_in_words(("478.124(c)(1)", None, None, None))
    '478.124(c)(1)'
    """
    citation, is_willful, instances, is_repeat = cited
    said = [
        {None: "", True: "willful", False: "not willful"}[is_willful],
        "" if instances is None else counted(instances, "instance"),
        {None: "", True: "a repeat", False: "no repeat"}[is_repeat],
    ]
    told = ", ".join(part for part in said if part)
    return f"{citation} ({told})" if told else citation
