"""The commands of this folder: ingest, check, simulate, features, signals."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Optional

import typer

from features.commands import data
from features.commands.insight import insight_app
from features.commands.supervision import supervision_app

app = typer.Typer()
app.command()(data.contract)
app.command()(data.sources)
app.command()(data.withdraw)
app.add_typer(data.mapping_app)
app.add_typer(insight_app)
app.add_typer(supervision_app)

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
        Optional[list[Path]],  # noqa: UP045 - typer reads annotations at run time on every Python
        typer.Argument(
            metavar="PATH...",
            help="Files, folders, zips, also s3:// ones; none where the mapping names a server.",
        ),
    ] = None,
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
    known_on: Annotated[
        Optional[datetime],  # noqa: UP045
        typer.Option(
            formats=["%Y-%m-%d"],
            metavar="YYYY-MM-DD",
            help="Day since which rows are known that do not say it: the day of a full export "
            "that comes again.",
        ),
    ] = None,
    max_rejects: Annotated[
        float,
        typer.Option(metavar="SHARE", help="Refuse a file with a larger share of bad rows."),
    ] = 0.2,
    is_trial: Annotated[
        bool,
        typer.Option("--dry-run", help="Show what would be stored and rejected; change nothing."),
    ] = False,
    warehouse: WarehouseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Load files into the warehouse.

    Each file is recognized by its header: the published license listing (in every layout), the
    published inspection records (CSV or JSON lines), canonical TABLE.csv[.gz], TABLE.parquet or
    workbooks, or an agency's own export through --mapping. What is not read is named. Bad rows
    are set apart with their reason and never stop a load; a file that is wrong as a whole is
    refused, and then nothing of the command is stored. Loading the same file again changes nothing.

    Commands to start from:

      ffl-risk ingest 0524-ffl-list.txt

      ffl-risk ingest country.zip --warehouse /data/warehouse

      ffl-risk ingest traces_export.csv --mapping etrace_traces.toml

      ffl-risk ingest cases.sqlite --mapping visits.toml

      ffl-risk ingest visits_june.csv --mapping visits.toml --known-on 2026-07-01
    """
    import json

    from rich.console import Console

    from features.commands.display import ingest_view, trial_view
    from features.home import home
    from features.ingest import ingest as load

    progress = Console(stderr=True)
    with progress.status("reading") as status:
        summary = load(
            paths or [],
            warehouse or home() / "warehouse",
            as_table=as_table,
            mapping=mapping,
            listed_on=listed_on.date() if listed_on else None,
            known_on=known_on.date() if known_on else None,
            max_rejects=max_rejects,
            progress=status.update,
            is_trial=is_trial,
        )
    if as_json:
        typer.echo(json.dumps(summary.as_dict(), indent=1, default=str))
    else:
        Console().print(trial_view(summary) if is_trial else ingest_view(summary))


@app.command()
def check(warehouse: WarehouseOption = None, as_json: JsonOption = False) -> None:
    """Report what the warehouse holds and whether it is intact.

    Prints rows, ranges and rejects of each table, verifies the SHA-256 of every live file, and
    drops purchaser tokens of multiple sales made over two years ago that no trace carries. Exit
    code 3 when a file is missing or changed.
    """
    import json

    from rich.console import Console

    from features.commands.display import check_view
    from features.home import home
    from features.warehouse.integrity import check as inspect
    from features.warehouse.integrity import require_intact

    report = inspect(warehouse or home() / "warehouse")
    if as_json:
        typer.echo(json.dumps(report.as_dict(), indent=1))
    else:
        Console().print(check_view(report))
    require_intact(report)


