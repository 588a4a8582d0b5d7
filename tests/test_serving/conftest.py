"""A small invented country behind a running service, without files of the other packages."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import uvicorn
from hypothesis import settings as examples
from starlette.testclient import TestClient

from serving.access.audit import key as audit_key
from serving.runtime import Runtime
from serving.scores.publish import strongest
from serving.scores.snapshot import Snapshot
from serving.scores.table.loaded_table import ScoredTable
from serving.scores.words.peers import peer_table
from serving.server.app import build_app
from serving.server.protocol import BoundedProtocol
from serving.settings import Settings
from serving.store.database import Store
from tests.shared import DRAW_KEY

AS_OF = date(2026, 1, 1)
NEVER = 1_000_000  # days: what is invented here does not get too old as the years go by
HEADS = ("compliance", "diversion")
SIGNALS = [
    {
        "name": f"family{j % 3}_signal{j}",
        "family": f"family{j % 3}",
        "unit": "reports",
        "definition": f"invented measure {j}",
        "window": "1y",
        "table": "inspections" if j % 2 else "traces",
        "direction": 1,
        "restriction": "restricted" if j % 2 else "public",
        "reason": "{value} {unit} in a year, more than {percentile}% of peers",
    }
    for j in range(12)
]
NAMES = [signal["name"] for signal in SIGNALS]
WEIGHTS = np.linspace(0.9, -0.3, len(NAMES))


@dataclass(frozen=True)
class LinearBundle:
    """Stands in for a trained bundle: two heads that are linear on the log scale."""

    restriction: str = "restricted"

    @property
    def manifest(self) -> dict[str, Any]:
        return {"name": "invented-1", "restriction": self.restriction}

    @property
    def signals(self) -> list[dict[str, Any]]:
        return SIGNALS

    @property
    def heads(self) -> dict[str, None]:
        return dict.fromkeys(HEADS)

    @property
    def weights(self) -> dict[str, float]:
        return dict(zip(HEADS, (1.0, 0.0), strict=True))

    def values(self, X: pd.DataFrame) -> np.ndarray:
        return np.nan_to_num(X[NAMES].to_numpy(dtype=np.float64)) * WEIGHTS

    def score(self, X: pd.DataFrame) -> pd.DataFrame:
        log_odds = self.values(X).sum(axis=1) - 3.0
        out: dict[str, Any] = {}
        for head, shift in zip(HEADS, (0.0, -1.0), strict=True):
            value = 1.0 / (1.0 + np.exp(-(log_odds + shift)))
            out |= {head: value, f"{head}_lower": value * 0.8, f"{head}_upper": value * 1.1}
        support = np.linspace(0.0, 1.0, len(X)) if len(X) > 1 else np.full(len(X), 0.5)
        out |= {"priority": log_odds, "support": support, "is_insufficient_history": support < 0.02}
        return pd.DataFrame(out)

    @property
    def columns(self) -> list[str]:
        return list(NAMES)

    def score_numbers(self, Z: np.ndarray) -> dict[str, np.ndarray]:
        scores = self.score(pd.DataFrame(Z, columns=NAMES))
        return {name: scores[name].to_numpy() for name in scores}

    def score_and_explain(
        self, X: pd.DataFrame, *, method: str = "auto"
    ) -> tuple[pd.DataFrame, dict[str, Any]]:
        return self.score(X), self.explain(X)

    def explain(self, X: pd.DataFrame) -> dict[str, Any]:
        values, base = self.values(X), np.full(len(X), -3.0)
        one = SimpleNamespace(values=values, base=base, columns=NAMES)
        half = SimpleNamespace(values=values / 2, base=base / 2, columns=NAMES)
        return {"priority": one} | dict.fromkeys(HEADS, half)


def dealer_key(n: int) -> str:
    return f"1-{n % 90 + 10}-{n:05d}"


def make_inputs(n: int, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    values = rng.gamma(1.0, 1.0, (n, len(NAMES))).astype(np.float32)
    values[rng.random(values.shape) < 0.1] = np.nan
    return pd.DataFrame(values, columns=NAMES)


def make_facts(n: int, seed: int = 1) -> pd.DataFrame:
    """Three divisions of two offices each, in two states."""
    rng = np.random.default_rng(seed)
    office = rng.integers(0, 6, n)
    last = pd.Timestamp("2026-01-01") - pd.to_timedelta(rng.integers(10, 3000, n), unit="D")
    was_inspected = rng.random(n) < 0.6
    last = pd.Series(last).where(was_inspected).astype("datetime64[s]")
    eligible = (last + pd.DateOffset(years=1)).astype("datetime64[s]")
    outcome = rng.choice(["none", "report", "warning_letter", "warning_conference"], n)
    return pd.DataFrame(
        {
            "dealer": [dealer_key(i) for i in range(n)],
            "license_number": [f"1-{i % 90 + 10}-001-01-6F-{i:05d}" for i in range(n)],
            "license_type": rng.choice(["01", "02", "07"], n, p=[0.7, 0.1, 0.2]),
            "licensee_name": [f"LICENSEE {i}" for i in range(n)],
            "business_name": [f"SHOP {i}" if i % 2 else "" for i in range(n)],
            "street": [f"{i} MAIN ST" for i in range(n)],
            "city": "TOWN",
            "state": np.where(office < 3, "AZ", "TX"),
            "zip": "85001",
            "county": np.where(office < 3, "04013", "48141"),
            "office": [f"office{k}" for k in office],
            "division": [f"division{k // 2}" for k in office],
            "last_outcome": np.where(was_inspected, outcome, ""),
            "last_kind": np.where(
                was_inspected, np.where(np.arange(n) % 4, "compliance", "recall"), ""
            ),
            "latitude": 31.5 + rng.random(n),
            "longitude": -111.0 + rng.random(n),
            "last_inspected_on": last,
            "eligible_on": eligible,
            "n_inspections": was_inspected.astype(np.int32),
            "is_recall_due": was_inspected
            & np.isin(outcome, ["warning_letter", "warning_conference"])
            & (eligible <= pd.Timestamp(AS_OF))
            & (eligible > pd.Timestamp("2024-01-01")),
        }
    )


@cache
def _derived(n: int) -> tuple[pd.DataFrame, ...]:
    """Signals, scores, reasons and peers of the invented dealers, for copies of them."""
    bundle, inputs, facts = LinearBundle(), make_inputs(n), make_facts(n)
    scored = pd.concat([facts, bundle.score(inputs)], axis=1)
    scored["as_of"] = np.datetime64(AS_OF, "s")
    scored["is_in_scope"] = True
    reasons = strongest(bundle.explain(inputs)["priority"].values, bundle.signals)
    peers = peer_table(inputs, facts["license_type"].to_numpy(dtype=object))
    return inputs, scored, reasons, peers


def make_snapshot(n: int = 400, *, restriction: str = "restricted") -> Snapshot:
    inputs, scored, reasons, peers = (frame.copy() for frame in _derived(n))
    manifest = {
        "as_of": AS_OF.isoformat(),
        "champion": "000001",
        "bundle": "invented-1",
        "bundle_sha256": "b" * 64,
        "restriction": restriction,
        "heads": list(HEADS),
        "fingerprint": "f" * 64,
        "warehouse_fingerprint": "w" * 64,
    }
    holds = pd.DataFrame({"hold_id": [], "dealer": [], "starts_on": [], "ends_on": []}).astype(
        {"hold_id": str, "dealer": str, "starts_on": "datetime64[s]", "ends_on": "datetime64[s]"}
    )
    table = ScoredTable(
        name="000001",
        manifest=manifest,
        scored=scored,
        reasons=reasons,
        peers=peers,
        holds=holds,
        folder=Path("nowhere"),
    )
    missing = np.where(np.isnan(inputs.to_numpy()), 2, 0).astype(np.int8)
    features = SimpleNamespace(X=inputs, reasons=pd.DataFrame(missing, columns=NAMES))
    return Snapshot.of(table, LinearBundle(restriction), features)


@dataclass
class Service:
    """A running service and one token a role."""

    client: TestClient
    runtime: Runtime
    tokens: dict[str, str]

    def call(
        self, method: str, path: str, role: str, *, purpose: str | None = "licensing", **more: Any
    ) -> Any:
        headers = {"Authorization": f"Bearer {self.tokens[role]}"} | more.pop("headers", {})
        if purpose is not None:
            headers["Ffl-Risk-Purpose"] = purpose
        return self.client.request(method, path, headers=headers, **more)

    def post(self, path: str, role: str, body: Any, **more: Any) -> Any:
        return self.call("POST", path, role, json=body, **more)

    def get(self, path: str, role: str, **more: Any) -> Any:
        return self.call("GET", path, role, **more)


ACCOUNTS = {
    "inspector": ("inspector", ["office:office0"]),
    "inspector_west": ("inspector", ["office:office4"]),
    "supervisor": ("supervisor", ["division:division0"]),
    "chief": ("supervisor", ["nation"]),
    "analyst": ("analyst", []),
    "scheduler": ("scheduler", []),
    "partner": ("partner", []),
    "agent": ("agent", ["division:division0"]),
    "auditor": ("auditor", []),
    "admin": ("admin", []),
}


@pytest.fixture(scope="session", autouse=True)
def same_draws() -> Iterator[None]:
    """Make every key of this process the same, but where other examples are looked for."""
    with pytest.MonkeyPatch.context() as patch:
        if examples.get_current_profile_name() != "search":
            patch.setattr(audit_key, "secrets", SimpleNamespace(token_bytes=lambda _: DRAW_KEY))
        yield


@pytest.fixture(scope="session")
def new_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store without rows, its tables made once a process: every test begins with a copy."""
    path = tmp_path_factory.mktemp("store") / "service.db"
    Store.open(f"sqlite:///{path}").close()
    return path


