"""The catalog of signals as a page and as a table for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from rich.box import SIMPLE
from rich.console import Group
from rich.table import Table

from features.signals.signal import REASON_NAMES, Signal

_DIRECTIONS = {1: "raises", -1: "lowers", 0: "either"}

_HEAD = """# Signals

<!-- Written by `ffl-risk signals --markdown`; a test holds it to the registry. -->

{n} numbers about a dealer as of a date, in {n_families} families. A signal as of a date reads only
rows known before it; windows are half open and count days of `known_on`, so that a corrected fact
counts from the day on which its correction was known. `restricted` signals are
derived from trace or law-enforcement records and are absent from the variant `public`, which
holds {n_public}. Direction is what a higher value does to risk in a model that is held to it;
`either` is left to the data. A missing value carries one of the reasons
{reasons}.
"""


def markdown(signals: Sequence[Signal]) -> str:
    """Return the catalog as Markdown, one table a family."""
    by_family = [(name, list(group)) for name, group in groupby(signals, lambda s: s.family)]
    page = [
        _HEAD.format(
            n=len(signals),
            n_families=len(by_family),
            n_public=sum(s.restriction == "public" for s in signals),
            reasons=", ".join(f"`{name}`" for name in REASON_NAMES[1:]),
        )
    ]
    for name, group in by_family:
        page += [
            f"\n## {name}\n",
            "| signal | unit | window | direction | restriction | definition | reference |",
            "| --- | --- | --- | --- | --- | --- | --- |",
        ]
        for s in group:
            cells = (
                f"`{s.name}`", s.unit, s.window or "", _DIRECTIONS[s.direction], s.restriction,
                s.definition, s.reference,
            )  # fmt: skip
            page.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(page) + "\n"


def view(signals: Sequence[Signal]) -> Group:
    """Return the catalog for a terminal, one table a family."""
    tables = []
    for name, group in groupby(signals, lambda s: s.family):
        table = Table(title=name, title_justify="left", box=SIMPLE, pad_edge=False)
        for column in ("signal", "unit", "direction", "restriction"):
            table.add_column(column, no_wrap=column == "signal")
        table.add_column("definition", ratio=1)
        for s in group:
            table.add_row(
                s.name.removeprefix(f"{name}_"), s.unit, _DIRECTIONS[s.direction], s.restriction,
                s.definition,
            )  # fmt: skip
        tables.append(table)
    return Group(*tables)
