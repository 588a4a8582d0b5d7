"""Studies as runs of the tracker: their figures, and the dates or trials that they are made of."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from training.errors import TrainingError
from training.progress import Steps
from training.registry.tracker import Tracker

Run = dict[str, Any]
_MOST: Final = 400  # figures of one run; the report beside them holds all
_SIGNS: Final = re.compile(r"[^\w\-. /]")


def keep_run(
    describe: Callable[[Mapping[str, Any]], tuple[Run, list[Run]]],
    found: Mapping[str, Any],
    page: Path,
    tracker: Tracker,
) -> None:
    """Log a study with its report; one that cannot be logged is told, and the study stands.

    Parameters
    ----------
    describe : callable
        One of this module's.
    found : mapping
        What the study found.
    page : Path
        Its report, logged with it.
    """
    run, children = describe(found)
    texts = {
        page.name: page.read_text(encoding="utf-8"),
        page.with_suffix(".json").name: json.dumps(found, indent=1),
    }
    try:
        tracker.ask("log_run", run=run | {"texts": texts}, children=children)
    except TrainingError as error:
        Steps().say(f"The run was not logged: {error}")


def of_backtest(found: Mapping[str, Any]) -> tuple[Run, list[Run]]:
    """Describe a backtest: one run, and under it one for each date that was judged."""
    dates = found["dates"]
    run = _run(found, "backtest", {"n_dates": float(len(dates))})
    children = [
        {
            "name": f"as of {entry['as_of']}",
            "params": {"as_of": entry["as_of"]},
            "metrics": figures(entry),
            "tags": {"kind": "backtest of a date"},
        }
        for entry in dates
    ]
    return run, children


def of_search(found: Mapping[str, Any]) -> tuple[Run, list[Run]]:
    """Describe a search: one run with the best parameters, and under it one for each trial."""
    best = {f"best.{name}": str(value) for name, value in found["parameters"].items()}
    run = _run(found, "search", figures({"loss": found["loss"], "n_trials": found["n_trials"],
                                         "default_loss": found["default_loss"]}))  # fmt: skip
    children = [
        {
            "name": f"trial {trial['number']}",
            "params": {name: str(value) for name, value in trial["parameters"].items()},
            "metrics": figures({"loss": trial["loss"]}),
            "tags": {"kind": "trial", "is_given_up": str(trial["is_given_up"]).lower()},
        }
        for trial in found["trials"]
    ]
    return run | {"params": run["params"] | best}, children


def of_indicators(found: Mapping[str, Any]) -> tuple[Run, list[Run]]:
    """Describe an assessment of indicators: what each family finds alone and adds."""
    measured = {
        f"{entry['family']}.{kind}": entry[kind]["value"]
        for entry in found["families"]
        for kind in ("alone", "added")
        if entry[kind]
    }
    whole = {name: found[name] for name in ("n", "n_positive", "n_random", "propensity_auc")}
    return _run(found, "indicators", figures(whole | measured)), []


def of_drift(found: Mapping[str, Any]) -> tuple[Run, list[Run]]:
    """Describe a comparison with the time of training: the index of each head and signal."""
    measured = {entry["name"]: entry["stability_index"] for entry in found["drift"]}
    run = _run(dict(found) | {"recipe": found["name"]}, "drift", figures(measured))
    run["name"] = f"drift as of {found['as_of']}"
    run["tags"] |= {"advice": found["advice"], "bundle": found["bundle"]}
    return run, []


def _run(found: Mapping[str, Any], kind: str, metrics: dict[str, float]) -> Run:
    known = {name: str(found[name]) for name in ("data_fingerprint", "trained_on", "as_of",
                                                 "version") if name in found}  # fmt: skip
    return {
        "experiment": "ffl-risk studies",
        "name": f"{kind} of {found['recipe']}",
        "params": {"recipe": str(found["recipe"])},
        "metrics": metrics,
        "tags": {"kind": kind, **known},
        "datasets": [
            {"name": "warehouse", "digest": digest, "context": kind, "tags": {"sha256": digest}}
            for digest in [str(found["data_fingerprint"])]
        ]
        if "data_fingerprint" in found
        else [],
    }


def figures(found: Mapping[str, Any]) -> dict[str, float]:
    """Return the finite numbers of nested mappings, by their path.

    >>> figures({"a": {"b": 1, "c": None}, "d": [2.5], "e": "no number"})
    {'a.b': 1.0}
    """
    numbers = dict(_numbers("", found))
    return dict(list(numbers.items())[:_MOST])


def _numbers(path: str, found: object) -> Iterator[tuple[str, float]]:
    if isinstance(found, Mapping):
        for name, value in found.items():
            yield from _numbers(f"{path}.{name}" if path else str(name), value)
    elif isinstance(found, int | float) and not isinstance(found, bool) and math.isfinite(found):
        yield _SIGNS.sub("_", path), float(found)
