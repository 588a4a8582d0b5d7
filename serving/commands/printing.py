"""What the commands print: tables for people on a terminal, JSON or CSV for programs."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import typer
from pydantic_core import to_json
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from features.domain.agency_day import moment_in_words
from features.domain.number_words import counted
from serving.scores.words.area_names import codes_in_words
from serving.scores.words.wording import RATES, head_label
from serving.statements import PEERS, basis_sentence, each_once, scored_alone

if TYPE_CHECKING:
    from serving.access.audit.writer import Verdict
    from serving.scores.publish import Published

# What is kept of moments; programs read them from JSON.
_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+]00:00)")
OUT: Final = Console(highlight=False)
# Why a row stands in a list, where that is not its priority.
_WHY: Final = {
    "random": "because it was drawn at random, which says nothing of its risk",
    "recall": "because a recall inspection is due",
    "coverage": "because it has waited longest",
    "manual": "because it was added by hand",
}
ERR: Final = Console(stderr=True, highlight=False)


def say(text: str) -> None:
    """Tell the person at the terminal."""
    ERR.print(escape(text))


@contextmanager
def working(what: str) -> Iterator[Callable[[str], None]]:
    """Show a spinner on standard error, and say at the end how long it took."""
    start = time.perf_counter()
    with ERR.status(f"{what} ...") as status:
        yield lambda step: status.update(f"{what}: {step} ...")
    ERR.print(f"{what} took {time.perf_counter() - start:.1f} s")


def print_json(document: Any) -> None:
    """Print JSON on standard output."""
    typer.echo(to_json(document, indent=1).decode())


def print_record(record: Mapping[str, Any], *, as_json: bool) -> None:
    """Print some named values."""
    if as_json:
        print_json(dict(record))
    else:
        for name, value in record.items():
            OUT.print(f"{name.replace('_', ' ')}: {escape(_text(value))}")


def print_rows(title: str, rows: Sequence[Mapping[str, Any]], *, as_json: bool) -> None:
    """Print records as a table, or below each other where they are too wide for the terminal."""
    if as_json:
        print_json([dict(row) for row in rows])
        return
    if not rows:
        say(f"{title}: none")
        return
    widths = _widths(rows)
    if sum(widths) + 3 * len(widths) + 1 > OUT.width:
        _print_below(title, rows)
        return
    table = Table(title=title, title_justify="left")
    for place, (name, width) in enumerate(zip(rows[0], widths, strict=True)):
        # The first names the row, and is what the next command is given: whole, on one line.
        table.add_column(name.replace("_", " "), no_wrap=place == 0, min_width=width)
    for row in rows:
        table.add_row(*(escape(_text(v)) for v in row.values()))
    OUT.print(table)


def _widths(rows: Sequence[Mapping[str, Any]]) -> list[int]:
    """Return how wide each column of a table must be for no word of it to be broken."""
    first, *rest = rows[0]
    widths = [max(len(_text(one)) for one in (first, *(row[first] for row in rows)))]
    for name in rest:
        words = [
            word
            for one in (name.replace("_", " "), *(row[name] for row in rows))
            for word in _text(one).split()
        ]
        widths.append(max(map(len, words), default=0))
    return widths


def _print_below(title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    OUT.print(f"[italic]{escape(title)}[/italic]")
    for row in rows:
        (_, first), *rest = row.items()
        OUT.print(f"[bold]{escape(_text(first))}[/bold]", soft_wrap=True)
        for name, value in rest:
            if value is not None and value != "":
                OUT.print(f"  {name.replace('_', ' ')}: {escape(_text(value))}", soft_wrap=True)


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str) and _MOMENT.fullmatch(value):
        return moment_in_words(value)
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def print_published(done: Published, *, as_json: bool) -> None:
    """Say what was published."""
    if as_json:
        days = {"as_of": done.as_of.isoformat(), "records_to": done.records_to.isoformat()}
        print_json({**done.__dict__, **days})
    else:
        OUT.print(
            f"Published table {done.name}: {done.n_dealers:,} dealers as of {done.as_of}, "
            f"bundle {escape(done.bundle)}, fingerprint {done.fingerprint[:12]}."
        )
    if done.records_to < done.as_of:
        n_days = (done.as_of - done.records_to).days
        say(
            f"The records end {n_days:,} days before that day, so recent counts are empty: ingest "
            f"newer records, or ask `ffl-risk score --as-of {done.records_to}`."
        )


def print_list(document: Mapping[str, Any], *, as_json: bool, as_csv: bool) -> None:
    """Print a list with its reasons, and what it does not know."""
    if as_json:
        print_json(document)
        return
    if as_csv:
        from serving.lists.files.list_files import header, to_csv

        for line in header(document):
            ERR.print(f"[dim]{escape(line)}[/dim]", soft_wrap=True)
        sys.stdout.buffer.write(to_csv(document))
        return
    OUT.print(
        f"[bold]Dealers by priority, {escape(codes_in_words(document['area_in_words']))}[/bold]"
    )
    for row in document["rows"]:
        _print_row(row, document["basis"]["as_of"])
    OUT.print(f"\n{escape(basis_sentence(document['basis']))}", soft_wrap=True)
    design = document["design"]
    left_out = design["n_in_area"] - design["n_eligible"]
    OUT.print(
        f"{counted(design['n_in_area'], 'dealer')} in the area; "
        f"{counted(left_out, 'was', 'were')} inspected, by these records, in the twelve months "
        f"before {document['basis']['as_of']} and may not be listed.",
        soft_wrap=True,
    )
    n_unsure = sum(row["has_insufficient_history"] for row in document["rows"])
    if n_unsure:
        OUT.print(
            counted(n_unsure, "dealer is", "dealers are")
            + " unlike the inspected ones that were learned from."
        )
    OUT.print(PEERS)
    OUT.print("What it does not know:")
    for line in each_once(document["disclaimers"]):
        OUT.print(f"  - {escape(line)}")


def _print_row(row: Mapping[str, Any], as_of: str) -> None:
    name = row["business_name"] or row["licensee_name"]
    OUT.print(
        f"[bold]{row['position']:>4}  {escape(name)}[/bold]  {row['dealer']}, type "
        f"{row['license_type']}, {escape(row['city'])}, {row['state']}",
        soft_wrap=True,
    )
    scores = ", ".join(_head_in_words(head, s) for head, s in row["heads"].items())
    seen = row["last_inspected_on"]
    last = "no compliance or recall inspection on record"
    if seen:
        last = f"last compliance or recall inspection opened {seen}"
    unsure = "; unlike inspected dealers" if row["has_insufficient_history"] else ""
    OUT.print(f"      {scores}; {last}{unsure}", soft_wrap=True)
    if alone := scored_alone(row, as_of):
        OUT.print(f"      {alone}", soft_wrap=True)
    if row["why"][0] in _WHY:
        OUT.print(f"      here {_WHY[row['why'][0]]}", soft_wrap=True)
    for reason in [r for r in row["reasons"] if r["contribution"] > 0][:3]:
        OUT.print(f"      + {escape(reason['sentence'])}", soft_wrap=True)


def _count(value: float) -> str:
    """Write an expected count: whole from ten on, with one decimal below."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def _head_in_words(head: str, score: Mapping[str, float]) -> str:
    """Say a head with its interval: a chance in per cent, a rate as a number."""
    ends = score["value"], score["lower"], score["upper"]
    if head in RATES:
        value, low, high = (_count(end) for end in ends)
    else:
        value, low, high = (f"{100 * end:.1f}%" for end in ends)
    return f"{head_label(head)} {value} ({low} to {high})"


