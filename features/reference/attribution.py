"""When a trace counts toward the dealer that it names: the one place of that rule.

A firearm without a serial number cannot be followed to a sale, whatever dealer the answer names;
one that left lawfully, by export or to a government, was not diverted from the dealer's trade.
Neither counts toward a dealer: not in a signal, a label, a dossier's counts or a referral. Both
count where firearms are counted by place, and lawful exports are reported apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

# Ways of acquisition that are lawful trade and no diversion (`traces.acquisition_route`).
LAWFUL_ROUTES: Final = ("export", "government")

UNSERIALIZED_SQL: Final = "(serial_status = 'none' OR outcome = 'unserialized')"
LAWFUL_SQL: Final = f"(coalesce(acquisition_route, 'unknown') IN {LAWFUL_ROUTES})"
# True for a trace that counts toward the dealer that it names.
COUNTS_SQL: Final = f"(NOT {UNSERIALIZED_SQL} AND NOT {LAWFUL_SQL})"

# The columns that the rule reads.
COLUMNS: Final = ("serial_status", "outcome", "acquisition_route")


def counts_toward_dealer(traces: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Whether each trace counts toward the dealer that it names, shape (n,).

    Parameters
    ----------
    traces : DataFrame
        With the columns of `COLUMNS`.
    """
    is_unserialized = (traces["serial_status"] == "none") | (traces["outcome"] == "unserialized")
    is_lawful = traces["acquisition_route"].isin(LAWFUL_ROUTES)
    return ~(is_unserialized | is_lawful).to_numpy(dtype=np.bool_)


def row_counts(trace: Mapping[str, Any]) -> bool:
    """Whether one trace counts toward the dealer that it names.

    >>> row_counts({"serial_status": "legible", "outcome": "purchaser"})
    True
    >>> row_counts({"serial_status": "legible", "acquisition_route": "government"})
    False
    """
    is_unserialized = trace.get("serial_status") == "none" or trace.get("outcome") == "unserialized"
    return not is_unserialized and trace.get("acquisition_route") not in LAWFUL_ROUTES


def traces_sql(rows: str) -> str:
    """Return the query of `rows` in which a dealer stands only where the trace counts toward it.

    The dealer as the answer names it stays in the column ``named_dealer``.
    """
    return (
        f"SELECT * REPLACE (CASE WHEN {COUNTS_SQL} THEN dealer END AS dealer), "
        f"dealer AS named_dealer FROM {rows}"
    )
