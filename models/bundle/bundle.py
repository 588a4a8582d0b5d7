"""A bundle: everything needed to score and explain, in a folder that proves it is whole.

=====================  ============================================================
``heads/<name>.txt``   trees of each head, LightGBM's text format
``calibration.json``   the rest of each head: encodings, linear part, intervals
``policy.toml``        weights of the heads in the priority, with their reasons
``signals.json``       the signals the heads read, with their reason templates
``profile.json``       quantiles of the training rows: percentiles, drift, support
``card.md``            the model card
``manifest.json``      schema version, SHA-256 of every file above, data fingerprint,
                       commit, restriction, name, as-of date
=====================  ============================================================

No file is executable or pickled. Loading verifies every hash and refuses what does not match.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.arrays import Floats
from features.errors import did_you_mean
from features.home import sync_folder, write_atomically
from models.bundle.bundle_files import (
    MANIFEST,
    SCHEMA_VERSION,
    read_manifest,
    sha256_of,
    unreadable,
    verified,
)
from models.bundle.profile import Profile
from models.columns.from_numbers import few_numbers
from models.errors import BundleError, InputError
from models.explanation import Explanation
from models.order.restraint import Restraint
from models.order.set_against_alike import require_peers, taken_off
from models.policy import Policy
from models.stable_json import to_json

if TYPE_CHECKING:  # estimators are slow to import, and lists are read without them
    from models.classifier import RiskClassifier
    from models.margin.margin import Method
    from models.regressor import RateRegressor

    Head = RiskClassifier | RateRegressor

RESTRICTIONS: Final = ("public", "restricted")
PRIORITY: Final = "priority"
COVERAGE: Final = 0.9

_HEAD_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,40}")
_STATED: Final = ("name", "as_of", "restriction", "data_fingerprint", "git_commit")
_TAKEN: Final = frozenset({PRIORITY, "support", "is_insufficient_history"})

Columns = dict[str, npt.NDArray[Any]]


class SavedHeads(Mapping[str, "Head"]):
    """Heads as a bundle holds them, each made when it is first asked for.

    Parameters
    ----------
    folder : Path
        Of the bundle, for messages.
    kinds : mapping of str to str
        Names of the heads and of their classes.
    states, trees : mapping of str
        What each was saved as; verified already.
    """

    def __init__(
        self,
        folder: Path,
        kinds: Mapping[str, str],
        states: Mapping[str, Any],
        trees: Mapping[str, str],
    ) -> None:
        self._folder, self._kinds, self._states, self._trees = folder, kinds, states, trees
        self._made: dict[str, Head] = {}

    def __getitem__(self, name: str) -> Head:
        """Return a head.

        Raises
        ------
        BundleError
            When its state is of another version.
        """
        if name not in self._made:
            kind = self._kinds[name]
            try:
                made = _class_of(kind).from_state(
                    self._states[name], {"trees_0": self._trees[name]}
                )
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise unreadable(self._folder, error) from error
            _check_head(name, made)
            self._made[name] = made
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._kinds)

    def __len__(self) -> int:
        return len(self._kinds)


@dataclass(frozen=True)
class Bundle:
    """Fitted heads with their policy, signals, profile and card.

    Parameters
    ----------
    heads : mapping of str to RiskClassifier or RateRegressor
        A classifier's head is a probability, a regressor's an expected count.
    policy : Policy
    signals : list of dict
        The signals the heads read between them, each with at least a ``name``.
    profile : Profile
        Of the training rows, over the same signals.
    card : str
        Markdown.
    manifest : mapping
        Must state ``name``, ``as_of``, ``restriction`` (public or restricted),
        ``data_fingerprint`` and ``git_commit``; `save` adds the schema version and the hashes.
    """

    heads: Mapping[str, Head]
    policy: Policy
    signals: list[dict[str, Any]]
    profile: Profile
    card: str
    manifest: Mapping[str, Any]

    def __post_init__(self) -> None:
        _check_parts(self)

    @cached_property
    def columns(self) -> list[str]:
        """Names of the signals, in order."""
        return [str(signal["name"]) for signal in self.signals]

    @cached_property
    def _index(self) -> pd.Index:
        return pd.Index(self.columns)

    @cached_property
    def _places(self) -> dict[str, npt.NDArray[np.int64]]:
        """Where each head's columns are among the signals."""
        place = {name: j for j, name in enumerate(self.columns)}
        return {
            name: np.array([place[column] for column in head.columns_], dtype=np.int64)
            for name, head in self.heads.items()
        }

    @cached_property
    def weights(self) -> dict[str, float]:
        """Weight of each head in the priority, restrained as the manifest states."""
        return Restraint.of_manifest(self.manifest).weights(self.policy, self.heads)

    def save(self, folder: str | Path) -> Bundle:
        """Write the folder; it appears whole or not at all.

        Returns
        -------
        Bundle
            This bundle with the manifest as written.

        Raises
        ------
        BundleError
            When the folder exists and is not empty.
        """
        folder = Path(folder)
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise BundleError(
                f"{folder} exists already.", expected="a new or empty folder", fix="name another"
            )
        files = self._files()
        manifest = {
            **dict(self.manifest),
            "schema_version": SCHEMA_VERSION,
            "heads": {name: type(head).__name__ for name, head in self.heads.items()},
            "files": {name: sha256_of(content) for name, content in sorted(files.items())},
        }
        staged = folder.with_name(f".staging-{folder.name}-{os.getpid()}")
        shutil.rmtree(staged, ignore_errors=True)
        for name, content in files.items():
            write_atomically(staged / name, content)
        write_atomically(staged / MANIFEST, to_json(manifest))
        staged.replace(folder)
        sync_folder(folder.parent)
        return replace(self, manifest=manifest)

    def _files(self) -> dict[str, bytes]:
        files = {
            f"heads/{name}.txt": head.to_texts()["trees_0"].encode()
            for name, head in self.heads.items()
        }
        files["calibration.json"] = to_json({n: h.to_state() for n, h in self.heads.items()})
        files["policy.toml"] = self.policy.text.encode()
        files["signals.json"] = to_json(self.signals)
        files["profile.json"] = to_json(self.profile.state())
        files["card.md"] = self.card.encode()
        return files

    @classmethod
    def load(cls, folder: str | Path) -> Bundle:
        """Read a bundle, verifying every hash; each head is made when it is first used.

        Raises
        ------
        BundleError
            Naming the file that is missing, altered, unknown or unsafe.
        """
        folder = Path(folder)
        manifest = read_manifest(folder)
        files = verified(folder, manifest)
        try:
            kinds = manifest["heads"]
            trees = {name: files[f"heads/{name}.txt"].decode() for name in kinds}
            heads = SavedHeads(folder, kinds, json.loads(files["calibration.json"]), trees)
            return cls(
                heads,
                Policy.parse(files["policy.toml"].decode(), "policy.toml"),
                json.loads(files["signals.json"]),
                Profile.from_state(json.loads(files["profile.json"])),
                files["card.md"].decode(),
                manifest,
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise unreadable(folder, error) from error

    def ready(self) -> Bundle:
        """Make every head now, so that no request waits for it.

        Raises
        ------
        BundleError
            When a head cannot be read, or reads what is no signal of the bundle.
        """
        for name, head in self.heads.items():
            _check_signals(self, name, head)
        return self

    def inputs(self, X: pd.DataFrame) -> pd.DataFrame:
        """Return the bundle's signals out of a table, in order; others are left out.

        Raises
        ------
        InputError
            Naming the signals that are missing.
        """
        if X.columns.equals(self._index):
            return X
        missing = [name for name in self.columns if name not in X.columns]
        if missing:
            known = [str(name) for name in X.columns]
            hints = [f"'{name}'{did_you_mean(name, known)}" for name in missing[:5]]
            raise InputError(
                f"{len(missing)} of the bundle's signals are missing from the table.",
                found=f"no {', '.join(hints)}",
                expected=f"{len(self.columns)} signals",
                fix="build the features with the variant and version the bundle was trained on",
            )
        return pd.DataFrame(X[self.columns])

    def score(self, X: pd.DataFrame, *, coverage: float = COVERAGE) -> pd.DataFrame:
        """Score rows.

        Parameters
        ----------
        X : DataFrame
            Holds at least the bundle's signals.
        coverage : float, default 0.9
            Of the intervals.

        Returns
        -------
        DataFrame
            With the index of `X`: for each head ``<head>``, ``<head>_lower``, ``<head>_upper``;
            ``priority``, the weighted sum of the heads' log-odds and log-rates, counts set against
            who sells alike in places alike, as the policy says (`models.order.set_against_alike`);
            ``support``, in 0 to 1 (see `models.bundle.profile`); ``is_insufficient_history``.
        """
        inputs = self.inputs(X)
        numbers = few_numbers(inputs)
        if numbers is not None:
            return pd.DataFrame(self.score_numbers(numbers, coverage=coverage), index=X.index)
        support = self.profile.support(inputs)
        scored = self._scored(inputs, self._margins(inputs), support, coverage)
        return pd.DataFrame(scored, index=X.index)

    def score_and_explain(
        self, X: pd.DataFrame, *, method: Method = "auto"
    ) -> tuple[pd.DataFrame, dict[str, Explanation]]:
        """Return what `score` and `explain` return, the margins of the heads worked out once."""
        inputs = self.inputs(X)
        margins = self._margins(inputs)
        scored = self._scored(inputs, margins, self.profile.support(inputs), COVERAGE)
        return pd.DataFrame(scored, index=X.index), self._explained(inputs, margins, method)

    def _margins(self, inputs: pd.DataFrame) -> dict[str, Floats]:
        return {
            name: head.predict_margin(inputs[list(head.columns_)])
            for name, head in self.heads.items()
        }

    def score_numbers(self, Z: Floats, *, coverage: float = COVERAGE) -> Columns:
        """Return the columns that `score` gives, to the last bit, without a table.

        Parameters
        ----------
        Z : array of shape (n, p)
            The signals in their order, finite or missing.
        """
        margins = {}
        for name, head in self.heads.items():
            margin = head.margin_of(Z[:, self._places[name]])
            if margin is None:
                table = pd.DataFrame(Z[:, self._places[name]], columns=list(head.columns_))
                margin = head.predict_margin(table)
            margins[name] = margin
        if self.profile.has_levels:
            support = self.profile.support(pd.DataFrame(Z, columns=self.columns))
        else:
            support = self.profile.support_of(Z)
        given = dict(zip(self.columns, Z.T, strict=True))
        return self._scored(given, margins, support, coverage)

    def _scored(
        self,
        given: pd.DataFrame | Mapping[str, Floats],
        margins: Mapping[str, Floats],
        support: Floats,
        coverage: float,
    ) -> Columns:
        weights = self.weights
        columns: Columns = {}
        priority = np.zeros(len(support))
        for name, margin in margins.items():
            mean, lower, upper = self.heads[name].from_margin(margin, coverage)
            columns |= {name: mean, f"{name}_lower": lower, f"{name}_upper": upper}
            priority += weights[name] * margin
        for term in taken_off(self.policy, weights, given, self.profile.peers).values():
            priority += term
        columns |= {
            PRIORITY: priority,
            "support": support,
            "is_insufficient_history": support < self.policy.min_support,
        }
        return columns

    def explain(self, X: pd.DataFrame, *, method: Method = "auto") -> dict[str, Explanation]:
        """Explain rows: each head, and the priority as their weighted sum.

        Parameters
        ----------
        X : DataFrame
            Holds at least the bundle's signals.
        method : {"auto", "lightgbm", "table"}

        Returns
        -------
        dict of str to Explanation
            All over the bundle's signals; additivity is checked.
        """
        inputs = self.inputs(X)
        return self._explained(inputs, self._margins(inputs), method)

    def _explained(
        self, inputs: pd.DataFrame, margins: Mapping[str, Floats], method: Method
    ) -> dict[str, Explanation]:
        weights = self.weights
        n, p = inputs.shape
        total = Explanation(np.zeros((n, p)), np.zeros(n), tuple(self.columns))
        priority = np.zeros(n)
        explained: dict[str, Explanation] = {}
        for name, head in self.heads.items():
            own = inputs[list(head.columns_)]
            found = head.explain(own, method=method, margin=margins[name])
            explained[name] = found.aligned(self.columns)
            total = total + explained[name].scaled(weights[name])
            priority += weights[name] * margins[name]
        values = total.values.copy()
        for signal, term in taken_off(self.policy, weights, inputs, self.profile.peers).items():
            values[:, self.columns.index(signal)] += term
            priority += term
        explained[PRIORITY] = replace(total, values=values).checked(priority)
        return explained


def _check_parts(bundle: Bundle) -> None:
    absent = [key for key in _STATED if key not in bundle.manifest]
    if absent:
        raise BundleError(f"The manifest lacks {', '.join(absent)}.", expected=", ".join(_STATED))
    if bundle.manifest["restriction"] not in RESTRICTIONS:
        raise BundleError(
            "The manifest's restriction is unknown.",
            found=repr(bundle.manifest["restriction"]),
            expected=" or ".join(RESTRICTIONS),
        )
    if not bundle.heads:
        raise BundleError("A bundle needs a head.")
    if not isinstance(bundle.heads, SavedHeads):
        for name, head in bundle.heads.items():
            _check_head(name, head)
            _check_signals(bundle, name, head)
    columns = set(bundle.columns)
    if set(bundle.profile.columns) != columns or list(bundle.profile.columns) != bundle.columns:
        raise BundleError("The profile is not over the bundle's signals, in their order.")
    bundle.policy.weights_of(bundle.heads)
    require_peers(bundle.policy, bundle.weights, columns, bundle.profile.peers)


def _check_head(name: str, head: Head) -> None:
    if not _HEAD_NAME.fullmatch(name) or name in _TAKEN:
        raise BundleError(f"'{name}' cannot be the name of a head.", expected="a plain word")
    if len(head.to_texts()) != 1:
        raise BundleError(f"Head '{name}' tells several classes apart.", expected="two classes")


def _check_signals(bundle: Bundle, name: str, head: Head) -> None:
    columns = set(bundle.columns)
    unknown = [column for column in head.columns_ if column not in columns]
    if unknown:
        raise BundleError(
            f"Head '{name}' reads '{unknown[0]}', which is no signal of the bundle"
            f"{did_you_mean(unknown[0], columns, end='.')}"
        )


def _class_of(kind: str) -> type[RiskClassifier | RateRegressor]:
    from models.classifier import RiskClassifier
    from models.regressor import RateRegressor

    return {"RiskClassifier": RiskClassifier, "RateRegressor": RateRegressor}[kind]
