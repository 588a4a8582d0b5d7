"""What the service is measured against: a bare application, MLflow's server, and no server.

``python -m tests.benchmarks.peers.service_peers HOME PORT`` serves the bare application:
Starlette on uvicorn, without identity, purpose, area, audit, limits or validation.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from models import Bundle


def bare(home: Path, port: int) -> None:
    """Serve the bare application."""
    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    from serving.scores.snapshot import Snapshot

    snapshot = Snapshot.load(home)
    names = [str(signal["name"]) for signal in snapshot.bundle.signals]
    told = ["priority", *snapshot.heads]

    def scored(values: np.ndarray) -> dict[str, Any]:
        scores = snapshot.bundle.score(pd.DataFrame(values, columns=names))
        return {name: scores[name].tolist() for name in scores.columns}

    async def look_up(request: Request) -> JSONResponse:
        rows = [snapshot.row_of[dealer] for dealer in json.loads(await request.body())["dealers"]]
        return JSONResponse({name: snapshot.columns[name][rows].tolist() for name in told})

    async def score(request: Request) -> JSONResponse:
        rows = [snapshot.row_of[dealer] for dealer in json.loads(await request.body())["dealers"]]
        return JSONResponse(scored(snapshot.inputs[rows]))

    async def score_features(request: Request) -> JSONResponse:
        rows = json.loads(await request.body())["rows"]
        values = [[row[name] for name in names] for row in rows]
        return JSONResponse(scored(np.array(values, dtype=np.float32)))

    async def rank(request: Request) -> JSONResponse:
        k = json.loads(await request.body())["k"]
        rows = np.argsort(-snapshot.columns["priority"], kind="stable")[:k]
        return JSONResponse(
            {name: snapshot.columns[name][rows].tolist() for name in ("dealer", *told)}
        )

    handlers = {
        "/look_up": look_up, "/score": score, "/score_features": score_features, "/rank": rank
    }  # fmt: skip
    routes = [Route(path, handler, methods=["POST"]) for path, handler in handlers.items()]
    uvicorn.run(Starlette(routes=routes), port=port, log_level="warning", access_log=False)


class Scorer:
    """The bundle behind MLflow's `predict`."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle

    def predict(self, X: pd.DataFrame) -> pd.DataFrame:
        """Score rows; JSON's null is a missing value."""
        return self.bundle.score(X.astype("float32"))


def _load_pyfunc(path: str) -> Scorer:
    """Load the bundle: MLflow looks for this name."""
    from models import Bundle

    return Scorer(Bundle.load(path))


def save_for_mlflow(home: Path, folder: Path) -> list[str]:
    """Save the champion for MLflow, without pickle; return the command that serves it."""
    import mlflow

    mlflow.pyfunc.save_model(
        folder,
        loader_module="tests.benchmarks.peers.service_peers",
        data_path=str(home / "champion/000001"),
        pip_requirements=["ffl-risk"],
    )
    return [
        sys.executable, "-m", "mlflow", "models", "serve", "--model-uri", str(folder),
        "--env-manager", "local", "--host", "127.0.0.1", "--workers", "1", "--port",
    ]  # fmt: skip


def in_process(home: Path, n_rows: int, n_times: int) -> np.ndarray:
    """Return the milliseconds that the bundle itself takes for rows of signals."""
    from serving.dealers.explaining import frame_of
    from serving.scores.snapshot import Snapshot

    snapshot = Snapshot.load(home)
    X = frame_of(snapshot, snapshot.inputs[:n_rows])
    snapshot.bundle.score(X)
    times = []
    for _ in range(n_times):
        start = time.perf_counter()
        snapshot.bundle.score(X)
        times.append(1e3 * (time.perf_counter() - start))
    return np.array(times)


if __name__ == "__main__":
    bare(Path(sys.argv[1]), int(sys.argv[2]))
