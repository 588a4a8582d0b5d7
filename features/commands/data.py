"""The commands around one's own data: contract, mapping new, mapping check."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Optional

import typer

from features.domain.agency_day import day_of

JsonOption = Annotated[
    bool, typer.Option("--json", help="Print the result as JSON on standard output.")
]
mapping_app = typer.Typer(
    name="mapping",
    help="Propose and check the file through which an agency's own export is read.",
    no_args_is_help=True,
)


def contract(
    table: Annotated[
        Optional[str],  # noqa: UP045 - typer reads annotations at run time on every Python
        typer.Argument(metavar="[TABLE]", help="Only this table."),
    ] = None,
    template: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="FOLDER", help="Write an empty CSV of each table here."),
    ] = None,
    is_markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the page of all tables as Markdown.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Print the data contract: columns, types, codes, what is required, since when a row is known.

    Commands to start from:

      ffl-risk contract traces

      ffl-risk contract traces --template my-files
    """
    import json

    from rich.console import Console

    from features import contract as contracts
    from features.commands.display import contract_view

    chosen = (contracts.contract(table),) if table else contracts.contracts()
    if template is not None:
        template.mkdir(parents=True, exist_ok=True)
        for one in chosen:
            path = template / f"{one.name}.csv"
            if path.exists():
                raise typer.BadParameter(f"{path} exists already; it is left as it is")
            path.write_text(one.template(), encoding="utf-8")
            typer.echo(path)
    elif is_markdown:
        typer.echo(contracts.markdown(), nl=False)
    elif as_json:
        told = [one.as_dict() for one in chosen]
        typer.echo(json.dumps(told[0] if table else told, indent=1))
    else:
        Console().print(contract_view(chosen, is_full=bool(table)))


@mapping_app.command("new")
def new(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An export of your agency.")],
    table: Annotated[str, typer.Option(metavar="TABLE", help="The table that it holds.")],
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="FILE.toml", help="Write the mapping here. Default: print it."),
    ] = None,
    sheet: Annotated[
        str, typer.Option(metavar="NAME", help="Which sheet of a workbook of several.")
    ] = "",
) -> None:
    """Propose a mapping from the header and the values of an export.

    What could not be told is marked in the file with a line that begins with `# ?`. Complete it,
    then run `ffl-risk mapping check`.

    Commands to start from:

      ffl-risk mapping new export.csv --table traces --out traces.toml
    """
    from features.ingest.proposals.new_mapping import propose

    text = propose(file, table, sheet)
    if out is None:
        typer.echo(text, nl=False)
        return
    if out.exists():
        raise typer.BadParameter(f"{out} exists already; it is left as it is")
    out.write_text(text, encoding="utf-8")
    n_open = sum(line.startswith("# ?") for line in text.splitlines())
    typer.echo(f"{out}: {n_open} questions left, each in a line that begins with '# ?'")


