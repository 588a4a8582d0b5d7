"""Refusal of anything that would turn the warehouse into a table of buyers.

The system holds counts about dealers. A trace or sale file whose header shows a person's name,
birth date or identity number is refused whole, even when no mapping reads that column, and a
purchaser token must look like a keyed hash.

References
----------
18 USC 926(a) (no registry of firearms, owners or transactions), and the appropriation rider
against the consolidation of dealers' records.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from features.errors import SourceError
from features.schema import TABLES

# Files about dealers name their licensees; every other table is about traces, sales or events.
TABLES_NAMING_DEALERS: Final = frozenset({"licenses", "inspections", "violations"})


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_ALLOWED: Final = frozenset({"purchaser_token", "is_purchaser_possessor"})
_ALWAYS: Final = _words(
    "ssn dob birth birthdate birthday birthplace surname forename fname lname mname firstname "
    "lastname middlename fullname passport license_holder drivers driver dl dln"
)
_PERSONS: Final = _words(
    "purchaser buyer possessor person individual customer transferee suspect associate recipient "
    "owner applicant arrestee offender"
)
_IDENTITY: Final = _words(
    "name names first last middle initials given family maiden alias id identity identifier number "
    "no num address street phone telephone email race sex gender age height weight"
)
_NAME_KINDS: Final = _words("first last middle given family maiden full")
# Letters, digits and the signs of base64 and hex forms, long enough to be a hash.
OPAQUE: Final = "^[A-Za-z0-9_+/=.:-]{4,128}$"
# A social security number, a date, or a word of letters alone is no hash.
READABLE: Final = (
    "^([0-9]{3}-?[0-9]{2}-?[0-9]{4}|[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{1,2}/[0-9]{1,2}/[0-9]{2,4}"
    "|[A-Z][a-z]+([._-][A-Z][a-z]+)*)$"
)


def is_opaque(token: str) -> bool:
    """Whether a purchaser's token is a hash and nothing that can be read.

    >>> is_opaque("9f86d081884c7d65"), is_opaque("Jane.Doe"), is_opaque("1980-02-03")
    (True, False, False)
    """
    return bool(re.search(OPAQUE, token)) and not re.search(READABLE, token)


def person_columns(names: Iterable[str]) -> list[str]:
    """Return the names that look like a person's name, birth date or identity number.

    >>> person_columns(["trace_id", "PURCHASER LAST NAME", "purchaser_token", "PurchaserDOB"])
    ['PURCHASER LAST NAME', 'PurchaserDOB']
    """
    return [name for name in names if _is_personal(name)]


def _is_personal(name: str) -> bool:
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.strip())
    words = [word for word in re.split(r"[^a-z0-9]+", spaced.lower()) if word]
    if "_".join(words) in _ALLOWED:
        return False
    found = set(words)
    return bool(
        found & _ALWAYS
        or (found & _PERSONS and found & _IDENTITY)
        or ("name" in found and found & _NAME_KINDS)
        or ({"social", "security"} <= found)
        or words == ["name"]
    )


def refuse_persons(file: str, table: str, names: Iterable[str]) -> None:
    """Refuse a trace or sale file that has a column about a person.

    Raises
    ------
    SourceError
        Naming each such column.
    """
    if table in TABLES_NAMING_DEALERS:
        return
    # What the contract itself calls `name` is that of a law or a measure of an area.
    found = person_columns(name for name in names if name not in TABLES[table].names)
    if found:
        raise SourceError(
            f"{file} is refused: it carries data about persons in a file of {table}.",
            found="column " + ", ".join(repr(name) for name in found),
            expected="no name, birth date or identity number; at most an opaque purchaser_token, "
            "made by a keyed hash before the data leaves its system",
            fix="remove these columns where the file is made, and ingest the new file",
        )


def refuse_readable_tokens(file: str, n_readable: int) -> None:
    """Refuse a file in which values of ``purchaser_token`` are no hashes.

    Raises
    ------
    SourceError
        When `n_readable` is not zero. The values themselves are never shown or stored.
    """
    if n_readable:
        raise SourceError(
            f"{file} is refused: its column 'purchaser_token' holds readable values.",
            found=f"{n_readable:,} values that look like a name, a date or an identity number",
            expected="opaque keyed hashes of 4 to 128 letters and digits without spaces",
            fix="hash the values with a secret key where the file is made, and ingest the new file",
        )
