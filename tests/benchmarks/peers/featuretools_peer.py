"""Featuretools with cutoff times; run by the Python of an environment of its own.

Reads Parquet files of some dealers, prints seconds for a row (dealer and cutoff time) as JSON.
It is given the flags as columns, and windows as training windows: one run a window.
"""

import json
import sys
import time
import warnings
from pathlib import Path

import featuretools
import pandas as pd


def main(folder: Path) -> None:
    warnings.filterwarnings("ignore")
    spec = json.loads((folder / "spec.json").read_text())
    entities = featuretools.EntitySet("country")
    dealers = pd.read_parquet(folder / "dealers.parquet")
    entities.add_dataframe(dataframe_name="dealers", dataframe=dealers, index="dealer")
    windows = {}
    for table, days in spec["windows"].items():
        rows = pd.read_parquet(folder / f"{table}.parquet")
        rows["known_on"] = pd.to_datetime(rows["known_on"])
        entities.add_dataframe(
            dataframe_name=table, dataframe=rows, index="row", time_index="known_on"
        )
        entities.add_relationship("dealers", "dealer", table, "dealer")
        for span in days:
            windows.setdefault(span, []).append(table)
    entities.add_last_time_indexes()
    dates = pd.to_datetime(spec["dates"])
    cutoffs = pd.MultiIndex.from_product([dealers["dealer"], dates]).to_frame(index=False)
    cutoffs.columns = ["dealer", "time"]
    began = time.perf_counter()
    for span, tables in windows.items():
        wanted = [
            f"SUM({table}.{column})" for table in tables for column in spec["columns"][table]
        ] + [f"COUNT({table})" for table in tables]
        found = featuretools.dfs(
            entityset=entities,
            target_dataframe_name="dealers",
            agg_primitives=["sum", "count"],
            trans_primitives=[],
            features_only=True,
            max_depth=1,
        )
        chosen = [f for f in found if f.get_name() in wanted]
        featuretools.calculate_feature_matrix(
            chosen,
            entityset=entities,
            cutoff_time=cutoffs,
            training_window=f"{span} days",
            include_cutoff_time=False,
            n_jobs=1,
        )
    wall = time.perf_counter() - began
    print(json.dumps({"wall": wall, "rows": len(cutoffs)}))  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]))