@mapping_app.command("check")
def check(
    mapping: Annotated[Path, typer.Option(metavar="FILE.toml", help="The mapping.")],
    file: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Argument(metavar="FILE", help="The export; none where the mapping names a server."),
    ] = None,
    warehouse: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="PATH", help="Check against this warehouse."),
    ] = None,
    listed_on: Annotated[
        Optional[datetime],  # noqa: UP045
        typer.Option(formats=["%Y-%m-%d"], metavar="YYYY-MM-DD", help="As for `ffl-risk ingest`."),
    ] = None,
    known_on: Annotated[
        Optional[datetime],  # noqa: UP045
        typer.Option(formats=["%Y-%m-%d"], metavar="YYYY-MM-DD", help="As for `ffl-risk ingest`."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Read an export through a mapping, change nothing, and show what it would give.

    Goes as far as it can in four steps, each of which tells all that it finds at once: faults of
    the mapping against the contract; columns that the export or the query does not give; dates
    that could be read in two ways; then ten rows as they would be stored, and the values that no
    code was found for with their counts. Exit code 3 when the file would be refused, also for its
    share of bad rows.
    """
    import json
    from dataclasses import asdict

    from rich.console import Console

    from features.commands.display import trial_view
    from features.home import home
    from features.ingest import ingest
    from features.ingest.checking.advice import refused_at
    from features.ingest.run import MAX_REJECTS

    files = [file] if file else []
    summary = ingest(
        files, warehouse or home() / "warehouse", mapping=mapping, max_rejects=1.0, is_trial=True,
        listed_on=listed_on.date() if listed_on else None,
        known_on=known_on.date() if known_on else None,
    )  # fmt: skip
    refused = refused_at(summary, MAX_REJECTS)
    if as_json:
        preview = asdict(summary.preview) if summary.preview else None
        told = {
            "counts": summary.counts,
            "preview": preview,
            "refused": str(refused) if refused else None,
        }
        typer.echo(json.dumps(told, indent=1, default=str))
    else:
        Console().print(trial_view(summary))
    if refused:
        raise refused


def sources(
    warehouse: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="PATH", help="Folder of the warehouse."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List what was loaded: number, file, day, rows, and what was withdrawn and why."""
    import json

    from features.home import home
    from features.ingest.withdrawal import sources as listed

    entries = listed(warehouse or home() / "warehouse")
    if as_json:
        typer.echo(json.dumps(entries, indent=1))
        return
    for entry in entries:
        gone = entry.get("withdrawn")
        bad = f", {entry['rejected']:,} rejected" if entry.get("rejected") else ""
        note = f"; withdrawn {day_of(gone['at'])} by {gone['by']}: {gone['why']}" if gone else ""
        typer.echo(
            f"{entry['id']}: {entry['file']} of {day_of(entry['ingested_at'])}, "
            f"{entry['rows']:,} rows of {', '.join(entry['tables'])}{bad}{note}"
        )


def withdraw(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="Number of a source or the name of its file; or all of an archive, a workbook or "
            "a folder as it was loaded, or a range of numbers such as 3-80.",
        ),
    ],
    why: Annotated[str, typer.Option(metavar="TEXT", help="The reason; it is kept.")],
    is_from_start: Annotated[
        bool,
        typer.Option(
            "--from-start", help="The load was wrong from the start: take it out of every day."
        ),
    ] = False,
    warehouse: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="PATH", help="Folder of the warehouse."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Take the rows of one source, or of all of one archive or folder, out again, as of now.

    A read as of an earlier day still sees them. A corrected file that is loaded afterwards replaces
    them and never mixes with them; it counts from today for the rows that it corrects. With
    --from-start, for a load through a wrong mapping, the rows leave every day and the corrected
    file counts from its own days.

    Commands to start from:

      ffl-risk sources

      ffl-risk withdraw traces_export.csv --from-start --why "read through the wrong mapping"

      ffl-risk withdraw exports.zip --from-start --why "read through the wrong mapping"
    """
    import json

    from features.home import home
    from features.ingest.withdrawal import withdraw as take_out

    done = take_out(source, warehouse or home() / "warehouse", why=why, is_from_start=is_from_start)
    if as_json:
        typer.echo(json.dumps(done.as_dict(), indent=1))
        return
    since = f"from {done.on} on" if done.on else "on every day"
    one, last = f"source {done.source}", done.sources[-1]
    named = (
        one if len(done.sources) == 1 else f"{len(done.sources):,} sources, {done.source}-{last}"
    )
    typer.echo(f"Withdrawn {since}: {named}, {done.file}.")
    for table, n_read in done.read.items():
        n_rows, n_stood = done.rows.get(table, 0), done.standing.get(table, 0)
        typer.echo(
            f"Of {n_read:,} rows of {table} read, {n_rows:,} were stored: {n_stood:,} stood until "
            f"now, {n_rows - n_stood:,} were superseded, repeated or in dispute."
        )
    for table, n in done.restored.items():
        if n:
            typer.echo(f"Of other sources {n:,} rows of {table} stand again.")
    if done.again:
        typer.echo(f"Load these again, which repeated rows of it: {', '.join(done.again)}")
