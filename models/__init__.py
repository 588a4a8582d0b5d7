"""A fitted model as a value: heads, calibration, explanation, bundle.

Names are imported on first use, so that commands that need no model start at once.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from models.bundle.bundle import Bundle
    from models.classifier import RiskClassifier
    from models.explanation import Explanation
    from models.policy import Policy
    from models.regressor import RateRegressor

__all__ = ["Bundle", "Explanation", "Policy", "RateRegressor", "RiskClassifier"]

_HOMES = {
    "Bundle": "models.bundle.bundle",
    "Explanation": "models.explanation",
    "Policy": "models.policy",
    "RateRegressor": "models.regressor",
    "RiskClassifier": "models.classifier",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'models' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
