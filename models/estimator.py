"""What `RiskClassifier` and `RateRegressor` share: reading input, weights, groups, and files."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state, column_or_1d
from sklearn.utils.validation import _num_samples, check_is_fitted, validate_data

from features.arrays import Floats, Ints
from features.errors import did_you_mean
from features.home import write_atomically
from features.openjson import Options
from models.columns.encoding import kind_of
from models.errors import BundleError, InputError, LabelError, ParameterError, WeightError
from models.linear import Family
from models.margin.settings import Settings
from models.margin.threads import n_threads
from models.stable_json import State, to_json

SCHEMA_VERSION: Final = 1
STATE_FILE: Final = "model.json"
MOST_DENSE: Final = 250_000_000  # cells, two gigabytes of numbers


class RiskEstimator(BaseEstimator):
    """Base of both estimators; the parameters are documented on them."""

    def __init__(
        self,
        *,
        monotone: Mapping[str, int] | None = None,
        n_folds: int | None = None,
        n_repeats: int | None = None,
        num_leaves: int | None = None,
        max_rounds: int = 500,
        learning_rate: float = 0.1,
        random_state: int | np.random.RandomState | None = 0,
        n_jobs: int | None = -1,
    ) -> None:
        self.monotone = monotone
        self.n_folds = n_folds
        self.n_repeats = n_repeats
        self.num_leaves = num_leaves
        self.max_rounds = max_rounds
        self.learning_rate = learning_rate
        self.random_state = random_state
        self.n_jobs = n_jobs

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        tags.input_tags.sparse = True
        return tags

    @property
    def _n_threads(self) -> int:
        if self.n_jobs is not None and (
            not isinstance(self.n_jobs, int | np.integer) or self.n_jobs == 0
        ):
            raise ParameterError(
                "Parameter n_jobs is no number of threads.",
                found=repr(self.n_jobs),
                expected="a whole number other than 0 (-1: every core), or None for one",
            )
        return n_threads(self.n_jobs)

    def _settings(self, family: Family) -> Settings:
        lowest = {"n_folds": 2, "n_repeats": 1, "num_leaves": 2, "max_rounds": 1}
        for name, low in lowest.items():
            _check_whole(name, getattr(self, name), low, is_optional=name in _OPTIONAL)
        if not _is_number(self.learning_rate):
            raise ParameterError(
                "Parameter learning_rate is no number.",
                found=repr(self.learning_rate),
                expected="above 0, at most 1",
            )
        if not 0.0 < self.learning_rate <= 1.0:
            raise ParameterError(
                "Parameter learning_rate is out of range.",
                found=str(self.learning_rate),
                expected="above 0, at most 1",
            )
        seed = self.random_state
        if not isinstance(seed, int | np.integer):
            try:
                seed = check_random_state(seed).randint(2**31 - 1)
            except (ValueError, AttributeError) as error:
                raise ParameterError(
                    "Parameter random_state seeds no generator.",
                    found=repr(seed),
                    expected="a whole number, a numpy RandomState, or None",
                ) from error
        return Settings(
            family,
            self._directions(),
            self.n_folds,
            self.n_repeats,
            self.num_leaves,
            self.max_rounds,
            self.learning_rate,
            int(seed) % 1_000_003,
            self._n_threads,
        )

    def _directions(self) -> tuple[int | None, ...]:
        if self.monotone is not None and not isinstance(self.monotone, Mapping):
            raise ParameterError(
                "Parameter monotone is no mapping of columns to directions.",
                found=repr(self.monotone),
                expected='such as {"n_traces": 1}',
            )
        wanted = dict(self.monotone or {})
        for name, direction in wanted.items():
            if name not in self.columns_:
                raise ParameterError(
                    f"Parameter monotone names '{name}', which is no column"
                    f"{did_you_mean(str(name), self.columns_)}.",
                    expected="columns of X",
                )
            if name in self.category_columns_ and direction in (-1, 1):
                raise ParameterError(
                    f"Parameter monotone gives '{name}' a direction, but it holds text or "
                    "categories, which have none.",
                    found=f"{direction!r}",
                    expected="columns of numbers, yes and no, or dates",
                    fix=f"leave '{name}' out of monotone, or encode it as a number first",
                )
            if direction not in (-1, 0, 1):
                raise ParameterError(
                    f"Parameter monotone gives '{name}' no direction.",
                    found=repr(direction),
                    expected="-1, 0 or 1",
                )
        return tuple(wanted.get(name) for name in self.columns_)

    def _read(self, X: Any, *, reset: bool) -> pd.DataFrame:
        """Return `X` as a DataFrame with text column names, checked against the fitted ones.

        A sparse table is made dense: missing and zero are two things here, and trees read columns.
        """
        if sparse.issparse(X):
            X = _dense(X)
        if isinstance(X, np.ndarray) and X.ndim == 2 and X.dtype.kind in "OUST":
            X = _table_of(X)
        if not isinstance(X, pd.DataFrame):
            X = validate_data(self, X, reset=reset, dtype="numeric", ensure_all_finite="allow-nan")
            names = list(getattr(self, "feature_names_in_", [])) or [
                f"x{j}" for j in range(X.shape[1])
            ]
            frame = pd.DataFrame(X, columns=names)
        else:
            frame = self._read_frame(X, reset=reset)
        if reset:
            self.columns_ = tuple(frame.columns)
            kinds = {name: kind_of(frame[name]) for name in frame.columns}
            self.category_columns_ = frozenset(n for n, kind in kinds.items() if kind == "category")
        return frame

    def _read_frame(self, X: pd.DataFrame, *, reset: bool) -> pd.DataFrame:
        if X.shape[1] == 0 or len(X) == 0:
            raise InputError(
                f"Found a table with {len(X)} sample(s) and {X.shape[1]} feature(s) "
                f"(shape={X.shape}) while a minimum of 1 is required.",
                fix="pass at least one row and one column",
            )
        if not reset and tuple(X.columns) == self.columns_ and hasattr(self, "feature_names_in_"):
            return X  # as it was fitted, column by column: nothing is left to check
        names = [str(name) for name in X.columns]
        twice = sorted({name for name, n in Counter(names).items() if n > 1})
        if twice:
            raise InputError(
                "Two columns have one name.", found=", ".join(twice), expected="distinct names"
            )
        if not reset:
            self._check_names(names)
        # Names of several types would be refused; as text they are as good as any.
        X = X.set_axis(names, axis=1)
        validate_data(self, X, reset=reset, skip_check_array=True)
        if reset:
            for j in range(X.shape[1]):
                kind_of(X.iloc[:, j])
        return X

    def _check_names(self, names: list[str]) -> None:
        fitted = [str(name) for name in getattr(self, "feature_names_in_", [])]
        missing = [name for name in fitted if name not in names]
        if missing:
            hints = [f"'{name}'{did_you_mean(name, names)}" for name in missing[:5]]
            more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
            # scikit-learn's words first: its own checks and users look for them.
            unseen = [name for name in names if name not in fitted]
            raise InputError(
                "The feature names should match those that were passed during fit.\n"
                + ("Feature names unseen at fit time:\n" if unseen else "")
                + "".join(f"- {name}\n" for name in unseen[:5])
                + "Feature names seen at fit time, yet now missing:\n"
                + "".join(f"- {name}\n" for name in missing[:5]),
                found=f"no column {', '.join(hints)}{more}",
                expected=f"the {len(fitted)} columns of the fit",
            )

    def _read_weights(self, sample_weight: Any, n: int) -> Floats:
        """Return weights of shape (n,), as given."""
        if sample_weight is None:
            return np.ones(n)
        if np.isscalar(sample_weight):
            return np.full(n, float(sample_weight))  # type: ignore[arg-type]
        weights = np.asarray(sample_weight, dtype=np.float64)
        if weights.shape != (n,):
            raise WeightError(
                "Sample weights must be 1D with one weight a row: sample_weight.shape does not "
                "match.",
                found=str(weights.shape),
                expected=f"({n},)",
            )
        bad = ~np.isfinite(weights) | (weights < 0)
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            raise WeightError(
                "Negative or non-finite sample weights.",
                found=f"{int(bad.sum())}, the first {weights[row]} in row {row}",
                expected="finite weights of zero or more",
            )
        if not weights.any():
            raise WeightError("Every sample weight is zero.", expected="some positive weight")
        return weights

    def _read_groups(self, groups: Any, n: int) -> Ints | None:
        if groups is None:
            return None
        codes, _ = pd.factorize(pd.Series(np.asarray(groups)))
        if len(codes) != n:
            raise InputError(
                "Group labels must be one a row.", found=str(len(codes)), expected=str(n)
            )
        # A row without a label is a group of its own.
        alone = codes < 0
        codes = codes.astype(np.int64)
        codes[alone] = codes.max(initial=-1) + 1 + np.arange(int(alone.sum()))
        return codes

    def _prepare(
        self, X: Any, y: Any, sample_weight: Any, groups: Any
    ) -> tuple[pd.DataFrame, npt.NDArray[Any], Floats, Ints | None]:
        """Read everything `fit` is given; rows of weight zero are dropped."""
        if y is None:
            raise LabelError(
                f"{type(self).__name__} requires y to be passed, but the target y is None."
            )
        frame = self._read(X, reset=True)
        labels = self._read_labels(y)
        if _num_samples(labels) != len(frame):
            raise InputError(
                "Found input variables with inconsistent numbers of samples.",
                found=f"{len(frame)} rows, {len(labels)} labels",
                expected="one label a row",
            )
        weights = self._read_weights(sample_weight, len(frame))
        codes = self._read_groups(groups, len(frame))
        keep = weights > 0
        if not keep.all():
            frame, labels, weights = frame.loc[keep], labels[keep], weights[keep]
            codes = None if codes is None else codes[keep]
        if len(frame) < 2:
            raise LabelError(
                "Nothing can be learned from one sample.", found="n_samples = 1", expected="2"
            )
        return frame, labels, weights, codes

    def _read_labels(self, y: Any) -> npt.NDArray[Any]:
        raise NotImplementedError

    @staticmethod
    def _read_target(y: Any) -> npt.NDArray[Any]:
        """Return a target as a one-dimensional array without missing or infinite values."""
        if isinstance(y, pd.Series) and pd.api.types.is_extension_array_dtype(y.dtype):
            y = pd.Series(y.astype(object).where(y.notna(), np.nan).tolist())
        target = column_or_1d(y, warn=True)
        if target.dtype.kind == "c":
            raise LabelError("Complex data not supported in the target.")
        if target.dtype.kind == "O" and pd.isna(target).any():
            raise LabelError("Input y contains NaN.", fix="drop the rows without a label")
        if target.dtype.kind == "f" and not np.isfinite(target).all():
            raise LabelError(
                "Input y contains NaN."
                if np.isnan(target).any()
                else "Input y contains infinity or a value too large for dtype('float64').",
                fix="drop the rows without a label",
            )
        return np.asarray(target)

    def to_state(self) -> State:
        """Return everything but the trees as JSON can hold it."""
        check_is_fitted(self)
        parameters = self.get_params(deep=False)
        if not isinstance(parameters["random_state"], int | None):
            parameters["random_state"] = None
        parameters["monotone"] = dict(self.monotone) if self.monotone else None
        return {
            "schema_version": SCHEMA_VERSION,
            "estimator": type(self).__name__,
            "parameters": parameters,
            "has_names": hasattr(self, "feature_names_in_"),
            "columns": list(self.columns_),
        }

    @staticmethod
    def read_parameters(saved: Mapping[str, Any]) -> Options:
        """Return saved parameters by the names they have now."""
        now = dict(saved)
        if "num_threads" in now:  # before 0.2.0
            now["n_jobs"] = now.pop("num_threads")
        return now

    def _restore(self, state: Mapping[str, Any]) -> Self:
        self.columns_ = tuple(state["columns"])
        self.n_features_in_ = len(self.columns_)
        if state["has_names"]:
            self.feature_names_in_ = np.asarray(self.columns_, dtype=object)
        return self

    def to_texts(self) -> dict[str, str]:
        """Return the LightGBM texts by file stem."""
        raise NotImplementedError

    @classmethod
    def from_state(cls, state: Mapping[str, Any], texts: Mapping[str, str]) -> Self:
        """Rebuild it from `to_state` and `to_texts`."""
        raise NotImplementedError

    def save(self, folder: str | Path) -> None:
        """Write ``model.json`` and LightGBM text files; no pickle.

        Parameters
        ----------
        folder : path
            Made if it does not exist.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        for stem, text in self.to_texts().items():
            write_atomically(folder / f"{stem}.txt", text.encode())
        write_atomically(folder / STATE_FILE, to_json(self.to_state()))

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Read what `save` wrote; predictions are bit for bit the same.

        Raises
        ------
        BundleError
            When a file is missing or of another schema version.
        """
        folder = Path(folder)
        try:
            state = json.loads((folder / STATE_FILE).read_text(encoding="utf-8"))
            stems = state["texts"]
            texts = {s: (folder / f"{s}.txt").read_text(encoding="utf-8") for s in stems}
        except (OSError, ValueError, KeyError) as error:
            raise BundleError(
                f"No readable model in {folder}.", found=str(error), expected=STATE_FILE
            ) from error
        if state.get("estimator") != cls.__name__ or state["schema_version"] != SCHEMA_VERSION:
            raise BundleError(
                f"{folder / STATE_FILE} is not a saved {cls.__name__}.",
                found=f"{state.get('estimator')} of schema {state.get('schema_version')}",
                expected=f"{cls.__name__} of schema {SCHEMA_VERSION}",
            )
        return cls.from_state(state, texts)


_OPTIONAL: Final = frozenset({"n_folds", "n_repeats", "num_leaves"})


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def _check_whole(name: str, value: object, low: int, *, is_optional: bool) -> None:
    """Refuse a parameter that is no whole number of at least `low`."""
    if value is None and is_optional:
        return
    expected = f"a whole number of at least {low}" + (", or None" if is_optional else "")
    if not _is_number(value) or value != int(value):  # type: ignore[call-overload]
        raise ParameterError(
            f"Parameter {name} is no whole number.", found=repr(value), expected=expected
        )
    if value < low:  # type: ignore[operator]
        raise ParameterError(
            f"Parameter {name} is too small.", found=repr(value), expected=expected
        )


def _dense(X: Any) -> npt.NDArray[Any]:
    """Return a sparse table as an array.

    Raises
    ------
    InputError
        When it would not fit in `MOST_DENSE` cells.
    """
    if X.ndim == 2 and X.shape[0] * X.shape[1] > MOST_DENSE:
        raise InputError(
            "The sparse table is too large to be made dense.",
            found=f"{X.shape[0]:,} rows and {X.shape[1]:,} columns",
            expected=f"at most {MOST_DENSE:,} cells",
            fix="leave columns of text as they are, which this estimator reads itself, or set "
            "sparse_output=False and max_categories in OneHotEncoder",
        )
    return np.asarray(X.toarray())


def _table_of(X: npt.NDArray[Any]) -> pd.DataFrame | npt.NDArray[Any]:
    """Return an array that holds text as a table, each column of the type its cells have."""
    if not any(isinstance(cell, str) for cell in X.ravel()):
        return X
    names = [f"x{j}" for j in range(X.shape[1])]
    return pd.DataFrame(X.astype(object), columns=names).infer_objects()
