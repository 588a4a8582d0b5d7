"""What offices and counties are called: the published records know them by code only."""

from __future__ import annotations

from functools import cache

from features import reference


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
