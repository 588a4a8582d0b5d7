"""Drift as a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from training.pages import plots
from training.pages.page import Page, Plot, Section, format_interval
from training.studies.drift import ACT, WATCH

N_PLOTTED: Final = 20
_COLUMNS: Final = (
    "name", "index", "by chance", "missing then", "missing now", "never seen", "advice",
)  # fmt: skip


def drift_page(found: Mapping[str, Any]) -> Page:
    """Lay out what `drift.summary` found, with the day and the bundle it stands for."""
    entries = found["drift"]
    heads = [d for d in entries if d["kind"] == "head"]
    signals = [d for d in entries if d["kind"] == "signal"]
    worst = sorted(signals, key=lambda d: -d["stability_index"])[:N_PLOTTED]
    return Page(
        f"Drift as of {found['as_of']}",
        lead=(
            f"{found['n_dealers']:,} dealers as of {found['as_of']}, compared with what bundle "
            f"{found['bundle']} of {found['name']} was trained on.",
            f"The stability index compares shares in ten bins: up to {WATCH} is stable, up to "
            f"{ACT} is to be watched, more asks for training. Signals may move as long as scores "
            "do not; a signal that vanishes, or brings codes never seen, points to its source.",
        ),
        advice=[f"Advice: {found['advice']}.", *found["what_to_do"]],
        sections=(
            *_findings(found.get("findings")),
            Section("Scores", columns=_COLUMNS, rows=[_row(d) for d in heads]),
            Section(
                "Signals",
                columns=_COLUMNS,
                rows=[_row(d) for d in signals],
                plots=(
                    Plot(
                        plots.bars(
                            {d["name"]: d["stability_index"] for d in worst},
                            label="population stability index",
                            limits=(WATCH, ACT),
                        ),
                        f"The {len(worst)} signals that moved furthest; dashed: watch, and act.",
                    ),
                ),
            ),
        ),
    )


def _findings(since: Mapping[str, Any] | None) -> tuple[Section, ...]:
    if since is None:
        return ()
    return (
        Section(
            "Findings since training",
            since["says"],
            columns=("since", "visits known", "severe findings", "found over served", "AUC"),
            rows=[
                [
                    since["since"],
                    f"{since['n_visits']:,}",
                    f"{since['n_findings']:,}",
                    format_interval(since["found_over_served"]),
                    format_interval(since["auc"]),
                ]
            ],
        ),
    )


def _row(d: Mapping[str, Any]) -> list[str]:
    return [
        d["name"],
        f"{d['stability_index']:.3f}",
        f"{d['by_chance']:.3f}",
        f"{d['share_missing_then']:.0%}",
        f"{d['share_missing_now']:.0%}",
        f"{d['share_unseen']:.1%}",
        d["advice"],
    ]
