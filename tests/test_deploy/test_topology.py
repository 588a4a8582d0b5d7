"""The recipe's topology as processes: proxy with TLS, two service homes, PostgreSQL, MLflow."""

import http.client
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import psutil
import pytest

from serving.access.accounts import Directory
from serving.access.audit.writer import chain_key, verify
from serving.store.database import Store
from tests.test_deploy.test_recipes import COMPOSE, proxy_text
from tests.test_deploy.tools import program
from tests.test_serving.keeping.store.test_postgresql import Server
from tests.test_serving.published_country import publish_country
from training.registry.tracker import Tracker

pytestmark = [
    pytest.mark.slow, pytest.mark.postgresql, pytest.mark.xdist_group("postgresql"),
]  # fmt: skip
START_SECONDS = 180


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def started(*command: str | Path, log: Path, **environment: str) -> Iterator[None]:
    """Run a program until the block ends, and end all that it started."""
    with log.open("ab") as out:
        kept = os.environ | environment
        kept.pop("PROMETHEUS_MULTIPROC_DIR", None)
        process = subprocess.Popen(command, env=kept, stdout=out, stderr=out)
        try:
            yield
        finally:
            children = psutil.Process(process.pid).children(recursive=True)
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=30)
            for child in [*children, *([process] if process.poll() is None else [])]:
                with suppress(psutil.NoSuchProcess):
                    child.kill()
            process.wait(timeout=10)


def wait_for(port: int, path: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        with suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            with closing(connection):
                connection.request("GET", path, headers={"Host": f"localhost:{port}"})
                if connection.getresponse().status == 200:
                    return
        time.sleep(0.2)
    pytest.fail(log.read_text()[-2_000:])


class Topology:
    """Where everything is."""

    def __init__(self, folder: Path, database: Server) -> None:
        self.folder, self.database = folder, database
        self.ports = {name: free_port() for name in ("first", "second", "mlflow", "proxy")}
        self.secrets = folder / "secrets"
        homes = "".join(f"server 127.0.0.1:{self.ports[n]};" for n in ("first", "second"))
        (folder / "nginx.conf").write_text(
            proxy_text(
                folder,
                {
                    "server {": f"upstream homes {{ {homes} }}\n    server {{",
                    "service:3000": "homes",
                    "issuer:8080": "127.0.0.1:1",
                },
                port=self.ports["proxy"],
            )
        )
        self._databases()
        for name in ("store_url", "mlflow_url"):
            path = self.secrets / name
            path.chmod(0o600)
            path.write_text(path.read_text().replace("database:5432", f"127.0.0.1:{database.port}"))
        self.homes = [folder / "first", folder / "second"]
        self._fill()

    def _databases(self) -> None:
        """Run the recipe's own script against the server."""
        text = (COMPOSE / "database.sh").read_text().replace("/run/secrets", str(self.secrets))
        (self.folder / "database.sh").write_text(text)
        environment = os.environ | {
            "POSTGRES_USER": "ffl_risk_owner",
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.database.port),
            "PATH": f"{self.database.bin}{os.pathsep}{os.environ['PATH']}",
        }
        subprocess.run(["bash", self.folder / "database.sh"], env=environment, check=True)

    def _fill(self) -> None:
        first, second = self.homes
        publish_country(first)
        (first / "files").rename(self.folder / "files")
        store = Store.open((self.secrets / "store_url").read_text())
        chain_key(store, first / "audit.key")
        accounts = Directory(store)
        accounts.add_account("chief", "supervisor", areas=["nation"])
        self.token = accounts.issue_token("chief")
        store.close()
        shutil.copytree(first, second)

    def settings(self, home: Path) -> dict[str, str]:
        return {
            "FFL_RISK_HOME": str(home),
            "FFL_RISK_STORE_URL_FILE": str(self.secrets / "store_url"),
            "FFL_RISK_WORKERS": "2",
            "FFL_RISK_HTTPS": "true",
            "FFL_RISK_TABLE_REFUSED_DAYS": "1000000",
        }

    def ask(self, method: str, path: str, body: Any = None, *, port: int = 0) -> tuple[int, Any]:
        """Ask through the proxy, or one home straight."""
        connection: http.client.HTTPConnection
        if port:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        else:
            context = ssl.create_default_context(cafile=str(self.secrets / "ca.crt"))
            connection = http.client.HTTPSConnection(
                "localhost", self.ports["proxy"], timeout=30, context=context
            )
        headers = {
            "Authorization": f"Bearer {self.token}",
            "Ffl-Risk-Purpose": "licensing",
            "Content-Type": "application/json",
        }
        with closing(connection):
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            content = answer.read()
            is_json = "json" in str(answer.getheader("content-type"))
            return answer.status, json.loads(content) if is_json else content.decode()


