"""Read the registry, evaluate it on the figures of a period, and say what was met. The door."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

from features.errors import InvalidValueError, did_you_mean
from features.insight.measures.figures import BASELINES, KNOWN, Figures, Period
from features.insight.measures.formula import evaluate, names_in, require_known
from features.openjson import Json

REGISTRY: Final = "measures.toml"
NOTES: Final = "measures_notes.toml"
# Figures that the service and the evaluation add to those of the warehouse.
ADDED: Final = {
    "recall_at_capacity": "share found by the bundle in force at capacity, in its published order",
    "recall_best_rule": "share found by the best simple rule at capacity",
    "recall_gain_low": "least gain over that rule, by the 95% interval of the difference",
    "referrals_opened": "referrals opened in the period",
    "referrals_taken": "of those, taken by somebody before its end",
    "referrals_closed": "of those, closed with a result",
    "referrals_confirmed": "of the taken and closed, with a crime confirmed or firearms recovered",
    "referrals_taken_closed": "of the taken, closed with a result",
    "indicators_judged": "indicators judged in the newest report",
    "indicators_telling": "of those, whose interval lies off chance",
    **{f"recall_{rule}": f"share found by {said} at capacity" for rule, said in BASELINES.items()},
    **{
        f"recall_gain_low_{rule}": f"least gain over {words}, by the 95% interval of the difference"
        for rule, words in BASELINES.items()
    },
}
_FIELDS: Final = (
    "goal", "indicator", "formula", "better", "target", "baseline", "baseline_period",
    "time_frame", "owner", "source", "caveat", "decision", "is_public",
)  # fmt: skip
_OPTIONAL: Final = ("unit", "shown_by")
# How a value is written: a share in per cent, "times", "years" and "days" with their word.
UNITS: Final = ("", "share", "times", "years", "days")


@dataclass(frozen=True)
class Definition:
    """One measure of the registry.

    `shown_by` names a figure that must lie above zero for a target to be met: what a value shows
    that rests on few cases may be chance.
    """

    name: str
    goal: str
    indicator: str
    formula: str
    better: Literal["higher", "lower"]
    target: float
    baseline: float
    baseline_period: str
    time_frame: str
    owner: str
    source: str
    caveat: str
    decision: str
    is_public: bool
    unit: str = ""
    shown_by: str = ""


@dataclass(frozen=True)
class Part:
    """What a measure is of one of those that it is of, such as an agency.

    Parameters
    ----------
    name : str
    n, of : float
        Its count, and what that is held against.
    value, low, high : float
        The one over the other, and a 95% interval.
    """

    name: str
    n: float
    of: float
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Measured:
    """One measure in one period.

    Parameters
    ----------
    definition : Definition
    value, low, high : float or None
        None when it cannot be said; an interval where the formula carries one.
    verdict : str
        ``met``, ``not met``, ``not shown`` (the value meets the target and may do so by chance)
        or ``cannot be said``.
    said : str
        Why it cannot be said, or the explanation recorded for a missed target.
    trend : tuple of (str, float or None)
        Values of the periods before, oldest first.
    against_target, against_year_before : str
        ``better``, ``worse`` or ``cannot be told``, by the one rule of `comparison`.
    parts : tuple of Part
        The measure of each of those that it is of; empty in the public variant.
    """

    definition: Definition
    value: float | None
    low: float | None
    high: float | None
    verdict: str
    said: str
    trend: tuple[tuple[str, float | None], ...] = ()
    against_target: str = "cannot be told"
    against_year_before: str = "cannot be told"
    parts: tuple[Part, ...] = ()


@dataclass(frozen=True)
class Report:
    """All measures of a period.

    Parameters
    ----------
    period, starts_on, ends_on : str
    is_public : bool
        Whether it is the variant that may be shown to anyone.
    measures : tuple of Measured
    figures : dict of str to float or None
        What they were worked out from; empty in the public variant.
    """

    period: str
    starts_on: str
    ends_on: str
    is_public: bool
    measures: tuple[Measured, ...]
    figures: Figures

    def as_dict(self) -> Json:
        """Return everything, for JSON."""
        return asdict(self)


def registry(home: Path | None = None) -> tuple[Definition, ...]:
    """Return the measures: those of the home folder's ``measures.toml``, else those that ship.

    Raises
    ------
    InvalidValueError
        When a field is missing, or a formula names an unknown figure.
    """
    own = home / REGISTRY if home is not None else None
    path = own if own is not None and own.is_file() else Path(__file__).parent / REGISTRY
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8")).get("measure", {})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidValueError(f"{path} cannot be read as TOML: {error}.") from error
    return tuple(_definition(name, entry, path) for name, entry in entries.items())


def _definition(name: str, entry: Mapping[str, Any], path: Path) -> Definition:
    what = f"the measure {name!r} in {path.name}"
    for field in _FIELDS:
        if field not in entry:
            raise InvalidValueError(
                f"{what} lacks {field!r}.", expected=f"the fields {', '.join(_FIELDS)}"
            )
    for field in entry:
        if field not in (*_FIELDS, *_OPTIONAL):
            raise InvalidValueError(
                f"{what} has an unknown field {field!r}"
                f"{did_you_mean(field, (*_FIELDS, *_OPTIONAL), end='.')}"
            )
    unit = entry.get("unit", "")
    if unit not in UNITS:
        raise InvalidValueError(
            f"{what}: unit is {unit!r}.", expected=", ".join(u for u in UNITS if u) + ", or none"
        )
    if entry["better"] not in {"higher", "lower"}:
        raise InvalidValueError(
            f"{what}: better is {entry['better']!r}.", expected="higher or lower"
        )
    require_known(entry["formula"], KNOWN | ADDED, what=what)
    shown_by = str(entry.get("shown_by", ""))
    if shown_by:
        require_known(shown_by, KNOWN | ADDED, what=what)
    fields = {field: entry[field] for field in _FIELDS}
    return Definition(name, **fields, unit=unit, shown_by=shown_by)


def measure(
    definitions: Sequence[Definition],
    figures: Figures,
    period: Period,
    *,
    notes: Mapping[str, str] | None = None,
    before: Sequence[Report] = (),
    parts: Mapping[str, Sequence[Part]] | None = None,
) -> Report:
    """Evaluate the registry on the figures of a period.

    Parameters
    ----------
    notes : mapping of str to str, optional
        Explanations of missed targets, by measure.
    before : sequence of Report
        Earlier periods, for the trend.
    parts : mapping of str to sequence of Part, optional
        By the figure of whose measures they are.
    """
    told = notes or {}
    found = tuple(
        replace(_measured(d, figures, told.get(d.name, ""), ()), parts=_parts_of(d, parts or {}))
        for d in definitions
    )
    report = Report(
        period.name, str(period.starts_on), str(period.ends_on), False, found, dict(figures)
    )
    return with_trend(report, before)


def _parts_of(definition: Definition, parts: Mapping[str, Sequence[Part]]) -> tuple[Part, ...]:
    names = names_in(definition.formula, what=definition.name)
    return next((tuple(parts[name]) for name in names if name in parts), ())


def with_trend(report: Report, before: Sequence[Report]) -> Report:
    """Return a report with the trend of the earlier periods that are known by now."""
    past: dict[str, list[tuple[str, float | None]]] = {}
    for one in sorted(before, key=lambda earlier: earlier.starts_on):
        for m in one.measures:
            past.setdefault(m.definition.name, []).append((one.period, m.value))
    found = tuple(replace(m, trend=tuple(past.get(m.definition.name, ()))) for m in report.measures)
    return replace(report, measures=found)


def _measured(
    definition: Definition,
    figures: Figures,
    note: str,
    trend: tuple[tuple[str, float | None], ...],
) -> Measured:
    value = evaluate(definition.formula, figures, what=definition.name)
    if value is None:
        names = names_in(definition.formula, what=definition.name)
        missing = [name for name in names if figures.get(name) is None]
        words = KNOWN | ADDED
        why = "; ".join(words[name] for name in missing) or "nothing to divide by"
        return Measured(definition, None, None, None, "cannot be said", f"no data: {why}", trend)
    is_higher = definition.better == "higher"
    is_met = value.value >= definition.target if is_higher else value.value <= definition.target
    said = "" if is_met else note or "no explanation is recorded"
    verdict = "met" if is_met else "not met"
    least = figures.get(definition.shown_by) if definition.shown_by else None
    if is_met and definition.shown_by and (least is None or least <= 0):
        verdict = "not shown"
        said = "the value reaches the target, but the difference behind it may be chance"
    return Measured(definition, value.value, value.low, value.high, verdict, said, trend)


def notes_of(home: Path, period: str) -> dict[str, str]:
    """Return the explanations that the home folder records for a period."""
    path = home / NOTES
    if not path.is_file():
        return {}
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8")).get(period, {})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidValueError(f"{path} cannot be read as TOML: {error}.") from error
    return {str(name): str(text) for name, text in entries.items()}
