"""The signals that ship, from a file beside their families: shown without loading what builds them.

The families are what holds. The file is written from them, and a test holds it to them::

    ffl-risk signals --json > features/signals/shipped.json
"""

from __future__ import annotations

import json
import os
from importlib.metadata import entry_points
from pathlib import Path
from typing import Final

from features.signals.signal import Signal, require_variant

# The two doors through which families of an agency's own come.
GROUP: Final = "ffl_risk.signals"
FOLDER: Final = "FFL_RISK_SIGNALS"
_FILE: Final = Path(__file__).with_name("shipped.json")


def has_own() -> bool:
    """Whether there may be families of an agency's own beside those that ship."""
    return bool(os.environ.get(FOLDER) or entry_points(group=GROUP))


def shipped(variant: str = "full") -> tuple[Signal, ...]:
    """Return the signals of a variant that ship, in registry order.

    Raises
    ------
    InvalidValueError
        When the variant is unknown.
    """
    require_variant(variant)
    written = json.loads(_FILE.read_text(encoding="utf-8"))
    signals = (Signal(**{**one, "words": tuple(one["words"])}) for one in written)
    return tuple(s for s in signals if s.is_in(variant))
