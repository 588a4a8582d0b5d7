"""How the state of a model is written: JSON that gives the same bytes for the same values."""

from __future__ import annotations

import json
from typing import Any, TypeAlias

# What an estimator writes of itself, to be read by the same class: numbers, texts and lists.
State: TypeAlias = dict[str, Any]


def to_json(value: Any) -> bytes:
    """Write a value as JSON: floats exactly, keys sorted, NaN refused."""
    return (json.dumps(value, sort_keys=True, allow_nan=False, indent=1) + "\n").encode()
