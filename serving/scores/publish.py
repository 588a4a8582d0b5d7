"""Score every dealer as of a date with the champion, and publish the table the service reads."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from features.home import keep_private, sync_folder, write_json
from features.warehouse import Warehouse
from serving.errors import ConflictError, DiskError, NotReadyError
from serving.scores.champion import (
    in_scope,
    inputs_of,
    judged_of,
    limits_of,
    load_champion,
    variant_of,
)
from serving.scores.table.dealer_facts import dealer_facts
from serving.scores.table.loaded_table import (
    FILES,
    N_REASONS,
    SCHEMA_VERSION,
    ScoredTable,
    content_fingerprint,
    current,
    sha256_of,
)
from serving.scores.words.peers import peer_table
from serving.scores.words.wording import wording

if TYPE_CHECKING:
    from features.engine.embedded import EmbeddedEngine
    from features.table import FeatureTable
    from models.bundle.bundle import Bundle
    from models.margin.margin import Method

_DISK_FAULTS: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO})
# Listings and sales come by the month: an agency may well have nothing newer, but not for longer.
_QUIET_DAYS: Final = 45


@dataclass(frozen=True)
class Published:
    """What was published."""

    name: str
    n_dealers: int
    as_of: date
    bundle: str
    fingerprint: str
    records_to: date


@dataclass(frozen=True)
class ScoredRows:
    """All dealers of a day as a bundle scored them.

    Parameters
    ----------
    champion : str
    as_of : date
    dealers : ndarray of str, shape (n,)
    inputs, scores, reasons, facts : DataFrame of n rows
        Signals of the bundle, what it says, the strongest reasons, and `dealer_facts`.
    facts_of : tuple of str
        Files that the facts were read from, by their digests.
    """

    champion: str
    as_of: date
    dealers: npt.NDArray[np.object_]
    inputs: pd.DataFrame
    scores: pd.DataFrame
    reasons: pd.DataFrame
    facts: pd.DataFrame
    facts_of: tuple[str, ...]


def publish(
    warehouse: Warehouse,
    as_of: date,
    *,
    home: Path,
    progress: Callable[[str], None] = lambda _: None,
    instead_of: ScoredTable | None = None,
    engine: EmbeddedEngine | None = None,
    scored_before: ScoredRows | None = None,
) -> Published:
    """Score all dealers listed as of `as_of` and put the table in force.

    Nothing is left behind when a step fails.

    Parameters
    ----------
    warehouse : Warehouse
    as_of : date
        Only facts known before this day are read.
    home : Path
        State folder: holds the champion and receives the table.
    progress : callable
        Told what is being done.
    instead_of : ScoredTable, optional
        The table that this one continues on a later day: scored by the same bundle, and no younger
        by its records, for nothing but events came since. It is put in force only while that table
        still is.
    engine : EmbeddedEngine, optional
        Over the warehouse; one that kept its work of an earlier build saves it here.
    scored_before : ScoredRows, optional
        Rows that were scored as of this day before; those that are the same are not scored again.

    Raises
    ------
    NotReadyError
        When there is no champion, or no dealer is listed as of that day.
    ConflictError
        When another table was published instead of `instead_of` meanwhile.
    DiskError
        When the table cannot be written.
    """
    from features.table import build_features

    keep_private(home)
    wanted = None if instead_of is None else str(instead_of.manifest["champion"])
    champion, bundle = load_champion(home, wanted)
    progress("building signals")
    table = build_features(warehouse, as_of, variant=variant_of(bundle), engine=engine)
    if table.frame.empty:
        raise NotReadyError(
            f"No dealer is listed as of {as_of}.", fix="ingest a listing known before that day"
        )
    progress(f"scoring {len(table.frame):,} dealers")
    scored = score_rows((champion, bundle), table, warehouse, as_of, before=scored_before)
    frames = frames_of(scored, bundle, warehouse, as_of)
    progress("publishing")
    manifest = {
        "schema_version": SCHEMA_VERSION,
        "as_of": as_of.isoformat(),
        "records_to": records_to(warehouse, as_of).isoformat(),
        "champion": champion,
        "bundle": bundle.manifest["name"],
        "bundle_sha256": sha256_of(home / "champion" / champion / "manifest.json"),
        "restriction": bundle.manifest["restriction"],
        "limits": limits_of(bundle, as_of),
        "heads": list(bundle.heads),
        "feature_fingerprint": table.fingerprint,
        "warehouse_fingerprint": table.warehouse_fingerprint,
        "fingerprint": content_fingerprint(frames["scored.parquet"]),
    }
    judged = judged_of(home, champion)
    if judged is not None:
        manifest["judged"] = judged
    if instead_of is not None:
        before = instead_of.manifest
        manifest["records_to"] = before.get("records_to", before["as_of"])
        manifest["rolled_from"] = instead_of.name
    return _write(frames, table, manifest, home=home, instead_of=instead_of)


def records_to(warehouse: Warehouse, as_of: date) -> date:
    """Return the day to which records reach: of one who asks as of today they may end years ago.

    `as_of`, unless no file that was loaded holds a fact of the last `_QUIET_DAYS`: then the day
    after the newest of theirs. An event or an outcome of yesterday makes no old records new.
    """
    ends = (warehouse.reaches_to() or as_of) + timedelta(days=1)
    return ends if (as_of - ends).days > _QUIET_DAYS else as_of


def score_frames(
    bundle: Bundle, table: FeatureTable, *, warehouse: Warehouse, as_of: date
) -> dict[str, pd.DataFrame]:
    """Return the frames of a scored table, by file name."""
    scored = score_rows(("", bundle), table, warehouse, as_of)
    return frames_of(scored, bundle, warehouse, as_of)


def score_rows(
    champion: tuple[str, Bundle],
    table: FeatureTable,
    warehouse: Warehouse,
    as_of: date,
    *,
    before: ScoredRows | None = None,
) -> ScoredRows:
    """Score all dealers of a table; whose signals are as they were `before` has the scores it had.

    What a row is given does not depend on the rows beside it, to the last bit.
    """
    from models.margin.margin import TABLE_ROWS

    name, bundle = champion
    inputs = inputs_of(bundle, table)
    dealers = table.frame["dealer"].astype(str).to_numpy(dtype=object)
    if before is not None and (before.champion, before.as_of) != (name, as_of):
        before = None
    same = _same_rows(dealers, inputs, before)
    parts = list[tuple[pd.DataFrame, pd.DataFrame]]()
    if before is not None:
        parts.append((before.scores, before.reasons))
    if (new := inputs[same < 0]).size:
        # As a table of all of them is explained, however few they are.
        method: Method = "table" if len(inputs) >= TABLE_ROWS else "lightgbm"
        told, explained = bundle.score_and_explain(new, method=method)
        parts.append((told, strongest(explained["priority"].values, bundle.signals)))
    n_before = 0 if before is None else len(before.dealers)
    order = np.where(same >= 0, same, n_before + np.cumsum(same < 0) - 1)
    scores, reasons = (
        pd.concat([part[k] for part in parts], ignore_index=True).iloc[order] for k in (0, 1)
    )
    facts_of = _facts_of(warehouse)
    if (
        before is not None
        and before.facts_of == facts_of
        and np.array_equal(before.dealers, dealers)
    ):
        facts = before.facts
    else:
        facts = dealer_facts(warehouse, dealers, as_of)
    return ScoredRows(
        name,
        as_of,
        dealers,
        inputs,
        scores.reset_index(drop=True),
        reasons.reset_index(drop=True),
        facts,
        facts_of,
    )


def _same_rows(
    dealers: npt.NDArray[np.object_], inputs: pd.DataFrame, before: ScoredRows | None
) -> npt.NDArray[np.int64]:
    """Return which row of `before` is each dealer's, to the bit; -1 where none is."""
    if before is None or not len(before.dealers):
        return np.full(len(dealers), -1, dtype=np.int64)
    at = pd.Index(before.dealers).get_indexer(pd.Index(dealers)).astype(np.int64)
    now, then = (rows.to_numpy(dtype=np.float32) for rows in (inputs, before.inputs))
    is_same = (now.view(np.int32) == then[np.maximum(at, 0)].view(np.int32)).all(axis=1)
    return np.where(is_same & (at >= 0), at, -1)


