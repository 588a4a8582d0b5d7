"""How a command tells what it found: kept as a report, shown in the terminal or as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from features.home import home
from training.pages.page import Page, terminal, write_page
from training.progress import Steps


def tell(
    page: Page, found: Mapping[str, Any], *, stem: str, as_json: bool, period: str = ""
) -> Path:
    """Keep a report in HTML and JSON, show it, and return where it is.

    Parameters
    ----------
    stem : str
        Name of its files; what stood there is replaced.
    period : str, optional
        What it is about, such as a day: it is kept under that name too, which a report on another
        period leaves alone.
    """
    path = write_page(page, found, home() / "reports", stem=stem)
    if period:
        path = write_page(page, found, home() / "reports", stem=f"{stem}-{period}")
    if as_json:
        typer.echo(json.dumps(found, indent=1))
    else:
        console = Console()
        # A file or a pipe has no width of its own; tables need some.
        wide = console if console.is_terminal else Console(width=160)
        wide.print(terminal(page))
    Steps().say(f"Report: {path}")
    return path
