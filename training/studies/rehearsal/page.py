"""A rehearsal as a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from training.pages.page import NOT_SAID, Page, Section

_COLUMNS: Final = (
    "round", "true yield", "stated yield", "stated / true", "visited yield",
    "of all traces soon", "same as before", "gates passed",
)  # fmt: skip


def rehearsal_page(found: Mapping[str, Any]) -> Page:
    """Lay out the rounds of each run, and what each group got of the lists."""
    plan, said = found["plan"], found["verdict"]
    sections = []
    for run in found["runs"]:
        sections.append(
            Section(
                run["name"],
                columns=_COLUMNS,
                rows=[_round(entry) for entry in run["rounds"]],
            )
        )
        if run["arm"] == "list" and run["rounds"]:
            sections.append(_groups(run))
    advice = [
        f"{said['n_missed']} of {said['n_stated']} stated intervals missed the truth; chance "
        f"explains {said['most_missed']}."
    ]
    advice += [
        f"{s['run']}: {s['group']} holds {s['listed']:.1%} of the list where {s['right']:.1%} "
        "would be right."
        for s in said["starved"]
    ]
    return Page(
        "Rehearsal of the closed loop",
        lead=(
            f"{plan['dealers']:,} dealers, {plan['history_years']} years of visits chosen by the "
            f"policy {plan['policy']} before, then {plan['rounds']} years chosen by each arm. What "
            "a visit finds depends on the dealer and the month alone, so arms differ by whom they "
            "visit.",
            "True yield is the chance of a severe finding among the places of the list, visited "
            "or not, as the simulated truth has it. Visits discover findings; traces are reported "
            "whoever is visited: the share of traces says how much of those the visited sold.",
        ),
        sections=sections,
        advice=advice,
    )


def _round(entry: Mapping[str, Any]) -> list[str]:
    stated = entry["stated"]
    n_passed = sum(gate.startswith("passed") for gate in entry["gates"])
    overlap = entry["overlap"]
    return [
        str(entry["round"]),
        f"{entry['true_yield']:.3f}",
        NOT_SAID
        if stated is None
        else f"{stated['value']:.3f} ({stated['low']:.3f} to {stated['high']:.3f})",
        "-" if stated is None else f"{stated['value'] / entry['true_yield']:.2f}",
        f"{entry['visited_yield']:.3f}",
        f"{entry['share_of_traced']:.1%}",
        "-" if overlap is None else f"{overlap:.0%}",
        f"{n_passed} of {len(entry['gates'])}" if entry["gates"] else "-",
    ]


def _groups(run: Mapping[str, Any]) -> Section:
    last = run["rounds"][-1]["groups"]
    return Section(
        f"{run['name']}: groups in the last round",
        "Share of the list, share that a list by true risk would give, and dealers never visited "
        "in the rehearsal.",
        columns=("group", "dealers", "listed", "right", "never seen"),
        rows=[
            [
                name,
                f"{g['dealers']:,}",
                f"{g['listed']:.1%}",
                f"{g['right']:.1%}",
                f"{g['never_seen']:.1%}",
            ]
            for name, g in last.items()
        ],
    )
