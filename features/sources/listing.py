"""The monthly license listing of the publisher, in its layout of 2013 and in its later one.

Both hold the same 17 columns; the first is tab separated with a rule line of dashes under the
header and was sometimes cut off in its last row, the second is comma separated. Phones and the
mailing street are never stored.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Final

from features.domain.asof import parse_date
from features.domain.county import COUNTY_CHANGES
from features.domain.license_number import expires_on_sql
from features.errors import SourceError
from features.schema import SET_ASIDE_TYPES
from features.sources.delimited import TextForm
from features.sources.layout import Layout, Plan
from features.sql import literal

COLUMNS: Final = (
    "lic_regn", "lic_dist", "lic_cnty", "lic_type", "lic_xprdte", "lic_seqn", "license_name",
    "business_name", "premise_street", "premise_city", "premise_state", "premise_zip_code",
    "mail_street", "mail_city", "mail_state", "mail_zip_code", "voice_phone",
)  # fmt: skip
REQUIRED: Final = frozenset(COLUMNS) - {"voice_phone", "mail_street", "mail_city", "mail_state"}

FORM_2013: Final = TextForm(delimiter="\t", n_rule_lines=1, fallback_encoding="latin-1")
FORM_LATER: Final = TextForm(delimiter=",", fallback_encoding="latin-1")

# FIPS codes of states and territories (FIPS 5-2, and INCITS 38 for the territories).
STATE_FIPS: Final = {
    "AL": "01", "AK": "02", "AZ": "04", "AR": "05", "CA": "06", "CO": "08", "CT": "09", "DE": "10",
    "DC": "11", "FL": "12", "GA": "13", "HI": "15", "ID": "16", "IL": "17", "IN": "18", "IA": "19",
    "KS": "20", "KY": "21", "LA": "22", "ME": "23", "MD": "24", "MA": "25", "MI": "26", "MN": "27",
    "MS": "28", "MO": "29", "MT": "30", "NE": "31", "NV": "32", "NH": "33", "NJ": "34", "NM": "35",
    "NY": "36", "NC": "37", "ND": "38", "OH": "39", "OK": "40", "OR": "41", "PA": "42", "RI": "44",
    "SC": "45", "SD": "46", "TN": "47", "TX": "48", "UT": "49", "VT": "50", "VA": "51", "WA": "53",
    "WV": "54", "WI": "55", "WY": "56", "AS": "60", "GU": "66", "MP": "69", "PR": "72", "VI": "78",
}  # fmt: skip

_NAMES: Final = (
    re.compile(r"(?P<year>20\d\d)-(?P<month>0[1-9]|1[0-2])(?!\d)"),
    re.compile(r"(?:^|/)(?P<month>0[1-9]|1[0-2])(?P<year>\d\d)-?ffl-?list"),
)


def normalized(name: str) -> str:
    """Return a header name as both layouts share it.

    >>> normalized("Premise Zip Code")
    'premise_zip_code'
    """
    return re.sub(r"[ _]+", "_", name.strip().lower())


def listed_on_from_name(name: str) -> date | None:
    """Return the first day of the month that a file name tells, or None.

    >>> listed_on_from_name("0513-ffl-list.txt")
    datetime.date(2013, 5, 1)
    >>> listed_on_from_name("atf_listing_2013-05.txt.gz")
    datetime.date(2013, 5, 1)
    """
    text = name.rsplit("!", 1)[-1].rsplit("/", 1)[-1].lower()
    for pattern in _NAMES:
        match = pattern.search(text)
        if match:
            year = int(match["year"])
            return date(year if year > 99 else 2000 + year, int(match["month"]), 1)
    return None


def listing(name: str, form: TextForm, listed_on: date | None) -> Layout:
    """Return the layout of the listing called `name`.

    Raises
    ------
    SourceError
        When neither the file name nor `listed_on` tells which month it lists.
    """
    when = listed_on or listed_on_from_name(name)
    if when is None:
        raise SourceError(
            f"{name} is a license listing, but of which month?",
            expected="a file name such as 0513-ffl-list.txt or listing_2013-05.txt",
            fix="say it with --listed-on YYYY-MM-DD",
        )
    day = f"DATE {literal(parse_date(when).isoformat())}"
    number = "concat_ws('-', lic_regn, lic_dist, lic_cnty, lic_type, lic_xprdte, lic_seqn)"
    columns = {
        "dealer": number,
        "license_number": number,
        "license_type": "lic_type",
        "expires_on": expires_on_sql("lic_xprdte", day),
        "listed_on": day,
        "licensee_name": "license_name",
        "business_name": "business_name",
        "premises_street": "premise_street",
        "premises_city": "premise_city",
        "premises_state": "premise_state",
        "premises_zip": zip_sql("premise_zip_code"),
        "mail_zip": zip_sql("mail_zip_code"),
        "county_fips": county_sql("premise_state", "lic_cnty"),
    }
    types = ", ".join(map(literal, SET_ASIDE_TYPES))
    plan = Plan("licenses", columns, set_aside=f"lic_type IN ({types})")
    layout = "listing 2013" if form is FORM_2013 else "listing"
    return Layout(layout, (plan,), form, options={"listed_on": when.isoformat()})


def zip_sql(text: str) -> str:
    """Return SQL for the five digits of a ZIP code; leading zeros that a spreadsheet ate return."""
    digits = f"regexp_replace({text}, '[^0-9]', '', 'g')"
    return (
        f"CASE WHEN regexp_matches({text}, '^([0-9]{{5}}|[0-9]{{9}})$') THEN substr({text}, 1, 5) "
        f"WHEN {text} IS NULL OR {digits} = '' THEN NULL "
        f"WHEN length({digits}) < 5 THEN lpad({digits}, 5, '0') ELSE left({digits}, 5) END"
    )


def county_sql(state: str, county: str) -> str:
    """Return SQL for the county FIPS code out of a state abbreviation and the listing's county."""
    # A position in one text finds the code in the other: a quarter of the time of 56 conditions.
    names, codes = literal(" ".join(STATE_FIPS)), literal(" ".join(STATE_FIPS.values()))
    place = f"nullif(instr({names}, {state}), 0)"
    code = f"CASE WHEN length({state}) = 2 THEN substr({codes}, {place}, 2) END"
    # Padding is slow, and few codes need it.
    padded = f"CASE WHEN length({county}) = 3 THEN {county} ELSE lpad({county}, 3, '0') END"
    fips = f"({code} || {padded})"
    changes = " ".join(f"WHEN {literal(a)} THEN {literal(b)}" for a, b in COUNTY_CHANGES.items())
    return f"CASE {fips} {changes} ELSE {fips} END"
