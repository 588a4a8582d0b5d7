"""What offices and counties are called: the published records know them by code only."""

from __future__ import annotations

import re
from functools import cache
from typing import Final

from features import reference

_OFFICE: Final = re.compile(r"\boffice (\w+)")
_COUNTY: Final = re.compile(r"\bcounty (\d{5})\b")


@cache
def office_label(name: str) -> str:
    """Return an office by its division and the county where most people of its area live.

    The published records know offices by code only.

    >>> office_label("785110"), office_label("")
    ('Phoenix: Maricopa County, AZ (office 785110)', 'no office')
    """
    known = reference.offices()
    if name in known.index:
        seat = county_label(str(reference.office_seats()["county_fips"][name]))
        return f"{known['field_division'][name]}: {seat} (office {name})"
    if name.isalnum() and any(c.isdigit() for c in name):
        return f"office {name}"
    return name or "no office"


@cache
def county_label(code: str) -> str:
    """Return a county in words.

    >>> county_label("48141"), county_label("99999")
    ('El Paso County, TX', 'county 99999')
    """
    known = reference.counties()
    if code not in known.index:
        return f"county {code}"
    return f"{known['county_name'][code]!s}, {known['state'][code]!s}"


def codes_in_words(text: str) -> str:
    """Return a text about an area with what its offices and counties are called.

    >>> codes_in_words("office 785110, county 04013")
    'Phoenix: Maricopa County, AZ (office 785110), Maricopa County, AZ'
    """
    text = _OFFICE.sub(lambda found: office_label(found[1]), text)
    return _COUNTY.sub(lambda found: county_label(found[1]), text)
