"""A backtest as a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from training.heads.compliance.inspection_hours import VALUES
from training.pages import plots
from training.pages.page import NOT_SAID, Page, Plot, Section, format_interval, words
from training.studies.backtest import SHIPPED, nearer_the_truth

_FITTED = ("model", "logistic")
_TRUTH = (
    "The list's true rate of severe findings, as a share of the best possible list, of what these "
    "signals could learn from unlimited unbiased labels, and as a multiple of a random list."
)
_ESTIMATES = (
    "Past inspections were chosen. The naive figure counts listed dealers that somebody chose to "
    "inspect; the weighted one weighs them by inverse propensity; the random share needs no "
    "weights; doubly robust corrects the model by its weighted errors; contraction drops visits "
    "of offices that inspect most; bounds say what the rest could be at worst and at best. Without "
    "a visit of known probability (a list's place, a dealer drawn at random) only the bounds stand."
)


def backtest_page(found: Mapping[str, Any]) -> Page:
    """Lay out what `training.studies.backtest.backtest` found."""
    dates = found["dates"]
    advice = []
    if found["left_out"]:
        advice.append(
            f"The time budget left out {', '.join(found['left_out'])}: run the command again to "
            "go on."
        )
    return Page(
        f"Backtest of recipe {found['recipe']}",
        lead=(
            f"Data {found['data_fingerprint'][:12]}. At each date a model that stands at it, "
            f"trained only on what was known before, orders all dealers; the first "
            f"{found['capacity']:.0%} are its list.",
        ),
        advice=advice,
        sections=[section for entry in dates for section in _of_date(entry, found["capacity"])],
    )


def _of_date(entry: Mapping[str, Any], capacity: float) -> list[Section]:
    sections = [_judged(entry, capacity), _hours(entry, capacity), _stability(entry, capacity)]
    if "truth" in entry:
        sections.insert(0, _against_truth(entry))
    if "learning_curve" in entry:
        sections.append(_learning_curve(entry))
    return [*sections, _estimates(entry)]


def _learning_curve(entry: Mapping[str, Any]) -> Section:
    curve = entry["learning_curve"]
    series = {name: [part[f"auc_{name}"]["value"] for part in curve] for name in _FITTED}
    labels = ("labels to learn from", "AUC")
    drawn = plots.lines([p["n_labels"] for p in curve], series, labels=labels, from_zero=False)
    return Section(
        f"As of {entry['as_of']}: learning curve",
        "The same model and logistic regression on parts of the labels, each within the next, "
        "judged on the same inspections. While the curve rises, more inspections help; once it "
        "is flat, only better signals do.",
        columns=("labels", "severe", "AUC of the model", "AUC of the logistic", "gain"),
        rows=[
            [
                f"{p['n_labels']:,}",
                f"{p['n_positive']:,}",
                *(format_interval(p[f"auc_{name}"]) for name in _FITTED),
                format_interval(p["gain"]),
            ]
            for p in curve
        ],
        plots=(Plot(drawn, "AUC by the number of labels."),),
    )


def _against_truth(entry: Mapping[str, Any]) -> Section:
    return Section(
        f"As of {entry['as_of']}: against the truth",
        f"{_TRUTH} {entry['n_dealers']:,} dealers, {entry['n_labels']:,} labels to learn from, "
        f"{entry['n_positive']:,} severe.",
        columns=("order", "true rate", "of the best", "of the learnable", "times random"),
        rows=[
            [
                words(name),
                f"{f['rate']:.3f}",
                f"{f['share_of_best']:.0%}",
                f"{f['share_of_learnable']:.0%}",
                f"{f['multiple_of_random']:.1f}",
            ]
            for name, f in entry["truth"].items()
        ],
        plots=(
            Plot(
                plots.bars(
                    {words(name): f["share_of_best"] for name, f in entry["truth"].items()},
                    label="share of the best possible list",
                ),
                "True yield of each order's list.",
            ),
        ),
    )


def _judged(entry: Mapping[str, Any], capacity: float) -> Section:
    figures = entry["figures"]
    table = {SHIPPED: figures["model"], **figures["rules"]}
    return Section(
        f"As of {entry['as_of']}: judged by the inspections that followed",
        f"{figures['n']:,} inspections, {figures['n_positive']:,} severe, weighted by inverse "
        "propensity, and found as an average inspector would have; intervals by dealer.",
        columns=("order", "AUC", f"found in the first {capacity:.0%}", "precision", "gain"),
        rows=[
            [
                words(name),
                format_interval(f["auc"]),
                format_interval(f["recall"]),
                format_interval(f["precision"]),
                format_interval(f["recall_gain"]) if "recall_gain" in f else "",
            ]
            for name, f in table.items()
        ],
        plots=(
            Plot(
                plots.gain_curve(figures, capacity=capacity),
                "Gain: share of the findings each order would have found.",
            ),
            Plot(plots.calibration(figures), "Calibration: predicted against observed."),
        ),
    )


def _hours(entry: Mapping[str, Any], capacity: float) -> Section:
    found = entry["hours"]
    rows = [
        [
            words("shipped" if name == "score" else name),
            format_interval(found["per_visit"][name]["hours"], digits=0),
            format_interval(found["per_visit"][name]["severe"]),
            *(format_interval(f[value], digits=1) for value in VALUES),
        ]
        for name, f in found["figures"].items()
    ]
    return Section(
        f"As of {entry['as_of']}: yield per investigator-hour",
        f"Over {found['n']:,} inspections with recorded hours ({found['n_without_hours']:,} "
        f"without are left out), the first {capacity:.0%} by each order. Figures are per 1,000 "
        "hours, but for the first two.",
        columns=("order", "hours per visit", "severe per visit", *VALUES.values()),
        rows=rows,
        plots=(
            Plot(
                plots.lines(
                    found["shares"],
                    found["curves"],
                    labels=("share of dealers inspected", "severe findings per 1,000 hours"),
                    mark=capacity,
                ),
                "Severe findings per 1,000 investigator-hours, by the length of the list.",
            ),
        )
        if found["curves"]
        else (),
    )


def _stability(entry: Mapping[str, Any], capacity: float) -> Section:
    found = entry["stability"]
    drawn: tuple[Plot, ...] = ()
    if found["overlap"]:
        series = {"model": found["overlap"], "unrelated lists": found["shares"]}
        labels = ("share of dealers listed", "share of the list on the next one")
        drawn = (
            Plot(
                plots.lines(found["shares"], series, labels=labels, mark=capacity),
                "The last two lists of the same model, by their length.",
            ),
        )
    return Section(
        f"As of {entry['as_of']}: stability of the list",
        "The same model's lists at dates that follow each other.",
        columns=("from", "to", "dealers in both", "share of the list that stays"),
        rows=[
            [p["before"], p["after"], f"{p['n_dealers']:,}", f"{p['overlap']:.0%}"]
            for p in found["pairs"]
        ],
        plots=drawn,
    )


def _estimates(entry: Mapping[str, Any]) -> Section:
    off = nearer_the_truth(entry) if "truth" in entry else {}
    columns = ["estimate", "rate of severe findings", *(["off the truth by"] if off else [])]
    rows = [
        [words(name), format_interval(value), *([_off(off.get(name))] if off else [])]
        for name, value in entry["estimates"].items()
    ]
    drawn = {words(k): v for k, v in entry["estimates"].items() if v is not None}
    null = entry["truth"][SHIPPED]["rate"] if off else float("nan")
    return Section(
        f"As of {entry['as_of']}: what the shipped list would find, estimated",
        _ESTIMATES,
        columns=columns,
        rows=rows,
        plots=(
            Plot(
                plots.forest(drawn, label="rate of severe findings on the list", null=null),
                "Each estimate with its interval" + ("; dotted: the truth." if off else "."),
            ),
        )
        if drawn
        else (),
    )


def _off(distance: float | None) -> str:
    return NOT_SAID if distance is None else f"{distance:.0%}"
