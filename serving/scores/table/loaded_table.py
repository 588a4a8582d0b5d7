"""The scored table: what `ffl-risk score` publishes and the service answers from.

::

    <home>/scored.json               names the table in force; its replacement publishes
    <home>/scored/NNNNNN/
        scored.parquet               one row a dealer: place, scores, intervals, eligibility
        reasons.parquet              the strongest contributions to each dealer's priority
        peers.parquet                values of each signal among dealers of the same type
        holds.parquet                deconfliction holds known to the warehouse
        features/                    the FeatureTable that was scored
        manifest.json                as-of, bundle, fingerprints, SHA-256 of the files above
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow.parquet as pq

from serving.contract.records.dealers import PremisesRecord
from serving.errors import NotReadyError

SCHEMA_VERSION: Final = 1
N_REASONS: Final = 8
# What a service of this home found after events, beside the published files.
RESCORED: Final = "rescored.parquet"
FILES: Final = ("scored.parquet", "reasons.parquet", "peers.parquet", "holds.parquet")

TEXT_COLUMNS: Final = (
    "license_number", "license_type", "licensee_name", "business_name", "street", "city", "state",
    "zip", "county", "office", "division", "last_outcome",
    "last_kind",
)  # fmt: skip


def premises(columns: Mapping[str, Any], row: int) -> PremisesRecord:
    """Return who is licensed in a row of the scored columns, and where."""
    (found,) = premises_of(columns, np.array([row]))
    return found


def premises_of(columns: Mapping[str, Any], rows: npt.NDArray[np.int64]) -> list[PremisesRecord]:
    """Return who is licensed in some rows of the scored columns, and where."""
    names = list(PremisesRecord.__annotations__)
    texts = [map(str, columns[name][rows].tolist()) for name in names]
    rows_of_texts = zip(*texts, strict=True)
    return [cast("PremisesRecord", dict(zip(names, one, strict=True))) for one in rows_of_texts]


@dataclass(frozen=True)
class ScoredTable:
    """A scored table as read from its folder, every file verified."""

    name: str
    manifest: Mapping[str, Any]
    scored: pd.DataFrame
    reasons: pd.DataFrame
    peers: pd.DataFrame
    holds: pd.DataFrame
    folder: Path

    @property
    def heads(self) -> tuple[str, ...]:
        """The names of the heads, in the bundle's order."""
        return tuple(self.manifest["heads"])


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def content_fingerprint(frame: pd.DataFrame) -> str:
    """Return a SHA-256 over names and values that does not depend on file format or library."""
    digest = hashlib.sha256()
    for name in frame.columns:
        column = frame[name]
        digest.update(f"{name}\0".encode())
        if column.dtype.kind in "iufbM":
            values = column.to_numpy()
            digest.update(values.dtype.str.encode() + np.ascontiguousarray(values).tobytes())
        else:
            words = column.astype(object).where(column.notna(), "")
            digest.update("\x1f".join(map(str, words.tolist())).encode())
    return digest.hexdigest()


def current(home: Path, what: str) -> str:
    """Return the name that `what`.json (``scored`` or ``champion``) gives as in force.

    Raises
    ------
    NotReadyError
        When nothing was published yet.
    """
    pointer = home / f"{what}.json"
    field, command = {
        "scored": ("scored", "ffl-risk score --as-of YYYY-MM-DD"),
        "champion": ("bundle", "ffl-risk train, then ffl-risk promote"),
    }[what]
    try:
        name = str(json.loads(pointer.read_text(encoding="utf-8"))[field])
    except FileNotFoundError:
        thing = "scored table" if what == "scored" else "champion bundle"
        raise NotReadyError(f"There is no {thing} yet.", fix=command) from None
    except (ValueError, KeyError, TypeError):
        raise NotReadyError(f"{what}.json cannot be read.", fix=command) from None
    if not re.fullmatch(r"[0-9]{6}", name):
        raise NotReadyError(f"{what}.json names no table.", found=repr(name), fix=command)
    return name


def load_scored(home: Path, name: str | None = None) -> ScoredTable:
    """Read a scored table, by default the one in force, and verify its files.

    Raises
    ------
    NotReadyError
        When there is none, or a file is not the one that was published.
    """
    name = name or current(home, "scored")
    folder = home / "scored" / name
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        for file in FILES:
            if sha256_of(folder / file) != manifest["files"][file]:
                raise NotReadyError(
                    f"{file} of scored table {name} is not the file that was published.",
                    fix="publish again: ffl-risk score --as-of YYYY-MM-DD",
                )
        # As single files: what reads folders of files is slow to load.
        frames = [pq.ParquetFile(folder / file).read().to_pandas() for file in FILES]
    except FileNotFoundError as error:
        missing = Path(str(error.filename)).name
        raise NotReadyError(
            f"Scored table {name} is not complete: {missing} is missing.",
            fix="publish again: ffl-risk score --as-of YYYY-MM-DD",
        ) from None
    scored, reasons, peers, holds = frames
    return ScoredTable(name, manifest, scored, reasons, peers, holds, folder)


def rows_of(
    home: Path,
    name: str,
    dealers: Iterable[str],
    columns: Sequence[str],
    *,
    fingerprint: str | None = None,
) -> pd.DataFrame | None:
    """Return some columns of some dealers of a table; None when the table is not here.

    With a fingerprint, another table of that number is not it.
    """
    folder = home / "scored" / name
    path = folder / "scored.parquet"
    if not path.is_file():
        return None
    if fingerprint is not None:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        if manifest["fingerprint"] != fingerprint:
            return None
    wanted = [("dealer", "in", sorted(dealers))]
    return pd.read_parquet(path, columns=list(columns), filters=wanted)


def known_dealer(home: Path, dealer: str) -> bool:
    """Whether the table in force or the warehouse knows a dealer."""
    from features.warehouse import Warehouse, WarehouseMissingError

    try:
        found = rows_of(home, current(home, "scored"), [dealer], ["dealer"])
    except NotReadyError:
        found = None
    if found is not None and len(found):
        return True
    try:
        opened = Warehouse.open(home / "warehouse")
    except WarehouseMissingError:
        return False
    if not opened.has("licenses"):
        return False
    import duckdb

    query = f"SELECT 1 FROM {opened.scan('licenses')} WHERE dealer = $dealer LIMIT 1"  # noqa: S608
    with duckdb.connect(config={"threads": 1}) as connection:
        return connection.execute(query, {"dealer": dealer}).fetchone() is not None


def peek(home: Path) -> str:
    """Return what is in force, cheaply, to notice a change; empty when nothing is."""
    try:
        return json.dumps(json.loads((home / "scored.json").read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError):
        return ""
