"""The one door to MLflow: runs, registered versions and their aliases.

It runs as its own process (see `training.registry.tracker`): requests come as JSON lines on
standard input, answers leave on standard output. The default is SQLite in the state folder;
``MLFLOW_TRACKING_URI`` names a server instead. Nothing is pickled: a version is a bundle folder,
loaded by `_load_pyfunc`, which verifies every hash.
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import sqlalchemy as sa

from features.errors import FflRiskError

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("DO_NOT_TRACK", "true")

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.models import infer_signature
from mlflow.tracking import MlflowClient

CHALLENGER = "challenger"
CHAMPION = "champion"


class BundleModel:
    """A registered bundle, as MLflow calls it.

    Parameters
    ----------
    path : str
        Folder of the bundle.
    """

    def __init__(self, path: str) -> None:
        from models.bundle import Bundle

        self.bundle = Bundle.load(Path(path))

    def predict(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Score rows of signals."""
        scored: pd.DataFrame = self.bundle.score(frame)
        return scored


def _load_pyfunc(path: str) -> BundleModel:
    """Load a bundle; MLflow looks for this name in a loader module."""
    return BundleModel(path)


def sqlite_url(path: Path) -> str:
    """Return the URL of a database file, whatever signs its folder's name holds.

    The driver is named because MLflow makes a folder of its own out of the text of a plain
    ``sqlite:`` URL, where a percent sign is still written as three signs.

    >>> sqlite_url(Path("a%20b/mlflow.db"))
    'sqlite+pysqlite:///a%2520b/mlflow.db'
    """
    return str(sa.URL.create("sqlite+pysqlite", database=str(path)))


class Registry:
    """What the tracking process does for others.

    Parameters
    ----------
    folder : Path
        State folder: the database and the artifacts lie in it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        uri = os.environ.get("MLFLOW_TRACKING_URI") or sqlite_url(folder / "mlflow.db")
        # A server that stops answering is told of in seconds; MLflow would go on for minutes.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "8")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        mlflow.set_tracking_uri(uri)
        mlflow.set_registry_uri(uri)
        # Two processes must not create the tables of a new database at the same time.
        with (folder / "mlflow.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.client = MlflowClient()
            self.client.search_experiments(max_results=1)

    def register(
        self,
        *,
        experiment: str,
        name: str,
        bundle: str,
        artifacts: str,
        params: dict[str, str],
        metrics: dict[str, float],
        tags: dict[str, str],
        example: dict[str, list[float | None]],
        scores: dict[str, list[float]],
    ) -> dict[str, str]:
        """Log a run with its artifacts and register its bundle as the challenger.

        Returns
        -------
        dict
            ``run_id`` and ``version``.
        """
        with mlflow.start_run(experiment_id=self._experiment(experiment), tags=tags) as run:
            mlflow.log_params(params)
            mlflow.log_metrics(metrics)
            mlflow.log_artifacts(artifacts, "report")
            signature = infer_signature(
                pd.DataFrame(example, dtype="float64"), pd.DataFrame(scores)
            )
            info = mlflow.pyfunc.log_model(
                name="bundle",
                loader_module="training.registry.tracking",
                data_path=bundle,
                signature=signature,
                pip_requirements=["ffl-risk"],
                registered_model_name=name,
            )
        version = str(info.registered_model_version)
        self.client.set_registered_model_alias(name, CHALLENGER, version)
        return {"run_id": run.info.run_id, "version": version}

    def log_refused(
        self,
        *,
        experiment: str,
        params: dict[str, str],
        metrics: dict[str, float],
        tags: dict[str, str],
    ) -> dict[str, str]:
        """Log a run whose head was refused; nothing is registered."""
        with mlflow.start_run(experiment_id=self._experiment(experiment), tags=tags) as run:
            mlflow.log_params(params)
            mlflow.log_metrics(metrics)
        return {"run_id": run.info.run_id}

    def set_alias(self, *, name: str, alias: str, version: str) -> None:
        """Point an alias at a version; both live in one database transaction."""
        self.client.set_registered_model_alias(name, alias, version)

    def alias_version(self, *, name: str, alias: str) -> str | None:
        """Version an alias points at, or None."""
        try:
            return str(self.client.get_model_version_by_alias(name, alias).version)
        except MlflowException:
            return None

    def _experiment(self, name: str) -> str:
        found = self.client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        place = self.folder / "mlartifacts"
        is_local = str(mlflow.get_tracking_uri()).startswith("sqlite")
        location = place.absolute().as_uri() if is_local else None
        return str(self.client.create_experiment(name, artifact_location=location))


def answer_requests(folder: Path) -> None:
    """Answer JSON lines until standard input ends."""
    answers = os.fdopen(os.dup(1), "w")
    # Libraries may print; the answers keep the real standard output to themselves.
    os.dup2(2, 1)
    registry = Registry(folder)
    actions: dict[str, Callable[..., Any]] = {
        "register": registry.register,
        "log_refused": registry.log_refused,
        "set_alias": registry.set_alias,
        "alias_version": registry.alias_version,
    }
    for line in sys.stdin:
        request = json.loads(line)
        action = actions[request.pop("action")]
        try:
            answer = {"result": action(**request)}
        except (MlflowException, FflRiskError, OSError) as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    answer_requests(Path(sys.argv[1]))