@app.command()
def simulate(
    out: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Folder to make; it must not hold anything yet.")
    ],
    dealers: Annotated[
        int, typer.Option(metavar="N", help="Dealers in business at a time, 200 to 500,000.")
    ] = 79_000,
    years: Annotated[int, typer.Option(metavar="N", help="Length of the history, 1 to 25.")] = 10,
    end: Annotated[
        Optional[datetime],  # noqa: UP045
        typer.Option(
            formats=["%Y-%m-%d"],
            metavar="YYYY-MM-DD",
            help="First day after the history, taken to the first of its month. "
            "Default: 2025-01-01.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="The same seed gives the same bytes.")] = 1,
    traces_scale: Annotated[
        float, typer.Option(metavar="X", help="Factor on the number of traces, 0.01 to 50.")
    ] = 1.0,
    policy: Annotated[
        str,
        typer.Option(
            help="How past inspections were chosen: historic, random_only, trace_chasing, "
            "volume_chasing or border_surge."
        ),
    ] = "historic",
    is_checked: Annotated[
        bool,
        typer.Option("--check", help="Hold the country to the published figures afterwards."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Simulate a country of invented dealers whose truth is known.

    Writes the tables of the data contract as Parquet files, ready to ingest, and the truth
    apart in the folder truth, which only an evaluation that asks for it reads. No dealer, number
    or name is real. With --check, prints each figure beside the published one, its tolerance and
    its source; exit code 5 when one is out of tolerance.

    Commands to start from:

      ffl-risk simulate --dealers 2000 --years 6 --out country

      ffl-risk simulate --dealers 20000 --years 6 --check --out country
    """
    import json

    from rich.console import Console

    from features.simulation.country.options import Options
    from features.simulation.simulate import simulate as run
    from features.simulation.targets.check import check_country, check_view, require_within

    day = {"end": end.date()} if end else {}
    options = Options(
        dealers=dealers, years=years, seed=seed, traces_scale=traces_scale, policy=policy, **day
    )
    progress = Console(stderr=True)
    with progress.status("simulating") as status:
        made = run(options, out, progress=status.update)
        status.update("measuring")
        figures = check_country(out, options) if is_checked else []
    if as_json:
        checks = {"checks": [figure.as_dict() for figure in figures]} if is_checked else {}
        typer.echo(json.dumps(made.as_dict() | checks, indent=1))
    else:
        Console().print(check_view(figures) if is_checked else made.sentence())
    require_within(figures)


AsOfOption = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option(
        "--as-of",
        metavar="YYYY-MM-DD",
        help="Stand on this date; repeat for more. Rows known on or after it are not seen.",
    ),
]
VariantOption = Annotated[
    str,
    typer.Option(metavar="full|public", help="public leaves out what is derived from traces."),
]


@app.command()
def features(
    as_of: AsOfOption = None,
    variant: VariantOption = "full",
    families: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="A,B,...", help="Only these families of signals."),
    ] = None,
    engine: Annotated[
        str, typer.Option(metavar="embedded|spark", help="Where the events are counted.")
    ] = "embedded",
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="FOLDER", help="Write the feature table here."),
    ] = None,
    prove: Annotated[
        bool,
        typer.Option(
            "--prove", help="Delete the future, then plant false rows in it, and compare."
        ),
    ] = False,
    warehouse: WarehouseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Build the signals of every dealer listed as of one or more dates.

    Prints how many dealers, and how much of each signal is observed. With --prove, shows on your
    own warehouse that nothing known on or after the dates can move a signal; exit code 5 when
    one moved.

    Commands to start from:

      ffl-risk features --as-of 2026-01-01 --out /data/features

      ffl-risk features --as-of 2025-01-01 --as-of 2026-01-01 --families traces,border

      ffl-risk features --as-of 2026-01-01 --prove
    """
    from rich.console import Console

    from features.commands.build import Request, build, prove_nothing_leaks

    request = Request(
        warehouse, tuple(as_of or ()), variant, tuple(families.split(",")) if families else None,
        engine, out,
    )  # fmt: skip
    console = Console(stderr=True)
    with console.status("reading") as status:
        report = (prove_nothing_leaks if prove else build)(request, status.update)
    if as_json:
        typer.echo(report.as_json())
    else:
        Console().print(report.view())
    report.require()


@app.command()
def signals(
    variant: VariantOption = "full",
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the catalog as a page of Markdown.")
    ] = False,
    own: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            "--check", metavar="FILE.py", help="Hold a family of your own to the rules of all."
        ),
    ] = None,
    as_of: AsOfOption = None,
    engine: Annotated[
        str, typer.Option(metavar="embedded|spark", help="With --check: build it by Spark, too.")
    ] = "embedded",
    warehouse: WarehouseOption = None,
    as_json: JsonOption = False,
) -> None:
    """List every signal: unit, definition, window, direction, restriction, reference.

    Families of your own, from the folder FFL_RISK_SIGNALS or installed packages, stand last. With
    --check, one of them is built on the warehouse, or on a small simulated country where there is
    none, in every way that must change nothing; exit code 5 when the future moves it.

    Commands to start from:

      ffl-risk signals --variant public

      ffl-risk signals --check mine.py
    """
    if own is not None:
        _check_own(own, warehouse, tuple(as_of or ()), engine, as_json=as_json)
        return
    import dataclasses
    import json

    from rich.console import Console

    from features.signals import catalog, shipped

    if not (as_json or markdown or shipped.has_own()):
        Console().print(catalog.view(shipped.shipped(variant)))
        return
    from features.signals.variants import select

    chosen = select(variant=variant)
    if as_json:
        typer.echo(json.dumps([dataclasses.asdict(s) for s in chosen], indent=1))
    elif markdown:
        typer.echo(catalog.markdown(chosen), nl=False)
    else:
        Console().print(catalog.view(chosen))


def _check_own(
    path: Path, warehouse: Path | None, as_of: tuple[str, ...], engine: str, *, as_json: bool
) -> None:
    from rich.console import Console

    from features.commands.own_signals import check_family
    from features.domain.asof import parse_date

    console = Console(stderr=True)
    with console.status("reading") as status:
        dates = [parse_date(text) for text in as_of]
        report = check_family(path, warehouse, dates, status.update, engine)
    if as_json:
        typer.echo(report.as_json())
    else:
        Console().print(report.view())
    report.require()
