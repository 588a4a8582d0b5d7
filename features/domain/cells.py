"""Text in the cell of a table that somebody opens with a spreadsheet."""

from __future__ import annotations

from typing import Final

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
