"""Commands for trials: plan one by lot, read it as planned."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Optional

import typer

from features.domain import agency_day

trial_app = typer.Typer(name="trial", help="Randomized trials in the field.", no_args_is_help=True)

JsonOption = Annotated[
    bool, typer.Option("--json", help="Print the result as JSON on standard output.")
]
WarehouseOption = Annotated[
    Optional[Path],  # noqa: UP045 - typer reads annotations at run time
    typer.Option("--warehouse", metavar="PATH", help="Folder of the warehouse."),
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Letters, digits and dashes.")]
DAY = ["%Y-%m-%d"]


@trial_app.command("plan")
def trial_plan(
    name: Name,
    question: Annotated[str, typer.Option(help="What the trial is to answer.")],
    starts_on: Annotated[datetime, typer.Option(formats=DAY, help="First day.")],
    difference: Annotated[
        float, typer.Option(help="Difference in severe findings a visit that is to be seen.")
    ],
    arm_a: Annotated[str, typer.Option(help="What arm A does.")] = "the list",
    arm_b: Annotated[str, typer.Option(help="What arm B does.")] = "usual practice",
    months: Annotated[int, typer.Option(min=1, max=12, help="Length of a period.")] = 3,
    pairs: Annotated[int, typer.Option(min=1, max=20, help="Pairs of periods.")] = 4,
    looks: Annotated[int, typer.Option(min=1, max=10, help="Planned readings.")] = 1,
    office: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--office", help="Only these offices; all that inspected, by default."),
    ] = None,
    list_a: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="FILE", help="Interleaved: list A as CSV, best first."),
    ] = None,
    list_b: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="FILE", help="Interleaved: list B as CSV, best first."),
    ] = None,
    ends_on: Annotated[
        Optional[datetime],  # noqa: UP045
        typer.Option(formats=DAY, help="Interleaved: first day after the trial."),
    ] = None,
    warehouse: WarehouseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Assign a trial by lot, foresee what it can show, and write the protocol to sign.

    By office and period: ffl-risk trial plan spring --question "Does the list find more?"
    --starts-on 2026-10-01 --difference 0.03

    Two lists interleaved: add --list-a a.csv --list-b b.csv --ends-on 2027-10-01
    """
    from serving.commands.trial_steps import plan_trial
    from serving.trials.planning import Asked

    asked = Asked.by_lot(name, question, (arm_a, arm_b), starts_on.date(), difference)
    plan_trial(
        asked,
        lists=(list_a, list_b, None if ends_on is None else ends_on.date()),
        periods=(months, pairs, looks),
        offices=office or [],
        warehouse=warehouse,
        as_json=as_json,
    )


@trial_app.command("read")
def trial_read(
    name: Name,
    warehouse: WarehouseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read a trial by its design, at the looks that were planned and at no other time.

    Example: ffl-risk trial read spring
    """
    from serving.commands.trial_steps import read_trial

    read_trial(name, today=agency_day.today(), warehouse=warehouse, as_json=as_json)


@trial_app.command("averts")
def trial_averts(warehouse: WarehouseOption = None, as_json: JsonOption = False) -> None:
    """Estimate what an inspection averts, from the dealers that issued lists drew at random.

    Drawn dealers are compared with those that could have been drawn: firearms sold after the list
    and traced at three years or less within the two years after it. Where the interval does not
    tell an effect from none, that is what is said.

    Example: ffl-risk trial averts
    """
    from serving.commands.trial_steps import estimate_averted

    estimate_averted(today=agency_day.today(), warehouse=warehouse, as_json=as_json)
