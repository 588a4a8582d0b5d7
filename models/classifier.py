"""`RiskClassifier`: the probability of a finding, with its interval and its exact explanation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _num_samples, check_is_fitted

from features.arrays import Flags, Floats
from models.calibration import Spread, fit_spread
from models.errors import InputError, LabelError
from models.estimator import RiskEstimator
from models.explanation import Explanation
from models.margin.fitting import fit_margin, set_level
from models.margin.level import Level, fit_level, fit_shifts, told_by
from models.margin.margin import FittedMargin, MarginModel, Method, probability
from models.margin.threads import single_threaded_algebra
from models.stable_json import State


class RiskClassifier(ClassifierMixin, RiskEstimator):
    """Calibrated probability from few labels or many: a penalized linear part blended with trees.

    Works on any DataFrame of numbers, booleans, strings, categories and dates, missing values
    included, and on arrays. Several classes are told apart one against the rest.

    Parameters
    ----------
    monotone : mapping of str to {-1, 0, 1}, optional
        Columns whose rise may only raise (1) or lower (-1) the probability. A column named here,
        even with 0, is a quantity; others are tried as names too (see `models.columns.extras`).
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
    classes_ : array
    models_ : tuple of MarginModel
        One for two classes, else one a class.

    Examples
    --------
    >>> import numpy as np
    >>> from models import RiskClassifier
    >>> X = np.linspace(-2, 2, 40).reshape(-1, 1)
    >>> model = RiskClassifier().fit(X, X[:, 0] > 0)
    >>> bool(model.predict_proba(X)[-1, 1] > 0.9)
    True
    """

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        groups: Any = None,
        *,
        graded: Any = None,
        representative: Any = None,
        representative_weight: Any = None,
        period: Any = None,
        offset: Any = None,
    ) -> RiskClassifier:
        """Fit on labeled rows.

        Parameters
        ----------
        X : DataFrame or array of shape (n, p)
        y : array of shape (n,)
            Labels: numbers, booleans or strings; the greater of two is the positive one.
        sample_weight : array of shape (n,), optional
        groups : array of shape (n,), optional
            Rows of one group (one dealer on several dates) are never split between folds.
        graded : array of shape (n,), optional
            A finer account of two classes, from 0 to 1 (how bad an inspection was, where `y` says
            whether it was severe). It helps to rank while positives are few.
        representative : array of bool, shape (n,), optional
            Rows drawn at random where the others were chosen. The level of the probabilities and
            their intervals then rest on them alone (see `models.margin.level`).
        representative_weight : array of shape (n,), optional
            How many others each representative row stands for, the inverse of the probability it
            was drawn with; by default equal. `sample_weight` has no part in the level.
        period : array of shape (n,), optional
            When each row is from (its as-of date): the level served is that of the last one.
        offset : array of shape (n,), optional
            Part of each row's log-odds of the positive one of two classes that is known and not
            the columns' doing, such as the strictness of who looked. What is served is without it.

        Raises
        ------
        InputError, LabelError, WeightError, ParameterError
        """
        frame, labels, weights, codes = self._prepare(X, y, sample_weight, groups)
        is_used = self._read_weights(sample_weight, _num_samples(X)) > 0
        finer = self._read_graded(graded, is_used)
        drawn = self._read_representative(representative, is_used)
        stands_for = self._read_representative_weight(representative_weight, is_used)
        when = self._read_period(period, is_used)
        known = self._read_offset(offset, is_used)
        self.classes_, place = np.unique(labels, return_inverse=True)
        if len(self.classes_) < 2:
            raise LabelError(
                "The labels hold only one class.",
                found=f"{self.classes_.tolist()[0]!r} in all {len(labels)} rows of positive weight",
                expected="at least 2 classes",
            )
        settings = self._settings("binary")
        targets = range(1, 2) if len(self.classes_) == 2 else range(len(self.classes_))
        fitted = []
        for target in targets:
            hit = (place == target).astype(np.float64)
            with single_threaded_algebra():
                margin = fit_margin(
                    frame, hit, weights, codes, settings, graded=finer, offset=known
                )
            n_rare = int(min(hit.sum(), len(hit) - hit.sum()))
            band = fit_spread(margin.held_out[margin.sample], margin.variance, n_rare)
            level = _level(margin, hit, drawn, when, (stands_for, known))
            if drawn is not None or when is not None:
                margin = set_level(margin, level)
            fitted.append((margin.model, band.at(level)))
        self.models_: tuple[MarginModel, ...] = tuple(model for model, _ in fitted)
        self.bands_: tuple[Spread, ...] = tuple(band for _, band in fitted)
        return self

    def _read_graded(self, graded: Any, is_used: Flags) -> Floats | None:
        if graded is None:
            return None
        values = np.asarray(graded, dtype=np.float64)
        if values.shape != is_used.shape or not ((values >= 0.0) & (values <= 1.0)).all():
            raise LabelError(
                "The graded target must be one number from 0 to 1 a row.",
                found=f"shape {values.shape}, from {values.min():g} to {values.max():g}",
                expected=f"shape {is_used.shape}, from 0 to 1",
            )
        return values[is_used]

    def _read_representative(self, representative: Any, is_used: Flags) -> Flags | None:
        if representative is None:
            return None
        flags = np.asarray(representative)
        if flags.shape != is_used.shape or flags.dtype != np.bool_:
            raise InputError(
                "Representative rows must be flagged by one boolean a row.",
                found=f"{flags.dtype} of shape {flags.shape}",
                expected=f"bool of shape {is_used.shape}",
            )
        return np.asarray(flags[is_used], dtype=np.bool_)

    def _read_representative_weight(self, weight: Any, is_used: Flags) -> Floats:
        if weight is None:
            return np.ones(int(is_used.sum()))
        values = np.asarray(weight, dtype=np.float64)
        if values.shape != is_used.shape or not (np.isfinite(values) & (values >= 0.0)).all():
            raise InputError(
                "What representative rows stand for must be one number, 0 or more, a row.",
                found=f"shape {values.shape}, from {values.min():g} to {values.max():g}",
                expected=f"shape {is_used.shape}, finite, 0 or more",
            )
        return values[is_used]

    def _read_period(self, period: Any, is_used: Flags) -> npt.NDArray[np.int64] | None:
        if period is None:
            return None
        values = np.asarray(period)
        if values.shape != is_used.shape or pd.isna(values).any():
            raise InputError(
                "The period must be one value a row.",
                found=f"shape {values.shape}, {int(pd.isna(values).sum())} missing",
                expected=f"shape {is_used.shape}, none missing",
            )
        return np.unique(values[is_used], return_inverse=True)[1].astype(np.int64)

    def _read_offset(self, offset: Any, is_used: Flags) -> Floats | None:
        if offset is None:
            return None
        values = np.asarray(offset, dtype=np.float64)
        if values.shape != is_used.shape or not np.isfinite(values).all():
            raise InputError(
                "The offset must be one finite number a row.",
                found=f"shape {values.shape}, {int((~np.isfinite(values)).sum())} not finite",
                expected=f"shape {is_used.shape}, all finite",
            )
        return values[is_used]

    def _read_labels(self, y: Any) -> npt.NDArray[Any]:
        labels = self._read_target(y)
        if labels.dtype == object and all(isinstance(v, bool | np.bool_) for v in labels):
            labels = labels.astype(bool)
        check_classification_targets(labels)
        return np.asarray(labels)

    def _margins(self, X: Any) -> Floats:
        check_is_fitted(self, "models_")
        frame = self._read(X, reset=False)
        return np.column_stack(
            [m.margin(m.encode(frame), n_jobs=self._n_threads) for m in self.models_]
        )

    def decision_function(self, X: Any) -> Floats:
        """Return calibrated log-odds: shape (n,) for two classes, else (n, n_classes)."""
        margins = self._margins(X)
        return margins[:, 0] if margins.shape[1] == 1 else margins

    def predict_proba(self, X: Any) -> Floats:
        """Return the probability of each class, shape (n, n_classes)."""
        p = probability(self._margins(X))
        if p.shape[1] == 1:
            return np.column_stack([1.0 - p[:, 0], p[:, 0]])
        return np.asarray(p / p.sum(axis=1, keepdims=True))

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """Return the more probable class."""
        margins = self._margins(X)
        if margins.shape[1] == 1:
            return np.asarray(self.classes_[(margins[:, 0] > 0).astype(int)])
        return np.asarray(self.classes_[margins.argmax(axis=1)])

    def predict_interval(self, X: Any, coverage: float = 0.9) -> Floats:
        """Return lower and upper probability of the positive class, shape (n, 2).

        The interval holds the row's own probability, as far as its columns tell it, at the stated
        coverage over rows and repeated training samples. See `models.calibration`.
        """
        return np.column_stack(self.from_margin(self.predict_margin(X), coverage)[1:])

    def margin_of(self, Z: Floats) -> Floats | None:
        """Return `predict_margin` of an array of finite or missing numbers, (n,).

        None when a column is not read as a number: then a table is needed.
        """
        self._refuse_several()
        return self.models_[0].of_numbers(Z, self.columns_, n_jobs=self._n_threads)

    def predict_margin(self, X: Any) -> Floats:
        """Return the calibrated log-odds of the positive class, shape (n,)."""
        margins = self._margins(X)
        self._refuse_several()
        return np.asarray(margins[:, 0])

    def from_margin(self, margin: Floats, coverage: float = 0.9) -> tuple[Floats, Floats, Floats]:
        """Return probability, lower and upper of margins, each of shape (n,)."""
        return (probability(margin), *self.bands_[0].interval(margin, coverage))

    def explain(
        self, X: Any, *, method: Method = "auto", margin: Floats | None = None
    ) -> Explanation:
        """Return each column's contribution to the log-odds; they add up, and it is checked.

        Parameters
        ----------
        X : DataFrame or array of shape (n, p)
        method : {"auto", "lightgbm", "table"}
            ``table`` is for whole tables, and what ``auto`` takes for them.
        margin : array of shape (n,), optional
            What `predict_margin` returned for these rows, to check against; else worked out again.
        """
        check_is_fitted(self, "models_")
        self._refuse_several()
        frame = self._read(X, reset=False)
        model = self.models_[0]
        encoded = model.encode(frame)
        found = model.explain(encoded, method=method, n_jobs=self._n_threads, margin=margin)
        return found.of(frame.loc[:, list(found.columns)])

    def _refuse_several(self) -> None:
        if len(self.models_) > 1:
            raise InputError(
                "Intervals and explanations are for two classes.",
                found=f"{len(self.classes_)} classes",
                fix="fit one class against the rest",
            )

    def to_texts(self) -> dict[str, str]:
        """Return the LightGBM texts by file stem."""
        check_is_fitted(self, "models_")
        return {f"trees_{i}": model.trees for i, model in enumerate(self.models_)}

    def to_state(self) -> State:
        """Return everything but the trees as JSON can hold it."""
        classes = self.classes_.tolist()
        return {
            **super().to_state(),
            "texts": sorted(self.to_texts()),
            "classes": classes,
            "class_dtype": self.classes_.dtype.str,
            "models": [model.state() for model in self.models_],
            "bands": [band.state() for band in self.bands_],
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any], texts: Mapping[str, str]) -> Self:
        """Rebuild it from `to_state` and `to_texts`."""
        model = cls(**cls.read_parameters(state["parameters"]))._restore(state)
        dtype = state["class_dtype"]
        model.classes_ = np.asarray(state["classes"], dtype=object if "O" in dtype else dtype)
        model.models_ = tuple(
            MarginModel.from_state(part, texts[f"trees_{i}"])
            for i, part in enumerate(state["models"])
        )
        model.bands_ = tuple(Spread.from_state(part) for part in state["bands"])
        return model


def _level(
    margin: FittedMargin,
    y: Floats,
    drawn: Flags | None,
    when: npt.NDArray[np.int64] | None,
    parts: tuple[Floats, Floats | None],
) -> Level:
    """Return the level of the last period, on the rows drawn at random if there are such."""
    held_out, w = margin.held_out, margin.weights
    stands_for, offset = parts
    known = np.zeros(len(y)) if offset is None else offset
    last, variance = 0.0, 0.0
    if when is not None:
        shift, unsure = fit_shifts(held_out, y, w, when, known)
        held_out = held_out + shift[when]
        last, variance = float(shift[-1]), float(unsure[-1])
    level = told_by(held_out, w, known)
    if drawn is not None:
        # Weights by which chosen rows stand for others have no part in rows that nobody chose.
        rows = (held_out[drawn], y[drawn], stands_for[drawn], known[drawn])
        level = fit_level(*rows, before=level)
    return level.after(last, variance)
