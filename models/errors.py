"""What models refuse, and why. Input faults are also `ValueError`, as scikit-learn expects."""

from __future__ import annotations

from features.errors import FflRiskError


class ModelError(FflRiskError):
    """Base of every error raised by `models`."""

    exit_code = 3


class InputError(ModelError, ValueError):
    """A table of signals that a model cannot read."""


class LabelError(ModelError, ValueError):
    """Labels that nothing can be learned from: one class only, too few, not finite."""


class WeightError(ModelError, ValueError):
    """Sample weights that are negative, not finite, or all zero."""


class ParameterError(ModelError, ValueError):
    """A parameter of an estimator outside its range."""


class AdditivityError(ModelError):
    """Contributions that do not add up to the served margin."""


class BundleError(ModelError):
    """A bundle folder that is incomplete, altered or of another schema version."""


class PolicyError(ModelError):
    """A policy file that cannot be read or does not cover the heads of a bundle."""
