"""A periodic page of trends for partners, from released aggregates and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from features.insight.sharing.bound_cells import TOTAL
from features.insight.sharing.quarters import Published
from features.insight.sharing.release import DISCLAIMERS
from features.reference.destinations import destination_label
from features.reference.weapons import class_label

_MOST: Final = 15


def bulletin(quarters: Sequence[Published]) -> str:
    """Return a page of trends as Markdown.

    Parameters
    ----------
    quarters : sequence of Published
        Oldest first, at least one; a figure hidden in any of them is left out of its row.
    """
    shown = [quarter.shown for quarter in quarters]
    names = [quarter.name for quarter in quarters]
    lines = [
        f"# Firearms traced to dealers: {names[0]} to {names[-1]}",
        "",
        *_table("By destination", _rows(shown, "classes", TOTAL), names, label=_place),
        *_table("By class, recovered in Mexico", _rows(shown, "classes", "mexico", "row"), names,
                label=class_label),
        *_table("Corridors", _corridors(shown), names, label=str),
        *_table("Seized on the way, by port", _rows(shown, "ports", TOTAL), names, label=str),
        "## How to read this",
        "",
        "An empty place is a figure that may not be shown; it is not a zero.",
        "",
        *(f"- {sentence}" for sentence in DISCLAIMERS),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _place(name: str) -> str:
    return destination_label(name)


def _rows(
    shown: Sequence[dict[tuple[str, str, str], int]], table: str, fixed: str, by: str = "column"
) -> dict[str, list[int | None]]:
    """Figures by quarter of the cells of a table whose row or column is fixed."""
    at = 2 if by == "column" else 1
    keys = sorted({k for one in shown for k in one if k[0] == table and k[at] == fixed})
    return {
        key[1 if at == 2 else 2]: [one.get(key) for one in shown]
        for key in keys
        if key[1 if at == 2 else 2] != TOTAL
    }


def _corridors(
    shown: Sequence[dict[tuple[str, str, str], int]],
) -> dict[str, list[int | None]]:
    keys = {k for one in shown for k in one if k[0] == "corridors" and TOTAL not in k[1:]}
    abroad = [k for k in keys if k[2] != "domestic"]
    abroad.sort(key=lambda k: (-sum(one.get(k, 0) for one in shown), k))
    return {f"{k[1]} to {k[2]}": [one.get(k) for one in shown] for k in abroad[:_MOST]}


def _table(
    title: str,
    rows: dict[str, list[int | None]],
    names: Sequence[str],
    *,
    label: Callable[[str], str],
) -> list[str]:
    if not rows:
        return [f"## {title}", "", "Cannot be shown: every figure is hidden.", ""]
    head = f"| | {' | '.join(names)} |"
    rule = f"| --- |{' ---: |' * len(names)}"
    body = [
        f"| {label(name)} | {' | '.join('' if n is None else f'{n:,}' for n in numbers)} |"
        for name, numbers in rows.items()
    ]
    return [f"## {title}", "", head, rule, *body, ""]
