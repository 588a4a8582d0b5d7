"""Numbers with the noun that they count."""

from __future__ import annotations


def counted(n: int, one: str, many: str = "") -> str:
    """Return a number with its noun in the singular or the plural.

    Parameters
    ----------
    many : str, optional
        The plural; `one` with an s by default.

    Examples
    --------
    >>> counted(1, "dealer is", "dealers are"), counted(2_000, "record")
    ('1 dealer is', '2,000 records')
    """
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def times(amount: str) -> str:
    """Return a factor, written already, with the word behind it; a single one keeps its decimal.

    Examples
    --------
    >>> times("28"), times("1")
    ('28 times', '1.0 times')
    """
    return f"{'1.0' if amount == '1' else amount} times"
