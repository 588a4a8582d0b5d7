"""What is typed to ask the warehouse for more than a ranking: completeness, follow."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from features.domain import agency_day

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

    from rich.console import Console

    from features.commands.display import completeness_view
    from features.domain.spreadsheet_formulas import neutral_row
    from features.home import write_atomically
    from features.insight.completeness import AgencyQuarter
    from features.insight.completeness import completeness as measure

    with Console(stderr=True).status("reading"):
        found = measure(opened(warehouse), day_of(as_of))
    if out is not None:
        text = io.StringIO()
        names = list(AgencyQuarter.__dataclass_fields__)
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(names)
        writer.writerows(neutral_row(getattr(row, n) for n in names) for row in found.rows)
        write_atomically(out, text.getvalue().encode())
    if as_json:
        typer.echo(json.dumps(found.as_dict(), indent=1))
    else:
        Console().print(completeness_view(found))


@insight_app.command()
def follow(
    subject: Annotated[
        str,
        typer.Argument(
            metavar="DEALER|PORT|STATE|COUNTY",
            help="A dealer key, a port code, a state (TX, MX-SON), a county (48201), or US.",
        ),
    ],
    as_of: AsOfOption = None,
    years: Annotated[int, typer.Option(min=1, max=25, help="How many years are looked at.")] = 5,
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            metavar="FILE",
            help="Write the links as .csv, .graphml, .geojson, .json, or a Sankey as .svg "
            "(a map as .map.svg); the corridors as .corridors.csv.",
        ),
    ] = None,
    warehouse: WarehouseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Follow the guns: chains, corridors, hubs, shared purchasers, seizures on the way.

    Corridors are ranked by the low end of their excess over what sales alone would bring; ranges
    stand where the completeness of tracing was inferred. A link to an earlier owner or seller
    implies no wrong.

    Commands to start from:

      ffl-risk follow TX --as-of 2025-01-01

      ffl-risk follow 2504 --out san_ysidro.svg
    """
    import json

    from rich.console import Console

    from features.commands.display import flow_view
    from features.home import write_atomically
    from features.insight.flows.exports import content_for
    from features.insight.flows.follow import follow as followed
    from features.insight.flows.subject import subject_of

    wanted = subject_of(subject)
    with Console(stderr=True).status("reading"):
        found = followed(opened(warehouse), wanted, day_of(as_of), years=years)
    if out is not None:
        write_atomically(out, content_for(found, out.name))
        Console(stderr=True).print(f"Wrote {out}.")
    if as_json:
        typer.echo(json.dumps(found.as_dict(), indent=1))
    elif out is None:
        Console().print(flow_view(found))


@insight_app.command()
def cases(
    words: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Argument(metavar="WORD...", help="Only studies that hold every word."),
    ] = None,
    signal: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="A signal that stands out; studies that name it come first."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Search the library of de-identified studies: what was seen, and what would have shown it.

    Example: ffl-risk cases rifles --signal multiple_sales_repeat_buyers_2y
    """
    import json
    from dataclasses import asdict

    from features.insight.library import search

    found = search(" ".join(words or ()), tuple(signal or ()))
    if as_json:
        typer.echo(json.dumps([asdict(case) for case in found], indent=1))
        return
    for case in found:
        typer.echo(f"# {case.title}\n\n{case.text}\n\nSource: {case.source}.\n")
    if not found:
        typer.echo("No study holds these words.")


def opened(path: Path | None) -> Warehouse:
    """Open the warehouse that was named, else that of the home folder."""
    from features.home import home
    from features.warehouse import Warehouse

    return Warehouse.open(path or home() / "warehouse")


def day_of(as_of: datetime | None) -> date:
    """Return the day that was given, else today."""
    return as_of.date() if as_of else agency_day.today()
