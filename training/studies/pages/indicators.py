"""The assessment of indicators as a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from training.pages import plots
from training.pages.page import Page, Plot, Section, format_interval, words

N_PLOTTED: Final = 25
_EXPECTED: Final = {1: "more", -1: "less", 0: "-"}
_FIGURES: Final = ("AUC alone", "AUC alone, random share", "added to the rest", "lift")


def indicators_page(found: Mapping[str, Any]) -> Page:
    """Lay out what `training.studies.indicators.indicators` found."""
    return Page(
        "Do the indicators work?",
        lead=(
            f"{found['n']:,} inspections that followed as-of dates of {found['first_year']} to "
            f"{found['last_year']}, {found['n_positive']:,} with a severe finding; "
            f"{found['n_random']:,} of them were drawn at random, {found['n_random_positive']:,} "
            "severe.",
            "AUC is the chance that a dealer with a severe finding ranks above one without; one "
            "half says nothing. Figures are weighted by inverse propensity, because inspections "
            "were chosen; the random share needs no weights and is unbiased, but small. Intervals "
            "are 95%, by dealer.",
            "Added is what the AUC of all signals together loses without the indicator or family. "
            f"Lift is the rate of findings in the first {found['capacity']:.0%} by it over the "
            "rate of all.",
        ),
        sections=(_families(found), _signals(found), *_groups(found)),
        advice=_advice(found),
    )


def _advice(found: Mapping[str, Any]) -> list[str]:
    signals, families = found["signals"], found["families"]
    working = [s for s in signals if s["verdict"].startswith("works")]
    out = [
        f"{len(working)} of {len(signals)} indicators rank findings; about "
        f"{len(signals) * 0.05:.0f} would seem to, or seem to point the wrong way, by chance alone."
    ]
    wrong = [s["signal"] for s in signals if s["verdict"] == "contradicts"]
    if wrong:
        out.append(
            f"{len(wrong)} go against their expected direction and should be reviewed: "
            f"{', '.join(wrong[:8])}{' and more' if len(wrong) > 8 else ''}."
        )
    idle = [words(f["family"]) for f in families if f["added"]["low"] <= 0]
    if idle:
        out.append(
            f"With {found['n_positive']:,} severe findings, nothing measurable is lost without "
            f"any one of these families: {', '.join(idle)}. Families overlap: that says nothing "
            "of leaving out several."
        )
    return out


def _families(found: Mapping[str, Any]) -> Section:
    families = sorted(found["families"], key=lambda f: -f["alone"]["value"])
    return Section(
        "Families",
        f"Each family scored by a logistic regression on its signals alone; all signals together "
        f"reach {format_interval(found['auc_of_all'])}.",
        columns=("family", "signals", *_FIGURES, "verdict"),
        rows=[
            [words(f["family"]), str(f["n_signals"]), *_figures(f), f["verdict"]] for f in families
        ],
        plots=(
            Plot(
                plots.forest(
                    {words(f["family"]): f["alone"] for f in families}, label="AUC alone", null=0.5
                ),
                "Each family alone. Red: better than chance.",
            ),
            Plot(
                plots.forest(
                    {words(f["family"]): f["added"] for f in families},
                    label="AUC added to the rest",
                    null=0.0,
                ),
                "What the rest loses without the family. Red: it adds; blue: it only adds noise.",
            ),
        ),
    )


def _signals(found: Mapping[str, Any]) -> Section:
    signals = sorted(found["signals"], key=lambda s: -abs(s["alone"]["value"] - 0.5))
    return Section(
        "Indicators",
        "Ranked in the direction experts expect: below one half, an indicator points the wrong "
        "way. Missing values come last.",
        columns=("indicator", "expected", "seen", *_FIGURES, "verdict"),
        rows=[
            [
                s["signal"],
                _EXPECTED[s["direction"]],
                f"{s['share_seen']:.0%}",
                *_figures(s),
                s["verdict"],
            ]
            for s in signals
        ],
        plots=(
            Plot(
                plots.forest(
                    {s["signal"]: s["alone"] for s in signals[:N_PLOTTED]},
                    label="AUC alone",
                    null=0.5,
                ),
                f"The {N_PLOTTED} indicators furthest from chance.",
            ),
        ),
    )


def _groups(found: Mapping[str, Any]) -> list[Section]:
    out = []
    for key, what in (("by_year", "year"), ("by_division", "division")):
        names = sorted({name for f in found["families"] for name in f[key]})
        if not names:
            continue
        out.append(
            Section(
                f"Families by {what}",
                f"AUC alone, then added to the rest. A {what} with too few findings is left out; "
                "every indicator stands in the JSON file.",
                columns=("family", *names),
                rows=[
                    [words(f["family"]), *(_pair(f[key].get(n)) for n in names)]
                    for f in found["families"]
                ],
                plots=_over_time(found, names) if key == "by_year" and len(names) > 1 else (),
            )
        )
    return out


def _over_time(found: Mapping[str, Any], years: Sequence[str]) -> tuple[Plot, ...]:
    best = sorted(found["families"], key=lambda f: -f["alone"]["value"])[:6]
    series = {f["family"]: [f["by_year"][y]["alone"]["value"] for y in years] for f in best}
    drawn = plots.lines([float(y) for y in years], series, labels=("year", "AUC alone"))
    return (Plot(drawn, "The six strongest families, year by year."),)


def _figures(entry: Mapping[str, Any]) -> list[str]:
    return [
        format_interval(entry["alone"]),
        format_interval(entry["alone_random"]),
        format_interval(entry["added"]),
        format_interval(entry["lift"], digits=2),
    ]


def _pair(entry: Mapping[str, Any] | None) -> str:
    if entry is None:
        return "-"
    return f"{format_interval(entry['alone'], digits=2)}; {entry['added']['value']:+.3f}"
