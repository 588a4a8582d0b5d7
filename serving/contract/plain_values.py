"""Days and numbers of a request, taken for what the document says they are and nothing else.

A day that is a number would be seconds of an epoch, and a truth value that is a number would be
one or zero: both are slips of a program, and what follows from them would look right.
"""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Annotated, Any, Final

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

_DAY: Final = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}")


def _only_day(value: Any) -> Any:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    if isinstance(value, str) and _DAY.fullmatch(value):
        return value
    raise PydanticCustomError("day_form", "Input should be a day written YYYY-MM-DD")


def _no_truth(value: Any) -> Any:
    if isinstance(value, bool):
        raise PydanticCustomError("number_form", "Input should be a number, not true or false")
    return value


Day = Annotated[date, BeforeValidator(_only_day)]
Count = Annotated[int, BeforeValidator(_no_truth)]
Number = Annotated[float, BeforeValidator(_no_truth)]
