"""What the fields of forms are called where they are read back to a person."""

from __future__ import annotations

import re
from typing import Final

_NAMES: Final = {
    "inspection_id": "inspection number",
    "hours": "hours spent",
    "recommended_outcome": "outcome recommended",
    "firearms_unaccounted_initial": "firearms unaccounted for at first",
    "firearms_unaccounted_final": "firearms unaccounted for at the end",
    "to": "hand over to",
    "move_dealer": "visit moved",
    "move_week": "to week",
    "move_investigator": "investigator",
}
_NUMBERED: Final = re.compile(r"(citation|instances|willful)_(\d+)")


def field_label(name: str) -> str:
    """Return what a field is called; those of a numbered line count from one, as on the form.

    >>> field_label("inspection_id"), field_label("opened_on")
    ('inspection number', 'opened on')
    >>> field_label("citation_0"), field_label("willful_3")
    ('citation 1', 'citation 4 willful')
    """
    numbered = _NUMBERED.fullmatch(name)
    if numbered:
        line = f"citation {int(numbered[2]) + 1}"
        return line if numbered[1] == "citation" else f"{line} {numbered[1]}"
    return _NAMES.get(name, name.replace("_", " "))
