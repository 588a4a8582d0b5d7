"""Every score that a caller may see, as CSV or as an Arrow stream, a part at a time.

Ranks and percentiles are those of the caller's view, in which a held dealer does not exist.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import numpy as np
import pyarrow as pa

from features.domain.spreadsheet_formulas import neutral_row
from serving.contract.records.scores import ExportDocument
from serving.scores.visible_dealers import Scope, eligible_rows
from serving.statements import basis_sentence

# Rows written at once: what is in memory of the file is this much.
AT_ONCE: Final = 4_096
_TEXTS: Final = ("dealer", "license_type", "state", "county", "office", "division")


def parts(scope: Scope) -> Iterator[dict[str, np.ndarray[Any, Any]]]:
    """Return columns of all dealers within the scope, by national rank, `AT_ONCE` rows a part."""
    view, snapshot = scope.view, scope.view.snapshot
    columns = snapshot.columns
    rows = view.order[scope.own[view.order]]
    may_be_visited = eligible_rows(view)
    heads = [name + end for name in snapshot.heads for end in ("", "_lower", "_upper")]
    # One part at the least: a file of no dealers has its columns too.
    for start in range(0, max(len(rows), 1), AT_ONCE):
        some = rows[start : start + AT_ONCE]
        ranks = view.national_rank[some]
        part: dict[str, np.ndarray[Any, Any]] = {name: columns[name][some] for name in _TEXTS}
        part["as_of"] = columns["as_of"][some].astype("datetime64[D]")
        part["priority"] = columns["priority"][some].astype(np.float64)
        part["percentile"] = np.round(100.0 * (view.n - ranks + 1) / max(view.n, 1), 2)
        part["national_rank"] = ranks
        part["office_rank"] = view.office_rank[some]
        part |= {name: columns[name][some].astype(np.float64) for name in heads}
        part["support"] = columns["support"][some].astype(np.float64)
        part["is_eligible"] = may_be_visited[some]
        part["eligible_on"] = columns["eligible_on"][some].astype("datetime64[D]")
        yield part


def to_csv(scope: Scope) -> Iterator[bytes]:
    """Write the export as CSV: a head row and one row a dealer; no cell can become a formula."""
    for n, part in enumerate(parts(scope)):
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\r\n")
        if n == 0:
            writer.writerow(part)
        writer.writerows(zip(*(_cells(values) for values in part.values()), strict=True))
        yield out.getvalue().encode()


def _cells(values: np.ndarray[Any, Any]) -> list[Any]:
    if values.dtype.kind == "M":
        return ["" if np.isnat(day) else str(day) for day in values]
    if values.dtype.kind == "b":
        return ["true" if one else "false" for one in values]
    return neutral_row(values.tolist())


def to_arrow(scope: Scope) -> Iterator[bytes]:
    """Write the export as a stream of Arrow; its schema carries what must be said with it."""
    out = io.BytesIO()
    writer: pa.ipc.RecordBatchStreamWriter | None = None
    for part in parts(scope):
        batch = pa.RecordBatch.from_arrays([_array(values) for values in part.values()], [*part])
        if writer is None:
            said = {"ffl_risk": json.dumps(about(scope))}
            writer = pa.ipc.new_stream(out, batch.schema.with_metadata(said))
        writer.write_batch(batch)
        yield _taken(out)
    if writer is not None:
        writer.close()
    yield _taken(out)


def _array(values: np.ndarray[Any, Any]) -> pa.Array:
    # Without a type a column of which a part knows nothing would have another type in that part.
    kinds = {"O": pa.string(), "M": pa.date32(), "b": pa.bool_(), "i": pa.int64()}
    return pa.array(values, kinds.get(values.dtype.kind, pa.float64()), from_pandas=True)


def _taken(out: io.BytesIO) -> bytes:
    content = out.getvalue()
    out.seek(0)
    out.truncate()
    return content


def about(scope: Scope) -> ExportDocument:
    """Return what the export is made from and what must be said with it."""
    snapshot = scope.view.snapshot
    return {
        "basis": snapshot.basis,
        "statement": basis_sentence(snapshot.basis),
        "disclaimers": snapshot.disclaimers,
    }


def to_csv_metadata(scope: Scope) -> Iterator[bytes]:
    """Write what the CSV is about, as W3C tabular metadata (CSVW)."""
    first = next(parts(scope))
    kinds = {"M": "date", "b": "boolean", "i": "integer", "f": "number"}
    said = about(scope)
    metadata = {
        "@context": "http://www.w3.org/ns/csvw",
        "url": "export?format=csv",
        "notes": [said["statement"], *said["disclaimers"]],
        "tableSchema": {
            "columns": [
                {"name": name, "datatype": kinds.get(values.dtype.kind, "string")}
                for name, values in first.items()
            ],
            "primaryKey": "dealer",
        },
    }
    yield json.dumps(metadata, indent=1).encode()


Writer = Callable[[Scope], Iterator[bytes]]
FORMS: Final[Mapping[str, tuple[str, Writer]]] = {
    "csv": ("text/csv; charset=utf-8", to_csv),
    "arrow": ("application/vnd.apache.arrow.stream", to_arrow),
    "csvm": ("application/csvm+json", to_csv_metadata),
}
