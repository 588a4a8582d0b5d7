"""A command made alone is the one that it is among all the others."""

from __future__ import annotations

import sys

import pytest
import typer.main

import ffl_risk
from features.commands.narrowing import narrowed


def told(command):
    """Return what a command says of itself and takes, and the same of its own commands."""
    params = [
        (p.name, p.opts, p.secondary_opts, p.required, p.nargs, getattr(p, "help", ""))
        for p in command.params
    ]
    own = [told(one) for one in getattr(command, "commands", {}).values()]
    return type(command), command.name, command.help, command.epilog, params, own


def test_a_command_alone_is_what_it_is_among_the_others():
    whole = typer.main.get_command(ffl_risk.app)
    assert len(whole.commands) > 50
    for name, command in whole.commands.items():
        alone = typer.main.get_command(narrowed(ffl_risk.app, name))
        assert list(alone.commands) == [name]
        assert told(alone.commands[name]) == told(command)


@pytest.mark.parametrize(
    ("asked", "said", "n_made"),
    [
        (["rank", "--no-such"], "No such option", 1),
        (["holds", "no-such"], "No such command 'no-such'", 2),
        (["rannk"], "Did you mean 'rank'", None),
    ],
)
def test_only_what_is_asked_is_made_and_what_is_not_there_is_refused_among_all(
    asked, said, n_made, monkeypatch, capsys
):
    made, make = [], typer.main.get_command_from_info
    monkeypatch.setattr(sys, "argv", ["ffl-risk", *asked])
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(ffl_risk, "keep_private", lambda: None)
    monkeypatch.setattr(
        typer.main,
        "get_command_from_info",
        lambda **of: made.append(of) or make(**of),
    )
    with pytest.raises(SystemExit) as ended:
        ffl_risk.main()
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
    assert (len(made) == n_made) if n_made else len(made) > 50
