"""The one door to MLflow: runs, registered versions and their aliases.

It runs as its own process (see `training.registry.tracker`): requests come as JSON lines on
standard input, answers leave on standard output. The default is SQLite in the state folder;
``MLFLOW_TRACKING_URI`` names a server instead. Nothing is pickled: a version is a bundle folder
with the code that loads it (`models.pyfunc`), which verifies every hash.
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import sqlalchemy as sa

from features.errors import FflRiskError
from training.registry.packaging import copy_code, requirements

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("DO_NOT_TRACK", "true")

import mlflow
from mlflow.data.code_dataset_source import CodeDatasetSource
from mlflow.data.meta_dataset import MetaDataset
from mlflow.exceptions import MlflowException
from mlflow.models import infer_signature
from mlflow.tracking import MlflowClient

CHALLENGER = "challenger"
CHAMPION = "champion"


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
        self, *, run: dict[str, Any], name: str, bundle: str, artifacts: str, sample: dict[str, Any]
    ) -> dict[str, str]:
        """Log a run with its artifacts and register its bundle as the challenger.

        Parameters
        ----------
        run : dict
            See `_began`.
        name : str
            Of the registered model.
        bundle, artifacts : str
            Folders: the bundle, and the report.
        sample : dict
            ``example``, columns of signals, and ``scores``, what the bundle says of them.

        Returns
        -------
        dict
            ``run_id`` and ``version``.
        """
        example = pd.DataFrame(sample["example"], dtype="float64")
        with self._began(run) as run_id, tempfile.TemporaryDirectory() as code:
            try:
                mlflow.log_artifacts(artifacts, "report")
                info = mlflow.pyfunc.log_model(
                    name="bundle",
                    loader_module="models.pyfunc",
                    data_path=bundle,
                    code_paths=copy_code(Path(code)),
                    signature=infer_signature(example, pd.DataFrame(sample["scores"])),
                    input_example=example,
                    pip_requirements=requirements(),
                    registered_model_name=name,
                    tags=run["tags"],
                )
                version = str(info.registered_model_version)
                self.tag(name=name, version=version, tags=run["tags"])
                self.client.set_registered_model_alias(name, CHALLENGER, version)
            except BaseException as ended:  # Ctrl-C too: no version without its candidate
                try:
                    self._forget(name, run_id)
                except (MlflowException, OSError) as error:  # a server that is gone, say
                    ended.add_note(f"What run {run_id} registered may stand: {error}")
                raise
        return {"run_id": run_id, "version": version}

    def _forget(self, name: str, run_id: str) -> None:
        """Delete what a run that did not come to its end registered."""
        for made in self.client.search_model_versions(f"name = '{name}'"):
            if made.run_id == run_id:
                self.client.delete_model_version(name, made.version)

    def log_run(self, *, run: dict[str, Any], children: list[dict[str, Any]]) -> dict[str, str]:
        """Log a run that registers nothing, and the runs it is made of under it."""
        with self._began(run) as run_id:
            for child in children:
                with self._began({"experiment": run["experiment"], **child}, nested=True):
                    pass
        return {"run_id": run_id}

    def tag(self, *, name: str, version: str, tags: dict[str, str]) -> None:
        """Set tags of a registered version and of the run that made it."""
        run_id = self.client.get_model_version(name, version).run_id
        for key, value in tags.items():
            self.client.set_model_version_tag(name, version, key, value)
            if run_id:
                self.client.set_tag(run_id, key, value)

    @contextmanager
    def _began(self, run: dict[str, Any], *, nested: bool = False) -> Iterator[str]:
        """Begin a run and log what describes it.

        Parameters
        ----------
        run : dict
            ``experiment`` and ``name``; and as far as given ``params``, ``metrics``, ``tags``,
            ``texts`` by file name, and ``datasets``: name, digest, context and tags of each.
        """
        with mlflow.start_run(
            experiment_id=self._experiment(run["experiment"]),
            run_name=run["name"],
            tags=run.get("tags"),
            nested=nested,
        ) as begun:
            mlflow.log_params(run.get("params", {}))
            mlflow.log_metrics(run.get("metrics", {}))
            for one in run.get("datasets", ()):
                source = CodeDatasetSource(tags=one["tags"])
                dataset = MetaDataset(source, name=one["name"], digest=one["digest"][:36])
                mlflow.log_input(dataset, context=one["context"])
            for file, text in run.get("texts", {}).items():
                mlflow.log_text(text, file)
            yield str(begun.info.run_id)

    def set_alias(
        self, *, name: str, alias: str, version: str, tags: dict[str, str] | None = None
    ) -> None:
        """Point an alias at a version; both live in one database transaction."""
        self.client.set_registered_model_alias(name, alias, version)
        self.tag(name=name, version=version, tags=tags or {})

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


def _hides_interruption(error: BaseException | None) -> bool:
    """Whether an error was met while something interrupted was being tidied up."""
    while error is not None:
        if isinstance(error, KeyboardInterrupt | SystemExit):
            return True
        error = error.__context__
    return False


def answer_requests(folder: Path) -> None:
    """Answer JSON lines until standard input ends."""
    with os.fdopen(os.dup(1), "w") as answers:
        # Libraries may print; the answers keep the real standard output to themselves.
        os.dup2(2, 1)
        registry = Registry(folder)
        actions: dict[str, Callable[..., Any]] = {
            "register": registry.register,
            "log_run": registry.log_run,
            "tag": registry.tag,
            "set_alias": registry.set_alias,
            "alias_version": registry.alias_version,
        }
        for line in sys.stdin:
            request = json.loads(line)
            action = actions[request.pop("action")]
            try:
                answer = {"result": action(**request)}
            except (MlflowException, FflRiskError, OSError) as error:
                if _hides_interruption(error):
                    raise
                answer = {"error": f"{type(error).__name__}: {error}"}
            answers.write(json.dumps(answer) + "\n")
            answers.flush()


if __name__ == "__main__":
    answer_requests(Path(sys.argv[1]))
