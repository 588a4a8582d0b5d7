"""The commands of this folder: ingest, check, simulate, features, signals."""

from __future__ import annotations

import typer

app = typer.Typer()
