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

from features import reference
from features.home import keep_private, sync_folder, write_json
from features.warehouse import Warehouse
from serving.errors import ConflictError, DiskError, NotReadyError
from serving.scores.champion import in_scope, inputs_of, limits_of, load_champion, variant_of
from serving.scores.inspection_facts import inspection_facts
from serving.scores.loaded_table import (
    FILES,
    N_REASONS,
    SCHEMA_VERSION,
    TEXT_COLUMNS,
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
    from models.bundle import Bundle

_DISK_FAULTS: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO})
# Listings and sales come by the month: an agency may well have nothing newer, but not for longer.
_QUIET_DAYS: Final = 45
_LICENSE_COLUMNS: Final = {
    "premises_street": "street",
    "premises_city": "city",
    "premises_state": "state",
    "premises_zip": "zip",
    "county_fips": "county",
}


@dataclass(frozen=True)
class Published:
    """What was published."""

    name: str
    n_dealers: int
    as_of: date
    bundle: str
    fingerprint: str
    records_to: date


def publish(
    warehouse: Warehouse,
    as_of: date,
    *,
    home: Path,
    progress: Callable[[str], None] = lambda _: None,
    instead_of: ScoredTable | None = None,
    engine: EmbeddedEngine | None = None,
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
    frames = score_frames(bundle, table, warehouse=warehouse, as_of=as_of)
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
    if instead_of is not None:
        before = instead_of.manifest
        manifest["records_to"] = before.get("records_to", before["as_of"])
        manifest["rolled_from"] = instead_of.name
    return _write(frames, table, manifest, home=home, instead_of=instead_of)


def records_to(warehouse: Warehouse, as_of: date) -> date:
    """Return the day to which records reach: of one who asks as of today they may end years ago.

    `as_of`, unless no table holds a fact of the last `_QUIET_DAYS`: then the day after the newest.
    A hold is set by hand and says nothing of how far the others reach.
    """
    newest = [
        date.fromisoformat(entry["max_known_on"])
        for name, entry in warehouse.manifest["tables"].items()
        if name != "holds" and entry.get("max_known_on")
    ]
    ends = max(newest, default=as_of) + timedelta(days=1)
    return ends if (as_of - ends).days > _QUIET_DAYS else as_of


def score_frames(
    bundle: Bundle, table: FeatureTable, *, warehouse: Warehouse, as_of: date
) -> dict[str, pd.DataFrame]:
    """Return the frames of a scored table, by file name."""
    inputs = inputs_of(bundle, table)
    dealers = table.frame["dealer"].astype(str).to_numpy(dtype=object)
    scores, explained = bundle.score_and_explain(inputs)
    scores = scores.reset_index(drop=True)
    facts = dealer_facts(warehouse, dealers, as_of)
    scored = pd.concat([facts, scores], axis=1)
    scored["as_of"] = np.datetime64(as_of, "s")
    scored["is_in_scope"] = in_scope(bundle, facts["license_type"])
    values = explained["priority"].values
    types = scored["license_type"].to_numpy(dtype=object)
    return {
        "scored.parquet": scored,
        "reasons.parquet": strongest(values, bundle.signals),
        "peers.parquet": peer_table(inputs, types),
        "holds.parquet": holds_of(warehouse, as_of),
    }


def dealer_facts(
    warehouse: Warehouse, dealers: npt.NDArray[np.object_], as_of: date
) -> pd.DataFrame:
    """Return one row a dealer, in the order given: listing in force, place, office, inspections."""
    licenses = warehouse.read("licenses", as_of=as_of).to_pandas(date_as_object=False)
    licenses = licenses.sort_values("listed_on", kind="stable").drop_duplicates(
        "dealer", keep="last"
    )
    facts = licenses.rename(columns=_LICENSE_COLUMNS).set_index("dealer").reindex(dealers)
    facts = _with_place(facts)
    offices = reference.county_office().set_index("county_fips")[["office", "division"]]
    facts = facts.join(offices, on="county")
    inspections = warehouse.read("inspections", as_of=as_of).to_pandas(date_as_object=False)
    facts = facts.join(inspection_facts(inspections, as_of))
    facts.index.name = "dealer"
    facts = facts.reset_index()
    for name in TEXT_COLUMNS:
        facts[name] = facts[name].astype(object).where(facts[name].notna(), "").astype(str)
    facts["n_inspections"] = facts["n_inspections"].fillna(0).astype(np.int32)
    facts["is_recall_due"] = facts["is_recall_due"].eq(True)
    dates = ["last_inspected_on", "eligible_on"]
    facts[dates] = facts[dates].astype("datetime64[s]")
    columns = ["dealer", *TEXT_COLUMNS, "latitude", "longitude", *dates]
    return facts[[*columns, "n_inspections", "is_recall_due"]]


def _with_place(facts: pd.DataFrame) -> pd.DataFrame:
    """Fill coordinates that the listing does not give with the center of the ZIP area."""
    centers = reference.zip_places()
    for name, place in (("latitude", "lat"), ("longitude", "lon")):
        center = facts["zip"].map(centers[place])
        facts[name] = facts[name].astype(np.float64).fillna(center)
    return facts


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
