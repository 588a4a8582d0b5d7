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
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache
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
    "lastname middlename fullname passport license_holder drivers driver dl dln "
    "apellido apellidos paterno materno nacimiento curp rfc nss dni vorname nachname familienname "
    "geburtsdatum geburtstag geburtsname geburtsort prenom naissance"
)
_PERSONS: Final = _words(
    "purchaser buyer possessor person individual customer transferee suspect associate recipient "
    "owner applicant arrestee offender purchasers buyers cust customers comprador cliente "
    "sospechoso kaufer kaeufer kunde acheteur client"
)
# A column called so and nothing more names them, unless a mapping reads it as the token.
_BARE: Final = _words(
    "name nombre nombres purchaser purchasers buyer buyers customer customers transferee suspect "
    "arrestee comprador sospechoso kaufer kaeufer acheteur"
)
_IDENTITY: Final = _words(
    "name names first last middle initials given family maiden alias id identity identifier number "
    "no num address street phone telephone email race sex gender age height weight nombre nombres "
    "nom domicilio direccion telefono anschrift strasse adresse"
)
_NAME_KINDS: Final = _words("first last middle given family maiden full")
_KNOWN: Final = _ALWAYS | _PERSONS | _IDENTITY | _NAME_KINDS
# Letters, digits and the signs of base64 and hex forms, long enough to be a hash.
OPAQUE: Final = "^[A-Za-z0-9_+/=.:-]{4,128}$"
# A social security number, a date, a phone with its dashes, or a name as names are written.
_READABLE: Final = (
    "[0-9]{3}-?[0-9]{2}-?[0-9]{4}|[0-9]{4}[./-][0-9]{2}[./-][0-9]{2}"
    "|[0-9]{1,2}[./-][0-9]{1,2}[./-][0-9]{2,4}|[0-9]{3}[.-][0-9]{3}[.-][0-9]{4}"
    "|[A-Z][a-z]+([._-][A-Z][a-z]+)*"
)
# What a hash may be by chance, and hashes are not for the most part: words of letters in one case
# or joined, and days without signs between their parts. A hash may be of the letters of hex alone.
_PART: Final = "([A-Z]+|[a-z]+|([A-Z][a-z]+)+)"
_WORDS: Final = f"{_PART}([._-]{_PART})*"
_HEX: Final = "[a-f]{8,}|[A-F]{8,}"
_DAY: Final = (
    "(19|20)[0-9]{2}(0[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01])"
    "|(0[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01])(19|20)[0-9]{2}"
    "|(0[1-9]|[12][0-9]|3[01])(0[1-9]|1[0-2])(19|20)[0-9]{2}"
)
# Two of three numbers of ten digits look like a phone: all of a column do only where they are.
_PHONE: Final = "1?[2-9][0-9]{2}[2-9][0-9]{6}"
_FEW: Final = 0.5
_ALMOST_ALL: Final = 0.95
# How many tokens of ``checked`` are no hashes; see `n_readable`.
READABLE_TOKENS: Final = f"""
SELECT CASE WHEN n_surely > 0 THEN n_surely WHEN n_words > {_FEW} * n THEN n_words
    WHEN n_phones > {_ALMOST_ALL} * n THEN n_phones ELSE 0 END
FROM (
    SELECT count(*) AS n,
        count(*) FILTER (NOT regexp_matches(t, '{OPAQUE}') OR regexp_full_match(t, '{_READABLE}'))
            AS n_surely,
        count(*) FILTER (regexp_full_match(t, '{_WORDS}|{_DAY}')
            AND NOT regexp_full_match(t, '{_HEX}')) AS n_words,
        count(*) FILTER (regexp_full_match(t, '{_PHONE}')) AS n_phones
    FROM (SELECT purchaser_token AS t FROM checked WHERE purchaser_token IS NOT NULL)
)
"""


def n_readable(tokens: Sequence[str]) -> int:
    """Return how many of a column of purchasers' tokens can be read; a column is judged as a whole.

    Of what a hash may be by chance, all that look alike where most do.

    >>> n_readable(["9f86d081884c7d65", "deadbeef"]), n_readable(["9f86d081", "Jane.Doe"])
    (0, 1)
    >>> n_readable(["SMITH", "GARCIA", "9f86d081"]), n_readable(["9f86d081", "QKJZRTPA"])
    (2, 0)
    """
    surely = [t for t in tokens if not re.search(OPAQUE, t) or re.fullmatch(_READABLE, t)]
    words = [t for t in tokens if re.fullmatch(f"{_WORDS}|{_DAY}", t)]
    words = [t for t in words if not re.fullmatch(_HEX, t)]
    phones = [t for t in tokens if re.fullmatch(_PHONE, t)]
    if surely:
        return len(surely)
    if len(words) > _FEW * len(tokens):
        return len(words)
    return len(phones) if len(phones) > _ALMOST_ALL * len(tokens) else 0


def person_columns(names: Iterable[str]) -> list[str]:
    """Return the names that look like a person's name, birth date or identity number.

    >>> person_columns(["trace_id", "PURCHASER LAST NAME", "purchaser_token", "PurchaserDOB"])
    ['PURCHASER LAST NAME', 'PurchaserDOB']
    >>> person_columns(["BUYERNAME", "Fecha de Nacimiento", "AGENCYNAME", "buyer_state"])
    ['BUYERNAME', 'Fecha de Nacimiento']
    """
    return [name for name in names if _is_personal(name)]


def _is_personal(name: str) -> bool:
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.strip())
    plain = unicodedata.normalize("NFKD", spaced.lower())
    plain = "".join(sign for sign in plain if not unicodedata.combining(sign))
    words = [word for word in re.split(r"[^a-z0-9]+", plain) if word]
    if "_".join(words) in _ALLOWED:
        return False
    found = {part for word in words for part in _parts(word)}
    return bool(
        found & _ALWAYS
        or (found & _PERSONS and found & _IDENTITY)
        or ("name" in found and found & _NAME_KINDS)
        or ({"social", "security"} <= found)
        or (len(words) == 1 and words[0] in _BARE)
    )


@lru_cache(maxsize=4096)
def _parts(word: str) -> tuple[str, ...]:
    """Return the known words that `word` is put together of, else the word itself.

    >>> _parts("purchasername"), _parts("filename")
    (('purchaser', 'name'), ('filename',))
    """
    if word in _KNOWN:
        return (word,)
    ways: list[tuple[str, ...] | None] = [(), *[None] * len(word)]
    for end in range(1, len(word) + 1):
        for start in range(end):
            before = ways[start]
            if before is not None and word[start:end] in _KNOWN:
                ways[end] = (*before, word[start:end])
                break
    return ways[-1] or (word,)


def refuse_persons(
    file: str, table: str, names: Iterable[str], tokens: Collection[str] = ()
) -> None:
    """Refuse a trace or sale file that has a column about a person.

    One of `tokens`, which a mapping reads as the purchaser's token, may be called after the
    purchaser alone: its values are looked at.

    Raises
    ------
    SourceError
        Naming each such column.
    """
    if table in TABLES_NAMING_DEALERS:
        return
    # What the contract itself calls `name` is that of a law or a measure of an area.
    known = {*TABLES[table].names, *(name for name in tokens if name.strip().lower() in _BARE)}
    found = person_columns(name for name in names if name not in known)
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
