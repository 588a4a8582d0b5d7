"""Commands for whoever runs the service: users, tokens, holds, lists, audit."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated, Optional

import typer

from serving.settings import RANDOM_SHARE

users_app = typer.Typer(name="users", help="Accounts of people and machines.", no_args_is_help=True)
tokens_app = typer.Typer(
    name="tokens", help="Tokens that stand for accounts.", no_args_is_help=True
)
holds_app = typer.Typer(name="holds", help="Deconfliction holds.", no_args_is_help=True)
lists_app = typer.Typer(name="lists", help="Issued lists.", no_args_is_help=True)
audit_app = typer.Typer(name="audit", help="The audit chain.", no_args_is_help=True)

JsonOption = Annotated[
    bool, typer.Option("--json", help="Print the result as JSON on standard output.")
]
ROLE_HELP = "inspector, supervisor, analyst, scheduler, partner, agent, auditor or admin."
AreaOption = Annotated[
    Optional[list[str]],  # noqa: UP045 - typer reads annotations at run time
    typer.Option("--area", help="nation, division:NAME or office:NAME; may be repeated."),
]
Account = Annotated[str, typer.Argument(metavar="ACCOUNT", help="Name of the account.")]


@users_app.command("add")
def users_add(
    name: Account,
    role: Annotated[str, typer.Option(help=ROLE_HELP)],
    area: AreaOption = None,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read a password from standard input.")
    ] = False,
) -> None:
    """Make an account. Without a password it signs in with tokens only.

    Example: ffl-risk users add maria --role inspector --area office:776085
    """
    from serving.commands.printing import say
    from serving.commands.store_access import directory

    password = sys.stdin.readline().rstrip("\n") if password_stdin else None
    with directory() as accounts:
        accounts.add_account(name, role, areas=area or [], password=password)
    _tell_of_empty(area or [])
    say(f"Account {name} made. A token for it: ffl-risk tokens issue {name}")


@users_app.command("list")
def users_list(as_json: JsonOption = False) -> None:
    """List the accounts."""
    from serving.commands.printing import print_rows
    from serving.commands.store_access import directory

    with directory() as accounts:
        print_rows("Accounts", accounts.accounts(), as_json=as_json)


@users_app.command("password")
def users_password(name: Account) -> None:
    """Give an account another password, read from standard input; its sessions end at once.

    Example: ffl-risk users password maria < new-password.txt
    """
    from serving.commands.printing import say
    from serving.commands.store_access import directory

    password = sys.stdin.readline().rstrip("\n")
    with directory() as accounts:
        accounts.set_password(name, password)
    say(f"The password of {name} is changed, and its sessions are over.")


@users_app.command("role")
def users_role(
    name: Account,
    role: Annotated[str, typer.Argument(metavar="ROLE", help=ROLE_HELP)],
    area: AreaOption = None,
) -> None:
    """Give an account another role, and other areas if any are given; its sessions end at once.

    Example: ffl-risk users role maria supervisor --area division:Phoenix
    """
    from serving.commands.store_access import directory

    with directory() as accounts:
        accounts.set_role(name, role, areas=area or None)
    _tell_of_empty(area or [])


@users_app.command("areas")
def users_areas(name: Account, area: AreaOption = None) -> None:
    """Give an account other areas in place of those it has; its sessions end at once.

    Example: ffl-risk users areas maria --area office:776085 --area office:776090
    """
    from serving.commands.store_access import directory

    with directory() as accounts:
        accounts.set_areas(name, area or [])
    _tell_of_empty(area or [])


def _tell_of_empty(areas: list[str]) -> None:
    """Say which areas have no dealer in the table in force: who has such a one sees nobody."""
    from serving.commands.printing import say
    from serving.scores.table.areas_in_force import without_dealers
    from serving.settings import Settings

    for area, hint in without_dealers(Settings.from_environment().home, areas).items():
        say(f"No dealer of the scored table in force belongs to {area}{hint}")


@users_app.command("sessions-end")
def users_sessions_end(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="An account, or oidc:SUBJECT of the issuer.")
    ],
) -> None:
    """End every browser session of an account or of an issuer's identity, at once."""
    from serving.commands.printing import say
    from serving.commands.store_access import directory

    with directory() as accounts:
        say(f"{accounts.end_sessions(name)} sessions of {name} are over.")


@users_app.command("disable")
def users_disable(name: Account) -> None:
    """Disable an account: its sessions end at once, its tokens within two seconds."""
    from serving.commands.store_access import directory

    with directory() as accounts:
        accounts.set_active(name, False)


@users_app.command("enable")
def users_enable(name: Account) -> None:
    """Enable a disabled account."""
    from serving.commands.store_access import directory

    with directory() as accounts:
        accounts.set_active(name, True)


