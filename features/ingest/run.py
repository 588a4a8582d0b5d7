"""Ingest: files in, checked rows stored, everything else counted; all of a command or nothing.

DuckDB does the work in bounded memory: it streams a file's rows through the checks into a
temporary table that spills beside the warehouse, decides about versions, and writes one sorted
Parquet file a table. Nothing is visible before the manifest is replaced, once, at the end, so a
refused file leaves the warehouse as it was, other files of the same command included.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

import duckdb

from features.domain import agency_day
from features.errors import InvalidValueError, SourceError, did_you_mean
from features.home import keep_private
from features.ingest.dry_run import preview_of, trial_copy
from features.ingest.load import Load, Loader
from features.ingest.summary import FileSummary, IngestSummary
from features.object_store import address_of, fetch
from features.schema import TABLES
from features.sources.agency.database import pulled
from features.sources.agency.mapping import ExportMapping, read_mapping
from features.sources.agency.mapping_faults import formats_of
from features.sources.files.archive import Finds, Found, Unread, expand, named
from features.sources.files.source_file import SourceFile, inspect
from features.sources.layout import Layout
from features.sources.recognition import Choices, recognize
from features.sources.rows import json_document
from features.warehouse.batches import engine_settings
from features.warehouse.manifest import Draft, fingerprint, write_lock, writing_to

MAX_REJECTS: Final = 0.2

Progress = Callable[[str], None]


@dataclass
class Clock:
    """Wall time by step.

    Parameters
    ----------
    progress : callable or None
        Told the name of each step as it begins.
    """

    progress: Progress | None = None
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str, detail: str = "") -> Iterator[None]:
        """Time one step."""
        if self.progress:
            self.progress(f"{name} {detail}".strip())
        start = time.perf_counter()
        try:
            yield
        finally:
            elapsed = time.perf_counter() - start
            self.seconds[name] = self.seconds.get(name, 0.0) + elapsed


def ingest(
    paths: Sequence[Path] | Path,
    warehouse: Path,
    *,
    as_table: str | None = None,
    mapping: Path | Mapping[Path, Path] | None = None,
    listed_on: date | None = None,
    known_on: date | None = None,
    max_rejects: float = MAX_REJECTS,
    today: date | None = None,
    progress: Progress | None = None,
    is_trial: bool = False,
    is_told: bool = False,
) -> IngestSummary:
    """Load files into the warehouse, which is made if it does not exist.

    Parameters
    ----------
    paths : Path or sequence of Path
        Files, folders of tables, or zip archives of them; also addresses such as
        ``s3://bucket/exports``.
    warehouse : Path
        The folder of the warehouse.
    as_table : str, optional
        The table that a canonical file holds, where its header leaves a doubt.
    mapping : Path or mapping of Path to Path, optional
        The mapping file to read an agency's own export through, or those of some of the paths.
    listed_on : date, optional
        The day of a license listing whose name does not tell it, or of a register that a mapping
        reads.
    known_on : date, optional
        The day since which rows are known that do not say it themselves: of a full export that
        comes again, the day of the export, so that what it corrects counts from then.
    max_rejects : float
        A file with a larger share of bad rows is refused whole, in [0, 1].
    today : date, optional
        The day of ingest; a later date in a file is a fault, and purchaser tokens of sales two
        years before it are dropped. The system's day by default; a simulated country passes the
        end of its history.
    progress : callable, optional
        Told the name of each step as it begins.
    is_trial : bool
        Go through the whole load and change nothing; the summary then shows rows as they would be
        stored and rejects.
    is_told : bool
        The rows were told one by one as they came, so that they do not say how far records reach
        (`Warehouse.reaches_to`).

    Returns
    -------
    IngestSummary
        Rows read, stored, superseded, duplicate, set aside and rejected.

    Raises
    ------
    SourceError
        When a file is refused; the warehouse is unchanged.
    WarehouseError
        When the warehouse cannot be written; it is unchanged.
    """
    warehouse = Path(warehouse)
    keep_private(warehouse)
    files = [Path(paths)] if isinstance(paths, str | Path) else [Path(path) for path in paths]
    of_paths = mapping if isinstance(mapping, Mapping) else {}
    choices = _choices(as_table, None if isinstance(mapping, Mapping) else mapping)
    choices = replace(choices, listed_on=listed_on, known_on=known_on)
    mappings = {path: read_mapping(file) for path, file in of_paths.items()}
    if not 0 <= max_rejects <= 1:
        raise InvalidValueError(
            f"--max-rejects is {max_rejects}.", expected="a share between 0 and 1"
        )
    clock = Clock(progress)
    if is_trial:
        with trial_copy(warehouse) as copy:
            summary = ingest(
                files, copy, as_table=as_table, mapping=mapping, listed_on=listed_on,
                known_on=known_on, max_rejects=max_rejects, today=today, progress=progress,
                is_told=is_told,
            )  # fmt: skip
            return replace(summary, is_trial=True, preview=preview_of(copy, warehouse))
    with write_lock(warehouse), writing_to(warehouse), clock.step("all"):
        draft = Draft(warehouse)
        try:
            draft.open_staging()
            day = today or agency_day.today()
            run = Run(draft, choices, max_rejects, day, clock, mappings, is_told=is_told)
            summaries, unread, warnings = run.load(files)
            if draft.has_changed:
                with clock.step("commit"):
                    draft.commit()
        finally:
            draft.close()
    told = fingerprint(draft.manifest)
    return IngestSummary(tuple(summaries), told, clock.seconds, unread, warnings=warnings)


@dataclass(frozen=True)
class Run:
    """One ingest: its draft and its settings.

    Parameters
    ----------
    draft : Draft
        The warehouse about to change.
    choices : Choices
        What the user settled.
    max_rejects : float
        Share of bad rows above which a file is refused.
    today : date
        The day of ingest.
    clock : Clock
        Wall time by step.
    mappings : mapping of Path to ExportMapping
        Of paths that are read each through its own.
    is_told : bool
        Whether the rows were told one by one.
    """

    draft: Draft
    choices: Choices
    max_rejects: float
    today: date
    clock: Clock
    mappings: Mapping[Path, ExportMapping] = field(default_factory=dict)
    is_told: bool = False

    def load(
        self, paths: Sequence[Path]
    ) -> tuple[list[FileSummary], tuple[Unread, ...], tuple[str, ...]]:
        """Load every file under `paths`, inspections before violations, traces before sales."""
        with self.clock.step("inspect"):
            finds = self._finds(paths)
            known, given = self._recognized(finds)
            sources = [source for source, _, _ in known]
        order = list(TABLES)
        known.sort(key=lambda item: order.index(item[1].plans[0].table))
        n_bytes = sum(source.path.stat().st_size for source in sources)
        with duckdb.connect(config=engine_settings(self.draft, n_bytes=n_bytes)) as con:
            loader = Loader(con, self.draft, self.max_rejects, self.today)
            summaries: list[FileSummary] = []
            warnings: tuple[str, ...] = ()
            first = len(self.draft.manifest["sources"])
            for source, layout, names in known:
                try:
                    origin = _origin(first, given[source.path])
                    summaries.append(self._load(loader, source, layout, names, origin))
                except SourceError as error:
                    error.given = given[source.path]
                    raise
            if any(summary.is_new for summary in summaries):
                with self.clock.step("finish"):
                    summaries = loader.effects.settle(summaries)
                    warnings = loader.effects.warnings(summaries, self._read_from())
                    loader.finish()
        return summaries, tuple(finds.unread), warnings

    def _read_from(self) -> dict[str, dict[str, str]]:
        """Return, for each table read through a mapping, where its columns come from."""
        used = [self.choices.mapping, *self.mappings.values()]
        return {
            mapping.table: {
                name: " and ".join(formats_of(entry["from"]))
                for name, entry in mapping.columns.items()
                if "from" in entry
            }
            for mapping in used
            if mapping
        }

    def _finds(self, paths: Sequence[Path]) -> Finds:
        """Return the files to read: those under the paths, or what a database answers."""
        mapping = self.choices.mapping
        if mapping is not None and mapping.database is not None:
            return pulled(mapping.database, paths, self.draft.staging / "asked")
        if not paths:
            raise SourceError(
                "Nothing was named to load.",
                expected="files, folders or zips, or a mapping that names a database with url_env",
            )
        return expand(self._on_disk(paths), self.draft.staging / "unpacked")

    def _on_disk(self, paths: Sequence[Path]) -> list[Path]:
        """Return the paths, those in an object store fetched beside the warehouse."""
        here = []
        for n, path in enumerate(paths):
            address = address_of(path)
            place = self.draft.staging / "fetched" / str(n)
            here.append(fetch(address, place) if address else path)
        return here

    def _recognized(
        self, finds: Finds
    ) -> tuple[list[tuple[SourceFile, Layout, list[str]]], dict[Path, Path | None]]:
        """Return each file with its layout, and what was given to load for each.

        A sheet that is no table is told, not refused.
        """
        known, notes, given = [], [], {}
        for file in self._chosen(finds):
            try:
                source = self._inspected(file)
                given[source.path] = file.given
                layout, names = recognize(source, self._choices_for(file))
                if file.note:
                    layout = replace(layout, notes=(*layout.notes, file.note))
                known.append((source, layout, names))
            except SourceError as error:
                error.given = file.given
                if not file.sheet:
                    raise
                notes.append((Unread(file.name, f"a sheet that is no table: {error.what}"), error))
        if notes and not known:
            raise notes[0][1]
        finds.unread += [note for note, _ in notes]
        return known, given

    def _choices_for(self, file: Found) -> Choices:
        own = self.mappings.get(file.given) if file.given else None
        beside = file.given if file.given is None or file.given.is_dir() else file.given.parent
        return replace(
            self.choices,
            mapping=own or self.choices.mapping,
            beside=beside,
            folder=self.draft.staging / "joined",
        )

    def _chosen(self, finds: Finds) -> list[Found]:
        """Return the files to read, without sheets other than the one that a mapping names."""
        chosen = []
        for file in finds.found:
            mapping = self._choices_for(file).mapping
            wanted = mapping.sheet if mapping else ""
            if not wanted or file.sheet in ("", wanted):
                chosen.append(file)
                continue
            finds.unread.append(Unread(file.name, f"the mapping reads {wanted!r}"))
            beside = [one.sheet for one in finds.found if one.given == file.given]
            if wanted not in beside:
                error = SourceError(
                    f"No sheet is called {wanted!r}, which the mapping reads.",
                    found=", ".join(map(repr, beside)),
                    fix="correct `sheet` in the mapping, or leave it out",
                )
                error.given = file.given
                raise error
        return chosen

    def _inspected(self, file: Found) -> SourceFile:
        """Return what the bytes of a file are; a list of records becomes one a line."""
        source = inspect(file.path, file.name, file.table)
        if json_document.is_document(source):
            return json_document.as_lines(source, self.draft.staging / "records")
        return source

    def _load(
        self,
        loader: Loader,
        source: SourceFile,
        layout: Layout,
        names: list[str],
        origin: Mapping[str, Any],
    ) -> FileSummary:
        identity = {"sha256": source.sha256, "options": dict(layout.options)}
        entries = self.draft.manifest["sources"]
        if any(_is_same(entry, identity) for entry in entries):
            return FileSummary(
                source.name, source.sha256, layout.name, is_new=False,
                notes=("ingested before; nothing changed",),
            )  # fmt: skip
        clock = Clock()
        with self.clock.step("load", source.name):
            load = Load(source, layout, names, number=len(entries))
            tables, notes = loader.load(load, clock.step)
        entries.append(
            {
                "id": load.number,
                "file": source.name,
                **identity,
                **origin,
                "layout": layout.name,
                "tables": {t.table: t.n_read for t in tables},
                "rows": sum(t.n_read for t in tables),
                "rejected": sum(t.n_rejected for t in tables),
                "reaches_to": {} if self.is_told else dict(loader.newest),
                "duplicates": {t.table: t.n_duplicate for t in tables if t.n_duplicate},
                "ingested_at": datetime.now(UTC).isoformat(timespec="seconds"),
            }
        )
        return FileSummary(
            source.name, source.sha256, layout.name, is_new=True, tables=tuple(tables),
            notes=tuple(notes), seconds=clock.seconds,
        )  # fmt: skip


def _origin(first: int, given: Path | None) -> dict[str, int | str]:
    """Return by what a source is named again: the first of its load, and what was given to load."""
    return {"load": first, "given": named(str(given.absolute())) if given else ""}


def _is_same(entry: dict[str, Any], identity: dict[str, Any]) -> bool:
    """Whether a source is the very file, loaded before and still counting."""
    if "withdrawn" in entry or entry.get("may_come_again"):
        return False
    return all(entry[name] == value for name, value in identity.items())


def _choices(as_table: str | None, mapping: Path | None) -> Choices:
    if as_table is not None and as_table not in TABLES:
        raise InvalidValueError(
            f"{as_table!r} is no table{did_you_mean(as_table, TABLES)}",
            expected=", ".join(TABLES),
        )
    return Choices(as_table, read_mapping(Path(mapping)) if mapping else None)
