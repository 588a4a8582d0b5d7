"""Commands for a scheduler: a night's and a month's work, and the removal of what is not needed."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Optional

import typer

from features.domain import agency_day

schedule_app = typer.Typer()

JsonOption = Annotated[
    bool, typer.Option("--json", help="Print the result as JSON on standard output.")
]


class Routine(StrEnum):
    """Which run."""

    NIGHTLY = "nightly"
    MONTHLY = "monthly"


@schedule_app.command()
def run(
    routine: Annotated[Routine, typer.Argument(help="Which run.")],
    inbox: Annotated[
        Optional[Path],  # noqa: UP045 - typer reads annotations at run time on every Python
        typer.Option(metavar="PATH", help="Folder of new records, taken in first, or a file."),
    ] = None,
    recipe: Annotated[str, typer.Option(metavar="NAME", help="What is trained when due.")] = (
        "country"
    ),
    again: Annotated[
        bool, typer.Option("--again", help="Do every step, though the period's run is over.")
    ] = False,
    as_of: Annotated[
        Optional[datetime],  # noqa: UP045
        typer.Option(
            "--as-of",
            formats=["%Y-%m-%d"],
            metavar="YYYY-MM-DD",
            help="Stand on this day. Default: today.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Do a night's or a month's work, and tell how it ended in one line.

    nightly: ingest the inbox, collect, check, score, verify the audit, prune. monthly: the same,
    and after the score drift, train and promote when due, and score again. A run that was killed
    goes on at the step where it stood; one that is over is not done again in its day or month.

    Exit codes: 0 done; 5 done, and a gate refused the new model; 3 done, and records in the inbox
    or kept by the service were refused; 4 another run is under way; 1 a step failed, or 128 and the
    signal that ended it: the line names the step and its own code. Logs and records are in
    ``runs/``. FFL_RISK_NOTIFY_COMMAND and FFL_RISK_NOTIFY_URL are told.

    Example: ffl-risk run nightly --inbox /srv/inbox
    """
    from serving.commands.printing import say
    from serving.schedule.notify import Hooks, document_of
    from serving.schedule.routines import Asked
    from serving.schedule.run import run as run_routine
    from serving.settings import Settings

    settings = Settings.from_environment()
    hooks = Hooks.of(settings)
    today = as_of.date() if as_of else agency_day.today()
    asked = Asked(
        routine.value,
        today,
        settings.home,
        inbox,
        recipe,
        settings.retrain_days,
        settings.settled_seconds,
    )
    result = run_routine(asked, again=again)
    if as_json:
        typer.echo(json.dumps(document_of(result), indent=1))
    else:
        typer.echo(result.line)
    for fault in hooks.tell(result):
        say(f"Nobody was told: {fault}.")
    raise typer.Exit(result.exit_code)


@schedule_app.command()
def receive(
    inbox: Annotated[Path, typer.Argument(metavar="INBOX", help="Folder of new records.")],
) -> None:
    """Take in what is whole in a folder, and move it to taken/DAY or refused/DAY in there.

    Each entry is a delivery: a table, a workbook, an archive or a folder of them. All are loaded
    together. One that is refused is set aside with its reason in NAME.why.txt, and the others are
    loaded. What is hidden, ends like .part, or changed in the last FFL_RISK_SETTLED_SECONDS waits.
    FFL_RISK_INBOX_MAPPINGS names the file that says which are read through which mapping.

    Exit codes: 0 done; 5 done, and deliveries were refused; 4 another command is at it.

    Example: ffl-risk receive /srv/inbox
    """
    from serving.schedule.inbox import receive as take_in
    from serving.schedule.routines import GATE_REFUSED
    from serving.settings import Settings

    settings = Settings.from_environment()
    found = take_in(
        inbox,
        settings.home / "warehouse",
        today=agency_day.today(),
        settled=settings.settled_seconds,
        mappings=Path(settings.inbox_mappings) if settings.inbox_mappings else None,
    )
    # One line however long: a run's record and its hook repeat it.
    typer.echo(f"ffl-risk: {found.line}", err=bool(found.refused))
    raise typer.Exit(GATE_REFUSED if found.refused else 0)


@schedule_app.command()
def prune(
    shared: Annotated[
        Optional[Path],  # noqa: UP045 - typer reads annotations at run time on every Python
        typer.Argument(metavar="ADDRESS", help="Where homes push to, instead of this home."),
    ] = None,
    keep: Annotated[
        Optional[int],  # noqa: UP045 - as above
        typer.Option(min=1, help="States that stay at ADDRESS, the one in force among them."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Remove nothing; say what would go.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Remove old scored tables, candidates and what killed commands left, by a stated rule.

    A scored table goes that is not in force, not among the newest three, over 31 days old, and
    that no issued list was made from. A candidate goes that is not among the newest twelve, over a
    year old, and never was champion. Lists, bundles, reports and the audit stay.

    With the address that homes push to, and --keep: all states there but the newest go, with every
    file that no kept state is made of. Nothing goes when somebody pushes meanwhile.

    Example: ffl-risk prune --dry-run
    Example: ffl-risk prune s3://shared/ffl-risk --keep 3 --dry-run
    """
    if (shared is None) != (keep is None):
        raise typer.BadParameter("ADDRESS and --keep go together.")
    if shared is not None and keep is not None:
        _prune_shared(shared, keep, dry_run=dry_run, as_json=as_json)
        return
    from features.home import home
    from serving.commands.printing import say
    from serving.commands.store_access import store
    from serving.keeping.prune import prune as remove

    with store() as opened:
        found = remove(home(), opened, is_trial=dry_run)
    if as_json:
        typer.echo(json.dumps(asdict(found), indent=1))
        return
    what = f"{len(found.tables)} tables, {len(found.candidates)} candidates"
    say(
        f"{'Would remove' if dry_run else 'Removed'} {what} and {len(found.left_overs)} left-overs "
        f"({found.n_bytes:,} bytes)."
    )


def _prune_shared(path: Path, keep: int, *, dry_run: bool, as_json: bool) -> None:
    """Prune what homes share, and say what went."""
    from serving.commands.administration.backup import shared_address
    from serving.commands.printing import say
    from serving.keeping.depot_prune import prune_shared

    _, address = shared_address(path)
    found = prune_shared(address, keep=keep, is_trial=dry_run)
    if as_json:
        typer.echo(json.dumps(asdict(found), indent=1))
        return
    gone, kept = (", ".join(map(str, numbers)) or "none" for numbers in (found.gone, found.kept))
    say(
        f"{'Would remove' if dry_run else 'Removed'} {found.n_objects:,} objects "
        f"({found.n_bytes:,} bytes) from {address}; earlier states that go: {gone}; that stay: "
        f"{kept}. State {found.in_force} is in force."
    )
