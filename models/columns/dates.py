"""Dates, however they are written, as days since 1970."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd

from features.arrays import Floats
from models.errors import InputError

_ISO: Final = r"\d{4}-\d{2}-\d{2}(?:[T ].*)?"
_SLASHED: Final = r"\d{1,2}/\d{1,2}/\d{4}(?: .*)?"
_N_LOOKED_AT: Final = 200
_DAY_NS: Final = 86_400 * 10**9


def is_text_of_dates(values: pd.Series[Any]) -> bool:
    """Return whether every text that is there looks like a date: 2024-03-05 or 3/5/2024.

    Numbers written as text, such as 20240305, are left alone.
    """
    there = values.dropna()
    if not len(there) or not _look_like_dates(there.iloc[:_N_LOOKED_AT].astype(str)):
        return False
    return _look_like_dates(pd.Series(there.astype(str).unique()))


def _look_like_dates(texts: pd.Series[Any]) -> bool:
    return bool(texts.str.fullmatch(f"{_ISO}|{_SLASHED}").all())


def days(values: pd.Series[Any]) -> Floats:
    """Return days since 1970 (durations: days), missing as NaN; what is no date is missing.

    Raises
    ------
    InputError
        When the column holds no dates any more.
    """
    inferred = pd.api.types.infer_dtype(values, skipna=True)
    if inferred in {"timedelta", "timedelta64"}:
        return _in_days(pd.to_timedelta(pd.Series(values.to_numpy())).astype("timedelta64[ns]"))
    if inferred == "empty" or not values.notna().any():
        return np.full(len(values), np.nan)
    try:
        read = _read_text(values) if inferred in {"string", "categorical"} else _read_dates(values)
    except (ValueError, TypeError, OverflowError) as error:
        raise InputError(
            f"Column '{values.name}' held dates when the model was fitted and does not now.",
            found=str(error),
            expected="dates",
        ) from error
    return _in_days(read)


def _read_dates(values: pd.Series[Any]) -> pd.Series[Any]:
    if values.dtype.kind in "iufb":
        raise ValueError(f"numbers ({values.dtype})")
    read = pd.to_datetime(pd.Series(values.to_numpy(dtype=object)), utc=True)
    return read.dt.tz_localize(None).astype("datetime64[us]")


def _read_text(values: pd.Series[Any]) -> pd.Series[Any]:
    texts = pd.Series(values.astype(object).to_numpy(), dtype="string")
    head = texts.str.extract(r"^(\d{4}-\d{2}-\d{2})", expand=False)
    read = pd.to_datetime(head, format="%Y-%m-%d", errors="coerce")
    slashed = texts.str.extract(r"^(\d{1,2}/\d{1,2}/\d{4})", expand=False)
    if slashed.notna().any():
        # Month first, unless a day could not be one.
        first = pd.to_numeric(slashed.str.extract(r"^(\d+)", expand=False))
        way = "%d/%m/%Y" if bool((first > 12).any()) else "%m/%d/%Y"
        read = read.fillna(pd.to_datetime(slashed, format=way, errors="coerce"))
    if not read.notna().any():
        raise ValueError(f"texts such as {texts.dropna().iloc[0]!r}")
    return read.astype("datetime64[us]")


def _in_days(read: pd.Series[Any]) -> Floats:
    known = read.notna().to_numpy()
    unit = np.datetime_data(read.to_numpy().dtype)[0]
    per_day = {"s": 86_400, "ms": 86_400 * 10**3, "us": 86_400 * 10**6, "ns": _DAY_NS}[unit]
    counts = read.to_numpy().astype(np.int64) / per_day
    return np.asarray(np.where(known, counts, np.nan), dtype=np.float64)
