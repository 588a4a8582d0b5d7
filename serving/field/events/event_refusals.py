"""Why a row of an event is not kept, in words: what stood there is never repeated."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from features.contract import KNOWN_ON, ColumnContract, contract, json_example
from features.schema import EARLIEST_DAY, TABLES
from serving.contract.records.field import RejectedRecord

CLASH: Final = "duplicate_key_conflict"
MOST_TEXT: Final = 400
_KINDS: Final = {
    "text": "text in quotes",
    "date": "a day written YYYY-MM-DD",
    "whole number": "a whole number without quotes",
    "number": "a number without quotes",
    "yes or no": "true or false without quotes",
}
_SENT: Final[Mapping[type, str]] = {
    str: "text", bool: "true or false", int: "a number", float: "a number", list: "a list",
    dict: "an object",
}  # fmt: skip
_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "text": (str,), "date": (str,), "whole number": (int,), "number": (int, float),
    "yes or no": (bool,),
}  # fmt: skip


def refused(
    table: str, row: int, column: str, code: str, sent: Mapping[str, Any]
) -> RejectedRecord:
    """Return what is answered of a row that breaks the contract of its table.

    Parameters
    ----------
    table : str
    row : int
        Its place in the request.
    column : str
        The column at fault.
    code : str
        The reason code of the data contract.
    sent : mapping
        The row.
    """
    return {
        "row": row,
        "column": column,
        "code": code,
        "detail": _detail(table, column, code, sent.get(column)),
        "clashes_with": [],
    }


def refused_for_others(
    table: str, row: int, others: Sequence[int], *, is_of_kept: bool
) -> RejectedRecord:
    """Return what is answered of a row that contradicts others of its key and day.

    Parameters
    ----------
    table : str
    row : int
        Its place in the request.
    others : sequence of int
        The places of the rows of the request that say something else.
    is_of_kept : bool
        Whether a row that was kept before says something else.
    """
    key = " and ".join(TABLES[table].key)
    named = ", ".join(map(str, others))
    told = [f"{'row' if len(others) == 1 else 'rows'} {named} of this request"] if others else []
    told += ["what was kept before"] if is_of_kept else []
    return {
        "row": row,
        "column": TABLES[table].key[0],
        "code": CLASH,
        "detail": f"it says something else than {' and '.join(told)} of the same {key} and day of "
        "known_on (today where a row has none): send one of them, or what corrects it with a later "
        "known_on",
        "clashes_with": list(others),
    }


def _detail(table: str, name: str, code: str, value: Any) -> str:
    column = _column(table, name)
    example = f", such as {json.dumps(json_example(column))}"
    if code == "missing_required":
        return f"{name} is required: {column.meaning}{example}"
    if value is not None and not _is_of_type(column, value):
        sent = _SENT.get(type(value), "something else")
        return f"{name} should be {_KINDS[column.type]}{example}; {sent} was sent"
    if code in _OF_DAYS:
        return _OF_DAYS[code].format(name=name)
    if code == "out_of_range" and column.type == "date":
        return f"{name} should be a day since {EARLIEST_DAY}{example}"
    if code == "out_of_range":
        return f"{name} should be {_bounds(column)}{example}"
    if code == "undecodable":
        return f"{name} should be text of 1 to {MOST_TEXT} printable signs{example}"
    if code == "unparsed_license":
        return f"{name} should be a dealer key R-DD-SSSSS or a license number{example}"
    if column.codes:
        return f"{name} should be one of {', '.join(column.codes)}"
    if column.type == "date":
        return f"{name} should be {_KINDS[column.type]}{example}"
    return f"{name} should be {column.type} ({column.unit}){example}"


_OF_DAYS: Final = {
    "future_date": "{name} is later than the agency's day",
    "known_before_event": "{name} is earlier than a day of the row that comes before it",
    "sold_after_recovery": "{name} is earlier than sold_on",
}


def _is_of_type(column: ColumnContract, value: Any) -> bool:
    is_truth = isinstance(value, bool)
    return isinstance(value, _TYPES[column.type]) and is_truth == (column.type == "yes or no")


def _bounds(column: ColumnContract) -> str:
    if column.minimum is None:
        return f"at most {column.maximum:,g}" if column.maximum is not None else "a smaller number"
    if column.maximum is None:
        return f"at least {column.minimum:,g}"
    return f"from {column.minimum:,g} to {column.maximum:,g}"


def _column(table: str, name: str) -> ColumnContract:
    """Return a column as it is printed; ``known_on`` is one of every table."""
    found = (column for column in contract(table).columns if column.name == name)
    return next(found, KNOWN_ON)
