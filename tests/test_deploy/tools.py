"""Programs that check recipes, where there are any, and readers that let nothing pass."""

import shutil
import sys
from pathlib import Path
from typing import Any

import click
import pytest
import typer
import yaml

from ffl_risk import app

DEPLOY = Path(__file__).parents[2] / "deploy"
_UNPACKED = Path(sys.prefix) / "tools/usr"


def program(name: str) -> str:
    """Return a program's path, or skip: `make unit` unpacks those that are not installed."""
    places = [shutil.which(name), *map(str, _UNPACKED.glob(f"*bin/{name}"))]
    found = next((place for place in places if place), None)
    if found is None:
        pytest.skip(f"{name} is not here; `make unit` brings it where Debian's packages are")
    return found


class _Strict(yaml.SafeLoader):
    """Refuses a key that stands twice; YAML itself takes the last."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        keys = [key.value for key, _ in node.value if key.value != "<<"]
        twice = {key for key in keys if keys.count(key) > 1}
        assert not twice, f"{self.name}: {twice} twice"
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> list[Any]:
    with path.open() as stream:
        return list(yaml.load_all(stream, _Strict))


def check_command(words: list[str]) -> None:
    """Have `ffl-risk`'s own parser read a command; it leaves with an error where it cannot."""
    command: Any = typer.main.get_command(app)
    words = list(words)
    while hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    context: click.Context = command.make_context("recipe", words)
    context.close()
