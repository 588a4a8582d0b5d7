"""Words and dates that stand for nothing: what programs write where there is no value.

A database client writes ``NULL``, a spreadsheet ``#N/A``, a clerk ``-``; a program that must store
some date writes the first or the last one it can hold. Taken as values they link all dealers by one
buyer called NULL, and make a sale of 1900 out of a hole in the data. Both lists hold whole values
only: a shop called NA GUNS keeps its name.

References
----------
ISO/IEC 9075 (null); the epochs of SQL Server (1753, 1900), OLE and spreadsheets (1899, 1904),
Windows (1601), Unix (1970), .NET (0001), VMS (1858) and the last day of four digits (9999).
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from typing import Final

from features.sql import literal

# What is cut from both ends of a text: white space of every kind, and signs that have no width.
SPACES: Final = (
    " \t\n\x0b\x0c\r\x1c\x1d\x1e\x1f\x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007"
    "\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
    "\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\ufeff"
)
# Within a text, as RE2 writes it: every other space and control is a blank, what has no width is
# nothing. Two values that nobody can tell apart are one.
BLANKS_WITHIN: Final = (
    r"[\x00-\x1f\x7f-\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}]"
)
NOTHING_WITHIN: Final = (
    r"[\x{ad}\x{200b}-\x{200f}\x{202a}-\x{202e}\x{2060}-\x{2064}\x{2066}-\x{206f}\x{feff}]"
)
# In lower case, without the spaces around them.
NULL_WORDS: Final = (
    "null",
    "(null)",
    "<null>",
    "[null]",
    "{null}",
    "\\n",
    "#null!",
    "nul",
    "nil",
    "none",
    "(none)",
    "<none>",
    "n/a",
    "#n/a",
    "#n/a n/a",
    "na",
    "<na>",
    "n.a.",
    "n.a",
    "n/a.",
    "nan",
    "-nan",
    "nat",
    "not available",
    "not applicable",
    "no value",
    "no data",
    "blank",
    "(blank)",
    "<blank>",
    "empty",
    "(empty)",
    "-",
    "--",
    "---",
    "----",
    "\u2013",
    "\u2014",
    ".",
    "..",
    "...",
    "?",
    "??",
    "???",
    "*",
    "#value!",
    "#ref!",
    "#name?",
    "#num!",
    "#div/0!",
    "undefined",
    "missing",
    "[]",
    "{}",
)
# A hash names one buyer; a word that a person wrote in its place names none.
TOKEN_WORDS: Final = (
    "unknown",
    "unk",
    "unkn",
    "unknown purchaser",
    "not known",
    "no purchaser",
    "no token",
    "redacted",
    "withheld",
    "suppressed",
    "removed",
    "deleted",
    "anonymous",
    "tbd",
    "pending",
    "test",
    "xxx",
    "x",
    "not provided",
    "not recorded",
    "not reported",
    "not found",
    "no record",
    "not given",
    "void",
    # Of agencies that write German, Spanish, French, Italian or Portuguese.
    "k.a.",
    "k. a.",
    "keine angabe",
    "keine angaben",
    "unbekannt",
    "leer",
    "entf\u00e4llt",
    "s/d",
    "s.d.",
    "sin dato",
    "sin datos",
    "no consta",
    "desconocido",
    "desconocida",
    "ninguno",
    "ninguna",
    "nulo",
    "inconnu",
    "inconnue",
    "n\u00e9ant",
    "sconosciuto",
    "ignoto",
    "desconhecido",
    "nenhum",
)
# Words of people who know no date, number or license: in a column that holds nothing else.
TYPED_WORDS: Final = (
    *TOKEN_WORDS,
    "xx",
    "xxxx",
    "''",
    '""',
    "=na()",
    "n/d",
    "nd",
    "n/k",
    "n.k.",
    "not entered",
    "none given",
    "none reported",
    "none found",
    "none provided",
    "unknown date",
    "date unknown",
    "no date",
    "no license",
    "no ffl",
    "not traced",
    "in progress",
    "open",
    "ongoing",
    "indefinite",
    "never",
    "tba",
    "to be determined",
    "uncertain",
    "unspecified",
    "unavailable",
    "see remarks",
    "see narrative",
)
# What a hash without a key makes of nothing: one for every empty field.
HASHES_OF_NOTHING: Final = tuple(
    hashlib.new(how, word.encode(), usedforsecurity=False).hexdigest()
    for how in ("md5", "sha1", "sha256", "sha384", "sha512")
    for word in ("", " ", "0", "NULL", "null", "None", "N/A", "NONE", "nan", "UNKNOWN", "Unknown")
)
# NA is Namibia here.
NAMIBIA: Final = frozenset({"recovery_country", "country"})

NO_DATES: Final = (
    "0001-01-01",
    "0001-01-03",
    "1111-11-11",
    "1582-10-15",
    "1600-01-01",
    "1600-12-31",
    "1601-01-01",
    "1700-01-01",
    "1752-09-14",
    "1753-01-01",
    "1800-01-01",
    "1840-12-31",
    "1850-01-01",
    "1858-11-17",
    "1899-12-29",
    "1899-12-30",
    "1899-12-31",
    "1900-01-01",
    "1900-01-02",
    "1901-01-01",
    "1904-01-01",
    "1970-01-01",
    "2099-12-31",
    "2100-01-01",
    "2199-12-31",
    "2200-01-01",
    "2222-02-22",
    "2299-12-31",
    "2500-01-01",
    "2999-01-01",
    "2999-12-31",
    "3000-01-01",
    "3000-12-31",
    "3999-12-31",
    "4000-01-01",
    "4712-12-31",
    "5000-01-01",
    "6000-01-01",
    "7777-07-07",
    "8888-08-08",
    "9000-01-01",
    "9999-01-01",
    "9999-09-09",
    "9999-12-30",
    "9999-12-31",
)


def plain_sql(text: str) -> str:
    """Return SQL for a text without controls within, and with each letter in one spelling."""
    blank = f"regexp_replace({text}, {literal(BLANKS_WITHIN)}, ' ', 'g')"
    plain = f"nfc_normalize(regexp_replace({blank}, {literal(NOTHING_WITHIN)}, '', 'g'))"
    return f"CASE WHEN regexp_matches({text}, '[^ -~]') THEN {plain} ELSE {text} END"


def trimmed_sql(text: str) -> str:
    """Return SQL for `text` without white space and signs of no width at its ends.

    Where both ends are plain signs there is nothing to cut: to look for each of the many takes
    longer than all else that is asked of a value.
    """
    plain = " AND ".join(f"{end}({text}, 1) BETWEEN '!' AND '~'" for end in ("left", "right"))
    return f"CASE WHEN {plain} THEN {text} ELSE trim({text}, {literal(SPACES)}) END"


def is_null_word_sql(
    text: str, column: str, allowed: frozenset[str], *, is_typed: bool = False
) -> str:
    """Return SQL that is true where `text`, a trimmed value of `column`, means nothing.

    A word that is a code of the column stays: an inspection may well end in ``none``. A column
    that `is_typed` holds dates, numbers or licenses, where more words say that there is none.
    """
    longest, pattern = _pattern(column, allowed, is_typed=is_typed)
    condition = f"(length({text}) <= {longest} AND regexp_full_match({text}, {pattern}, 'i'))"
    if column == "purchaser_token":
        # One sign repeated, such as 0000000000, is a filled form, not a hash.
        hashes = ", ".join(literal(one) for one in HASHES_OF_NOTHING)
        condition = (
            f"({condition} OR replace({text}, left({text}, 1), '') = '' "
            f"OR lower({text}) IN ({hashes}))"
        )
    return condition


def is_null_word(
    text: str, column: str, allowed: frozenset[str], *, is_typed: bool = False
) -> bool:
    """Whether a trimmed value of `column` means nothing: `is_null_word_sql` of one text.

    >>> is_null_word("N/A", "caliber", frozenset()), is_null_word("none", "x", frozenset({"none"}))
    (True, False)
    """
    if text.lower() in _words(column, allowed, is_typed=is_typed):
        return True
    is_token = column == "purchaser_token" and bool(text)
    return is_token and (text == text[0] * len(text) or text.lower() in HASHES_OF_NOTHING)


@lru_cache(maxsize=256)
def _pattern(column: str, allowed: frozenset[str], *, is_typed: bool) -> tuple[int, str]:
    """Return the length of the longest word that means nothing, and SQL of a pattern of all.

    One pattern gives up at the first letter: a comparison with each word takes ten times as long.
    """
    words = _words(column, allowed, is_typed=is_typed)
    return max(map(len, words)), literal("|".join(re.escape(word) for word in sorted(words)))


@lru_cache(maxsize=256)
def _words(column: str, allowed: frozenset[str], *, is_typed: bool) -> frozenset[str]:
    """Return the words, in lower case, that mean nothing in a column."""
    words = set(NULL_WORDS) - {code.lower() for code in allowed}
    if column in NAMIBIA:
        words -= {"na"}
    if is_typed:
        words |= set(TYPED_WORDS)
    if column == "purchaser_token":
        words |= set(TOKEN_WORDS)
    if column == "dealer":  # a form filled up
        words |= {sign * n for sign in "09" for n in (1, 8, 15)}
    return frozenset(words)


def is_no_date_sql(day: str) -> str:
    """Return SQL that is true where the date `day` is a mark of no date."""
    marks = ", ".join(f"DATE {literal(mark)}" for mark in NO_DATES)
    is_odd = f"{day} < DATE '1938-01-01' OR {day} = DATE '1970-01-01' OR {day} > DATE '2099-01-01'"
    return f"(({is_odd}) AND {day} IN ({marks}))"


def is_zero_date_sql(text: str) -> str:
    """Return SQL that is true where the text of a date is a form filled up: ``00/00/0000``."""
    filled = "0[0 /.:T-]*|9{2,4}[/.-]99[/.-]9{2,4}|9{8}|1900-01-00|0?1/0?0/1900"
    return f"regexp_full_match({text}, '{filled}')"