@tokens_app.command("issue")
def tokens_issue(
    account: Account,
    days: Annotated[float, typer.Option(help="Days until it expires, at most 366.")] = 30.0,
    label: Annotated[str, typer.Option(help="What it is for.")] = "",
) -> None:
    """Make a token and print it, this once, on standard output.

    Example: ffl-risk tokens issue maria --days 30
    """
    from serving.commands.store_access import directory

    with directory() as accounts:
        typer.echo(accounts.issue_token(account, label=label, days=days))


@tokens_app.command("list")
def tokens_list(as_json: JsonOption = False) -> None:
    """List the tokens, without their secrets."""
    from serving.commands.printing import print_rows
    from serving.commands.store_access import directory

    with directory() as accounts:
        print_rows("Tokens", accounts.tokens(), as_json=as_json)


@tokens_app.command("revoke")
def tokens_revoke(
    token_id: Annotated[str, typer.Argument(metavar="ID", help="As `tokens list` shows it.")],
) -> None:
    """Make a token useless within two seconds; sessions opened with it end at once."""
    from serving.commands.store_access import directory

    with directory() as accounts:
        accounts.revoke_token(token_id)


@holds_app.command("add")
def holds_add(
    dealer: Annotated[str, typer.Argument(metavar="DEALER", help="Dealer key.")],
    owner: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="Account that still sees the dealer; may be repeated."),
    ] = None,
    until: Annotated[
        Optional[datetime],  # noqa: UP045
        typer.Option(formats=["%Y-%m-%d"], metavar="YYYY-MM-DD", help="Day on which it ends."),
    ] = None,
) -> None:
    """Hide a dealer from everyone but the hold's owners, within a second."""
    from serving.commands.operator import add_hold
    from serving.commands.printing import say

    say(f"Hold {add_hold(dealer, owner or [], until.date() if until else None)} is in force.")


@holds_app.command("lift")
def holds_lift(
    hold_id: Annotated[str, typer.Argument(metavar="ID", help="As `holds add` printed it.")],
) -> None:
    """End a hold."""
    from serving.commands.operator import lift_hold

    lift_hold(hold_id)


@lists_app.command("issue")
def lists_issue(
    office: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="Only this office; may be repeated. Default: every office."),
    ] = None,
    k: Annotated[int, typer.Option("--k", min=1, max=5_000, help="Dealers on each list.")] = 50,
    random_share: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share of each list drawn at random.")
    ] = RANDOM_SHARE,
    again: Annotated[
        bool, typer.Option("--again", help="Also where the list of this week is there already.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Issue the list of the week to each office: it waits when its inspectors sign in.

    Run it from a schedule. An office that has its list since Monday gets no other, so running it
    every night issues new lists once a week, and a run that was cut short is taken up by the next.

    Example: ffl-risk lists issue --k 40
    """
    from dataclasses import asdict

    from serving.commands.operator import issue_lists
    from serving.commands.printing import print_rows
    from serving.lists.scheduled import Order

    order = Order(tuple(office or ()), k, random_share, again)
    print_rows("Lists of the week", [asdict(one) for one in issue_lists(order)], as_json=as_json)


@lists_app.command("list")
def lists_list(as_json: JsonOption = False) -> None:
    """List the issued lists, newest first."""
    from serving.commands.operator import issued_lists
    from serving.commands.printing import print_rows

    print_rows("Issued lists", issued_lists(), as_json=as_json)


@lists_app.command("verify")
def lists_verify(
    list_id: Annotated[str, typer.Argument(metavar="ID", help="The list's id.")],
    warehouse: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--warehouse", metavar="PATH", help="Folder of the warehouse."),
    ] = None,
) -> None:
    """Rebuild a list from warehouse, bundle and code, and compare it byte by byte.

    Leaves with exit code 5 when it is not the list that was issued.
    """
    from serving.commands.operator import verify_list
    from serving.commands.printing import print_checks

    result = verify_list(list_id, warehouse)
    print_checks(f"List {list_id}", result.checks)
    if not result.is_same:
        raise typer.Exit(5)


@audit_app.command("verify")
def audit_verify(
    anchor: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            metavar="SEQ:DIGEST", help="A record noted down elsewhere that must still match."
        ),
    ] = None,
    against: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            metavar="FILE", help="Heads noted elsewhere, a line each, all of which must match."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Prove that no audit record was changed, removed or put in between.

    Decisions, outcomes, holds, accounts and roles are compared with their records too. Prints the
    last record as SEQ:DIGEST; note it down elsewhere and give it as --anchor later, or let the
    service note heads itself (FFL_RISK_AUDIT_HEADS) and give that file as --against.
    Leaves with exit code 5 when the chain is broken.
    """
    from serving.commands.operator import verify_audit
    from serving.commands.printing import print_verdict

    verdict = verify_audit(anchor, against)
    print_verdict(verdict, as_json=as_json)
    if not verdict.is_intact:
        raise typer.Exit(5)
