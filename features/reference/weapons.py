"""Classes of firearms as dated data, and the SQL that tells the class of a trace.

A class follows from the type, the two flags, the caliber and the state of the serial number; the
table ``weapon_classes.toml`` says how. Whoever counts a class asks here, so that signals, files
for partners and pages cannot disagree.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Final

from features.reference.files import read_toml
from features.sql import literal

# Classes whose firearms the published reports single out (Double Fix, recommendation 4).
HIGH_POWERED: Final = ("semiautomatic_rifle", "fifty_caliber")
UNSERIALIZED: Final = "unserialized"
# A caliber as people write it, in capitals, letters and digits alone.
_CALIBER: Final = "regexp_replace(upper(caliber), '[^A-Z0-9]', '', 'g')"


@dataclass(frozen=True)
class WeaponClass:
    """One class of firearms.

    Parameters
    ----------
    name, label : str
        Code and words.
    condition : str
        SQL over the columns of ``traces``, true for a firearm of the class if no class before fits.
    source, evidence : str
        Where the class comes from, and how well that is supported.
    starts_on : date
        First day on which it is counted.
    ends_on : date or None
        First day on which it no longer is.
    """

    name: str
    label: str
    condition: str
    source: str
    evidence: str
    starts_on: date
    ends_on: date | None

    def is_in_force(self, on: date) -> bool:
        """Whether the class is counted on a day."""
        return self.starts_on <= on and (self.ends_on is None or on < self.ends_on)


@lru_cache(maxsize=1)
def weapon_classes() -> tuple[WeaponClass, ...]:
    """Every class, in the order in which they are tried."""
    return tuple(
        WeaponClass(
            name,
            entry["label"],
            _condition(entry),
            entry["source"],
            entry["evidence"],
            entry["starts_on"],
            entry.get("ends_on"),
        )
        for name, entry in read_toml("weapon_classes.toml")["class"].items()
    )


def class_names() -> tuple[str, ...]:
    """Codes of the classes, in the order in which they are tried."""
    return tuple(c.name for c in weapon_classes())


def class_label(name: str) -> str:
    """Words of a class; an unknown code stays as it is."""
    return next((c.label for c in weapon_classes() if c.name == name), name)


def class_sql(day: str = "requested_on") -> str:
    """Return SQL for the class of a trace, by the classes in force on the day of a column.

    Parameters
    ----------
    day : str
        SQL of the day; by default that of the request.
    """
    steps = " ".join(f"WHEN {_dated(c, day)} THEN {literal(c.name)}" for c in weapon_classes())
    return f"(CASE {steps} ELSE 'other' END)"


def class_code_sql(day: str = "requested_on") -> str:
    """Return SQL for the place of a trace's class in `class_names`, a small number."""
    steps = " ".join(f"WHEN {_dated(c, day)} THEN {i}" for i, c in enumerate(weapon_classes()))
    return f"(CASE {steps} ELSE {class_names().index('other')} END)::TINYINT"


def is_class_sql(name: str, day: str = "requested_on") -> str:
    """Return the SQL condition that a trace is of one class."""
    return f"{class_sql(day)} = {literal(name)}"


def seized_class_sql() -> str:
    """Return SQL for the class of a seizure, whose row has no caliber and no serial number."""
    return (
        "(CASE WHEN firearm_type = 'rifle' AND is_semiautomatic_rifle THEN 'semiautomatic_rifle' "
        "WHEN firearm_type = 'rifle' THEN 'other_rifle' "
        "WHEN firearm_type IN ('pistol', 'revolver') THEN 'handgun' ELSE firearm_type END)"
    )


def _dated(entry: WeaponClass, day: str) -> str:
    spans = [f"{day} >= DATE '{entry.starts_on}'"] if entry.starts_on > date(1990, 1, 1) else []
    if entry.ends_on is not None:
        spans.append(f"{day} < DATE '{entry.ends_on}'")
    return " AND ".join([f"({entry.condition})", *spans])


def _condition(entry: dict[str, str]) -> str:
    if "statuses" in entry:
        either = [_among("serial_status", entry["statuses"]), _among("outcome", entry["outcomes"])]
        return " OR ".join(either)
    parts = [_among("firearm_type", entry["types"])]
    told = entry.get("flags", "").split()
    if calibers := [c.strip() for c in entry.get("calibers", "").split(",") if c.strip()]:
        patterns = (f"{_CALIBER} LIKE {literal(c.replace('*', '%'))}" for c in calibers)
        told.append(f"({' OR '.join(patterns)})")
    if told:  # what a flag says, yes or no, counts before what the caliber looks like
        parts.append(f"coalesce({', '.join(told)}, false)")
    return " AND ".join(parts)


def _among(column: str, codes: str) -> str:
    return f"{column} IN ({', '.join(literal(code) for code in codes.split())})"
