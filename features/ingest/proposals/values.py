"""What the values of an export tell of how they are written; what they leave open is a question."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

import duckdb

from features.domain.license_number import dealer_sql
from features.domain.missing_values import is_null_word_sql
from features.schema import Column
from features.sources.rows.dates import SERIALS, reading
from features.sources.rows.footers import is_sum
from features.sources.rows.month_names import english_months

_DAYS: Final = (
    "%Y-%m-%d", "%m/%d/%Y", "%d/%m/%Y", "%m/%d/%y", "%d/%m/%y", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y",
    "%d.%m.%y", "%d-%m-%y", "%m-%d-%y", "%Y%m%d", "%m%d%Y", "%d-%b-%Y", "%d %b %Y", "%b %d, %Y",
    "%B %d, %Y", "%b %d %Y", "%d %B %Y", "%A, %B %d, %Y", "%Y/%m/%d", "%Y.%m.%d", "%d-%b-%y",
    "%d%b%Y", "%d. %B %Y", "%d. %b %Y", "%d de %B de %Y", "%d/%b/%Y", "%d.%b.%Y",
)  # fmt: skip
_MONTHS: Final = (
    "%b-%y",
    "%b-%Y",
    "%b %Y",
    "%b %y",
    "%B %Y",
    "%m/%Y",
    "%Y-%m",
    "%Y%m",
    "%Y/%m",
    "%m.%Y",
)
_TIMES: Final = ("%H:%M", "%H:%M:%S", "%H:%M:%S.%f", "%I:%M %p", "%I:%M:%S %p", "%I:%M:%S.%f %p")
_OF_THREE: Final = {"usa": "US", "u.s.a": "US", "u.s": "US", "mex": "MX", "can": "CA"}
_MOST_ASKED: Final = 20
_AT_ONCE: Final = 24  # formats a query: planning one takes more than its share in a larger one
_NEGATIONS: Final = frozenset({"no", "not", "non", "without", "none", "never", "un", "denied"})


def date_lines(values: Counter[str], *, is_month: bool = False) -> list[str]:
    """Return the formats that read all values; more than one that differ is a question.

    Words without a digit stand for no date and are told by `mapping check`.

    >>> date_lines(Counter({"5/31/2024 9:00 AM": 2, "pending": 1}))
    ['date_format = "%m/%d/%Y %I:%M %p"']
    >>> date_lines(Counter({"12 août 2023": 2, "3 ENE. 2024": 1}))
    ['date_format = "%d %b %Y"']
    >>> date_lines(Counter({"Apr-24": 2, "May-24": 1}), is_month=True)
    ['date_format = "%b-%y"']
    """
    texts = [text for text in values if re.search(r"[1-9]", text)]
    if not texts:
        return []
    days = _readings(texts, (*_DAYS, *_MONTHS) if is_month else _DAYS)
    if not days:
        return [f"# ? date_format: none reads all of {', '.join(texts[:3])}"]
    readings: dict[str, str] = {}
    for form, read in days.items():
        readings.setdefault(str(read), form)
    if len(readings) == 1:
        form = next(iter(readings.values()))
        return [] if form == "%Y-%m-%d" else [f"date_format = {toml(form)}"]
    shown = "; ".join(f"{texts[0]} is {days[form][0]} by {form}" for form in readings.values())
    return [
        f"# ? two readings: {shown}. Leave one.",
        f"date_format = [{', '.join(map(toml, readings.values()))}]",
    ]


def _readings(texts: list[str], of_days: Sequence[str]) -> dict[str, list[object]]:
    """Return, for each format that reads all texts as likely days, what it reads."""
    has_time = any(":" in text for text in texts)
    forms = [f"{day}{sign}{time}" for day in of_days for sign in " T" for time in _TIMES]
    tried = [*of_days, *(forms if has_time else ()), *SERIALS[:1]]
    # Names of months are put into English once: a regular expression costs most of a reading.
    named = list(dict.fromkeys(english_months("t", f) for f in tried if re.search("%[bB]", f)))
    columns = "".join(f", {sql} AS named_{n}" for n, sql in enumerate(named))
    sql_of = {
        form: reading("t", form, f"named_{named.index(english_months('t', form))}")
        if re.search("%[bB]", form)
        else reading("t", form)
        for form in tried
    }
    with duckdb.connect() as con:
        con.execute(
            f"CREATE TEMP TABLE texts AS SELECT t{columns} "
            "FROM (SELECT unnest($1::VARCHAR[]) AS t)",
            [texts],
        )
        counts: list[int] = []
        for start in range(0, len(tried), _AT_ONCE):
            some = ", ".join(f"count({sql_of[f]})" for f in tried[start : start + _AT_ONCE])
            counts += con.execute(f"SELECT {some} FROM texts").fetchall()[0]
        of_all = [form for form, n in zip(tried, counts, strict=True) if n == len(texts)]
        return {
            form: [day for (day,) in con.execute(f"SELECT {sql_of[form]} FROM texts").fetchall()]
            for form in of_all
        }


def code_lines(column: Column, values: Counter[str]) -> list[str]:
    """Return the map of values to codes.

    A value that names a code word for word is mapped; any other is a question, because the nearest
    spelling may be the opposite.

    >>> outcome = Column("outcome", "string", allowed=frozenset({"none", "report", "revocation"}))
    >>> code_lines(outcome, Counter({"REPORT SENT": 2, "NO VIOLATIONS": 3}))[:2]
    ["# ? 'NO VIOLATIONS' (3 rows) is which of the codes?", '# codes: none report revocation']
    """
    lines, mapped = [], {}
    codes = {code.lower(): code for code in column.allowed}
    for value, n in values.items():
        words = [word for word in re.split(r"[^a-z0-9]+", value.lower()) if word]
        if (
            {value.lower(), value.zfill(2)} & codes.keys()
            or _is_nothing(value, column)
            or is_sum(value)
        ):
            continue
        named = [code for low, code in codes.items() if _names(low.split("_"), words)]
        longest = max(map(len, named), default=0)
        named = [code for code in named if len(code) == longest]
        if len(named) == 1 and not _NEGATIONS & set(words):
            mapped[value.upper()] = named[0]
            continue
        near = difflib.get_close_matches("_".join(words), list(codes), n=1, cutoff=0.75)
        hint = f" ({codes[near[0]]}?)" if near and not _NEGATIONS & set(words) else ""
        lines.append(f"# ? {value!r} ({n:,} rows) is which of the codes?{hint}")
    if lines:
        lines.append(f"# codes: {' '.join(sorted(column.allowed))}")
    if mapped:
        entries = ", ".join(f"{toml(value)} = {toml(code)}" for value, code in mapped.items())
        lines.append(f"values = {{ {entries} }}")
    return lines


def place_lines(values: Counter[str], known: Mapping[str, str]) -> list[str]:
    """Return the map of countries or states to their codes of two letters.

    Parameters
    ----------
    values : Counter
        Texts and how many rows have each.
    known : mapping of str to str
        Name by code.

    Examples
    --------
    >>> place_lines(Counter({"MX": 5, "United States": 2}), {"MX": "Mexico", "US": "United States"})
    ['values = { "UNITED STATES" = "US" }']
    >>> place_lines(Counter({"XK2": 5}), {"MX": "Mexico"})
    ["# ? 'XK2' (5 rows) is which code of two letters?"]
    """
    of_name = {name.lower(): code for code, name in known.items()} | _OF_THREE
    lines, mapped = [], {}
    for value, n in values.items():
        if value.upper() in known or is_sum(value):
            continue
        code = of_name.get(value.lower().strip(". "))
        if code is not None and code in known:
            mapped[value.upper()] = code
        else:
            lines.append(f"# ? {value!r} ({n:,} rows) is which code of two letters?")
    if mapped:
        entries = ", ".join(f"{toml(value)} = {toml(code)}" for value, code in mapped.items())
        lines.append(f"values = {{ {entries} }}")
    return lines[-_MOST_ASKED:]


def key_lines(column: Column, values: Counter[str]) -> list[str]:
    """Return a question where no value is a key of a dealer, or the code of a county.

    >>> key_lines(Column("dealer", "string"), Counter({"78288": 2}))[0]
    "# ? '78288' is no key of a dealer (R-DD-SSSSS) and no license number: put its parts together,"
    >>> key_lines(Column("dealer", "string"), Counter({"5-74-90001": 2}))
    []
    """
    if not values:
        return []
    first = next(iter(values))
    if column.name in ("dealer", "license_number"):
        with duckdb.connect() as con:
            read = con.execute(
                f"SELECT count({dealer_sql('t')}) FROM (SELECT unnest($1::VARCHAR[]) AS t)",
                [list(values)],
            ).fetchone()
        if read and not read[0]:
            return [
                f"# ? {first!r} is no key of a dealer (R-DD-SSSSS) and no license number: put its "
                "parts together,",
                '# from = ["REGION", "DISTRICT", "SEQUENCE"]',
                '# separator = "-"',
                "# pad = [1, 2, 5]",
            ]
    if column.name == "county_fips" and all(re.fullmatch("[0-9]{1,3}", text) for text in values):
        return [
            f"# ? {first!r} is a county within a state: put the letters of the state before it,",
            '# from = ["STATE", "COUNTY"]',
        ]
    return []


def _names(code: list[str], words: list[str]) -> bool:
    """Whether the words of a code stand together, in order, among those of a value."""
    width = len(code)
    return any(words[n : n + width] == code for n in range(len(words) - width + 1))


def _is_nothing(value: str, column: Column) -> bool:
    """Whether a value of an optional column is a word for nothing."""
    if column.is_required:
        return False
    sql = is_null_word_sql("t", column.name, column.allowed)
    with duckdb.connect() as con:
        row = con.execute(f"SELECT {sql} FROM (SELECT $1 AS t)", [value]).fetchone()
    return row is not None and bool(row[0])


def number_lines(values: Counter[str], *, is_whole: bool = False) -> list[str]:
    """Return how numbers are written, where not as in 1234.5.

    >>> number_lines(Counter({"52,5": 1})), number_lines(Counter({"1,234.5": 1, "12": 1}))
    (['decimal = ","'], ['thousands = ","'])
    >>> number_lines(Counter({"1,234": 1}))[0]
    '# ? 1,234: a thousand or so, or a fraction? Leave one of the two.'
    >>> number_lines(Counter({"1.000": 1, "3": 2}), is_whole=True)[0]
    '# ? 1.000: a thousand or so, or a fraction? Leave one of the two.'
    >>> [number_lines(Counter([a, "3"]), is_whole=True) for a in ("1.500", "1,234", "7.0")]
    [['thousands = "."'], ['thousands = ","'], []]
    """
    signed = [text for text in values if re.search(r"[0-9]", text)]
    commas = [text for text in signed if "," in text]
    points = [text for text in signed if "." in text]
    spaced = next((s for s in (" ", "\u00a0", "\u202f", "'") if any(s in t for t in signed)), "")
    lines = [f"thousands = {toml(spaced)}"] if spaced else []
    if is_whole and not lines and bool(commas) != bool(points):
        return _whole_lines(commas or points, "," if commas else ".")
    if not commas:
        many = [text for text in points if text.count(".") > 1]
        return [*lines, 'thousands = "."'] if many and not lines else lines
    if any(text.rfind(",") > text.rfind(".") >= 0 for text in commas):
        return ['thousands = "."', 'decimal = ","']
    if any(0 <= text.rfind(",") < text.rfind(".") or text.count(",") > 1 for text in commas):
        return ['thousands = ","']
    if any(not re.fullmatch(r"[+-]?[1-9][0-9]{0,2},[0-9]{3}", text) for text in commas):
        return [*lines, 'decimal = ","']
    return _asked_of(commas[0], ",")


def _whole_lines(texts: list[str], sign: str) -> list[str]:
    """Return what a comma or a dot is in whole numbers, whose fractions can only be zero."""
    grouped = rf"[+-]?[1-9][0-9]{{0,2}}({re.escape(sign)}[0-9]{{3}})+"
    others = [text for text in texts if not re.fullmatch(grouped, text)]
    if not others and any(text.count(sign) > 1 or text[-3:] != "000" for text in texts):
        return [f"thousands = {toml(sign)}"]
    apart = [text for text in texts if re.fullmatch(grouped, text)]
    if others and all(text.count(sign) == 1 and text.endswith("000") for text in apart):
        return [] if sign == "." else ['decimal = ","']
    return _asked_of(apart[0], sign)


def _asked_of(text: str, sign: str) -> list[str]:
    ask = f"# ? {text}: a thousand or so, or a fraction? Leave one of the two."
    return [ask, f"# thousands = {toml(sign)}", f"# decimal = {toml(sign)}"]


def toml(text: str) -> str:
    """Return `text` as a string of TOML."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t")
    return f'"{escaped}"'
