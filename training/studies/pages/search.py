"""A search for parameters as a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from training.pages import plots
from training.pages.page import NOT_SAID, Page, Plot, Section

_AS_IT_IS: Final = "as the recipe has it"


def search_page(found: Mapping[str, Any]) -> Page:
    """Lay out what `training.studies.search.search_compliance` found."""
    trials = [t for t in found["trials"] if not t["is_given_up"]]
    ranked = sorted(trials, key=lambda t: float(t["loss"]))
    best = [min(t["loss"] for t in trials[: i + 1]) for i in range(len(trials))]
    drawn = plots.lines(
        [float(t["number"]) for t in trials],
        {"best so far": best, "each trial": [t["loss"] for t in trials]},
        labels=("trial", "loss on dealers held out"),
        from_zero=False,
    )
    names = list(dict.fromkeys(name for t in trials for name in t["parameters"]))
    return Page(
        f"Search for parameters of {found['head']}, recipe {found['recipe']}",
        lead=(
            f"{found['n_trials']} trials on {found['n_labels']:,} inspections known before "
            f"{found['trained_on']}; nothing that judges a model later was seen. "
            f"{found['n_trials'] - len(trials)} trials were given up early.",
        ),
        sections=(
            Section(
                "Trials, best first",
                columns=("trial", *names, "loss"),
                rows=[
                    [
                        str(t["number"]),
                        *(
                            f"{t['parameters'][n]:.4g}" if n in t["parameters"] else _AS_IT_IS
                            for n in names
                        ),
                        f"{t['loss']:.5f}",
                    ]
                    for t in ranked
                ],
                plots=(Plot(drawn, "Loss of each trial, and the best so far."),),
            ),
        ),
        advice=[_advice(found)],
    )


def _advice(found: Mapping[str, Any]) -> str:
    default, best = found["default_loss"], found["loss"]
    if not found["parameters"]:
        return f"No trial is better than the head as the recipe has it ({best:.5f}): keep it."
    said = NOT_SAID if default is None else f"{default:.5f}"
    chosen = ", ".join(f"{name} = {value:.4g}" for name, value in found["parameters"].items())
    if default is not None and default - best < 0.01 * default:
        return (
            f"The head as the recipe has it is within 1% of the best trial ({said} against "
            f"{best:.5f}): keep it."
        )
    return (
        f"Best: {chosen}, loss {best:.5f}; as the recipe has it the head reaches {said}. Review, "
        "then write them into a recipe."
    )
