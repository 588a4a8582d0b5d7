"""Short time-to-crime: the one comparison that says whether a traced firearm turned up soon.

Time-to-crime is the days from the first retail sale to the recovery. It is short when it is known,
not negative, and at most the days that the law table names: the last of them is still short.
"""

from __future__ import annotations

from typing import Any, Final

import pandas as pd

from features.domain.asof import D90, Y1
from features.reference.legal.law import timeless

DAYS: Final = "(recovered_on - sold_on)"
BANDS: Final = ("up to 90 days", "up to 1 year", "up to 3 years", "over 3 years", "not known")


def short_days() -> int:
    """Return the longest time-to-crime that is short, in days, whenever the firearm was sold.

    Raises
    ------
    InvalidValueError
        When the table gives it a second value.

    Examples
    --------
    >>> short_days()
    1095
    """
    return int(timeless("short_time_to_crime_days"))


def short_sql(days: str = DAYS, *, at_most: int | None = None) -> str:
    """Return the SQL condition of a short time-to-crime; null where it is not known.

    >>> short_sql("lag")
    '(lag BETWEEN 0 AND 1095)'
    """
    return f"({days} BETWEEN 0 AND {short_days() if at_most is None else at_most})"


def is_short(days: Any) -> Any:
    """Tell which times-to-crime are short: an array or Series of days, shape (n,).

    >>> import numpy as np
    >>> is_short(np.array([-1, 0, 1095, 1096])).tolist()
    [False, True, True, False]
    """
    found = (days >= 0) & (days <= short_days())
    return found.fillna(False) if isinstance(found, pd.Series) else found


def band_sql(*, named: bool = False) -> str:
    """Return the SQL that puts a trace into one of `BANDS`: its index, or its name.

    >>> band_sql().split(" THEN ")[0]
    'CASE WHEN (recovered_on - sold_on) IS NULL'
    """
    words = [f"'{name}'" for name in BANDS] if named else [str(n) for n in range(len(BANDS))]
    limits = (D90.days, Y1.days, short_days())
    within = " ".join(
        f"WHEN {DAYS} <= {days} THEN {word}" for days, word in zip(limits, words, strict=False)
    )
    return f"CASE WHEN {DAYS} IS NULL THEN {words[-1]} {within} ELSE {words[-2]} END"
