"""A cluster of separate processes, a master and two workers, gives what one machine gives."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import date
from pathlib import Path

import psutil
import pytest
from typer.testing import CliRunner

import ffl_risk
from features.engine.choice import engine_named
from features.engine.embedded import EmbeddedEngine
from features.errors import InvalidValueError
from features.ingest import ingest
from features.table import FeatureTable, build_features
from features.warehouse import Warehouse
from tests.test_serving.published_country import AS_OF, write_country

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.xdist_group("spark")]
START_SECONDS = 120


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    import pyspark

    folder = tmp_path_factory.mktemp("cluster")
    start = Path(pyspark.__file__).parent / "bin/spark-class"
    port = free_port()
    address = f"spark://127.0.0.1:{port}"
    environment = os.environ | {"SPARK_LOCAL_IP": "127.0.0.1", "SPARK_LOG_DIR": str(folder)}
    common = ["--host", "127.0.0.1", "--webui-port", "0"]
    commands = [
        ["org.apache.spark.deploy.master.Master", *common, "--port", str(port)],
        *(
            ["org.apache.spark.deploy.worker.Worker", *common, "--cores", "1", "--memory", "1g",
             "--work-dir", str(folder / f"work{n}"), address]
            for n in range(2)
        ),
    ]  # fmt: skip
    log = folder / "log"
    with log.open("wb") as out:
        running = [
            subprocess.Popen([start, *command], env=environment, stdout=out, stderr=out)
            for command in commands
        ]
        try:
            deadline = time.monotonic() + START_SECONDS
            while log.read_text().count("Registering worker") < 2:
                assert time.monotonic() < deadline, log.read_text()[-2_000:]
                time.sleep(0.2)
            yield address
        finally:
            for process in running:
                for child in psutil.Process(process.pid).children(recursive=True):
                    with suppress(psutil.NoSuchProcess):
                        child.kill()
                process.kill()
                process.wait(timeout=20)


def test_signals_built_on_a_cluster_are_those_of_one_machine(cluster: str, tmp_path: Path):
    write_country(tmp_path / "files")
    ingest(tmp_path / "files", tmp_path / "warehouse", today=date(2026, 6, 1))
    here = build_features(Warehouse.open(tmp_path / "warehouse"), AS_OF, families=["traces"])
    # What Spark's own configuration is for: hundreds of parts are too many for some thousand rows.
    (tmp_path / "spark-defaults.conf").write_text("spark.sql.shuffle.partitions 2\n")
    done = subprocess.run(
        [sys.executable, "-P", "-m", "ffl_risk", "features", "--as-of", AS_OF.isoformat(),
         "--families", "traces", "--engine", "spark", "--out", str(tmp_path / "out")],
        env=os.environ | {
            "FFL_RISK_HOME": str(tmp_path), "FFL_RISK_SPARK_MASTER": cluster,
            "SPARK_LOCAL_IP": "127.0.0.1", "SPARK_CONF_DIR": str(tmp_path),
        },
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2_000:]
    there = FeatureTable.load(tmp_path / "out")
    assert there.fingerprint == here.fingerprint
    # What the workers wrote for the driver is gone, and was never in the warehouse.
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".spark")] == []
    executors = list((tmp_path.parent / "cluster0").glob("work*/app-*/*/stderr"))
    assert executors  # in processes of the workers


@pytest.mark.parametrize("command", ["score", "train", "features"])
def test_every_command_that_builds_signals_takes_the_engine(command, tmp_path, monkeypatch):
    write_country(tmp_path / "files")
    ingest(tmp_path / "files", tmp_path / "warehouse", today=date(2026, 6, 1))
    monkeypatch.setenv("FFL_RISK_HOME", str(tmp_path))
    asked = []

    @contextmanager
    def named(name: str) -> Iterator[None]:
        asked.append(name)
        raise InvalidValueError("far enough")
        yield

    monkeypatch.setattr("features.engine.choice.engine_named", named)
    monkeypatch.setattr("features.commands.build.engine_named", named)
    day = [] if command == "train" else ["--as-of", AS_OF.isoformat()]
    done = CliRunner().invoke(ffl_risk.app, [command, "--engine", "spark", *day])
    assert (asked, str(done.exception)) == (["spark"], "far enough")


def test_a_chosen_engine_builds_every_table_until_the_block_ends(tmp_path: Path, monkeypatch):
    from features.engine import choice, spark

    write_country(tmp_path / "files")
    ingest(tmp_path / "files", tmp_path / "warehouse", today=date(2026, 6, 1))
    warehouse = Warehouse.open(tmp_path / "warehouse")
    opened = []

    class Session:
        def stop(self) -> None:
            opened.append("stopped")

    class Engine(EmbeddedEngine):
        def __init__(self, warehouse: Warehouse, *, spark: Session) -> None:
            opened.append(type(spark).__name__)
            super().__init__(warehouse)

    monkeypatch.setattr(spark, "session", Session)
    monkeypatch.setattr(spark, "SparkEngine", Engine)
    with choice.engine_named("spark"):
        build_features(warehouse, AS_OF, families=["license"])
        build_features(warehouse, AS_OF, families=["license"])
    build_features(warehouse, AS_OF, families=["license"])
    assert opened == ["Session", "Session", "stopped"]


def test_an_engine_that_there_is_not_is_refused():
    with pytest.raises(InvalidValueError, match="did you mean"), engine_named("sparc"):
        pass
