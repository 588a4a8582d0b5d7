"""Text, and typed columns of Parquet, into the values of the contract: the same for every source.

A value passes three steps: as shown (trimmed), as given (words for nothing are null), as stored
(typed, in the spelling of the contract). Each step is SQL over the column of the step before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from features.domain.county import county_today_sql
from features.domain.license_number import dealer_sql, number_sql
from features.domain.missing_values import (
    is_no_date_sql,
    is_null_word_sql,
    is_zero_date_sql,
    trimmed_sql,
)
from features.domain.name_numbers import NAMES, port_sql, whole_sql
from features.domain.postal import zip_sql
from features.reference.geography.state_boxes import in_country_sql, in_state_sql
from features.schema import UPPER_CASE, Column
from features.sources.publishers.listing import STATE_FIPS, county_sql
from features.sql import as_text, literal, padded

_TRUE: Final = (
    *("true", "t", "yes", "y", "1", "1.0"),
    *("ja", "j", "wahr", "s\u00ed", "si", "verdadero", "oui", "vrai", "vero", "sim", "verdadeiro"),
)
_FALSE: Final = (
    *("false", "f", "no", "n", "0", "0.0"),
    *("nein", "falsch", "falso", "non", "faux", "n\u00e3o", "nao", "nee"),
)
_INTEGERS: Final = (
    "TINYINT", "SMALLINT", "INTEGER", "BIGINT",
    "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "HUGEINT",
)  # fmt: skip
_ISO: Final = (
    "[0-9]{4}-[0-9]{2}-[0-9]{2}"
    "([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]+)?)?( ?(Z|[+-][0-9]{2}:?([0-9]{2})?))?)?"
)


def trimmed(text: str) -> str:
    """Return SQL for `text` without white space around it, null where nothing is left."""
    return f"nullif({trimmed_sql(text)}, '')"


def given(column: Column, kind: str, text: str) -> str:
    """Return SQL for `text`, null where it is a word for nothing; no number is one of them."""
    if kind in ("DOUBLE", "FLOAT"):
        return f"CASE WHEN isnan({text}) THEN NULL ELSE {text} END"
    if kind != "VARCHAR":
        return text
    nothing = is_null_word_sql(text, column.name, column.allowed, is_typed=column.is_typed)
    if column.kind == "date":
        nothing = f"{nothing} OR {is_zero_date_sql(text)}"
    return f"CASE WHEN {nothing} THEN NULL ELSE {text} END"


def read_date(text: str, kind: str) -> str:
    """Return SQL for the date in `text`, null where there is none that can be read.

    A time of day is cut off.
    """
    if kind == "DATE" or kind.startswith("TIMESTAMP"):
        return f"CAST({text} AS DATE)"
    text = text if kind == "VARCHAR" else f"CAST({text} AS VARCHAR)"
    is_day = f"length({text}) = 10 AND substr({text}, 5, 1) = '-'"
    return (
        f"CASE WHEN {is_day} THEN TRY_CAST({text} AS DATE) "
        f"WHEN length({text}) > 10 AND regexp_full_match({text}, '{_ISO}') "
        f"THEN TRY_CAST(left({text}, 10) AS DATE) END"
    )


def date_of(table: str, column: str, read: str) -> str:
    """Return SQL for the date `read`, null where it is a mark of no date."""
    if (table, column) == ("area_covariates", "from"):
        return read  # a law may be in force since any day
    return f"CASE WHEN {is_no_date_sql(read)} THEN NULL ELSE {read} END"


def converted(column: Column, kind: str, given: str) -> str:
    """Return SQL for the typed value of `given`, null where it cannot be read."""
    text = given if kind == "VARCHAR" else f"CAST({given} AS VARCHAR)"
    if column.kind == "string":
        return _text(column, as_text(given) if kind in ("DOUBLE", "FLOAT") else text)
    if column.kind == "number":
        value = f"TRY_CAST({given} AS DOUBLE)"
        if column.maximum == 1 and kind == "VARCHAR":  # a share may be written in per cent
            bare = f"TRY_CAST(regexp_replace({given}, ' ?%$', '') AS DOUBLE)"
            value = f"CASE WHEN ends_with({given}, '%') THEN {bare} / 100 ELSE {value} END"
        return f"CASE WHEN isfinite({value}) THEN {value} END"
    if column.kind == "integer":
        if kind in _INTEGERS:
            return f"TRY_CAST({given} AS BIGINT)"
        whole = f"regexp_full_match({text}, '[+-]?[0-9]+([.]0*)?')"
        return f"CASE WHEN {whole} THEN TRY_CAST({text} AS BIGINT) END"
    if kind == "BOOLEAN":
        return given
    true, false = (", ".join(map(literal, words)) for words in (_TRUE, _FALSE))
    return (
        f"CASE WHEN lower({text}) IN ({true}) THEN true "
        f"WHEN lower({text}) IN ({false}) THEN false END"
    )


def points(rows: str, state: str = "") -> str:
    """Return SQL for `rows` with ``latitude`` and ``longitude`` as read, null where no place.

    Neither is without the other. Of numbers that are no degrees nothing is made: the bounds of
    the contract refuse them, unless the two are merely swapped.

    Parameters
    ----------
    rows : str
        SQL of rows with ``read_latitude`` and ``read_longitude``.
    state : str
        Column of the state in which they must lie; any state where empty.
    """
    pair = ("read_latitude", "read_longitude")
    can_be = in_state_sql(state, *pair) if state else f"({in_country_sql(*pair)})"
    no_degrees = (
        "coalesce(abs(read_latitude) > 180 OR abs(read_longitude) > 180 OR "
        "(abs(read_latitude) > 90 AND NOT coalesce(abs(read_longitude) <= 90, false)), false)"
    )
    kept = ", ".join(
        f"CASE WHEN is_point_kept THEN {read} END AS {read.removeprefix('read_')}" for read in pair
    )
    return (
        f"SELECT *, {kept} FROM (SELECT *, {can_be} OR {no_degrees} AS is_point_kept FROM ({rows}))"
    )


def doubtful(column: Column, given: str) -> str:
    """Return SQL for the text of a number that is another where the dot stands between thousands.

    Of whole numbers ``1.000`` alone is one: ``1.500`` and ``7.0`` have one reading.
    """
    digits = "000" if column.kind == "integer" else "[0-9]{3}"
    is_one = f"regexp_full_match({given}, '[+-]?[1-9][0-9]{{0,2}}[.]{digits}')"
    return f"CASE WHEN contains({given}, '.') AND {is_one} THEN {given} END"


def sign_of_dots(value: str, given: str, doubt: str) -> str:
    """Return SQL for what a text tells of the dots in its column.

    The bits are 1 where it is a number whose dot ends the whole part, 2 where a dot can only stand
    between thousands or a comma only before a fraction.

    Parameters
    ----------
    value : str
        SQL of the number, null where it cannot be read.
    given : str
        SQL of the text.
    doubt : str
        SQL of `doubtful`.
    """
    grouped = f"regexp_full_match({given}, '[+-]?[1-9][0-9]{{0,2}}([.][0-9]{{3}})+')"
    comma = f"regexp_full_match({given}, '[+-]?[0-9.]+,([0-9]{{1,2}}|[0-9]{{4,}})')"
    return (
        f"CASE WHEN {value} IS NOT NULL AND contains({given}, '.') AND {doubt} IS NULL THEN 1 "
        f"WHEN {value} IS NULL AND ({grouped} OR {comma}) THEN 2 ELSE 0 END"
    )


def _text(column: Column, text: str) -> str:
    """Return SQL for a text in the spelling of the contract."""
    name = column.name
    special: dict[str, Callable[[str], str]] = {
        "dealer": dealer_sql,
        "license_number": number_sql,
        "citation": lambda _: "normal_citation",
        "premises_zip": zip_sql,
        "mail_zip": zip_sql,
        "county_fips": _county,
        "area": _area,
        "license_type": lambda t: padded(t, 1, 2),
        "port_code": port_sql,
    }
    if name in special:
        return special[name](text)
    if name in NAMES:
        return whole_sql(text)
    if name in UPPER_CASE:
        return f"upper({text})"
    return _code(column.allowed, text) if column.allowed else text


def _county(text: str) -> str:
    """Return SQL for the code of a county; its state may be given by its two letters: ``TX067``."""
    number = f"regexp_extract({text}, '[0-9]+$')"
    lettered = f"regexp_full_match({text}, '[A-Za-z]{{2}}[ -]?[0-9]{{1,3}}')"
    return (
        f"CASE WHEN ascii({text}) >= 65 AND {lettered} "
        f"THEN {county_sql(f'left({text}, 2)', number)} "
        f"ELSE {county_today_sql(padded(text, 4, 5))} END"
    )


def _area(text: str) -> str:
    """Return SQL for the code of a state or county; a state may be given by its two letters."""
    states = " ".join(f"WHEN {literal(a)} THEN {literal(b)}" for a, b in STATE_FIPS.items())
    state, county = padded(text, 1, 2), padded(text, 4, 5)
    return (
        f"CASE upper({text}) {states} "
        f"ELSE CASE WHEN length({text}) < 3 THEN {state} ELSE {county} END END"
    )


def _code(allowed: frozenset[str], text: str) -> str:
    """Return SQL for a code in the case of the contract."""
    if all(code == code.lower() for code in allowed):
        return f"lower({text})"
    whens = " ".join(f"WHEN {literal(c.lower())} THEN {literal(c)}" for c in sorted(allowed))
    return f"CASE lower({text}) {whens} ELSE {text} END"