@pytest.fixture(scope="module")
def topology() -> Iterator[Topology]:
    nginx = program("nginx")
    folder = Path(mkdtemp(prefix="ffl-risk-topology-"))
    folder.chmod(0o711)  # PostgreSQL runs as another user, in a folder of its own below
    data = folder / "database"
    data.mkdir()
    database = Server(data)
    try:
        with_role = f"{database.bin}/psql"
        subprocess.run(
            [with_role, "-h", "127.0.0.1", "-p", str(database.port), "-U", "ffl_risk", "-d",
             "postgres", "-c", "CREATE ROLE ffl_risk_owner SUPERUSER LOGIN"],
            check=True, capture_output=True,
        )  # fmt: skip
        subprocess.run(
            [with_role, "-h", "127.0.0.1", "-p", str(database.port), "-U", "ffl_risk_owner", "-d",
             "postgres", "-c", "ALTER ROLE ffl_risk RENAME TO superuser"],
            check=True, capture_output=True,
        )  # fmt: skip
        made = Topology(folder, database)
        serve = [sys.executable, "-P", "-m", "ffl_risk", "serve", "--port"]
        proxy = [nginx, "-p", str(folder), "-c", str(folder / "nginx.conf")]
        logs = {name: folder / f"{name}.log" for name in made.ports}
        first, second = made.homes
        with (
            started(*serve, str(made.ports["first"]), log=logs["first"], **made.settings(first)),
            started(*serve, str(made.ports["second"]), log=logs["second"], **made.settings(second)),
            started(*proxy, log=logs["proxy"]),
        ):
            for name in ("first", "second"):
                wait_for(made.ports[name], "/readyz", logs[name])
            yield made
    finally:
        database.stop("immediate")
        shutil.rmtree(folder)


def test_two_homes_behind_one_proxy_answer_alike(topology: Topology):
    status, listed = topology.ask("POST", "/v1/rank", {"k": 5, "random_share": 0})
    assert status == 200, listed
    dealer = listed["rows"][0]["dealer"]
    ports = [topology.ports["first"], topology.ports["second"]]
    body = {"dealers": [dealer]}
    answers = [topology.ask("POST", "/v1/score", body, port=port)[1]["scores"] for port in ports]
    assert answers[0] == answers[1]
    outcome = {
        "inspection_id": "NEW-1", "dealer": dealer, "opened_on": "2026-02-01",
        "closed_on": "2026-02-10", "outcome": "warning_conference", "hours": 12.5,
    }  # fmt: skip
    assert topology.ask("POST", "/v1/outcomes", outcome, port=ports[0])[0] == 200
    deadline = time.monotonic() + 2
    while True:  # the other home knows within two seconds
        _, scored = topology.ask("POST", "/v1/score", body, port=ports[1])
        if scored["scores"][0]["eligible_on"] == "2027-02-10":
            break
        assert time.monotonic() < deadline, scored
        time.sleep(0.05)
    again = topology.ask("POST", "/v1/rank", {"k": 5, "random_share": 0}, port=ports[1])[1]
    assert dealer not in {row["dealer"] for row in again["rows"]}


def test_the_proxy_keeps_metrics_inside_and_logs_no_query(topology: Topology):
    assert topology.ask("GET", "/metrics")[0] == 404
    status, told = topology.ask("GET", "/metrics", port=topology.ports["first"])
    assert status == 200
    assert re.search(r'ffl_risk_build_info\{.*version="', told)
    assert float(re.search(r"^ffl_risk_store_connections_most (.+)$", told, re.MULTILINE)[1]) > 1
    topology.ask("GET", "/v1/lists?area=Zq9Secret")
    assert "Zq9Secret" not in (topology.folder / "access.log").read_text()
    store = Store.open((topology.secrets / "store_url").read_text())
    assert verify(store, chain_key(store, topology.homes[0] / "audit.key")).is_intact
    store.close()


def test_runs_and_versions_are_kept_by_an_mlflow_server(topology: Topology, monkeypatch):
    """The command of the compose file, on this machine's addresses."""
    from tests.test_deploy.tools import read_yaml

    (compose,) = read_yaml(COMPOSE / "compose.yaml")
    port = topology.ports["mlflow"]
    command = compose["services"]["mlflow"]["entrypoint"][2].replace("$$", "$")
    for old, new in {
        "/run/secrets/mlflow_url": str(topology.secrets / "mlflow_url"),
        "exec mlflow": f"exec {Path(sys.executable).parent / 'mlflow'}",
        "--host 0.0.0.0": "--host 127.0.0.1",
        "5000": str(port),
        "/var/lib/mlflow": str(topology.folder / "runs"),
    }.items():
        assert old in command, old
        command = command.replace(old, new)
    log = topology.folder / "mlflow.log"
    allowed = f"mlflow:{port},localhost:{port}"
    assert allowed in command
    with started(
        "sh", "-c", command.replace(allowed, f"{allowed},127.0.0.1:{port}"), log=log,
        MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false",
    ):  # fmt: skip
        wait_for(port, "/health", log)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
        with Tracker(topology.folder / "trainer") as tracker:
            done = tracker.ask(
                "log_run", children=[],
                run={"experiment": "country", "name": "refused", "params": {"seed": "1"},
                     "metrics": {"auc": 0.5}},
            )  # fmt: skip
            assert re.fullmatch(r"[0-9a-f]{32}", done["run_id"])
            assert tracker.ask("alias_version", name="country", alias="champion") is None
