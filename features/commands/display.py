"""How the results of `ingest` and `check` look in a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.box import SIMPLE
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from features.contract import TableContract, limits
from features.domain.number_words import counted

if TYPE_CHECKING:  # each view is asked for by one command, which must not load what others show
    from features.ingest.summary import FileSummary, IngestSummary
    from features.insight.completeness import Completeness
    from features.insight.flows.follow import Flow
    from features.warehouse.integrity import WarehouseReport

_COUNTS = ("read", "stored", "superseded", "duplicate", "set_aside", "rejected")


def ingest_view(summary: IngestSummary) -> RenderableType:
    """Return the summary of an ingest: counts that add up, reasons of rejects, time by step."""
    grid = Table(
        title="Would be ingested" if summary.is_trial else "Ingested",
        title_justify="left", box=SIMPLE, pad_edge=False, collapse_padding=True,
    )  # fmt: skip
    grid.add_column("table", no_wrap=True)
    for name in _COUNTS:
        grid.add_column(name.replace("_", " "), justify="right", no_wrap=True)
    for n, file in enumerate(summary.files, 1):
        if not file.is_new:
            grid.add_row(f"[{n}] ingested before", *("" for _ in _COUNTS))
        for counts in file.tables:
            numbers = (f"{getattr(counts, f'n_{name}'):,}" for name in _COUNTS)
            grid.add_row(f"[{n}] {counts.table}", *numbers)
    grid.add_section()
    grid.add_row("all", *(f"{summary.counts[name]:,}" for name in _COUNTS))
    lines = [line for n, file in enumerate(summary.files, 1) for line in _lines(n, file)]
    if summary.unread:
        lines.append(Text(f"NOT READ: {len(summary.unread):,} files", style="bold yellow"))
        lines += [Text(f"    {u.file}: {u.why}", style="yellow") for u in summary.unread]
    lines += [Text(f"WARNING: {told}", style="bold yellow") for told in summary.warnings]
    return Group(
        grid,
        *lines,
        Text(f"time: {_spent(summary.seconds)}"),
        *(() if summary.is_trial else (Text(f"fingerprint: {summary.fingerprint}"),)),
    )


def trial_view(summary: IngestSummary) -> RenderableType:
    """Return what a load would do: its summary, ten rows as stored, rejected values with counts."""
    parts: list[RenderableType] = [ingest_view(summary)]
    preview = summary.preview
    for table, rows in preview.rows.items() if preview else ():
        parts += _rows_view(table, rows)
    if preview and preview.rejected:
        grid = Table(title="Would be rejected", title_justify="left", box=SIMPLE)
        for name in ("table", "reason", "column", "value", "rows", "first line"):
            grid.add_column(name)
        for one in preview.rejected:
            grid.add_row(
                one.table, one.reason, one.column or "", one.value or "", f"{one.n_rows:,}",
                str(one.first_line),
            )  # fmt: skip
        parts.append(grid)
    parts.append(Text("Nothing was changed.", style="bold"))
    return Group(*parts)


def _rows_view(table: str, rows: Sequence[Mapping[str, object]]) -> list[RenderableType]:
    """Return rows as stored, one a column, as many side by side as a narrow terminal shows whole.

    Columns that no row fills are named below.
    """
    names = [name for name in rows[0] if name not in ("source_line", "superseded_on")]
    filled = [name for name in names if any(row[name] is not None for row in rows)]
    parts: list[RenderableType] = [Text(f"{table} as it would be stored", style="italic")]
    width = max(map(len, filled)) + 5
    for block in _side_by_side(rows, filled, 80 - width):
        grid = Table(box=SIMPLE)
        grid.add_column("column", no_wrap=True)
        for row in block:
            grid.add_column(f"line {row['source_line']}", overflow="fold")
        for name in filled:
            grid.add_row(name, *("" if r[name] is None else str(r[name]) for r in block))
        parts.append(grid)
    empty = [name for name in names if name not in filled]
    if empty:
        parts.append(Text(f"Nothing in these rows for: {', '.join(empty)}."))
    return parts


def _side_by_side(
    rows: Sequence[Mapping[str, object]], names: Sequence[str], width: int
) -> list[list[Mapping[str, object]]]:
    blocks: list[list[Mapping[str, object]]] = []
    left = 0
    for row in rows:
        need = 3 + max(10, *(len(str(row[name])) for name in names))
        if not blocks or need > left:
            blocks.append([])
            left = width
        blocks[-1].append(row)
        left -= need
    return blocks


def contract_view(tables: Sequence[TableContract], *, is_full: bool) -> RenderableType:
    """Return the contract for a terminal: one table in full, or all in short."""
    parts: list[RenderableType] = []
    for one in tables:
        grid = Table(title=f"{one.name}: {one.about}", title_justify="left", box=SIMPLE)
        grid.add_column("column", no_wrap=True)
        for name in ("type", "required", "codes and bounds", *(("meaning",) if is_full else ())):
            grid.add_column(name)
        for column in one.columns:
            kind = column.type if column.unit in (column.type, "code") else column.unit
            cells = (
                column.name, kind, "yes" if column.is_required else "",
                limits(column).replace("`", ""), column.meaning,
            )  # fmt: skip
            grid.add_row(*cells[: len(grid.columns)])
        rule = f"key: {', '.join(one.key)}; known_on, where the file has none: {one.known_on}"
        parts += [grid, Text(rule)]
        if is_full:
            example = ", ".join(f"{name}={value}" for name, value in one.example.items())
            parts.append(Text(f"example row: {example}"))
    return Group(*parts)


def _lines(n: int, file: FileSummary) -> list[Text]:
    lines = [Text(f"[{n}] {file.file}: {file.layout}")]
    lines += [Text(f"    {note}") for note in file.notes]
    for counts in file.tables:
        if counts.reasons:
            told = ", ".join(f"{many:,} {reason}" for reason, many in counts.reasons.items())
            lines.append(Text(f"    {counts.table} rejected: {told}", style="yellow"))
    for counts in file.tables:
        if counts.n_superseded_before or counts.n_disputed_before:
            lines.append(
                Text(
                    f"    of earlier loads: {counts.n_superseded_before:,} rows of {counts.table} "
                    f"superseded, {counts.n_disputed_before:,} brought into dispute"
                )
            )
    if file.seconds:
        lines.append(Text(f"    {_spent(file.seconds)}", style="dim"))
    return lines


def _spent(seconds: Mapping[str, float]) -> str:
    return "  ".join(f"{name} {spent:.2f} s" for name, spent in seconds.items())


def check_view(report: WarehouseReport) -> RenderableType:
    """Return the report on a warehouse."""
    grid = Table(
        title=f"Warehouse {report.path}",
        title_justify="left",
        box=SIMPLE,
        pad_edge=False,
        collapse_padding=True,
    )
    grid.add_column("table", no_wrap=True)
    for name in ("rows", "superseded", "files", "known from", "to", "rejected"):
        grid.add_column(name, justify="right", no_wrap=True)
    for table in report.tables:
        grid.add_row(
            table.table,
            f"{table.n_rows:,}",
            f"{table.n_superseded:,}",
            f"{table.n_files:,}",
            table.first_known_on or "",
            table.last_known_on or "",
            f"{sum(table.rejects.values()):,}",
        )
    lines = [
        Text(f"{table.table}: rejected {n:,} {reason}", style="yellow")
        for table in report.tables
        for reason, n in table.rejects.items()
    ]
    lines += [
        Text(f"{table.table}: {table.n_never:,} rows never in force: repeated or in dispute")
        for table in report.tables
        if table.n_never
    ]
    intact = "intact" if not report.faults else "DAMAGED"
    lines.append(Text(f"{report.n_sources:,} sources; files {intact}"))
    lines.append(
        Text(f"purchaser tokens whose time was over, now dropped: {report.n_tokens_dropped:,}")
    )
    return Group(grid, *lines, Text(f"fingerprint: {report.fingerprint}"))


def completeness_view(found: Completeness) -> RenderableType:
    """Return where training would add most traces, and what that rests on."""
    grid = Table(
        title=f"Mexican submission as of {found.as_of}: what full submission would add in a year",
        title_justify="left",
        box=SIMPLE,
    )
    for name in ("state", "who submits", "basis"):
        grid.add_column(name)
    for name in ("requests", "in full", "added", "range", "to a purchaser"):
        grid.add_column(name, justify="right", no_wrap=True)
    for row in found.training:
        grid.add_row(
            row.state, row.submits, row.basis, f"{row.n_requests:,.0f}", f"{row.expected:,.0f}",
            f"{row.added_requests:,.0f}", f"{row.low:,.0f} to {row.high:,.0f}",
            f"{row.added_to_purchaser:,.0f}",
        )  # fmt: skip
    lines = [Text(f"Agencies: {found.agencies}."), *map(Text, found.statements)]
    if not found.training:
        lines.insert(0, Text("No settled quarter tells of Mexican submission: cannot be said."))
    return Group(grid, *lines)


def flow_view(flow: Flow) -> RenderableType:
    """Return links, corridors and hubs of a flow."""
    links = _grid("Links", ("from", "to", "course", "status"), ("firearms", "short"))
    for link in flow.links[:20]:
        n = f"{link.low:,} to {link.n:,}" if link.status == "inferred" else f"{link.n:,}"
        links.add_row(link.source, link.target, link.course, link.status, n, f"{link.n_short:,}")
    lanes = _grid(
        "Corridors, by excess over sales and tracing",
        ("from", "to"),
        ("traces", "submitted in full", "excess of sales", "95%", "given tracing", "95%"),
    )
    for lane in [c for c in flow.corridors if c.course != "intrastate"][:15]:
        span = "" if lane.low is None else f"{lane.low:.1f} to {lane.high:.1f}"
        excess = "" if lane.excess is None else f"{lane.excess:.1f}"
        full = (
            ""
            if lane.adjusted_low is None or lane.adjusted_high is None
            else f"{lane.adjusted_low:,.0f} to {lane.adjusted_high:,.0f}"
        )
        traced = "" if lane.traced_excess is None else f"{lane.traced_excess:.1f}"
        traced_span = (
            ""
            if lane.traced_low is None or lane.traced_high is None
            else f"{lane.traced_low:.1f} to {lane.traced_high:.1f}"
        )
        lanes.add_row(
            lane.source, lane.market, f"{lane.n:,}", full, excess, span, traced, traced_span
        )
    places = _grid("Counties by Mexican traces", ("county", "zone"), ("traces", "excess"))
    for hub in flow.counties[:12]:
        excess = "" if hub.excess is None else f"{hub.excess:.1f}"
        places.add_row(hub.label, hub.zone, f"{hub.n_mexico:,}", excess)
    traces = counted(flow.n_traces, "trace")
    head = f"{flow.subject.label}: {traces} known {flow.first} to {flow.as_of}"
    return Group(Text(head), links, lanes, places, *map(Text, flow.statements))


def _grid(title: str, words: tuple[str, ...], numbers: tuple[str, ...]) -> Table:
    grid = Table(title=title, title_justify="left", box=SIMPLE)
    for name in words:
        grid.add_column(name)
    for name in numbers:
        grid.add_column(name, justify="right", no_wrap=True)
    return grid
