"""Commands of webhooks: who is told of what is written."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

webhooks_app = typer.Typer(
    name="webhooks", help="Who is told of what is written.", no_args_is_help=True
)
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print the result as JSON on standard output.")
]


@webhooks_app.command("add")
def webhooks_add(
    url: Annotated[str, typer.Argument(metavar="URL", help="Where to; https.")],
    account: Annotated[
        str, typer.Option(help="Account of a supervisor or scheduler: what it may see is told.")
    ],
    kinds: Annotated[
        Optional[list[str]],  # noqa: UP045 - typer reads annotations at run time
        typer.Option("--kind", help="outcome, event, decision or list; all by default."),
    ] = None,
) -> None:
    """Tell an address of every change that an account may see.

    The secret that its messages are signed with is printed once.

    Example: ffl-risk webhooks add https://hooks.example.gov/ffl --account nightly
    """
    from serving.changes import webhooks
    from serving.changes.webhook_addresses import check_now, origins
    from serving.commands.printing import say
    from serving.commands.store_access import recorded
    from serving.settings import Settings

    if not check_now(url, origins(Settings.from_environment().webhook_origins)):
        say("The name cannot be resolved here and now; it is tried again with each message.")
    with recorded() as (opened, ledger):
        hook, secret = webhooks.add(opened, url, account, kinds or [], ledger=ledger)
    say(f"{hook.webhook_id} is told from now on. Its secret, which is not shown again:")
    typer.echo(secret)


@webhooks_app.command("list")
def webhooks_list(as_json: JsonOption = False) -> None:
    """List the webhooks, how far each has come and how often it has failed since.

    Example: ffl-risk webhooks list
    """
    from serving.changes import webhooks
    from serving.commands.printing import print_rows
    from serving.commands.store_access import store

    with store() as opened:
        found = webhooks.registered(opened)
    rows = [
        {
            "webhook": hook.webhook_id,
            "url": hook.url,
            "account": hook.account,
            "kinds": " ".join(hook.kinds),
            "told_to": standing.seq,
            "failed": standing.n_failed,
            "last": standing.at,
        }
        for hook, standing in found
    ]
    print_rows("Who is told", rows, as_json=as_json)


@webhooks_app.command("remove")
def webhooks_remove(
    webhook_id: Annotated[str, typer.Argument(metavar="WEBHOOK", help="As `list` prints it.")],
) -> None:
    """Tell a webhook nothing any more.

    Example: ffl-risk webhooks remove W-0123456789abcdef
    """
    from serving.changes import webhooks
    from serving.commands.printing import say
    from serving.commands.store_access import recorded

    with recorded() as (opened, ledger):
        webhooks.remove(opened, webhook_id, ledger=ledger)
    say(f"{webhook_id} is told nothing any more.")
