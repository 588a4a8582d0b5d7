"""SQL text: identifiers, literals and mappings, quoted in one place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


def quoted(name: str) -> str:
    """Return `name` as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return `text` as an SQL string."""
    return "'" + text.replace("'", "''") + "'"


def as_text(expression: str) -> str:
    """Return SQL for the text of a value of any type, a whole number without ``.0`` or ``.000``.

    A column of whole numbers with a hole in it is one of floats in many programs.
    """
    text = f"CAST({expression} AS VARCHAR)"
    whole = f"regexp_replace({text}, '[.]0$', '')"
    exact = f"regexp_replace({text}, '[.]0+$', '')"
    return (
        f"CASE WHEN typeof({expression}) IN ('DOUBLE', 'FLOAT') THEN {whole} "
        f"WHEN starts_with(typeof({expression}), 'DECIMAL') THEN {exact} ELSE {text} END"
    )


def padded(text: str, short: int, width: int) -> str:
    """Return SQL for digits whose one leading zero a spreadsheet ate; other texts are not cut."""
    plain = f"regexp_replace({text}, '[.]0$', '')"
    return (
        f"CASE WHEN length({text}) = {width} THEN {text} "
        f"WHEN regexp_full_match({plain}, '[0-9]{{{short}}}') THEN '0' || {plain} ELSE {plain} END"
    )


def list_sql(texts: Iterable[str]) -> str:
    """Return texts as an SQL list.

    >>> list_sql(("a", "b"))
    "['a', 'b']"
    """
    return f"[{', '.join(map(literal, texts))}]"


def case(expression: str, values: Mapping[str, str]) -> str:
    """Return SQL that maps the values of `expression`; another value passes unchanged.

    >>> case("x", {"Y": "true"})
    "CASE x WHEN 'Y' THEN 'true' ELSE x END"
    """
    if not values:
        return expression
    whens = " ".join(f"WHEN {literal(a)} THEN {literal(b)}" for a, b in values.items())
    return f"CASE {expression} {whens} ELSE {expression} END"
