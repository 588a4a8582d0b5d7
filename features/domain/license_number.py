"""License number: three spellings, one dealer key, and an expiry code that needs a reference date.

A number reads ``R-DD-CCC-TT-YM-SSSSS``: region, IRS district, county, license type, expiry code,
sequence. Renewal changes the expiry code; a move or a change of activity changes county and type;
region, district and sequence stay, so ``R-DD-SSSSS`` is the key of a dealer.

The same grammar serves Python (`parse`), whole columns (`parse_column`) and SQL (`dealer_sql`,
`number_sql`, `expires_on_sql`); the tests hold the three to each other.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from features.domain.asof import add_months
from features.errors import InvalidValueError
from features.sql import literal

MONTH_LETTERS: Final = "ABCDEFGHJKLM"  # no I: it reads as a one

_PARTS: Final = (
    ("region", "[1-9]"),
    ("district", "[0-9]{2}"),
    ("county", "[0-9]{3}"),
    ("license_type", "[0-9]{2}"),
    ("expiry_code", f"[0-9][{MONTH_LETTERS}]"),
    ("sequence", "[0-9A-Z][0-9]{4}"),
)
NUMBER_PATTERN: Final = "^" + "[- ]?".join(f"({part})" for _, part in _PARTS) + "$"
DEALER_PATTERN: Final = "^[1-9]-[0-9]{2}-[0-9A-Z][0-9]{4}$"
# Without groups: nearly every number is printed already, and this is five times as fast to test.
_PRINTED: Final = "^" + "-".join(part for _, part in _PARTS) + "$"
_NAMED: Final = "^" + "[- ]?".join(f"(?P<{name}>{part})" for name, part in _PARTS) + "$"
_NUMBER: Final = re.compile(_NAMED)
_DEALER: Final = re.compile(DEALER_PATTERN)
# Between dashes parts may have lost the leading zeros that their widths call for. A number that
# keeps a zero lost none, and a short county or sequence alone may be a slip of the pen: only a
# district or type of one digit tells that the parts were taken for numbers.
_EATEN: Final = (
    "^(?P<region>[1-9])-(?P<district>[1-9][0-9]?)-(?P<county>0|[1-9][0-9]{0,2})-"
    f"(?P<license_type>[1-9][0-9]?)-(?P<expiry_code>[0-9][{MONTH_LETTERS}])-"
    "(?P<sequence>[A-Z][0-9]{4}|[1-9][0-9]{0,4}|0)$"
)
_EATEN_SHORT: Final = "^[1-9]-([0-9]-[0-9]+-[0-9]+|[0-9]+-[0-9]+-[0-9])-"
_EATEN_DEALER: Final = "^([1-9])-([1-9])-([A-Z][0-9]{4}|[1-9][0-9]{0,4}|0)$"
# What people and spreadsheets put around and between the parts, in upper case: other dashes, quotes
# that keep a cell a text, words before it, slashes, blanks around dashes, a fraction.
_UNTIDY: Final = (
    ("[\u2010-\u2015\u2212_]", "-"),
    ("^[=\"'`\u2018\u2019 ]+|[\"'`\u2018\u2019 ]+$", ""),
    (r"^(FFL|LICEN[SC]E|LIC)[ .:#A-Z]*([0-9])", r"\2"),
    (" *[-/] *", "-"),
    (" +", " "),
    ("-+$|[.]0+$", ""),
)
# A dealer's key; region, district and sequence without dashes, of the regions there are; and the
# number as it is printed for the public, the parts between covered.
_TIDY_DEALER: Final = (
    "^(?:([1-9])-([0-9]{2})-([0-9A-Z][0-9]{4})|([1345689])([0-9]{2})([0-9A-Z][0-9]{4})|"
    "([1-9])-([0-9]{2})-[X*#]{3}-[X*#]{2}-[X*#]{2}-([0-9A-Z][0-9]{4}))$"
)
_OF_DEALER: Final = (1, 2, 6)  # of the parts of a number
_WIDTHS: Final = {"district": 2, "county": 3, "license_type": 2, "sequence": 5}

# A license runs three years, so a code never points more than four years ahead of the day it was
# read; the single year digit repeats every ten, so the rest of the decade lies behind.
YEARS_AHEAD: Final = 4


@dataclass(frozen=True, order=True)
class LicenseNumber:
    """A federal firearms license number.

    Parameters
    ----------
    region, district, county, license_type, expiry_code, sequence : str
        Its six parts, digits kept as text because leading zeros count.
    """

    region: str
    district: str
    county: str
    license_type: str
    expiry_code: str
    sequence: str

    @property
    def dealer(self) -> str:
        """The key that survives renewal, moves and changes of type: ``R-DD-SSSSS``."""
        return f"{self.region}-{self.district}-{self.sequence}"

    @property
    def text(self) -> str:
        """The number as printed on the license: ``R-DD-CCC-TT-YM-SSSSS``."""
        return "-".join(getattr(self, name) for name, _ in _PARTS)

    def expires_on(self, reference: date) -> date:
        """Return the first day of the month in which the license expires.

        Parameters
        ----------
        reference : date
            A day on which the number was in use: the code holds only the last digit of the year.
            The year is the last one with that digit less than four years after `reference`.
            Without the assumption of a three-year term the decade would be a guess.

        Examples
        --------
        >>> parse("1-56-059-01-6F-21093").expires_on(date(2015, 9, 15))
        datetime.date(2016, 6, 1)
        >>> parse("1-56-059-01-4F-21093").expires_on(date(2015, 9, 15))
        datetime.date(2014, 6, 1)
        """
        latest = reference.year + YEARS_AHEAD
        year = latest - (latest - int(self.expiry_code[0])) % 10
        expiry = date(year, MONTH_LETTERS.index(self.expiry_code[1]) + 1, 1)
        if expiry >= add_months(reference, 12 * YEARS_AHEAD):
            expiry = expiry.replace(year=year - 10)
        return expiry


def _tidied(text: str) -> str:
    """Return a number in upper case without what stands around and between its parts."""
    plain = text.strip().upper()
    for pattern, instead in _UNTIDY:
        plain = re.sub(pattern, instead, plain)
    return plain


def tidied_sql(text: str) -> str:
    """Return SQL for a number without what stands around and between its parts."""
    plain = f"upper(trim({text}))"
    for pattern, instead in _UNTIDY:
        plain = f"regexp_replace({plain}, {literal(pattern)}, {literal(instead)}, 'g')"
    return plain


def parse(text: str) -> LicenseNumber:
    """Read a license number in any of its spellings.

    Parameters
    ----------
    text : str
        Dashed, compact with or without its space, in either case.

    Raises
    ------
    InvalidValueError
        When `text` is no license number; the message says what is wrong with it.

    Examples
    --------
    >>> parse("15605901 6f21093").text
    '1-56-059-01-6F-21093'
    >>> parse("1-56-059-01-6F-21093").dealer
    '1-56-21093'

    Leading zeros that a spreadsheet ate between dashes come back:

    >>> parse("6-6-1-1-7F-100").text
    '6-06-001-01-7F-00100'
    >>> parse('="5-74-201-01-8F- 90001"').text
    '5-74-201-01-8F-90001'
    """
    plain = text.strip().upper()
    match = _NUMBER.match(plain)
    if match is None and re.match(_EATEN_SHORT, plain):
        match = re.match(_EATEN, plain)
    match = match or _NUMBER.match(_tidied(text))
    if match is None:
        n_signs = len(re.sub("[- ]", "", text.strip()))
        found = f"{n_signs} letters and digits" if n_signs != 15 else "a part out of its range"
        raise InvalidValueError(
            f"{text!r} is not a license number.",
            found=found,
            expected="15 letters and digits, R-DD-CCC-TT-YM-SSSSS, for example "
            "1-56-059-01-6F-21093 or 15605901 6F21093",
        )
    parts = {name: part.zfill(_WIDTHS.get(name, 1)) for name, part in match.groupdict().items()}
    return LicenseNumber(**parts)


def dealer_key(text: str) -> str | None:
    """Return the dealer key of a key or license number, None when `text` is neither.

    >>> dealer_key("1-56-059-01-6F-21093"), dealer_key(" 1-56-a1093"), dealer_key("A-BC-DEFGH")
    ('1-56-21093', '1-56-A1093', None)
    """
    key = text.strip().upper()
    if _DEALER.fullmatch(key):
        return key
    try:
        return parse(key).dealer
    except InvalidValueError:
        return None


def parse_column(column: Any) -> pa.Table:
    """Read a whole column of license numbers.

    Parameters
    ----------
    column : pyarrow.Array, pyarrow.ChunkedArray, pandas.Series or sequence of str
        Numbers in any spelling, shape (n,).

    Returns
    -------
    pyarrow.Table
        n rows: the six parts, ``dealer`` and ``text``; all null where the number does not parse.

    Examples
    --------
    >>> parse_column(["15605901 6F21093", "nonsense"])["dealer"].to_pylist()
    ['1-56-21093', None]
    """
    is_arrow = isinstance(column, pa.Array | pa.ChunkedArray)
    values = column if is_arrow else pa.array(column, pa.string(), from_pandas=True)
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    values = pc.utf8_upper(pc.utf8_trim_whitespace(values.cast(pa.string())))
    parsed = pc.extract_regex(values, _NAMED)
    if values.null_count < parsed.null_count:  # what does not parse may have lost its zeros
        is_short = pc.match_substring_regex(values, _EATEN_SHORT)
        short = pc.if_else(is_short, values, pa.scalar(None, pa.string()))
        parsed = pc.coalesce(parsed, pc.extract_regex(short, _EATEN))
        tidy = pc.if_else(pc.is_null(parsed), values, pa.scalar(None, pa.string()))
        for pattern, instead in _UNTIDY:
            tidy = pc.replace_substring_regex(tidy, pattern, instead)
        parsed = pc.coalesce(parsed, pc.extract_regex(tidy, _NAMED))
    # A struct's null does not reach its fields: put it there.
    is_parsed = pc.is_valid(parsed)
    parts = {
        name: pc.if_else(is_parsed, pc.struct_field(parsed, name), pa.scalar(None, pa.string()))
        for name, _ in _PARTS
    }
    for name, width in _WIDTHS.items():
        parts[name] = pc.utf8_lpad(parts[name], width, "0")
    parts["dealer"] = _joined(parts["region"], parts["district"], parts["sequence"])
    parts["text"] = _joined(*(parts[name] for name, _ in _PARTS))
    return pa.table(parts)


def _joined(*parts: pa.Array) -> pa.Array:
    return pc.binary_join_element_wise(*parts, "-")


def number_sql(text: str) -> str:
    """Return SQL for the printed spelling of the expression `text`, null where it does not parse.

    >>> number_sql("x").startswith("CASE WHEN")
    True
    """
    return (
        f"CASE WHEN regexp_matches({text}, '{_PRINTED}') THEN {text} "
        f"{_spelled_otherwise(text, range(1, 7))} END"
    )


def dealer_sql(text: str) -> str:
    """Return SQL for the dealer key of `text`, which may be a key already."""
    key = f"upper(trim({text}))"
    part = [f"regexp_extract({key}, '{_EATEN_DEALER}', {n})" for n in range(1, 4)]
    padded = f"{part[0]} || '-' || lpad({part[1]}, 2, '0') || '-' || lpad({part[2]}, 5, '0')"
    number = f"CASE {_spelled_otherwise(text, _OF_DEALER)} END"
    keys = _rewritten(tidied_sql(text), _TIDY_DEALER, ("147", "258", "369"))
    return (
        f"CASE WHEN regexp_matches({text}, '{DEALER_PATTERN}') THEN {text} "
        f"WHEN regexp_matches({text}, '{_PRINTED}') THEN {dealer_of_number_sql(f'({text})')} "
        f"WHEN regexp_matches({key}, '{DEALER_PATTERN}') THEN {key} "
        f"WHEN regexp_matches({key}, '{_EATEN_DEALER}') THEN {padded} "
        f"ELSE coalesce({number}, {keys}) END"
    )


def _spelled_otherwise(text: str, parts: Sequence[int]) -> str:
    """Return the rest of a CASE: some parts of a number that is not as printed, dashes between."""
    number = f"upper(trim({text}))"
    spelled = f"regexp_replace({number}, '{NUMBER_PATTERN}', '{_groups(parts)}')"
    eaten = _plain(_EATEN)
    padded = []
    for n in parts:
        part, width = f"regexp_extract({number}, '{eaten}', {n})", _WIDTHS.get(_PARTS[n - 1][0])
        padded.append(f"lpad({part}, {width}, '0')" if width else part)
    return (
        f"WHEN regexp_matches({number}, '{NUMBER_PATTERN}') THEN {spelled} "
        f"WHEN regexp_matches({number}, '{_EATEN_SHORT}') AND regexp_matches({number}, '{eaten}') "
        f"THEN concat_ws('-', {', '.join(padded)}) "
        f"ELSE {_rewritten(tidied_sql(text), NUMBER_PATTERN, parts)}"
    )


def _rewritten(text: str, pattern: str, parts: Sequence[int | str]) -> str:
    """Return SQL for groups of `text` with dashes between, null where it does not match."""
    return (
        f"CASE WHEN regexp_matches({text}, '{pattern}') "
        f"THEN regexp_replace({text}, '{pattern}', '{_groups(parts)}') END"
    )


def _groups(parts: Sequence[int | str]) -> str:
    """Return what stands for groups of a pattern; of several in one place, one has a text."""
    return "-".join("".join(rf"\{n}" for n in str(part)) for part in parts)


def _plain(pattern: str) -> str:
    """Return a pattern with numbered groups for named ones."""
    return re.sub(r"\(\?P<\w+>", "(", pattern)


def dealer_of_number_sql(number: str) -> str:
    """Return SQL for the dealer key of `number`, a license number in its printed spelling."""
    # Where each part stands is known, and counting from the left is faster than from the right.
    return f"substr({number}, 1, 5) || substr({number}, 16, 5)"


def expires_on_sql(code: str, reference: str | date) -> str:
    """Return SQL for the expiry date of the two-sign code `code` read on the date `reference`.

    A date is reckoned with here, where an engine would fold it anew at each of its places. What
    comes of a text that is no such code means nothing: the number around it does not parse either.
    """
    # In months since the year 0: the last with the code's digit and month before the day that is
    # four years ahead, of those that begin ten years apart.
    ahead = 12 * YEARS_AHEAD - 1
    if isinstance(reference, date):
        last = str(reference.year * 12 + reference.month + ahead - (reference.day == 1))
    else:
        last = (
            f"(year({reference}) * 12 + month({reference}) + {ahead} "
            f"- CAST(day({reference}) = 1 AS INTEGER))"
        )
    digit = f"(ascii({code}) - {ord('0')})"
    letter = f"instr('{MONTH_LETTERS}', upper(substr({code}, 2, 1)))::INTEGER"
    # The engine works out what occurs twice once, but not inside of a CASE.
    months = f"({last} - ({last} - ({digit} * 12 + {letter} - 1)) % 120)::INTEGER"
    return f"make_date({months} // 12, {months} % 12 + 1, 1)"
