"""Values that become a column of the warehouse: taken where its table takes them, and only there.

The bounds are those of `features.schema`, which the ingest applies: what is answered with 200 is
stored.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from features.domain.missing_values import NO_DATES, is_null_word
from features.domain.name_numbers import whole
from features.schema import EARLIEST_DAY, TABLES
from serving.contract.answers import Identifier
from serving.contract.plain_values import Day

_EARLIEST: Final = date.fromisoformat(EARLIEST_DAY)


def bounds(table: str, name: str) -> Any:
    """Return the field of a number that becomes a column."""
    column = TABLES[table].column(name)
    if column.minimum is None or column.maximum is None:
        raise ValueError(f"{table}.{name} has not two bounds that it takes")
    return Field(ge=column.minimum, le=column.maximum, allow_inf_nan=False)


def most(table: str, name: str) -> int:
    """Return the largest whole number that a column takes."""
    maximum = TABLES[table].column(name).maximum
    if maximum is None:
        raise ValueError(f"{table}.{name} has no largest value")
    return int(maximum)


def _names_something(text: str) -> str:
    # No column of this kind has codes, and none but a purchaser's token has words of its own.
    if is_null_word(text, "", frozenset()):
        raise PydanticCustomError("null_word", "Input should name something, not stand for nothing")
    return text


def _since_licenses(day: date) -> date:
    if day < _EARLIEST or day.isoformat() in NO_DATES:
        raise PydanticCustomError(
            "day_of_records",
            "Input should be a day since {earliest} that is no mark of a missing one",
            {"earliest": EARLIEST_DAY},
        )
    return day


# A whole number with nothing behind it is that number, as in files: 123.0 is the inspection 123.
RecordName = Annotated[Identifier, AfterValidator(_names_something), AfterValidator(whole)]
Token = Annotated[Identifier, AfterValidator(_names_something)]
RecordDay = Annotated[Day, AfterValidator(_since_licenses)]
