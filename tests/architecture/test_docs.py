"""The documents tell the truth: every command they show exists, every link leads somewhere."""

import re
from pathlib import Path

import pytest
import typer.main

import ffl_risk

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
COMMAND = typer.main.get_command(ffl_risk.app)


def shown_commands(text: str) -> list[list[str]]:
    lines = re.findall(
        r"^\s*(?:\$ )?(?:\S+=\S+ )*(?:\.venv/bin/)?ffl-risk (.+)$", text, re.MULTILINE
    )
    return [line.split("#")[0].split("|")[0].split() for line in lines]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: p.name)
def test_every_command_shown_exists_with_its_options(path: Path) -> None:
    for words in shown_commands(path.read_text()):
        command, rest = COMMAND, list(words)
        while rest and hasattr(command, "commands") and rest[0] in command.commands:
            command = command.commands[rest.pop(0)]
        assert command is not COMMAND, f"{path.name}: no such command: ffl-risk {' '.join(words)}"
        known = {name for p in command.params for name in (*p.opts, *p.secondary_opts)}
        options = {word.split("=")[0] for word in rest if word.startswith("--")}
        assert options <= known | {"--help"}, f"{path.name}: ffl-risk {' '.join(words)}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: p.name)
def test_every_make_target_shown_exists(path: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    shown = re.findall(r"(?:`|^)make ([a-z-]+)", path.read_text(), re.MULTILINE)
    assert set(shown) <= targets


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: p.name)
def test_every_relative_link_leads_to_a_file(path: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", path.read_text())
    assert [link for link in links if not (path.parent / link).exists()] == []


def test_the_index_names_every_command() -> None:
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    assert [name for name in COMMAND.commands if f"`{name}`" not in index] == []
