"""What is typed to let figures leave the house: share, bulletin; each is audited."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from features.domain import agency_day

if TYPE_CHECKING:
    from features.warehouse import Warehouse

insight_app = typer.Typer()

DayOption = Annotated[
    Optional[datetime],  # noqa: UP045 - typer reads annotations at run time on every Python
    typer.Option(
        "--release",
        formats=["%Y-%m-%d"],
        metavar="YYYY-MM-DD",
        help="A day of the release calendar. Default: the newest.",
    ),
]
WarehouseOption = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option("--warehouse", metavar="PATH", help="Folder of the warehouse."),
]


@insight_app.command()
def share(
    partner: Annotated[str, typer.Option("--for", help="hsi, cbp, state, mexico or public.")],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where to write the files.")],
    released: DayOption = None,
    purpose: Annotated[str, typer.Option(help="Why, for the manifest.")] = "statistics",
    agreement: Annotated[
        str, typer.Option(metavar="REFERENCE", help="Which agreement, where several are in force.")
    ] = "",
    warehouse: WarehouseOption = None,
) -> None:
    """Write the aggregates of a quarter for a partner, under the release rules.

    Cells below 10 firearms or 3 dealers, or that rest on one dealer for more than 70%, are hidden,
    and so are others that would give them away; a release whose hidden cells a linear program can
    work out is refused with the cells named (exit code 5). All partners get parts of the same
    tables, and a quarter is kept as it was first released. Other partners than the public need an
    agreement in agreements.toml of the home folder; that with a state names its states.

    Example: ffl-risk share --for public --release 2024-11-15 --out share
    """
    from features.home import write_atomically
    from features.insight.sharing.release import release, require_past
    from features.insight.sharing.rules import latest_release, partner_for
    from serving.commands.operator import record_release
    from serving.commands.printing import say, working

    today = agency_day.today()
    day = released.date() if released else latest_release(today)
    require_past(day, today)
    opened, home = _opened(warehouse)
    receiver = partner_for(partner, home=home, on=today, released=day, reference=agreement)
    with working("share") as progress:
        progress("hiding and attacking")
        made = release(opened, receiver, day, purpose=purpose, home=home)
    record_release(receiver.subject(made.quarter))
    for name, content in made.files.items():
        write_atomically(out / name, content)
    say(
        f"Wrote {len(made.files)} files to {out}: {made.n_published:,} cells shown, "
        f"{made.n_hidden:,} hidden, none of them exactly recoverable."
    )


@insight_app.command()
def bulletin(
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where to write the Markdown page.")],
    released: DayOption = None,
    warehouse: WarehouseOption = None,
) -> None:
    """Write a page of trends over the quarters of a year, from released aggregates alone.

    Example: ffl-risk bulletin --release 2025-02-15 --out bulletin.md
    """
    from features.home import write_atomically
    from features.insight.bulletin import bulletin as page
    from features.insight.sharing.quarters import released_year
    from features.insight.sharing.release import require_past
    from features.insight.sharing.rules import latest_release
    from serving.commands.operator import record_release
    from serving.commands.printing import say, working

    today = agency_day.today()
    last = require_past(released.date() if released else latest_release(today), today)
    opened, home = _opened(warehouse)
    with working("bulletin") as progress:
        progress("hiding and attacking")
        quarters = released_year(opened, last, home)
    record_release(f"bulletin {last}")
    write_atomically(out, page(quarters).encode())
    say(f"Wrote {out}.")


@insight_app.command()
def measures(
    year: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=2000, max=2100, help="Which year. Default: the last full one."),
    ] = None,
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="FOLDER", help="Write the report here as HTML, CSV and JSON."),
    ] = None,
    is_public: Annotated[
        bool, typer.Option("--public", help="The variant that may be shown to anyone.")
    ] = False,
    warehouse: WarehouseOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Hold what was reached against targets: value, interval, trend, met or why not.

    Measures stand in measures.toml (goal, formula, target, baseline, owner, the decision each
    serves); the home folder may hold its own, and measures_notes.toml the explanations of missed
    targets. A past year is frozen the first time it is measured a month or more after its end.

    Example: ffl-risk measures --year 2024 --out measures
    """
    from features.home import write_atomically
    from features.insight.measures.comparison import RULE
    from features.insight.measures.figures import Period
    from features.insight.measures.writing import as_text, to_csv, to_html, to_json
    from serving.commands.operator import local_measures
    from serving.commands.printing import print_rows, say

    today = agency_day.today()
    opened, _ = _opened(warehouse)
    period = Period.year(year or today.year - 1)
    report = local_measures(opened, period, is_public=is_public)
    if out is not None:
        stem = f"measures-{period.name}{'-public' if is_public else ''}"
        for ending, content in (
            ("json", to_json(report)), ("csv", to_csv(report)), ("html", to_html(report)),
        ):  # fmt: skip
            write_atomically(out / f"{stem}.{ending}", content)
        say(f"Wrote {stem} as HTML, CSV and JSON to {out}.")
    if as_json:
        typer.echo(to_json(report).decode(), nl=False)
    elif out is None:
        rows = [
            {"measure": m.definition.indicator, "value": as_text(m.value, m.definition.unit),
             "target": as_text(m.definition.target, m.definition.unit),
             "verdict": m.verdict, "against the target": m.against_target,
             "against the year before": m.against_year_before, "said": m.said}
            for m in report.measures
        ]  # fmt: skip
        print_rows(f"Measures of {period.name}", rows, as_json=False)
        say(RULE)


@insight_app.command()
def assurance(
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where to write the papers.")],
    warehouse: WarehouseOption = None,
) -> None:
    """Write the papers an agency needs before it may run this, from real figures.

    Impact assessment, use-case inventory row, data inventory, model card, bill of materials
    (CycloneDX), control mapping with the test that shows each row, accessibility notes. Signatures
    and judgments stay empty. Without a champion there is nothing to assure (exit code 4).

    Example: ffl-risk assurance --out papers
    """
    from features.home import home, write_atomically
    from serving.commands.printing import say, working
    from serving.insight.assurance.facts import facts_of
    from serving.insight.assurance.papers import papers

    with working("assurance"):
        facts = facts_of(home(), warehouse or home() / "warehouse", agency_day.today())
        files = papers(facts)
    for name, content in files.items():
        write_atomically(out / name, content)
    say(f"Wrote {len(files)} papers to {out}. What is empty is for people to fill in and sign.")


def _opened(warehouse: Path | None) -> tuple[Warehouse, Path]:
    from features.home import home
    from features.warehouse import Warehouse

    return Warehouse.open(warehouse or home() / "warehouse"), home()
