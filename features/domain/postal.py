"""ZIP codes in every length that machines leave them in.

A spreadsheet takes a ZIP code for a number and eats its leading zeros. What is left tells how many
there were, because a ZIP code has five digits and a ZIP+4 nine: four and three digits lack one and
two zeros of five, eight and seven one and two of nine. No ZIP code begins with three zeros, so six
digits, or two, are no ZIP code of any length and are not cut to look like one. Zeros are given back
only where the state has ZIP codes that begin with one: 7700 in Texas is not a place in New Jersey.

References
----------
U.S. Postal Service, Publication 28, Postal Addressing Standards; the lowest ZIP code is 00501.
"""

from __future__ import annotations

from typing import Final

from features.sql import literal

# States whose ZIP codes begin with a zero; AE stands for armed forces in Europe.
ZERO_STATES: Final = ("CT", "MA", "ME", "NH", "NJ", "NY", "PR", "RI", "VI", "VT", "AE")
_AROUND: Final = " .,;:\\/-*#_"  # slips of the pen before or after the digits


def zip_sql(text: str) -> str:
    """Return SQL for the five digits of the ZIP code `text`; null where it can be none.

    The expression may be a number. Punctuation between the two parts may be a dash or a space.
    """
    given = f"regexp_replace(trim({text}, '{_AROUND}'), '[.]0+$', '')"
    return (
        f"CASE WHEN regexp_full_match({text}, '[0-9]{{5}}') THEN nullif({text}, '00000') "
        f"WHEN regexp_full_match({text}, '[0-9]{{9}}') THEN nullif(left({text}, 5), '00000') "
        f"WHEN regexp_full_match({given}, '[0-9]{{5}}([- ]?[0-9]{{4}}|-[0-9]{{0,4}})') "
        f"THEN nullif(left({given}, 5), '00000') "
        f"WHEN regexp_full_match({given}, '[0-9]{{3,5}}([- ][0-9]{{4}})?') "
        f"THEN nullif(lpad(regexp_extract({given}, '^[0-9]+'), 5, '0'), '00000') "
        f"WHEN regexp_full_match({given}, '[0-9]{{7,8}}') THEN left(lpad({given}, 9, '0'), 5) END"
    )


def zip_in_state_sql(text: str, state: str) -> str:
    """Return SQL for the ZIP code `text` of premises in the state `state`, as far as it is known.

    Zeros that are not there are given back only where the state has ZIP codes that begin so.
    """
    found = zip_sql(text)
    states = ", ".join(literal(one) for one in ZERO_STATES)
    given = f"ltrim({text}, '{_AROUND}')"
    return (
        f"CASE WHEN left({found}, 1) = '0' AND left({given}, 1) <> '0' "
        f"AND upper(trim({state})) NOT IN ({states}) THEN NULL ELSE {found} END"
    )
