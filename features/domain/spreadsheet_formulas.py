"""Text in the cell of a table that somebody opens with a spreadsheet."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeVar

Value = TypeVar("Value")

# The full-width signs are the same to a spreadsheet set to an East Asian language.
_FORMULA: Final = tuple("=+-@\t\r\n|\uff1d\uff0b\uff0d\uff20")


def neutral(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula.

    >>> neutral("=HYPERLINK(A1)"), neutral("Smith & Sons")
    ("'=HYPERLINK(A1)", 'Smith & Sons')
    """
    # Some programs skip leading blanks and act on what follows them.
    is_formula = text.lstrip(" \u00a0").startswith(_FORMULA) or text[:1] in "\t\r\n"
    return f"'{text}" if text and is_formula else text


def neutral_row(values: Iterable[Value]) -> list[Value | str]:
    """Return the values of a row with every text made `neutral`; numbers stay numbers.

    >>> neutral_row(["+1 Pawn", -1])
    ["'+1 Pawn", -1]
    """
    return [neutral(value) if isinstance(value, str) else value for value in values]
