"""Areas as they are named: ``nation``, ``office:NAME``, ``division:NAME`` and others.

What an office is called is the agency's to say: of its signs none but a control is out of place,
and a colon within a name is part of it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Final

_NAME: Final = r"[^\x00-\x1f]{1,80}"
# Areas of accounts, and those that an agency may answer for; the nation has no name.
AREA: Final = re.compile(rf"(office|division):{_NAME}")
ANSWERED_FOR: Final = re.compile(rf"nation|(office|division|state|port|country):{_NAME}")


def read_area(area: str) -> str:
    """Return an area in the spelling in which the warehouse keeps the names of offices.

    >>> read_area(" office: Co\u0302te: Ouest ") == "office:C\u00f4te: Ouest"
    True
    """
    kind, colon, name = unicodedata.normalize("NFC", area).partition(":")
    return f"{kind.strip()}{colon}{name.strip()}"


def read_areas(areas: Iterable[str]) -> list[str]:
    """Return areas, each once and in order, as `read_area` spells them."""
    return sorted({read_area(area) for area in areas})
