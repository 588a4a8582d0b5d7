"""Typer with one command alone: to make all of them takes each a tenth of a second."""

from __future__ import annotations

import copy

import typer
from typer.main import get_command_name, solve_typer_info_defaults


def narrowed(app: typer.Typer, name: str) -> typer.Typer | None:
    """Return `app` with no other command, or group of commands, than `name`; None without it.

    Examples
    --------
    >>> app = typer.Typer()
    >>> for name in ("score", "rank", "serve"):
    ...     _ = app.command(name)(print)
    >>> [command.name for command in narrowed(app, "rank").registered_commands]
    ['rank']
    >>> narrowed(app, "ranks") is None
    True
    """
    commands = [
        one
        for one in app.registered_commands
        if one.callback is not None
        and (one.name or get_command_name(one.callback.__name__)) == name
    ]
    groups = []
    for one in app.registered_groups:
        own = solve_typer_info_defaults(one).name
        if own == name:
            groups.append(one)
        elif not own and one.typer_instance and (found := narrowed(one.typer_instance, name)):
            kept = copy.copy(one)
            kept.typer_instance = found
            groups.append(kept)
    if not commands and not groups:
        return None
    alone = copy.copy(app)
    alone.registered_commands, alone.registered_groups = commands, groups
    return alone
