"""`FeatureTable`: one row a dealer and as-of date, with reasons for what is missing.

Its fingerprint covers content, signal definitions and warehouse: the same warehouse, as-of dates
and code give the same fingerprint on any engine and any machine.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from features.domain import agency_day
from features.domain.asof import EPOCH, from_day, to_day
from features.errors import AsOfError, FeatureError, WarehouseError
from features.home import write_json
from features.schema import TABLES
from features.signals.shared.fingerprint import fingerprint_of
from features.signals.signal import (
    NO_EXPOSURE,
    OBSERVED,
    REASON_NAMES,
    FamilyColumns,
    Reasons,
    Signal,
)

if TYPE_CHECKING:  # what builds a table is slow to import, and not needed to read one
    from features.engine.context import Cohort
    from features.engine.embedded import EmbeddedEngine
    from features.warehouse import Warehouse

Variant = Literal["full", "public"]
Progress = Callable[[str, int, int], None]
Values = npt.NDArray[np.float32]
Made = dict[str, tuple[Values, Reasons]]


@dataclass(frozen=True)
class FeatureTable:
    """Signals of dealers as of dates.

    Parameters
    ----------
    frame : DataFrame, shape (n_rows, 2 + n_signals)
        ``dealer`` (str), ``as_of`` (datetime64[s]), then the signals as float32; sorted by
        ``as_of``, then ``dealer``.
    reasons : DataFrame of int8, shape (n_rows, n_signals)
        0 observed, 1 no_source, 2 no_exposure, 3 too_few.
    signals : tuple of Signal
        In column order.
    variant : {"full", "public"}
        ``public`` holds nothing restricted.
    warehouse_fingerprint, fingerprint : str
        SHA-256 of what it was built from, and of the table itself.
    """

    frame: pd.DataFrame
    reasons: pd.DataFrame
    signals: tuple[Signal, ...]
    variant: Variant
    warehouse_fingerprint: str
    fingerprint: str

    @property
    def X(self) -> pd.DataFrame:  # noqa: N802 - the field's name for a design matrix
        """The signals alone, shape (n_rows, n_signals)."""
        return self.frame[[s.name for s in self.signals]]

    @property
    def content_fingerprint(self) -> str:
        """SHA-256 of values, reasons and definitions alone, whatever files they were read from."""
        return fingerprint_of(
            self.frame, _pairs_of(self.frame, self.reasons, self.signals), self.signals, ""
        )

    def __len__(self) -> int:
        return len(self.frame)

    def to_pandas(self) -> pd.DataFrame:
        """Return a copy of `frame`."""
        return self.frame.copy()

    def to_arrow(self) -> pa.Table:
        """Return `frame` as an Arrow table; missing values are null."""
        return pa.Table.from_pandas(self.frame, preserve_index=False)

    def to_polars(self) -> Any:
        """Return `frame` as a polars DataFrame.

        Raises
        ------
        FeatureError
            When polars is not installed.
        """
        try:
            import polars as pl
        except ImportError:
            raise FeatureError(
                "polars is not installed.", fix="pip install polars, or use to_arrow()"
            ) from None
        return pl.from_arrow(self.to_arrow())

    def save(self, folder: Path) -> None:
        """Write ``signals.parquet``, ``reasons.parquet`` and ``table.json`` into `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, frame in (("signals", self.frame), ("reasons", self.reasons)):
            table = pa.Table.from_pandas(frame, preserve_index=False)
            pq.write_table(table, folder / f"{name}.parquet", compression="zstd")
        meta = {
            "signals": [dataclasses.asdict(s) for s in self.signals],
            "reasons": list(REASON_NAMES),
            "variant": self.variant,
            "warehouse_fingerprint": self.warehouse_fingerprint,
            "fingerprint": self.fingerprint,
        }
        write_json(folder / "table.json", meta)

    @classmethod
    def load(cls, folder: Path) -> FeatureTable:
        """Read what `save` wrote, and check it against its fingerprint.

        Raises
        ------
        FeatureError
            When a file is missing or its content does not match the fingerprint.
        """
        try:
            meta = json.loads((folder / "table.json").read_text(encoding="utf-8"))
            frame = pq.ParquetFile(folder / "signals.parquet").read().to_pandas()
            reasons = pq.ParquetFile(folder / "reasons.parquet").read().to_pandas()
        except (OSError, ValueError, pa.ArrowInvalid) as error:
            raise FeatureError(
                f"No feature table can be read from {folder}.",
                found=str(error),
                expected="a folder written by `ffl-risk features --out`",
            ) from error
        signals = tuple(Signal(**{**s, "words": tuple(s["words"])}) for s in meta["signals"])
        columns = _pairs_of(frame, reasons, signals)
        found = fingerprint_of(frame, columns, signals, meta["warehouse_fingerprint"])
        if found != meta["fingerprint"]:
            raise FeatureError(
                f"The feature table in {folder} was changed after it was built.",
                found=found,
                expected=meta["fingerprint"],
                fix="build it again with `ffl-risk features`",
            )
        return cls(frame, reasons, signals, meta["variant"], meta["warehouse_fingerprint"], found)


def build_features(
    warehouse: Warehouse,
    as_of: Sequence[date | str] | date | str | None = None,
    *,
    variant: Variant = "full",
    families: Sequence[str] | None = None,
    cohort: pd.DataFrame | None = None,
    only: Sequence[str] | None = None,
    engine: EmbeddedEngine | None = None,
    progress: Progress | None = None,
) -> FeatureTable:
    """Build the signals of every listed dealer, or of a given cohort.

    Parameters
    ----------
    warehouse : Warehouse
    as_of : date, ISO text, or a sequence of them
        The dates to stand on. Rows known on or after a date are not seen from it. `as_of_range`
        makes many.
    variant : {"full", "public"}
        ``public`` leaves restricted signals out.
    families : sequence of str, optional
        Only these families.
    cohort : DataFrame, optional
        Columns ``dealer`` and ``as_of``: exactly these pairs, listed or not, instead of the
        dealers listed as of each date.
    only : sequence of str, optional
        Return the rows of these dealers alone. They are worked out among all, as rates are drawn
        toward the peers'.
    engine : optional
        `features.engine.choice` says which by default: the embedded one, unless Spark was named.
    progress : callable, optional
        Called as ``progress(family, done, total)``.

    Raises
    ------
    AsOfError
        When a date is before any data, or in the future.
    """
    from features.engine.choice import chosen_engine
    from features.signals.variants import select

    signals = select(variant=variant, families=families)
    used = engine or chosen_engine(warehouse)
    try:
        if cohort is None:
            dates = _dates(as_of)
            check_dates(warehouse, dates)
            pairs = _population(used, dates)
        else:
            pairs = _pairs(cohort)
            check_dates(warehouse, pairs.dates)
        rows = None if only is None else _rows_of(pairs, only)
        values, why = _columns(pairs, used, (signals, rows), progress)
    finally:
        if engine is None:
            used.close()
    names = [signal.name for signal in signals]
    frame, reasons = _frames(pairs if rows is None else pairs.of(rows), names, values, why)
    stamp = warehouse.fingerprint
    fingerprint = fingerprint_of(frame, zip(values, why, strict=True), signals, stamp)
    return FeatureTable(frame, reasons, signals, variant, stamp, fingerprint)


def _population(engine: EmbeddedEngine, dates: list[date]) -> Cohort:
    """Return the dealers listed as of each date, as an engine may have kept them."""
    from features.engine.context import Keeping
    from features.engine.population import population

    if isinstance(engine, Keeping):
        return engine.keep_cohort(tuple(dates), lambda: population(engine, dates))
    return population(engine, dates)


def _rows_of(cohort: Cohort, dealers: Sequence[str]) -> npt.NDArray[np.int64]:
    """Return where the rows of some dealers are, ascending."""
    from features.engine.context import places_among

    return np.flatnonzero(np.isin(cohort.dealer, places_among(cohort.dealers, dealers)))


def check_dates(warehouse: Warehouse, as_of: Sequence[date]) -> None:
    """Refuse as-of dates that the warehouse cannot answer for.

    Raises
    ------
    AsOfError
        When a date is not after the first known row, or later than tomorrow.
    """
    first = first_known_on(warehouse)
    for when in as_of:
        if not first < when or (when - agency_day.today()).days > 1:
            raise AsOfError(
                f"Nothing can be said as of {when}.",
                expected=available(warehouse),
                fix="choose a date in that range, or ingest the data that covers this one",
            )


def available(warehouse: Warehouse) -> str:
    """Say which as-of dates `warehouse` can answer for.

    Raises
    ------
    WarehouseError
        When the warehouse is empty.
    """
    first = from_day(to_day(first_known_on(warehouse)) + 1)
    return f"a date from {first} to {agency_day.today()}"


def first_known_on(warehouse: Warehouse) -> date:
    """Return the first day on which any row of `warehouse` was known.

    Raises
    ------
    WarehouseError
        When the warehouse is empty.
    """
    first = [t["min_known_on"] for t in warehouse.manifest["tables"].values() if t["rows"]]
    if not first:
        raise WarehouseError(
            f"The warehouse {warehouse.path} is empty.", fix="ingest files with `ffl-risk ingest`"
        )
    return date.fromisoformat(min(first))


def _dates(as_of: Sequence[date | str] | date | str | None) -> list[date]:
    given = [as_of] if isinstance(as_of, date | str) else list(as_of if as_of is not None else ())
    dates = sorted({_date(when) for when in given})
    if not dates:
        raise AsOfError("No as-of date was given.", fix="give one as YYYY-MM-DD")
    return dates


def _date(when: object) -> date:
    """Return an as-of date out of a date, a time or ISO text."""
    if isinstance(when, datetime):
        return when.date()
    if isinstance(when, date):
        return when
    try:
        return date.fromisoformat(str(when))
    except ValueError:
        raise AsOfError(f"{when!r} is not a date.", expected="YYYY-MM-DD") from None


def _pairs(cohort: pd.DataFrame) -> Cohort:
    from features.engine.context import Cohort

    missing = {"dealer", "as_of"} - set(cohort.columns)
    if missing or cohort.empty:
        raise FeatureError(
            "The cohort names no dealers and dates.",
            found=f"columns {list(cohort.columns)}, {len(cohort)} rows",
            expected="a row for each dealer and as_of",
        )
    days = (pd.to_datetime(cohort["as_of"]) - pd.Timestamp(EPOCH)).dt.days.to_numpy(np.int32)
    pairs = pd.DataFrame({"dealer": cohort["dealer"].to_numpy(object), "day": days})
    pairs = pairs.drop_duplicates().sort_values(["day", "dealer"], kind="stable")
    dealers, dealer = np.unique(pairs["dealer"].to_numpy(object).astype(str), return_inverse=True)
    dates, index = np.unique(pairs["day"].to_numpy(), return_inverse=True)
    return Cohort(
        dealers.astype(object),
        dates.astype(np.int32),
        dealer.astype(np.int32),
        index.astype(np.int32),
    )


def _columns(
    cohort: Cohort,
    engine: EmbeddedEngine,
    wanted: tuple[Sequence[Signal], npt.NDArray[np.int64] | None],
    progress: Progress | None,
) -> tuple[Values, Reasons]:
    """Build family by family; what is not kept is let go of before the next one begins.

    Of all rows, or of those that are wanted; shape (n_signals, n_rows).
    """
    from features.engine.context import Context
    from features.signals import registry

    signals, some = wanted
    names = list(dict.fromkeys(s.family for s in signals))
    families = registry.all_families()
    eras = [(rows, Context(part, engine)) for rows, part in _eras(cohort, engine)]
    n_rows = len(cohort) if some is None else len(some)
    values = np.empty((len(signals), n_rows), dtype=np.float32)
    reasons = np.empty((len(signals), n_rows), dtype=np.int8)

    def made(name: str, context: Context) -> Made:
        found = families[name].build(context)
        columns: Made = {}
        for column in (s.name for s in families[name].SIGNALS):
            value = np.asarray(found.values[column], dtype=np.float32)
            columns[column] = (value, _reasons(found, column, value))
        return columns

    def build(name: str) -> None:
        for rows, context in eras:
            # An agency's own family may read what the engine does not know of.
            is_kept = name in registry.FAMILIES
            columns = (
                context.family(name, partial(made, name, context))
                if is_kept
                else made(name, context)
            )
            into, taken = _places(rows, some)
            for at, column in ((i, s.name) for i, s in enumerate(signals) if s.family == name):
                value, reason = columns[column]
                values[at][into] = value[taken]
                reasons[at][into] = reason[taken]

    with ThreadPoolExecutor(engine.families_at_once) as pool:
        for i, (name, done) in enumerate([(n, pool.submit(build, n)) for n in names]):
            if progress:
                progress(name, i, len(names))
            done.result()
    if progress:
        progress("done", len(names), len(names))
    return values, reasons


def _places(
    rows: slice, some: npt.NDArray[np.int64] | None
) -> tuple[slice | npt.NDArray[np.int64], slice | npt.NDArray[np.int64]]:
    """Return where an era's rows go among those wanted, and which of its rows those are."""
    if some is None:
        return rows, slice(None)
    into = np.flatnonzero((some >= rows.start) & (some < rows.stop))
    return into, some[into] - rows.start


def _eras(cohort: Cohort, engine: EmbeddedEngine) -> list[tuple[slice, Cohort]]:
    """Cut the cohort where a table begins, so that each part has the same sources throughout."""
    held = [tuple(engine.has(t, before=int(day)) for t in TABLES) for day in cohort.as_of]
    change = [k for k in range(1, len(held)) if held[k] != held[k - 1]]
    bounds = [0, *change, len(held)]
    rows = np.searchsorted(cohort.date_index, bounds)
    parts = [slice(rows[i], rows[i + 1]) for i in range(len(bounds) - 1)]
    return [(part, cohort if len(parts) == 1 else cohort.part(part)) for part in parts]


def _reasons(family: FamilyColumns, name: str, value: Values) -> Reasons:
    """Reasons of a signal; where the family gives none, why is that nothing was exposed."""
    is_missing = np.isnan(value)
    reason = family.reasons.get(name)
    if reason is None:
        return np.where(is_missing, np.int8(NO_EXPOSURE), np.int8(OBSERVED))
    if not np.array_equal(is_missing, reason != OBSERVED):
        raise FeatureError(f"Signal {name!r} has a value without being observed, or the reverse.")
    return reason


def _frames(
    cohort: Cohort, names: list[str], values: Values, reasons: Reasons
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return both as frames over the very arrays, which one block each keeps together."""
    dates = cohort.days.astype("datetime64[D]").astype("datetime64[s]")
    dealer = pd.array(cohort.dealers, dtype="str").take(cohort.dealer)
    frame = pd.DataFrame(values.T, columns=names, copy=False)
    frame.insert(0, "as_of", dates)
    frame.insert(0, "dealer", pd.Series(dealer))
    return frame, pd.DataFrame(reasons.T, columns=names, copy=False)


def _pairs_of(
    frame: pd.DataFrame, reasons: pd.DataFrame, signals: Sequence[Signal]
) -> Iterator[tuple[Values, Reasons]]:
    """Yield each signal's values and reasons."""
    for signal in signals:
        yield frame[signal.name].to_numpy(), reasons[signal.name].to_numpy()
