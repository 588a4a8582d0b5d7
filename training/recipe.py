"""Recipes: reviewed run files that say what is trained, on what, and when it may be promoted.

A recipe is TOML. The two that ship lie in ``training/recipes/``; another is given by its path.
Unknown keys are refused, so a misspelled limit never goes unnoticed.
"""

from __future__ import annotations

import tomllib
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from features.errors import did_you_mean
from models.policy import DEFAULT as DEFAULT_POLICY
from models.policy import Policy
from models.severity import check_rule
from training.errors import RecipeError

RECIPES = Path(__file__).with_name("recipes")
# Labels of windows after many as-of dates.
_ROLLING = ("compliance", "diversion")
Share = Annotated[float, Field(gt=0, lt=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Gates(_Strict):
    """Limits of the promotion gates.

    Parameters
    ----------
    max_calibration_error : float
        Largest expected calibration error, as a share of the base rate.
    min_list_overlap : float
        Smallest overlap of two lists at capacity that should be alike.
    max_fairness_regression : float
        Largest loss of recall in any group against the champion.
    max_capacity_loss : float
        The candidate must be shown to lose no more recall at capacity than this against the
        champion.
    """

    max_calibration_error: float = Field(gt=0)
    min_list_overlap: Share
    max_fairness_regression: Share
    max_capacity_loss: float = Field(ge=0, lt=1)


class Head(_Strict):
    """One predicted quantity.

    Parameters
    ----------
    name : str
        Name of the head in the bundle.
    kind : {"probability", "rate"}
        Which estimator it gets.
    label : str
        Which labels of `training.labels.dated_labels` it learns.
    country : str
        Only for ``diversion``: recoveries in this country.
    signals : tuple of str
        Signals it may read, by name; empty means all of the variant.
    families : tuple of str
        Families it may read when `signals` is empty; empty means all.
    min_positive : int
        Fewer positive labels than this are refused.
    parameters : dict
        Parameters of the estimator, where the default is not taken.
    max_rows : int, optional
        Fit on at most this many rows; those with a count of zero are thinned first and weighted
        up again.
    rules : mapping of str to str
        Simple orders that the head is held against, by name: signals with ``+`` or ``-`` before
        them, ``>=`` and a bound for one point each (`training.evaluation.baselines`).
    is_required : bool
        Whether the bundle owes this head; one that it can do without must show what it is good for.
    """

    name: str
    kind: Literal["probability", "rate"] = "probability"
    label: Literal["later_penalized", "severity", "compliance", "diversion"]
    country: str | None = None
    signals: tuple[str, ...] = ()
    families: tuple[str, ...] = ()
    min_positive: int = Field(default=50, ge=1)
    parameters: dict[str, float | int | str | bool] = Field(default_factory=dict)
    max_rows: int | None = Field(default=None, ge=1000)
    rules: dict[str, str] = Field(default_factory=dict)
    is_required: bool = True


class Evaluation(_Strict):
    """How the heads are judged.

    Parameters
    ----------
    capacity : float
        Share of the dealers that can be inspected in a year.
    n_folds, n_repeats : int
        Grouped cross-validation: folds, and how often counties are dealt anew.
    n_resamples : int
        Bootstrap resamples behind every interval.
    n_tests : int
        Backtest: how many of the last as-of dates are judged.
    n_judged : int
        Training: how many of the last as-of dates are judged together, each by a model that stood
        before it.
    """

    capacity: Share = 0.10
    n_folds: int = Field(default=5, ge=2)
    n_repeats: int = Field(default=1, ge=1)
    n_resamples: int = Field(default=300, ge=50)
    n_tests: int = Field(default=1, ge=1)
    n_judged: int = Field(default=1, ge=1)


class Recipe(_Strict):
    """A run file.

    Parameters
    ----------
    name, title : str
        Short name, and the name people read.
    variant : {"public", "full"}
        Which signals exist; a bundle of ``public`` signals may be shown outside law enforcement.
    seed : int
        Of every draw; the same data, code and seed give the same model.
    cannot_say : tuple of str
        What the result does not mean; printed with every report and written into the card.
    license_types : tuple of str
        Types of license that are ranked, judged and scored; empty means all that are not set aside.
        Only for recipes of one as-of date: a country is learned and judged whole, and a list
        may ask for types.
    as_of : date, optional
        The one as-of date of a cross-sectional recipe; a rolling one has none.
    every_months : int
        Spacing of the as-of dates of a rolling recipe; `horizon_months` unless given, and no less:
        windows that overlap count a visit twice.
    n_as_of : int
        Number of the as-of dates of a rolling recipe.
    horizon_months : int
        A label asks what happened in this many months after the as-of date.
    policy : Path
        The policy file: what is severe, how heads add up, how strictness is read. A recipe names
        it by a path from its own folder; the one that ships by default.
    heads : tuple of Head
        What is predicted, as ``[[heads]]``.
    evaluation : Evaluation
        As ``[evaluation]``.
    gates : Gates
        As ``[gates]``.
    """

    name: str
    title: str
    variant: Literal["public", "full"]
    seed: int = Field(ge=0, lt=2**32)
    cannot_say: tuple[str, ...]
    license_types: tuple[str, ...] = ()
    as_of: date | None = None
    every_months: int = Field(default=12, ge=1)
    n_as_of: int = Field(default=8, ge=1)
    horizon_months: int = Field(default=12, ge=1)
    policy: Path = DEFAULT_POLICY
    heads: tuple[Head, ...] = Field(min_length=1)
    evaluation: Evaluation = Evaluation()
    gates: Gates

    @field_validator("heads")
    @classmethod
    def _of_names_of_their_own(cls, heads: tuple[Head, ...]) -> tuple[Head, ...]:
        names = [head.name for head in heads]
        if len(set(names)) < len(names):
            raise ValueError("two heads have one name")
        return heads

    @model_validator(mode="before")
    @classmethod
    def _a_window_apart(cls, given: Any) -> Any:
        if not isinstance(given, dict) or "every_months" in given or "horizon_months" not in given:
            return given
        window = given["horizon_months"]
        # A window that cannot be is told by itself.
        is_window = isinstance(window, int) and window >= 1
        return given | {"every_months": window} if is_window else given

    @model_validator(mode="after")
    def _fits_its_labels(self) -> Self:
        rolling = [head.name for head in self.heads if head.label in _ROLLING]
        if not rolling:
            return self
        if self.every_months < self.horizon_months:
            raise ValueError(
                f"every_months = {self.every_months} is less than horizon_months = "
                f"{self.horizon_months}: windows overlap, and a visit counts twice; leave "
                "every_months out, or shorten both"
            )
        if self.license_types:
            raise ValueError(
                f"license_types narrows no head of a country ({', '.join(rolling)}): all types are "
                "learned and judged, and a list of some would be another than the one judged; "
                "leave it out, and ask a list for license_types"
            )
        if self.as_of is not None:
            raise ValueError(
                f"as_of is no date of a rolling recipe ({', '.join(rolling)}): its dates follow "
                "from the records; leave it out"
            )
        return self

    @property
    def model_name(self) -> str:
        """Name under which its bundles are registered."""
        return f"ffl-risk-{self.name.replace('_', '-')}"

    def read_policy(self) -> Policy:
        """Read the policy the recipe names."""
        return Policy.read(self.policy)

    def head(self, name: str) -> Head:
        """Return the head called `name`.

        Raises
        ------
        RecipeError
            When the recipe has none of that name.
        """
        for head in self.heads:
            if head.name == name:
                return head
        names = [head.name for head in self.heads]
        raise RecipeError(
            f"Recipe {self.name} has no head {name!r}{did_you_mean(name, names)}",
            expected=", ".join(names),
        )

    def head_of_label(self, label: str) -> Head:
        """Return the first head that learns a label.

        Raises
        ------
        RecipeError
            When the recipe has none.
        """
        for head in self.heads:
            if head.label == label:
                return head
        raise RecipeError(
            f"Recipe {self.name} has no head that learns {label} labels.",
            found=", ".join(f"{head.name} ({head.label})" for head in self.heads),
            expected=f'a head with label = "{label}"',
            fix="name another recipe; `country` has one for an agency's own inspections",
        )


def load_recipe(name: str) -> Recipe:
    """Read a recipe by its short name, or from the path of a TOML file.

    Raises
    ------
    RecipeError
        When there is none, it is no TOML, or a key is unknown, missing or out of bounds.
    """
    shipped = {path.stem: path for path in RECIPES.glob("*.toml")}
    path = shipped.get(name, Path(name))
    if not path.is_file():
        raise RecipeError(
            f"No recipe {name!r}{did_you_mean(name, shipped)}",
            expected=f"{', '.join(sorted(shipped))}, or the path of a TOML file",
        )
    try:
        value = tomllib.loads(path.read_text(encoding="utf-8"))
        if "policy" in value:
            value["policy"] = (path.parent / str(value["policy"])).resolve()
        recipe = Recipe.model_validate(value)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"Recipe {path.name} is not TOML.", found=str(error)) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise RecipeError(
            f"Recipe {path.name} is refused at {where or 'its top'}.",
            found=str(first.get("input"))[:80],
            expected=str(first["msg"]),
            fix=f"{error.error_count()} entries to mend; see training/recipe.py for every key",
        ) from error
    # What cannot be read or meant is refused before anything is built.
    check_rule(recipe.read_policy().severe_finding, str(recipe.policy))
    return recipe
