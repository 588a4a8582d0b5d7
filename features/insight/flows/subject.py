"""What is followed: a dealer, a port of entry, a state of either country, or a county."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from features.domain.license_number import parse
from features.errors import FeatureError, InvalidValueError
from features.insight.flows.places import label_of
from features.reference.files import read_table
from features.reference.geography.border_distances import ports
from features.reference.geography.places import counties, states

Kind = Literal["dealer", "port", "state", "county", "mexico_state", "nation"]
_EXPECTED: Final = (
    "a dealer key such as 1-56-21093, a port code such as 2504, a state such as TX or MX-SON, a "
    "county such as 48201, or US for the whole country"
)


@dataclass(frozen=True)
class Subject:
    """One thing to follow.

    Parameters
    ----------
    kind : {"dealer", "port", "state", "county", "mexico_state", "nation"}
    code, label : str
        As the tables have it, and in words.
    """

    kind: Kind
    code: str
    label: str


def subject_of(text: str) -> Subject:
    """Tell what is meant.

    Raises
    ------
    InvalidValueError
        When it is none of those known.

    Examples
    --------
    >>> subject_of("mx-son").label, subject_of("2504").label, subject_of("48201").kind
    ('Sonora', 'San Ysidro', 'county')
    """
    word = text.strip()
    code = word.upper()
    if code == "US":
        return Subject("nation", "US", "the United States")
    if re.fullmatch(r"MX-[A-Z]{3}", code) and code in set(
        read_table("mexico_homicides")["state_code"]
    ):
        return Subject("mexico_state", code, label_of(code))
    if re.fullmatch(r"[A-Z]{2}", code) and code in set(states()["state"]):
        return Subject("state", code, label_of(code))
    if re.fullmatch(r"\d{4}", code) and code in ports().index:
        return Subject("port", code, str(ports().loc[code, "port_name"]))
    if re.fullmatch(r"\d{5}", code) and code in counties().index:
        row = counties().loc[code]
        return Subject("county", code, f"{row['county_name']}, {row['state']}")
    if re.fullmatch(r"\d-\d{2}-[0-9A-Z]{5}", code):
        return Subject("dealer", code, code)
    try:
        key = parse(word).dealer
    except FeatureError:
        raise InvalidValueError(
            f"{text[:40]!r} is nothing to follow.", expected=_EXPECTED
        ) from None
    return Subject("dealer", key, key)
