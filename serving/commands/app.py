"""The commands of this folder: score, rank, explain, serve, demo, and those of `commands.admin`."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Optional

import typer

from features.commands.loading import uncollected
from features.domain import agency_day
from serving.commands.administration.admin import (
    audit_app,
    holds_app,
    lists_app,
    tokens_app,
    users_app,
)
from serving.commands.administration.backup import keeping_app
from serving.commands.administration.governance import govern_app, responsibilities_app
from serving.commands.administration.schedule import schedule_app
from serving.commands.administration.webhooks import webhooks_app
from serving.commands.insight import insight_app
from serving.commands.trial import trial_app
from serving.settings import MAX_LIST, RANDOM_SHARE

app = typer.Typer()
app.add_typer(insight_app)
app.add_typer(users_app)
app.add_typer(tokens_app)
app.add_typer(holds_app)
app.add_typer(lists_app)
app.add_typer(audit_app)
app.add_typer(trial_app)
app.add_typer(govern_app)
app.add_typer(responsibilities_app)
app.add_typer(webhooks_app)
app.add_typer(keeping_app)
app.add_typer(schedule_app)

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
EngineOption = Annotated[
    str, typer.Option(metavar="NAME", help="embedded or spark: what builds the signals.")
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


@app.command()
def score(
    as_of: AsOfOption = None,
    engine: EngineOption = "embedded",
    warehouse: WarehouseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Score every listed dealer with the champion and publish the table.

    The service takes the table up within a second, without dropping a request. Nothing is
    published when a step fails.

    Example: ffl-risk score --as-of 2026-01-01
    """
    from features.engine.choice import engine_named
    from features.home import home
    from features.warehouse import Warehouse
    from serving.commands.printing import print_published, working
    from serving.scores.publish import publish

    with engine_named(engine), working("score") as progress:
        done = publish(
            Warehouse.open(warehouse or home() / "warehouse"),
            _day(as_of),
            home=home(),
            progress=progress,
        )
    print_published(done, as_json=as_json)


@app.command()
def rank(
    k: Annotated[int, typer.Option("--k", min=1, max=MAX_LIST, help="How many dealers.")] = 20,
    office: Annotated[Optional[str], typer.Option(help="Only this office.")] = None,  # noqa: UP045
    division: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Only this division."),
    ] = None,
    state: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Only this state, such as TX."),
    ] = None,
    random_share: Annotated[
        float,
        typer.Option(
            min=0.0,
            max=1.0,
            help="Share of the list drawn at random; the draw is fixed for office and period.",
        ),
    ] = RANDOM_SHARE,
    recalls: Annotated[
        bool, typer.Option("--recalls/--no-recalls", help="Begin with dealers due for a recall.")
    ] = True,
    coverage: Annotated[
        int, typer.Option(min=0, max=MAX_LIST, help="Places for the dealers longest unseen.")
    ] = 0,
    types: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            "--type", metavar="TYPE", help="Only this type of license, such as 02; repeatable."
        ),
    ] = None,
    as_json: JsonOption = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print the list as CSV.")] = False,
) -> None:
    """Print the published dealers by priority, with intervals, support and reasons.

    Dealers inspected in the twelve months before the table's day are left out: the law does not
    allow the visit yet. Records too old to tell are refused, as by the service. A list made here
    is not kept; the service issues lists that are.

    Example: ffl-risk rank --k 20 --state TX
    """
    with uncollected():
        from serving.commands.operator import local_rank
        from serving.commands.printing import print_list

    area = {"office": office, "division": division, "state": state}
    document = local_rank(
        area,
        k=k,
        random_share=random_share,
        with_recalls=recalls,
        n_coverage=coverage,
        license_types=types or [],
    )
    print_list(document, as_json=as_json, as_csv=as_csv)


