"""What a command found, told once: as an HTML page, as JSON, and in the terminal.

A command makes a `Page` of what it found; `write_page` keeps it beside the figures it was made of,
and `terminal` shows the same tables to whoever ran the command.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from features.home import write_atomically, write_json

_TEMPLATES = Path(__file__).with_name("templates")
NOT_SAID = "cannot be said"


@dataclass(frozen=True)
class Plot:
    """A drawing with the sentence that says what it shows.

    Parameters
    ----------
    svg : str
    caption : str
        Stands under the plot, and in its place for who cannot see it.
    """

    svg: str
    caption: str


@dataclass(frozen=True)
class Section:
    """One part of a page.

    Parameters
    ----------
    title, text : str
    columns : sequence of str
        Head of the table; none without columns.
    rows : sequence of sequence of str
    plots : sequence of Plot
    is_words : bool
        Cells are sentences rather than figures.
    """

    title: str
    text: str = ""
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    plots: Sequence[Plot] = ()
    is_words: bool = False


@dataclass(frozen=True)
class Page:
    """A report.

    Parameters
    ----------
    title : str
    lead : sequence of str
        Paragraphs at the top: what was done on which data.
    sections : sequence of Section
    advice : sequence of str
        What is to be done, if anything.
    """

    title: str
    lead: Sequence[str] = ()
    sections: Sequence[Section] = ()
    advice: Sequence[str] = ()


def write_page(page: Page, found: Mapping[str, Any], folder: Path, *, stem: str) -> Path:
    """Write ``stem.html`` and, with the figures it was made of, ``stem.json``.

    Returns
    -------
    Path
        The HTML page.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / f"{stem}.json", found)
    path = folder / f"{stem}.html"
    write_atomically(path, render("page.html", title=page.title, page=page).encode())
    return path


def render(template: str, **values: Any) -> str:
    """Fill a template of ``templates``; a name it lacks is an error."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["interval"] = format_interval
    return environment.get_template(template).render(**values)


def terminal(page: Page, *, max_rows: int = 40) -> Any:
    """Return the page for a terminal: its tables, cut at `max_rows`."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    parts: list[Any] = [Text(page.title, style="bold"), *(Text(p) for p in page.lead)]
    for section in page.sections:
        if not section.columns:
            continue
        grid = Table(title=section.title, title_justify="left")
        for number, column in enumerate(section.columns):
            is_text = section.is_words or number == 0
            grid.add_column(column, justify="left" if is_text else "right", no_wrap=number == 0)
        for row in section.rows[:max_rows]:
            grid.add_row(*(Text(cell) for cell in row))
        parts.append(grid)
        if len(section.rows) > max_rows:
            parts.append(Text(f"… and {len(section.rows) - max_rows} more in the report"))
    parts += [Text(sentence, style="bold") for sentence in page.advice]
    return Group(*parts)


def format_interval(entry: Mapping[str, float] | None, *, digits: int = 3) -> str:
    """Write an estimate with its bounds; an estimate that is missing or not finite is not said.

    >>> format_interval({"value": 0.5, "low": 0.4, "high": 0.6})
    '0.500 (0.400–0.600)'
    >>> format_interval({"value": float("nan"), "low": 0.4, "high": 0.6}, digits=1)
    'between 0.4 and 0.6'
    >>> format_interval(None)
    'cannot be said'
    """
    if entry is None:
        return NOT_SAID
    low, high = f"{entry['low']:.{digits}f}", f"{entry['high']:.{digits}f}"
    if entry["value"] != entry["value"]:
        return NOT_SAID if entry["low"] != entry["low"] else f"between {low} and {high}"
    return f"{entry['value']:.{digits}f} ({low}–{high})"


def words(name: str) -> str:
    """Write an identifier as words.

    >>> words("longest_uninspected_first")
    'longest uninspected first'
    """
    return name.replace("_", " ")