def _facts_of(warehouse: Warehouse) -> tuple[str, ...]:
    """Return the digests of the files that `dealer_facts` reads."""
    tables = warehouse.manifest["tables"]
    return tuple(
        str(entry["sha256"])
        for name in ("licenses", "inspections")
        for entry in tables.get(name, {"files": ()})["files"]
    )


def frames_of(
    rows: ScoredRows, bundle: Bundle, warehouse: Warehouse, as_of: date
) -> dict[str, pd.DataFrame]:
    """Return the frames of a scored table, by file name, of rows as they were scored."""
    scored = pd.concat([rows.facts, rows.scores], axis=1)
    scored["as_of"] = np.datetime64(as_of, "s")
    scored["is_in_scope"] = in_scope(bundle, rows.facts["license_type"])
    types = scored["license_type"].to_numpy(dtype=object)
    return {
        "scored.parquet": scored,
        "reasons.parquet": rows.reasons,
        "peers.parquet": peer_table(rows.inputs, types),
        "holds.parquet": holds_of(warehouse, as_of),
    }


def strongest(
    values: npt.NDArray[np.float64], signals: Sequence[Mapping[str, Any]]
) -> pd.DataFrame:
    """Return, for each row, the signals that move it most: raising ones first, then lowering ones.

    Parameters
    ----------
    values : array, shape (n, p)
        Contributions to the priority.
    signals : sequence of mapping, shape (p,)
        The bundle's signals: name, family, window. The reasons name different things: a family's
        second signal counts half and its third a third, and one measure is named once, over the
        window that moves the dealer most. What all of a state or county share is no reason
        of one dealer and is not named; it stays a part of the priority.

    Returns
    -------
    DataFrame
        Columns signal_0.. (index of the signal) and contribution_0.., by falling contribution of
        the `N_REASONS` largest in size.
    """
    n_kept = min(N_REASONS, values.shape[1])
    is_own = [not wording(str(signal["name"]), signal).is_of_place for signal in signals]
    values = values * np.array(is_own)
    weighed = np.abs(values)
    for own in _alike(measure_of(signal) for signal in signals):
        weighed[:, own] *= _places(weighed[:, own]) == 0
    for own in _alike(str(signal["family"]) for signal in signals):
        weighed[:, own] /= 1.0 + _places(weighed[:, own])
    largest = np.argsort(-weighed, axis=1, kind="stable")[:, :n_kept]
    sizes = np.take_along_axis(values, largest, axis=1)
    order = np.argsort(-sizes, axis=1, kind="stable")
    largest = np.take_along_axis(largest, order, axis=1)
    sizes = np.take_along_axis(sizes, order, axis=1)
    columns: dict[str, Any] = {}
    for k in range(n_kept):
        columns[f"signal_{k}"] = largest[:, k].astype(np.int32)
        columns[f"contribution_{k}"] = sizes[:, k].astype(np.float32)
    return pd.DataFrame(columns)


