"""What is typed to ask what another number of investigators would do."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from features.commands.insight import AsOfOption, JsonOption, WarehouseOption, day_of, opened
from features.errors import InvalidValueError

staffing_app = typer.Typer()


@staffing_app.command()
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

    people = dict(map(_office, investigators or ()))
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
        more = "" if row.added_low is None else f"{row.added_low:.1f} to {row.added_high:.1f}"
        grid.add_row(
            row.name, f"{row.investigators:g}", f"{row.dealers:,}", f"{row.recalls:,}",
            f"{row.visits:,.0f}", years, f"{row.findings_low:.1f} to {row.findings_high:.1f}", more,
        )  # fmt: skip
    Console().print(grid, *found.statements, sep="\n")


def _office(text: str) -> tuple[str, float]:
    office, _, number = text.rpartition("=")
    try:
        return office.strip(), float(number)
    except ValueError:
        raise InvalidValueError(
            f"{text!r} names no office and number.", expected="OFFICE=N, for example Houston=12"
        ) from None
