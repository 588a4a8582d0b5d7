"""The commands of this folder: ingest, check, simulate, features, signals."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Optional

import typer

app = typer.Typer()

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


@app.command()
def ingest(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="PATH...", help="Files, folders of tables, or zips of them."),
    ],
    as_table: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--as", metavar="TABLE", help="The table that the file holds."),
    ] = None,
    mapping: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="FILE", help="Read an agency's own export through this TOML file."),
    ] = None,
    listed_on: Annotated[
        Optional[datetime],  # noqa: UP045
        typer.Option(
            formats=["%Y-%m-%d"],
            metavar="YYYY-MM-DD",
            help="Day of a license listing whose file name does not tell it.",
        ),
    ] = None,
    max_rejects: Annotated[
        float,
        typer.Option(metavar="SHARE", help="Refuse a file with a larger share of bad rows."),
    ] = 0.2,
    warehouse: WarehouseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Load files into the warehouse.

    Each file is recognized by its header: the published license listing (2013 and later layouts),
    the published inspection records (CSV or JSON lines), canonical TABLE.csv[.gz] or TABLE.parquet
    files, or an agency's own export through --mapping. Bad rows are set apart with their reason
    and never stop a load; a file that is wrong as a whole is refused, and then nothing of the
    command is stored. Loading the same file again changes nothing.

    Commands to start from:

      ffl-risk ingest 0524-ffl-list.txt

      ffl-risk ingest country.zip --warehouse /data/warehouse

      ffl-risk ingest traces_export.csv --mapping etrace_traces.toml
    """
    import json

    from rich.console import Console

    from features.display import ingest_view
    from features.home import home
    from features.warehouse import ingest as load

    progress = Console(stderr=True)
    with progress.status("reading") as status:
        summary = load(
            paths,
            warehouse or home() / "warehouse",
            as_table=as_table,
            mapping=mapping,
            listed_on=listed_on.date() if listed_on else None,
            max_rejects=max_rejects,
            progress=status.update,
        )
    if as_json:
        typer.echo(json.dumps(summary.as_dict(), indent=1))
    else:
        Console().print(ingest_view(summary))


@app.command()
def check(warehouse: WarehouseOption = None, as_json: JsonOption = False) -> None:
    """Report what the warehouse holds and whether it is intact.

    Prints rows, ranges and rejects of each table, verifies the SHA-256 of every live file, and
    drops purchaser tokens of multiple sales made over two years ago that no trace carries. Exit
    code 3 when a file is missing or changed.
    """
    import json

    from rich.console import Console

    from features.display import check_view
    from features.home import home
    from features.integrity import check as inspect
    from features.integrity import require_intact

    report = inspect(warehouse or home() / "warehouse")
    if as_json:
        typer.echo(json.dumps(report.as_dict(), indent=1))
    else:
        Console().print(check_view(report))
    require_intact(report)