def measure_of(signal: Mapping[str, Any]) -> str:
    """Return a signal's name without its window: what is measured, over whatever time."""
    return str(signal["name"]).removesuffix(f"_{signal.get('window')}")


def _alike(names: Iterable[str]) -> list[list[int]]:
    """Return the columns of each name."""
    of: dict[str, list[int]] = {}
    for j, name in enumerate(names):
        of.setdefault(name, []).append(j)
    return list(of.values())


def _places(sized: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
    """Return each value's place in its row, the largest at 0."""
    order = np.argsort(-sized, axis=1, kind="stable")
    return np.argsort(order, axis=1, kind="stable")


def holds_of(warehouse: Warehouse, as_of: date) -> pd.DataFrame:
    """Return the holds in force, and those in dispute: what any record holds stays held."""
    parts = [warehouse.read("holds", as_of=as_of), warehouse.read_disputed("holds", as_of)]
    names = ["hold_id", "dealer", "starts_on", "ends_on"]
    rows = pa.concat_tables([part.select(names) for part in parts])
    return pd.DataFrame(rows.to_pandas(date_as_object=False)).drop_duplicates(ignore_index=True)


def _write(
    frames: dict[str, pd.DataFrame],
    table: FeatureTable,
    manifest: dict[str, Any],
    *,
    home: Path,
    instead_of: ScoredTable | None,
) -> Published:
    folder = home / "scored"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=".staging-", dir=folder))
        try:
            for name in FILES:
                frames[name].to_parquet(staging / name, index=False)
            table.save(staging / "features")
            files = {name: sha256_of(staging / name) for name in FILES}
            write_json(staging / "manifest.json", manifest | {"files": files})
            with (home / "scored.lock").open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                name = _put_in_force(staging, manifest, home=home, instead_of=instead_of)
        finally:
            shutil.rmtree(staging, ignore_errors=True)  # gone already when it was published
    except OSError as error:
        if error.errno not in _DISK_FAULTS:
            raise
        raise DiskError(
            "The scored table could not be written.",
            found=os.strerror(int(error.errno or 0)),
            expected="a state folder that can be written, with room for the table",
            fix="make room or give the right; what was published before stays in force",
        ) from None
    return Published(
        name,
        len(frames["scored.parquet"]),
        date.fromisoformat(manifest["as_of"]),
        str(manifest["bundle"]),
        str(manifest["fingerprint"]),
        date.fromisoformat(manifest["records_to"]),
    )


def _put_in_force(
    staging: Path, manifest: Mapping[str, Any], *, home: Path, instead_of: ScoredTable | None
) -> str:
    """Name the finished table and put it in force, unless the one it continues no longer is."""
    if instead_of is not None and current(home, "scored") != instead_of.name:
        raise ConflictError(f"Table {instead_of.name} is no longer in force.")
    name = _place(staging, home / "scored")
    sync_folder(home / "scored")
    write_json(home / "scored.json", {"scored": name, "as_of": manifest["as_of"]})
    return name


def _place(staging: Path, folder: Path) -> str:
    """Give the finished folder the next number; another publisher may take one meanwhile."""
    while True:
        taken = [int(p.name) for p in folder.iterdir() if p.name.isdigit()]
        name = f"{max(taken, default=0) + 1:06d}"
        try:
            staging.rename(folder / name)
        except OSError as error:
            if error.errno not in {errno.EEXIST, errno.ENOTEMPTY}:
                raise
        else:
            return name
