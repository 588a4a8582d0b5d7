"""Commands of whoever leads the program: stop and resume, and who answers for what."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Optional

import typer

from features.domain import agency_day

govern_app = typer.Typer()
responsibilities_app = typer.Typer(
    name="responsibilities", help="Which agency answers for what, where.", no_args_is_help=True
)

JsonOption = Annotated[
    bool, typer.Option("--json", help="Print the result as JSON on standard output.")
]
_DAY = ["%Y-%m-%d"]


@govern_app.command()
def suspend(
    why: Annotated[str, typer.Option(metavar="TEXT", help="Why; everybody is shown it.")],
) -> None:
    """Stop all lists and scores at once, on every worker, until they are resumed.

    Outcomes, events, referrals and the audit go on.

    Example: ffl-risk suspend --why "The feed of traces is wrong since Monday"
    """
    from serving.access import suspension
    from serving.commands.printing import say
    from serving.commands.store_access import recorded

    with recorded() as (opened, ledger):
        suspension.suspend(opened, why, ledger=ledger)
    say("Lists and scores are suspended. Next: ffl-risk resume --why TEXT")


@govern_app.command()
def resume(
    why: Annotated[str, typer.Option(metavar="TEXT", help="Why they may go on.")],
) -> None:
    """Let lists and scores go on.

    Example: ffl-risk resume --why "The feed was mended and the table published anew"
    """
    from serving.access import suspension
    from serving.commands.printing import say
    from serving.commands.store_access import recorded

    with recorded() as (opened, ledger):
        ended = suspension.resume(opened, why, ledger=ledger)
    say(f"Lists and scores go on. They were suspended since {ended.at}: {ended.why}")


@responsibilities_app.command("add")
def responsibilities_add(
    agency: Annotated[str, typer.Argument(metavar="AGENCY", help="Name of the agency.")],
    area: Annotated[
        str,
        typer.Option(help="nation, division:, office:, state:, port: or country:NAME."),
    ],
    subject: Annotated[
        str,
        typer.Option(
            help="inspections, straw_purchases, southbound_trafficking, border_seizures, "
            "foreign_traces or dealer_thefts."
        ),
    ],
    contact: Annotated[str, typer.Option(help="Whom to call there.")],
    since: Annotated[
        Optional[datetime],  # noqa: UP045 - typer reads annotations at run time
        typer.Option("--from", formats=_DAY, metavar="YYYY-MM-DD", help="First day; today."),
    ] = None,
    until: Annotated[
        Optional[datetime],  # noqa: UP045
        typer.Option(
            formats=_DAY, metavar="YYYY-MM-DD", help="First day on which it no longer is."
        ),
    ] = None,
) -> None:
    """Say which agency answers for a subject in an area.

    Example: ffl-risk responsibilities add HSI --area nation --subject foreign_traces --contact x
    """
    from serving.commands.printing import say
    from serving.commands.store_access import recorded
    from serving.field.referrals import responsibility

    with recorded() as (opened, ledger):
        number = responsibility.add(
            opened,
            agency,
            area=area,
            subject=subject,
            contact=contact,
            starts_on=since.date() if since else agency_day.today(),
            ends_on=until.date() if until else None,
            ledger=ledger,
        )
    say(f"Row {number} is kept.")


@responsibilities_app.command("end")
def responsibilities_end(
    number: Annotated[int, typer.Argument(metavar="ROW", help="As `add` printed it.")],
    on: Annotated[
        Optional[datetime],  # noqa: UP045
        typer.Option("--on", formats=_DAY, metavar="YYYY-MM-DD", help="First day without; today."),
    ] = None,
) -> None:
    """Let a row end."""
    from serving.commands.store_access import recorded
    from serving.field.referrals import responsibility

    with recorded() as (opened, ledger):
        day = on.date() if on else agency_day.today()
        responsibility.end(opened, number, day, ledger=ledger)


@responsibilities_app.command("list")
def responsibilities_list(as_json: JsonOption = False) -> None:
    """List who answers for what."""
    from dataclasses import asdict

    from serving.commands.printing import print_rows
    from serving.commands.store_access import store
    from serving.field.referrals import responsibility

    with store() as opened:
        rows = [asdict(row) for row in responsibility.table(opened)]
    print_rows("Who answers for what", rows, as_json=as_json)
