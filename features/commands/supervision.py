"""What supervisors type: what other numbers of investigators would do, and who was cited again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from features.commands.insight import AsOfOption, JsonOption, WarehouseOption, day_of, opened

supervision_app = typer.Typer()


@supervision_app.command()
def staffing(
    as_of: AsOfOption = None,
    investigators: Annotated[
        Optional[list[str]],  # noqa: UP045 - typer reads annotations at run time
        typer.Option(metavar="OFFICE=N", help="Investigators of an office. May be repeated."),
    ] = None,
    hours: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="Hours of an investigator at visits in a year. Default: on record."),
    ] = None,
    border_share: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(metavar="SHARE", help="Share of all hours spent in the border states."),
    ] = None,
    warehouse: WarehouseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what another number of investigators would do: coverage, recalls, severe findings.

    Example: ffl-risk staffing --as-of 2025-01-01 --border-share 0.3
    """
    import json

    from rich.console import Console
    from rich.table import Table

    from features.insight.staffing import WhatIf
    from features.insight.staffing import staffing as answer

    people = dict(map(WhatIf.office_of, investigators or ()))
    ask = WhatIf(people, hours, border_share)
    found = answer(opened(warehouse), day_of(as_of), ask)
    if as_json:
        typer.echo(json.dumps(found.as_dict(), indent=1))
        return
    grid = Table(title=f"Staffing as of {found.as_of}, first year")
    for name in ("office", "people", "dealers", "recalls", "visits", "years", "severe", "one more"):
        grid.add_column(name)
    for row in (*found.areas, *found.offices):
        years = "over 100" if row.years_to_coverage is None else f"{row.years_to_coverage:.1f}"
        more = "" if row.added_low is None else _range(row.added_low, row.added_high or 0.0)
        grid.add_row(
            row.name, f"{row.investigators:g}", f"{row.dealers:,}", f"{row.recalls:,}",
            f"{row.visits:,.0f}", years, _range(row.findings_low, row.findings_high), more,
        )  # fmt: skip
    Console().print(grid, *found.statements, sep="\n")


def _range(low: float, high: float) -> str:
    """Return a range in words, of one figure where its ends are alike as they are printed.

    >>> _range(1.02, 2.5), _range(-1e-9, 1e-9)
    ('1.0 to 2.5', '0.0')
    """
    ends = [f"{round(end, 1) + 0.0:.1f}" for end in (low, high)]
    return " to ".join(dict.fromkeys(ends))


@supervision_app.command()
def repeats(
    as_of: AsOfOption = None,
    years: Annotated[int, typer.Option(min=1, max=25, help="How many years are looked at.")] = 5,
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="FILE", help="Write one row a dealer here as CSV."),
    ] = None,
    warehouse: WarehouseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show who was warned and cited again for the same, and whose outcomes were softened.

    Each dealer with its warning, the provisions cited again, outcomes below the recommended ones,
    days from opening to final action, and the recall that follows; and the sums by office. For
    supervisors: restricted data, and no part of any score.

    Example: ffl-risk repeats --as-of 2025-01-01 --out repeats.csv
    """
    import json

    from rich.console import Console
    from rich.table import Table

    from features.home import write_atomically
    from features.insight.repeats import STATEMENTS, to_csv
    from features.insight.repeats import repeats as report

    found = report(opened(warehouse), day_of(as_of), years=years)
    if out is not None:
        write_atomically(out, to_csv(found))
        Console(stderr=True).print(f"Wrote {len(found.violators):,} dealers to {out}.")
    if as_json:
        typer.echo(json.dumps(found.as_dict(), indent=1, default=str))
        return
    grid = Table(title=f"Repeats as of {found.as_of}, {found.years} years")
    for name in ("office", "warned", "seen again", "cited again", "softened", "recall due", "days"):
        grid.add_column(name)
    for row in found.offices:
        days = "" if row.median_days_to_action is None else f"{row.median_days_to_action:.0f}"
        grid.add_row(
            row.office, f"{row.n_warned:,}", f"{row.n_seen_after:,}", f"{row.n_repeated:,}",
            f"{row.n_softened:,}", f"{row.n_recall_due:,}", days,
        )  # fmt: skip
    Console().print(grid, *STATEMENTS, sep="\n")
