"""The commands of this folder: rank, explain, serve, demo, users, tokens, audit, lists."""

from __future__ import annotations

import typer

app = typer.Typer()
