"""What training refuses, and why."""

from __future__ import annotations

from features.errors import FflRiskError


class TrainingError(FflRiskError):
    """Base of every error raised by `training`."""

    exit_code = 3


class RecipeError(TrainingError):
    """A recipe that cannot be read or asks for something unknown."""


class TooFewLabelsError(TrainingError):
    """Fewer labels, or fewer severe ones, than an honest evaluation needs."""


class OneClassError(TrainingError):
    """Every label says the same."""


class SplitOverlapError(TrainingError):
    """A split whose training labels reach into what it is judged on."""


class FutureLabelError(TrainingError):
    """A label that was not yet known on the day the training is said to take place."""


class WeightsError(TrainingError):
    """Inverse-propensity weights that carry no information."""


class MissingSignalError(TrainingError):
    """A signal a recipe or a bundle needs, absent from the feature table."""


class NotTrainedError(TrainingError):
    """A model version, champion or report that does not exist yet."""

    exit_code = 4


class BusyError(TrainingError):
    """Another process holds the lock of the registry."""

    exit_code = 4


class GateRefusedError(TrainingError):
    """A promotion gate said no."""

    exit_code = 5


class DriftError(TrainingError):
    """New data or scores have moved so far that something is to be done."""

    exit_code = 5


class DecisionsError(TrainingError):
    """A file of inspectors' decisions that cannot be read or judged."""
