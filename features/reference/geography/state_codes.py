"""Codes of states in the United States and Mexico, from the spellings that have one meaning.

The contract's codes are those of the Postal Service, and ISO 3166-2 for Mexico. A state written
otherwise would be another one to whoever compares codes, so what cannot be read is told. A code of
the other country says that one of the two is wrong: the state is then unknown.
"""

from __future__ import annotations

import csv
import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from features.reference.files import DATA
from features.sql import literal

# What states of Mexico are also called: in full, in earlier years, and in letters of the post.
_ALSO: Final = {
    "MX-DIF": "MX-CMX", "DIF": "MX-CMX", "DISTRITO FEDERAL": "MX-CMX", "MEXICO CITY": "MX-CMX",
    "COAHUILA DE ZARAGOZA": "MX-COA", "MICHOACAN DE OCAMPO": "MX-MIC",
    "VERACRUZ DE IGNACIO DE LA LLAVE": "MX-VER", "QUERETARO DE ARTEAGA": "MX-QUE",
    "AGS": "MX-AGU", "BC": "MX-BCN", "CAMP": "MX-CAM", "CHIH": "MX-CHH", "CHIS": "MX-CHP",
    "CDMX": "MX-CMX", "DF": "MX-CMX", "COAH": "MX-COA", "DGO": "MX-DUR", "GTO": "MX-GUA",
    "HGO": "MX-HID", "EDOMEX": "MX-MEX", "MICH": "MX-MIC", "NL": "MX-NLE", "QRO": "MX-QUE",
    "Q ROO": "MX-ROO", "QROO": "MX-ROO", "TAMPS": "MX-TAM", "TLAX": "MX-TLA",
}  # fmt: skip
# Columns of a state, and the column of its country.
COUNTRY_OF_STATE: Final = {"recovery_state": "recovery_country", "state": "country"}
_FILES: Final = {"US": "states.csv", "MX": "mexico_states.csv"}


@lru_cache(maxsize=2)
def state_codes(country: str) -> Mapping[str, str]:
    """Return the name of each state of ``US`` or ``MX`` by its code."""
    with (DATA / _FILES[country]).open(encoding="utf-8", newline="") as rows:
        return MappingProxyType({row["state"]: row["name"] for row in csv.DictReader(rows)})


def state_sql(text: str, country: str) -> str:
    """Return SQL for the code of the state `text` of `country`, else for the text in capitals.

    Null for a code of the other country; elsewhere than in ``US`` and ``MX`` every text is a code.
    """
    upper, nation = f"upper({text})", f"upper({country})"
    plain = f"upper(strip_accents(replace({text}, '.', '')))"
    whens = "".join(
        f"WHEN {nation} = '{name}' AND {upper} NOT IN ({_list(name)}) "
        f"THEN CASE WHEN {upper} IN ({_list(other)}) THEN NULL ELSE "
        f"CASE {plain} {_steps(name)} ELSE {upper} END END "
        for name, other in (("US", "MX"), ("MX", "US"))
    )
    return f"CASE {whens}ELSE {upper} END"


def state_code(text: str, country: str) -> str | None:
    """Return the code of the state `text` of `country`; None where it is no state of it.

    Empty for a code of the other country.

    >>> [state_code(*pair) for pair in (("Texas", "US"), ("CHH", "MX"), ("TX", "MX"), ("X", "MX"))]
    ['TX', 'MX-CHH', '', None]
    """
    upper = text.upper()
    if country not in _FILES or upper in state_codes(country):
        return upper
    if any(upper in state_codes(other) for other in _FILES):
        return ""
    return _spellings(country).get(_plain(upper.replace(".", "")))


def _plain(text: str) -> str:
    signs = unicodedata.normalize("NFD", text)
    return "".join(sign for sign in signs if not unicodedata.combining(sign))


def no_state_sql(state: str, country: str) -> str:
    """Return SQL that is true where `state` is no code of a state of its country."""
    return " OR ".join(
        f"({country} = '{name}' AND {state} NOT IN ({_list(name)}))" for name in _FILES
    )


def _list(country: str) -> str:
    return ", ".join(map(literal, state_codes(country)))


@lru_cache(maxsize=2)
def _spellings(country: str) -> Mapping[str, str]:
    """Return codes by names, and by themselves with or without their country."""
    found = {}
    for code, name in state_codes(country).items():
        found[name.upper().translate(str.maketrans("\u00c1\u00c9\u00cd\u00d3\u00da", "AEIOU"))] = (
            code
        )
        found[code.removeprefix("MX-") if country == "MX" else f"US-{code}"] = code
    return MappingProxyType(found | (_ALSO if country == "MX" else {}))


def _steps(country: str) -> str:
    return " ".join(f"WHEN {literal(k)} THEN {literal(v)}" for k, v in _spellings(country).items())
