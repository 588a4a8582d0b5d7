"""`RateRegressor`: an expected count, with the interval of the count and its explanation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import RegressorMixin
from sklearn.utils.validation import check_is_fitted

from features.arrays import Floats
from models.calibration import CountInterval, fit_count_interval
from models.errors import LabelError
from models.estimator import RiskEstimator
from models.explanation import Explanation
from models.linear import mean_of
from models.margin.fitting import fit_margin
from models.margin.margin import MarginModel, Method
from models.margin.threads import single_threaded_algebra
from models.stable_json import State


class RateRegressor(RegressorMixin, RiskEstimator):
    """Expected count under a Poisson law: a penalized linear part blended with trees.

    Exposure: pass ``y = count / exposure`` and ``sample_weight = exposure``.

    Parameters
    ----------
    monotone : mapping of str to {-1, 0, 1}, optional
        Columns whose rise may only raise (1) or lower (-1) the rate. A column named here, even
        with 0, is a quantity; others are tried as names too (see `models.columns.extras`).
    n_folds : int, optional
        Folds that both parts are crossed over, groups whole; by default 5, or 3 for many rows.
    n_repeats : int, optional
        How often the rows are dealt into folds; by default more for fewer rows.
    num_leaves : int, optional
        Leaves of a tree; by default more for more rows.
    max_rounds : int, default 500
        Most rounds of boosting; the held-out loss decides where to stop.
    learning_rate : float, default 0.1
    random_state : int, default 0
    n_jobs : int, optional, default -1
        Threads, as scikit-learn counts them: -1 is every core, None one. The result is the same,
        bit for bit, for any number.

    Attributes
    ----------
    model_ : MarginModel
    counts_ : CountInterval

    Examples
    --------
    >>> import numpy as np
    >>> from models import RateRegressor
    >>> X = np.linspace(0, 3, 40).reshape(-1, 1)
    >>> model = RateRegressor().fit(X, np.exp(X[:, 0]).round())
    >>> bool(model.predict(X)[-1] > model.predict(X)[0])
    True
    """

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.positive_only = True
        return tags

    def fit(self, X: Any, y: Any, sample_weight: Any = None, groups: Any = None) -> RateRegressor:
        """Fit on observed counts or rates.

        Parameters
        ----------
        X : DataFrame or array of shape (n, p)
        y : array of shape (n,)
            Counts, or counts divided by exposure; zero or more.
        sample_weight : array of shape (n,), optional
            Weights, or weights times exposure.
        groups : array of shape (n,), optional
            Rows of one group (one dealer on several dates) are never split between folds.

        Raises
        ------
        InputError, LabelError, WeightError, ParameterError
        """
        frame, counts, weights, codes = self._prepare(X, y, sample_weight, groups)
        if (counts < 0).any():
            raise LabelError(
                "A rate is never negative.",
                found=f"{int((counts < 0).sum())} negative targets",
                expected="counts of zero or more",
            )
        if not counts.any():
            raise LabelError("Every count is zero.", expected="some positive count")
        settings = self._settings("poisson")
        with single_threaded_algebra():
            fitted = fit_margin(frame, counts, weights, codes, settings)
        self.model_: MarginModel = fitted.model
        held_out = mean_of("poisson", fitted.held_out)
        self.counts_: CountInterval = fit_count_interval(held_out, counts, fitted.weights)
        return self

    def _read_labels(self, y: Any) -> npt.NDArray[Any]:
        labels = self._read_target(y)
        try:
            return np.asarray(labels, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise LabelError("The target is no number.", found=str(error)) from error

    def margin_of(self, Z: Floats) -> Floats | None:
        """Return `predict_margin` of an array of finite or missing numbers, (n,).

        None when a column is not read as a number: then a table is needed.
        """
        return self.model_.of_numbers(Z, self.columns_, n_jobs=self._n_threads)

    def predict_margin(self, X: Any) -> Floats:
        """Return the log-rate, shape (n,)."""
        check_is_fitted(self, "model_")
        frame = self._read(X, reset=False)
        Z = self.model_.encode(frame)
        return self.model_.margin(Z, n_jobs=self._n_threads)

    def predict(self, X: Any) -> Floats:
        """Return the expected count per unit of exposure, shape (n,)."""
        return mean_of("poisson", self.predict_margin(X))

    def predict_interval(self, X: Any, coverage: float = 0.9) -> Floats:
        """Return lower and upper count, shape (n, 2).

        The interval holds the row's own count at the stated coverage or more: counts are whole
        numbers, and the interval has no randomized end. See `models.calibration`.
        """
        return np.column_stack(self.from_margin(self.predict_margin(X), coverage)[1:])

    def from_margin(self, margin: Floats, coverage: float = 0.9) -> tuple[Floats, Floats, Floats]:
        """Return expected count, lower and upper count of margins, each of shape (n,)."""
        mean = mean_of("poisson", margin)
        return (mean, *self.counts_.interval(mean, coverage))

    def explain(
        self, X: Any, *, method: Method = "auto", margin: Floats | None = None
    ) -> Explanation:
        """Return each column's contribution to the log-rate; they add up, and it is checked.

        Parameters
        ----------
        X : DataFrame or array of shape (n, p)
        method : {"auto", "lightgbm", "table"}
            ``table`` is for whole tables, and what ``auto`` takes for them.
        margin : array of shape (n,), optional
            What `predict_margin` returned for these rows, to check against; else worked out again.
        """
        check_is_fitted(self, "model_")
        frame = self._read(X, reset=False)
        Z = self.model_.encode(frame)
        found = self.model_.explain(Z, method=method, n_jobs=self._n_threads, margin=margin)
        return found.of(frame.loc[:, list(found.columns)])

    def to_texts(self) -> dict[str, str]:
        """Return the LightGBM texts by file stem."""
        check_is_fitted(self, "model_")
        return {"trees_0": self.model_.trees}

    def to_state(self) -> State:
        """Return everything but the trees as JSON can hold it."""
        return {
            **super().to_state(),
            "texts": sorted(self.to_texts()),
            "models": [self.model_.state()],
            "counts": self.counts_.state(),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any], texts: Mapping[str, str]) -> Self:
        """Rebuild it from `to_state` and `to_texts`."""
        model = cls(**cls.read_parameters(state["parameters"]))._restore(state)
        model.model_ = MarginModel.from_state(state["models"][0], texts["trees_0"])
        model.counts_ = CountInterval.from_state(state["counts"])
        return model
