"""The distributed engine: Spark partitions events by dealer and runs the same kernels on each part.

A worker is handed the stored rows of some dealers and evaluates the very views, conditions and
kernels of the embedded engine on them, so that both engines give the same numbers by construction.
What crosses dealers (places, networks, peers) stays on the driver, which reads the same files.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import uuid
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.engine.context import Cohort, Context, Measure, outputs
from features.engine.embedded import EmbeddedEngine
from features.engine.views import VIEWS
from features.errors import FeatureError
from features.warehouse import Warehouse
from features.warehouse.stored import arrow_schema, columns_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

# Where workers put their results for the driver: beside the warehouse, which all of them reach.
SCRATCH: Final = ".spark-"
MASTER: Final = "FFL_RISK_SPARK_MASTER"
_ADDRESS: Final = re.compile(
    r"local(\[(\*|[1-9]\d*)(,[1-9]\d*)?\])?|local-cluster\[\d+,\d+,\d+\]|yarn"
    r"|spark://[\w.-]+:\d+(,[\w.-]+:\d+)*|k8s://(https?://)?[\w.-]+(:\d+)?"
)
# About how many events a worker holds at a time, unless one dealer has more.
ROWS_PER_BUCKET: Final = 1_000_000

# Tables without a dealer of their own: the table and the key through which they find one.
_THROUGH: Final = {
    "violations": ("inspections", "inspection_id"),
    "ballistic_leads": ("traces", "trace_id"),
    "seizures": ("traces", "trace_id"),
}

Grids = dict[str, npt.NDArray[Any]]


class EngineMissingError(FeatureError):
    """Spark, or the Java that it needs, is not installed."""

    exit_code = 4


def session(master: str | None = None) -> SparkSession:
    """Return the running Spark session, or start one.

    Parameters
    ----------
    master : str, optional
        Address of the cluster; by default the variable ``FFL_RISK_SPARK_MASTER``, else this
        machine.

    Raises
    ------
    EngineMissingError
        When pyspark or Java is missing, or the cluster does not answer.
    FeatureError
        When the address is none that Spark knows.
    """
    try:
        from py4j.protocol import Py4JError
        from pyspark.sql import SparkSession
    except ImportError:
        raise EngineMissingError(
            "The engine spark needs pyspark.", fix="pip install 'ffl-risk[spark]'"
        ) from None
    if not (shutil.which("java") or os.environ.get("JAVA_HOME")):
        raise EngineMissingError(
            "The engine spark needs Java.", fix="install a Java runtime, 17 or later"
        )
    master = master or os.environ.get(MASTER, "").strip() or "local[*]"
    if not _ADDRESS.fullmatch(master):
        raise FeatureError(
            f"{MASTER} is no address of a Spark cluster.",
            found=repr(master[:80]),
            expected="spark://HOST:PORT, yarn, k8s://https://HOST:PORT or local[*]",
            fix="set it so, or leave it out for this machine",
        )
    builder = (
        SparkSession.builder.appName("ffl-risk")
        .master(master)
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
    )
    # Else any python3 on a worker's path: on a cluster the same interpreter, or the one it names.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    if master.startswith("local"):
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
        builder = builder.config("spark.driver.bindAddress", "127.0.0.1").config(
            "spark.driver.host", "127.0.0.1"
        )
    try:
        return builder.getOrCreate()
    except Py4JError as error:
        raise EngineMissingError(
            "Spark did not start.",
            found=str(getattr(error, "java_exception", None) or error).splitlines()[0][:300],
            expected=f"a cluster that answers at {master}",
            fix=f"look whether it runs, or leave {MASTER} out for this machine",
        ) from error


class SparkEngine(EmbeddedEngine):
    """Spark over the live files of a warehouse, which every worker must be able to read.

    Parameters
    ----------
    warehouse : Warehouse
    spark : SparkSession, optional
        By default the one that `session` returns, which is then stopped at the end.
    n_buckets : int, optional
        Into how many parts the dealers are cut; by default one a million events and at the least
        two a core.
    """

    name = "spark"
    families_at_once = 1  # the cluster works on one already

    def __init__(
        self,
        warehouse: Warehouse,
        *,
        spark: SparkSession | None = None,
        n_buckets: int | None = None,
    ) -> None:
        self._stops = spark is None
        self.spark = spark or session()
        self.n_buckets = n_buckets
        super().__init__(warehouse)

    def __enter__(self) -> SparkEngine:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the driver's own engine, and the session if it was started here."""
        super().close()
        if self._stops:
            self.spark.stop()

    def grids(self, view: str, measures: Sequence[Measure], cohort: Cohort) -> Grids:
        """Evaluate measures over the rows of `view` on the workers.

        Returns
        -------
        dict of str to ndarray, shape (n_rows,)
            One value a cohort row, as `features.engine.context.Context.grids` gives them.
        """
        kinds = outputs(measures)
        part = _evaluator(view, tuple(measures), cohort.as_of)
        empty = part({}, np.array(["nobody"], dtype=object))
        with warnings.catch_warnings():
            # Said of its pandas functions; everything here goes through Arrow.
            warnings.filterwarnings("ignore", "PySpark does not yet fully support", FutureWarning)
            found = self._map(view, part, kinds)
        found = found.filter(pc.is_in(found["dealer"], pa.array(cohort.dealers, "string")))
        place = np.searchsorted(cohort.dealers, found["dealer"].to_numpy().astype(object))
        row_of = np.full(len(cohort.dealers), found.num_rows)  # beyond the last: without events
        row_of[place] = np.arange(found.num_rows)
        at = (row_of[cohort.dealer], cohort.date_index)
        out = {}
        for name, kind in kinds.items():
            lists = found[name].combine_chunks()
            values = lists.flatten().to_numpy(zero_copy_only=False).astype(kind)
            grid = np.vstack([values.reshape(found.num_rows, len(cohort.as_of)), empty[name]])
            out[name] = grid[at]
        return out

    def _map(self, view: str, part: Evaluate, kinds: dict[str, type]) -> pa.Table:
        """Run `part` on the rows of each bucket of dealers."""
        names = (*VIEWS[view].needs, *VIEWS[view].uses) if view in VIEWS else (view,)
        entries = self.warehouse.manifest["tables"]
        n_rows = max(entries.get(name, {"n_rows": 0})["n_rows"] for name in names)
        at_least = 2 * self.spark.sparkContext.defaultParallelism
        n_buckets = self.n_buckets or max(at_least, n_rows // ROWS_PER_BUCKET + 1)
        frames = [self._bucketed(name, n_buckets).groupBy("bucket") for name in names]
        schema = "dealer string, " + ", ".join(
            f"`{name}` array<{'float' if kind is np.float32 else 'double'}>"
            for name, kind in kinds.items()
        )

        def one(rows: pa.Table) -> pa.Table:
            return _as_rows(part, view, {names[0]: rows})

        def two(left: pa.Table, right: pa.Table) -> pa.Table:
            return _as_rows(part, view, {names[0]: left, names[1]: right})

        if len(frames) == 1:
            done = frames[0].applyInArrow(one, schema)
        else:
            done = frames[0].cogroup(frames[1]).applyInArrow(two, schema)
        # The workers write, and the driver reads: nothing is collected through its heap.
        scratch = self.warehouse.path.parent / f"{SCRATCH}{uuid.uuid4().hex}"
        try:
            done.write.parquet(str(scratch.absolute()))
            table: pa.Table = pq.read_table(scratch)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        return table

    def _bucketed(self, table: str, n_buckets: int) -> DataFrame:
        """Rows of a table with the bucket of their dealer; a row of several dealers in each."""
        from pyspark.sql import functions

        def bucket(name: str) -> Any:
            return functions.pmod(functions.xxhash64(name), functions.lit(n_buckets)).cast("int")

        rows = self._read(table)
        if table not in _THROUGH:
            return rows.where("dealer IS NOT NULL").withColumn("bucket", bucket("dealer"))
        through, key = _THROUGH[table]
        found = self._read(through).where("dealer IS NOT NULL")
        found = found.select(key, bucket("dealer").alias("bucket")).distinct()
        if table != "seizures":
            return rows.join(found, key)
        named = rows.where("dealer IS NOT NULL").withColumn("bucket", bucket("dealer"))
        return named.unionByName(rows.where("dealer IS NULL").join(found, key))

    def _read(self, table: str) -> DataFrame:
        names = arrow_schema(table).names
        empty: DataFrame = self.spark.createDataFrame(arrow_schema(table).empty_table())
        if not self.warehouse.has(table):
            return empty
        files = [str(file) for file in self.warehouse.files(table)]
        if all(set(names) <= columns_of(file) for file in files):
            return self.spark.read.parquet(*files).select(*names)
        rows = self.spark.read.option("mergeSchema", "true").parquet(*files)
        return empty.unionByName(rows, allowMissingColumns=True).select(*names)


class _Shard(EmbeddedEngine):
    """The embedded engine over the rows that a worker was handed."""

    def __init__(self, tables: dict[str, pa.Table], warehouse: Warehouse) -> None:
        self._tables = tables
        super().__init__(warehouse)
        self.connection.execute("SET threads = 1")  # Spark already uses every core

    def _make_table(self, table: str) -> None:
        schema = arrow_schema(table)
        rows = self._tables.get(table)
        rows = rows.select(schema.names).cast(schema) if rows is not None else schema.empty_table()
        self._store(f"{table}_rows", rows)
        self._expose(table, f"{table}_rows")


Evaluate = Callable[[dict[str, pa.Table], "npt.NDArray[np.object_] | None"], Grids]


def _evaluator(view: str, measures: tuple[Measure, ...], as_of: npt.NDArray[np.int32]) -> Evaluate:
    """Return the function that evaluates the measures for all dealers of some rows."""

    def evaluate(tables: dict[str, pa.Table], dealers: Any = None) -> Grids:
        with _Shard(tables, Warehouse(Path(), {"tables": {}})) as shard:
            if dealers is None:
                dealers = _dealers(shard, view)
            n_dealers, n_dates = len(dealers), len(as_of)
            cohort = Cohort(
                dealers,
                as_of,
                np.tile(np.arange(n_dealers, dtype=np.int32), n_dates),
                np.repeat(np.arange(n_dates, dtype=np.int32), n_dealers),
            )
            grids = Context(cohort, shard).grids(view, measures)
        by_dealer = {name: grid.reshape(n_dates, n_dealers).T for name, grid in grids.items()}
        return {"dealer": dealers, **by_dealer}

    return evaluate


def _dealers(shard: EmbeddedEngine, view: str) -> npt.NDArray[np.object_]:
    shard.make(view)
    found = shard.query(f"SELECT DISTINCT dealer FROM {view} WHERE dealer IS NOT NULL")
    return np.sort(found["dealer"].to_numpy().astype(object))


def _as_rows(part: Evaluate, view: str, tables: dict[str, pa.Table]) -> pa.Table:
    """One row a dealer, each measure a list along the as-of dates."""
    grids = part(tables, None)
    dealers = grids.pop("dealer")
    columns: dict[str, pa.Array] = {"dealer": pa.array(dealers, pa.string())}
    for name, grid in grids.items():
        offsets = np.arange(len(dealers) + 1, dtype=np.int32) * grid.shape[1]
        flat = pa.array(np.ascontiguousarray(grid).reshape(-1))
        columns[name] = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), flat)
    return pa.table(columns)
