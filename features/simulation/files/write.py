"""Canonical Parquet files, written in row groups into a folder that appears when it is complete."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from types import TracebackType

import pyarrow as pa
import pyarrow.parquet as pq

from features.home import sync_folder
from features.schema import TABLES
from features.simulation.country.options import check_output
from features.simulation.files.columns import schema_of

# The tables of a simulated country: all that an agency has, and who submits traces.
SIMULATED = tuple(n for n, table in TABLES.items() if not table.is_optional or n == "agencies")

TRUTH = {
    "truth/dealer_month": pa.schema(
        [
            ("dealer", pa.string()),
            ("as_of", pa.date32()),
            ("p_severe", pa.float32()),
            ("p_any", pa.float32()),
            ("expected_diverted_12m", pa.float32()),
            ("expected_mexico_12m", pa.float32()),
            ("care", pa.float32()),
            ("diversion", pa.float32()),
            ("is_eligible", pa.bool_()),
        ]
    ),
    "truth/mexico_coverage": pa.schema(
        [
            ("requester", pa.string()),
            ("state", pa.string()),
            ("month", pa.date32()),
            ("recoveries", pa.float64()),
            ("coverage", pa.float64()),
        ]
    ),
    "truth/dirt": pa.schema(
        [
            ("table", pa.string()),
            ("row_key", pa.string()),
            ("kind", pa.string()),
            ("ingest", pa.string()),
        ]
    ),
}


class CountryWriter:
    """Writes the tables of a country; nothing stands under `out` until all of it does.

    Parameters
    ----------
    out : Path
        The folder to make.
    """

    def __init__(self, out: Path) -> None:
        check_output(out)
        self.out = out
        self._files: dict[str, pq.ParquetWriter] = {}
        self.n_rows: dict[str, int] = {}

    def __enter__(self) -> CountryWriter:
        self.out.parent.mkdir(parents=True, exist_ok=True)
        self.stage = Path(tempfile.mkdtemp(dir=self.out.parent, prefix=f".{self.out.name}."))
        (self.stage / "truth").mkdir()
        for name in (*SIMULATED, *TRUTH):
            self._files[name] = pq.ParquetWriter(
                self.stage / f"{name}.parquet",
                TRUTH.get(name) or schema_of(name),
                compression="zstd",
                compression_level=1,
                store_schema=False,
            )
            self.n_rows[name] = 0
        return self

    def write(self, name: str, table: pa.Table) -> None:
        """Add one row group to a table; an empty one is left out."""
        if len(table):
            self._files[name].write_table(table, row_group_size=1 << 20)
            self.n_rows[name] += len(table)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for file in self._files.values():
            file.close()
        if kind is not None:
            shutil.rmtree(self.stage)
            return
        if self.out.is_dir():
            self.out.rmdir()
        self.stage.chmod(0o755)
        self.stage.rename(self.out)
        sync_folder(self.out.parent)