@pytest.fixture
def runtime(tmp_path: Path, new_store: Path) -> Iterator[Runtime]:
    shutil.copy(new_store, tmp_path / "service.db")
    settings = Settings(
        home=tmp_path,
        store_url=f"sqlite:///{tmp_path / 'service.db'}",
        audit_key_file=tmp_path / "audit.key",
        refused_days=NEVER,
    )
    running = Runtime.open(settings)
    running.replace(make_snapshot())
    yield running
    running.close()


@pytest.fixture
def start(tmp_path: Path) -> Callable[[Runtime], Service]:
    def started(running: Runtime) -> Service:
        tokens = {}
        for name, (role, areas) in ACCOUNTS.items():
            running.directory.add_account(name, role, areas=areas)
            tokens[name] = running.directory.issue_token(name)
        client = TestClient(build_app(running), base_url="http://localhost:3000")
        return Service(client, running, tokens)

    return started


@pytest.fixture
def service(runtime: Runtime, start: Callable[[Runtime], Service]) -> Service:
    return start(runtime)


@pytest.fixture
def url(service: Service) -> Iterator[str]:
    """Where the service listens, in a thread of its own."""
    config = uvicorn.Config(
        build_app(service.runtime),
        port=0,
        log_level="warning",
        lifespan="off",
        ws="none",
        http=BoundedProtocol,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(timeout=20)


@pytest.fixture
def snapshot_of() -> Callable[..., Snapshot]:
    return make_snapshot


@pytest.fixture
def audit_of() -> Callable[[Service], list[dict[str, Any]]]:
    import sqlalchemy as sa

    from serving.store.tables import AUDIT

    def read(running: Service) -> list[dict[str, Any]]:
        with running.runtime.store.read() as connection:
            rows = connection.execute(sa.select(AUDIT).order_by(AUDIT.c.seq))
            return [json.loads(json.dumps(dict(row._mapping))) for row in rows]

    return read
