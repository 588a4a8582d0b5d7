"""The commands of this folder: train, backtest, compare, indicators, fairness, promote and more."""

from __future__ import annotations

import typer

app = typer.Typer()