def print_explanation(document: Mapping[str, Any], *, as_json: bool) -> None:
    """Print what each signal adds."""
    if as_json:
        print_json(document)
        return
    score = document["score"]
    OUT.print(
        f"{score['dealer']}: national rank {score['national_rank']:,}, office rank "
        f"{score['office_rank']:,}, percentile {score['percentile']:.1f}"
    )
    for head, value in score["heads"].items():
        OUT.print(
            f"  {head.replace('_', ' ')}: {value['value']:.3f} "
            f"({value['lower']:.3f} to {value['upper']:.3f})"
        )
    table = Table(title="What moves the priority", title_justify="left")
    table.add_column("adds", justify="right")
    table.add_column("signal")
    table.add_column("in words", ratio=1)
    for item in document["contributions"][:15]:
        cells = f"{item['contribution']:+.3f}", item["signal"], item["sentence"]
        table.add_row(*map(escape, cells))
    OUT.print(table)
    for source in document["records"]:
        OUT.print(
            f"{counted(source['n_records'], 'record')} of {source['table']}: "
            f"{', '.join(source['ids'])}"
        )
    way = document["way_off"]
    if way["is_on_list"] and way["changes"]:
        OUT.print(
            "What would take it off its office's list:"
            if way["is_enough"]
            else "It would stay on its office's list, even with:"
        )
        for change in way["changes"]:
            OUT.print(f"  {escape(change['sentence'])}")
    OUT.print(escape(basis_sentence(document["basis"])))
    for line in each_once(document["disclaimers"]):
        OUT.print(f"[dim]{escape(line)}[/dim]")


def print_checks(title: str, checks: Mapping[str, bool]) -> None:
    """Print which checks hold."""
    OUT.print(title)
    for name, holds in checks.items():
        OUT.print(f"  {'[green]yes[/green]' if holds else '[red]NO [/red]'} {escape(name)}")


def print_verdict(verdict: Verdict, *, as_json: bool) -> None:
    """Print what a walk along the audit chain found."""
    if as_json:
        print_json(verdict.__dict__)
    elif verdict.is_intact:
        OUT.print(
            f"{verdict.n_records:,} records, intact. Last: {verdict.n_records}:{verdict.head}"
        )
    else:
        OUT.print(f"[red]The chain is broken:[/red] {escape(verdict.why)}.")