@app.command()
def explain(
    dealer: Annotated[
        str, typer.Argument(metavar="DEALER", help="Dealer key, or a license number.")
    ],
    k: Annotated[int, typer.Option("--k", min=1, max=5_000, help="Length of its list.")] = 50,
    warehouse: WarehouseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what each signal adds to a dealer's priority, and the records behind it.

    Example: ffl-risk explain 1-56-21093
    """
    with uncollected():
        from serving.commands.operator import local_explanation
        from serving.commands.printing import print_explanation

    document = local_explanation(dealer, k=k, warehouse=warehouse)
    print_explanation(document, as_json=as_json)


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65_535, help="Port to listen on.")] = 3000,
) -> None:
    """Serve scores, lists and pages over HTTP until interrupted.

    Every data route needs a token (`ffl-risk tokens issue`). Settings come from the environment:
    docs/service/settings.md lists them.

    Example: ffl-risk serve --port 3000
    """
    from serving.commands.launch import exec_server

    exec_server(host, port)


@app.command()
def collect(warehouse: WarehouseOption = None, as_json: JsonOption = False) -> None:
    """Move closed outcomes and new events from the service into the warehouse.

    Run it before training and scoring; running it again changes nothing. A row that the warehouse
    refuses holds up no other.

    Exit codes: 0 done; 5 done, and rows were refused.
    """
    from serving.commands.operator import local_collect
    from serving.commands.printing import print_json, print_record
    from serving.field.events.refused_rows import in_words
    from serving.schedule.routines import GATE_REFUSED

    taken = local_collect(warehouse)
    if as_json:
        print_json(taken)
    else:
        print_record({"outcomes": taken["outcomes"], "events": taken["events"]}, as_json=False)
    if taken["refused"]:
        typer.echo(f"ffl-risk: {in_words(taken['refused'])}", err=True)
        raise typer.Exit(GATE_REFUSED)


@app.command()
def decisions(
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where to write the CSV file.")],
) -> None:
    """Write what inspectors accepted and overrode, for training to judge.

    Who decided and what they noted is left out. Writing it is audited.

    Example: ffl-risk decisions --out decisions.csv
    """
    from features.home import write_atomically
    from serving.commands.operator import local_decisions
    from serving.commands.printing import say

    content, n = local_decisions()
    write_atomically(out, content)
    say(f"Wrote {n:,} decisions to {out}. Next: ffl-risk rivals --decisions {out}")


@app.command()
def packet(
    dealer: Annotated[str, typer.Argument(metavar="DEALER", help="Dealer key.")],
    list_id: Annotated[str, typer.Option("--list", metavar="ID", help="The list it is on.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where to write the zip.")],
    warehouse: WarehouseOption = None,
) -> None:
    """Write the contest packet of a dealer on a list: what it or its counsel may ask for.

    The zip keeps what may be given out (public/) apart from what may not (restricted/). Writing it
    is audited.

    Example: ffl-risk packet 1-56-21093 --list L-20260101-0123456789ab --out packet.zip
    """
    from features.home import write_atomically
    from serving.commands.operator import make_packet
    from serving.commands.printing import say

    write_atomically(out, make_packet(dealer, list_id, warehouse))
    say(f"Wrote {out}. Look at README.txt in it before it leaves the house.")


@app.command()
def demo(
    real: Annotated[
        bool, typer.Option("--real", help="Use the published records that ship with the project.")
    ] = False,
    port: Annotated[int, typer.Option(min=1, max=65_535, help="Port to serve on.")] = 3000,
    do_serve: Annotated[
        bool, typer.Option("--serve/--no-serve", help="Serve at the end, or stop before.")
    ] = True,
) -> None:
    """Run everything once: ingest, train, promote, score, rank, then serve.

    Each step is the command of that name in a process of its own, and says how long it took.
    """
    from serving.commands.demo import run

    run(is_real=real, port=port, do_serve=do_serve)


def _day(as_of: datetime | None) -> date:

    return as_of.date() if as_of else agency_day.today()
