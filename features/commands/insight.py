"""What is typed to ask the warehouse for more than a ranking: completeness, follow."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

if TYPE_CHECKING:
    from features.warehouse import Warehouse

insight_app = typer.Typer()

WarehouseOption = Annotated[
    Optional[Path],  # noqa: UP045 - typer reads annotations at run time on every Python
    typer.Option(
        "--warehouse",
        metavar="PATH",
        help="Folder of the warehouse. Default: the folder warehouse in FFL_RISK_HOME.",
    ),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print the result as JSON on standard output.")
]
AsOfOption = Annotated[
    Optional[datetime],  # noqa: UP045
    typer.Option(
        "--as-of",
        formats=["%Y-%m-%d"],
        metavar="YYYY-MM-DD",
        help="Read only facts known before this day. Default: today.",
    ),
]


@insight_app.command()
def completeness(
    as_of: AsOfOption = None,
    warehouse: WarehouseOption = None,
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="FILE", help="Write every agency, state and quarter here as CSV."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show which Mexican agencies and states submit fewer traces than they could.

    One row is an agency, a Mexican state and a quarter: requests, with a legible serial, reaching a
    purchaser, days to the answer, and the number under full submission with its range. At the top
    stand the states where training would add most traces to a purchaser in a year.

    Example: ffl-risk completeness --as-of 2025-01-01 --out completeness.csv
    """
    import csv
    import io
    import json
    from dataclasses import asdict

    from rich.console import Console

    from features.commands.display import completeness_view
    from features.home import write_atomically
    from features.insight.completeness import AgencyQuarter
    from features.insight.completeness import completeness as measure

    with Console(stderr=True).status("reading"):
        found = measure(opened(warehouse), day_of(as_of))
    if out is not None:
        text = io.StringIO()
        names = list(AgencyQuarter.__dataclass_fields__)
        writer = csv.DictWriter(text, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for row in found.rows)
        write_atomically(out, text.getvalue().encode())
    if as_json:
        typer.echo(json.dumps(found.as_dict(), indent=1))
    else:
        Console().print(completeness_view(found))


def opened(path: Path | None) -> Warehouse:
    """Open the warehouse that was named, else that of the home folder."""
    from features.home import home
    from features.warehouse import Warehouse

    return Warehouse.open(path or home() / "warehouse")


def day_of(as_of: datetime | None) -> date:
    """Return the day that was given, else today."""
    return (as_of or datetime.now(UTC)).date()
