"""A setting that cannot be used ends the start with one clear line, and nothing is half done."""

import os
import socket
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from features.errors import FflRiskError
from serving import clock
from serving.access.audit.writer import Access, append, open_chain
from serving.access.clock_check import check_clock
from serving.errors import AuditError, NotReadyError
from serving.server import supervisor
from serving.settings import Settings
from serving.store.database import Store
from training.registry.tracker import Tracker, TrackingError


@pytest.fixture
def home(tmp_path: Path, monkeypatch) -> Path:
    for name in [name for name in os.environ if name.startswith("FFL_RISK_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("FFL_RISK_HOME", str(tmp_path / "home"))

    def bind(_):
        raise AssertionError("it went on to open its port")

    monkeypatch.setattr(supervisor.uvicorn.Config, "bind_socket", bind)
    return tmp_path / "home"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WORKERS", "two"), ("WORKERS", "0"), ("WORKERS", "1.5"), ("WORKERS", "65"),
        ("STORE_URL", "mydb"), ("STORE_URL", "mysql://u:Zq9Secret@h/x"), ("STORE_URL", "://"),
        ("STORE_URL_FILE", "/no/such/file"), ("RATE", "nan"), ("RATE", "fast"), ("QUEUE", "-1"),
        ("TIMEOUT", "inf"), ("HTTPS", "maybe"), ("LOG_FORMAT", "xml"), ("DRAW_MONTHS", "5"),
        ("CLOCK_TOLERANCE", "none"), ("OIDC_ISSUER", "https://issuer.example"),
        ("CLOCK_TOLERANCE", "1e300"), ("SESSION_HOURS", "1e12"), ("STORE_URL", "sqlite://"),
        ("STORE_URL", "sqlite:///:memory:"), ("STORE_URL_FILE", "/dev/null"),
        ("OIDC_ISSUER", "login.example.org"), ("OIDC_ISSUER", "https://a b"),
        ("OTLP_ENDPOINT", "http://collector:port"), ("OIDC_AUDIENCE", "ffl-risk"),
        ("OIDC_CLIENT_ID", "ffl-risk"), ("OIDC_JWKS_URL", "https://issuer.example/keys"),
        ("OIDC_CLIENT_SECRET", "Zq9Secret"), ("WORKER", "4"), ("OIDC_ISSUER_URL", "https://x.org"),
        ("OIDC_CLIENT_ID_FILE", "/run/secrets/id"), ("LOGFORMAT", "json"),
        ("TIME_ZONE", "Guam time"),
    ],
)  # fmt: skip
def test_a_bad_value_is_one_line_that_names_it(home: Path, monkeypatch, name: str, value: str):
    monkeypatch.setenv(f"FFL_RISK_{name}", value)
    with pytest.raises(FflRiskError) as refused:
        supervisor.serve("127.0.0.1", 0)
    assert f"FFL_RISK_{name}" in refused.value.what
    assert "\n" not in refused.value.what
    assert "Zq9Secret" not in str(refused.value)
    assert refused.value.exit_code == 3
    assert not home.exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [("PUBLIC_URL", "ffl-risk.test"), ("OIDC_JWKS_URL", "/keys"), ("OIDC_CLIENT_SECRET", "Zq9")],
)
def test_a_bad_value_beside_an_issuer_is_one_line_too(home, monkeypatch, name: str, value: str):
    monkeypatch.setenv("FFL_RISK_OIDC_ISSUER", "https://issuer.example")
    monkeypatch.setenv("FFL_RISK_OIDC_AUDIENCE", "ffl-risk")
    monkeypatch.setenv(f"FFL_RISK_{name}", value)
    with pytest.raises(FflRiskError, match=f"FFL_RISK_{name}"):
        supervisor.serve("127.0.0.1", 0)


def test_the_day_of_the_service_is_the_agency_s(monkeypatch: pytest.MonkeyPatch):
    late = clock.Clock(lambda: 1_780_264_800 * 10**9, lambda: 0)  # 2026-05-31 22:00 UTC
    monkeypatch.setattr(clock, "_clock", late)
    for zone, day in (("UTC", 31), ("Pacific/Guam", 1)):
        monkeypatch.setenv("FFL_RISK_TIME_ZONE", zone)
        assert clock.today().day == day


def test_a_secret_that_is_set_twice_is_refused(home: Path, monkeypatch, tmp_path: Path):
    secret = tmp_path / "secret"
    secret.write_text("postgresql://u:Zq9Secret@h/x")
    monkeypatch.setenv("FFL_RISK_STORE_URL_FILE", str(secret))
    monkeypatch.setenv("FFL_RISK_STORE_URL", "sqlite:////tmp/other.db")
    with pytest.raises(FflRiskError, match="both set") as refused:
        supervisor.serve("127.0.0.1", 0)
    assert "Zq9Secret" not in str(refused.value)


