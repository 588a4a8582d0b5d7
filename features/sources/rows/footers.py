"""Rows of an export that are no rows of its table: sums of the others, and words in the end.

Which is one is told by its first filled field. Only a row that breaks a rule of its table is asked,
so that a shop called TOTAL keeps its row.
"""

from __future__ import annotations

import re
from typing import Final

from features.sql import literal

_SUMS: Final = (
    r"(?i)\W*((grand|gran|sub|sous|overall|report|page|record|row|gesamt|zwischen|end|eind|algemeen)"
    r"[ -]?)?(totals?|totales|totale|totali|totaux|totais|totaal|totalen|count|sum|summen?|gesamt|"
    r"insgesamt|gesamtzahl|anzahl|sumas?|somme|somma|soma|som)"
    r"(\W*[0-9.,]*|\W+(of|for|number|records?|rows?|dealers?|licensees|g[e\x{e9}]n[e\x{e9}]ral|"
    r"generale?|generaal|geral|global|complessiv[oa]|totale?|totaal)(\W.*)?)\W*"
)
# A place or a name in front of it is believed where most of the row is empty.
_SUMS_OF: Final = r"(?i).{1,60}\W(sub-?)?(totals?|totale|totaal|gesamt|insgesamt)\W*"
# Words in the end of a file: more than one, in a row that holds nothing else.
_LETTER: Final = r"[A-Za-z\x{80}-\x{ffff}]"
_WORDS: Final = rf".*{_LETTER}.*\s.*\S.*|.*\S.*\s.*{_LETTER}.*"
_LEAST_COLUMNS: Final = 3


def _python(pattern: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\x\{([0-9a-f]+)\}", lambda m: chr(int(m[1], 16)), pattern))


_IS_SUM, _IS_WORDS = _python(_SUMS), _python(_WORDS)


def is_sum(text: str) -> bool:
    """Tell the first filled field of a row that sums up others.

    >>> [is_sum(t) for t in ("Total:", "Grand Total", "Count: 1,900", "Totally Guns", "TOTAL ARMS")]
    [True, True, True, False, False]
    >>> words = "Total geral;Gesamtsumme:;SUMA TOTAL;Totale generale;Totaux;Eindtotaal 12"
    >>> all(map(is_sum, words.split(";"))), any(map(is_sum, ("Somerset", "Gesamtschule", "Sommer")))
    (True, False)
    """
    return _IS_SUM.fullmatch(text) is not None


def is_note(text: str, n_filled: int, n_columns: int) -> bool:
    """Tell a row that holds words alone; in the end of a file they speak of it.

    >>> is_note("* preliminary figures", 1, 6), is_note("1-57-00001", 1, 6)
    (True, False)
    """
    return n_filled == 1 and n_columns >= _LEAST_COLUMNS and _IS_WORDS.fullmatch(text) is not None


def sum_sql(first: str, n_filled: str, n_columns: int) -> str:
    """Return the SQL condition of `is_sum`, and of a sum of some place in an almost empty row."""
    is_empty = f"{n_filled} <= {max(n_columns // 2, 1)}"
    return (
        f"(regexp_full_match({first}, {literal(_SUMS)}) "
        f"OR ({is_empty} AND regexp_full_match({first}, {literal(_SUMS_OF)})))"
    )


def note_sql(first: str, n_filled: str, n_columns: int) -> str:
    """Return the SQL condition of `is_note`."""
    is_wide = "true" if n_columns >= _LEAST_COLUMNS else "false"
    return f"({is_wide} AND {n_filled} = 1 AND regexp_full_match({first}, {literal(_WORDS)}))"