def test_a_name_that_resembles_no_setting_is_left_alone(home: Path, monkeypatch):
    monkeypatch.setenv("FFL_RISK_BENCH_HOME", "/srv/bench")
    monkeypatch.setenv("FFL_RISK_HOME", "")
    settings = Settings.from_environment()
    assert settings.home == Path("var")  # an empty variable is one that is not set


def test_an_algorithm_that_cannot_be_accepted_ends_the_start_and_not_each_worker(home, monkeypatch):
    monkeypatch.setenv("FFL_RISK_OIDC_ISSUER", "https://issuer.example")
    monkeypatch.setenv("FFL_RISK_OIDC_AUDIENCE", "ffl-risk")
    monkeypatch.setenv("FFL_RISK_OIDC_ALGORITHMS", "RS256,none")
    with pytest.raises(FflRiskError, match="FFL_RISK_OIDC_ALGORITHMS"):
        supervisor.serve("127.0.0.1", 0)
    assert not home.exists()


@pytest.mark.parametrize(
    ("name", "value"), [("WEBHOOK_ORIGINS", "abc"), ("AUDIT_HEADS", "syslog:nowhere")]
)
def test_what_a_worker_alone_would_read_ends_the_start_too(home, monkeypatch, name, value):
    monkeypatch.setenv(f"FFL_RISK_{name}", value)
    with pytest.raises(FflRiskError, match=f"FFL_RISK_{name}"):
        supervisor.serve("127.0.0.1", 0)
    assert not home.exists()


def test_a_home_that_cannot_be_made_is_one_line(home: Path):
    home.write_text("a file where the folder should be")
    with pytest.raises(FflRiskError, match="FFL_RISK_HOME"):
        supervisor.serve("127.0.0.1", 0)
    assert home.read_text() == "a file where the folder should be"


@pytest.mark.slow
@pytest.mark.parametrize("command", [("run", "nightly"), ("users", "add", "x", "--role", "admin")])
def test_a_command_on_such_a_home_leaves_with_4_or_3_and_no_traceback(tmp_path: Path, command):
    (tmp_path / "home").write_text("")
    environment = os.environ | {"FFL_RISK_HOME": str(tmp_path / "home")}
    done = subprocess.run(
        [sys.executable, "-P", "-m", "ffl_risk", *command],
        env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode in {3, 4}, done.stderr
    assert "Traceback" not in done.stderr
    assert "FFL_RISK_HOME" in done.stderr


def written(home: Path) -> Store:
    """Return a store with one audit record."""
    home.mkdir()
    store = Store.open(f"sqlite:///{home / 'service.db'}")
    key = open_chain(store, home / "audit.key")
    with store.write() as connection:
        append(connection, key, [Access("chief", "supervisor", "score", "1-10-00000")])
    return store


def test_a_foreign_audit_key_is_one_line_and_the_store_stays_as_it_is(home: Path):
    written(home).close()
    before = (home / "service.db").read_bytes()
    (home / "audit.key").write_bytes(b"another state folder's key......")
    with pytest.raises(AuditError, match="audit key"):
        supervisor.serve("127.0.0.1", 0)
    assert (home / "service.db").read_bytes() == before


@pytest.mark.parametrize(
    ("minutes", "is_refused"), [(60, True), (6, True), (4, False), (-60, False)]
)
def test_a_clock_behind_the_newest_record_does_not_start(
    home: Path, minutes: int, is_refused: bool
):
    store = written(home)
    then = datetime.now(UTC) + timedelta(minutes=minutes)
    with store.write() as connection:
        at = then.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        connection.execute(sa.text("UPDATE audit SET at = :at"), {"at": at})
    if is_refused:
        with pytest.raises(NotReadyError, match=f"{minutes} minutes behind"):
            check_clock(store, 300)
        with pytest.raises(NotReadyError, match="clock is behind"):
            supervisor.serve("127.0.0.1", 0)
        check_clock(store, 2 * 3600)
    else:
        check_clock(store, 300)
    store.close()


@pytest.mark.slow
def test_an_mlflow_server_that_hangs_is_told_before_anything_is_begun(tmp_path: Path, monkeypatch):
    """It takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken: list[socket.socket] = []

        def take() -> None:
            while True:
                try:
                    taken.append(server.accept()[0])
                except OSError:
                    return

        thread = threading.Thread(target=take, daemon=True)
        thread.start()
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        begun = time.monotonic()
        with pytest.raises(TrackingError, match=r"127\.0\.0\.1:\d+ does not answer"):
            Tracker(tmp_path / "home").start()
        assert time.monotonic() - begun < 30
        assert not (tmp_path / "home").exists()
        server.shutdown(socket.SHUT_RDWR)
    thread.join(timeout=5)
    for one in taken:
        one.close()
