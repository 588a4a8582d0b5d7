"""The pages on a real socket, over an invented country."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import uvicorn

from serving.runtime import Runtime
from serving.server.app import build_app
from serving.settings import Settings
from tests.browser.country import AS_OF, invented_country
from tests.browser.records import write_warehouse
from tests.shared import DRAW_KEY

PASSWORD = "correct horse battery"


@dataclass(frozen=True)
class Site:
    """A running site."""

    url: str
    runtime: Runtime
    office: str
    division: str


@contextmanager
def running_site(
    folder: Path,
    *,
    n_dealers: int = 4_000,
    port: int = 0,
    with_hostile: bool = True,
    with_country: bool = False,
) -> Iterator[Site]:
    """Serve the pages from a thread until the block ends.

    The records behind them tell of a few of its dealers; `with_country` puts a simulated country in
    their place, whose dealers are others: for pages that count over all.
    """
    settings = Settings(
        home=folder,
        store_url=f"sqlite:///{folder / 'service.db'}",
        audit_key_file=folder / "audit.key",
        refused_days=1_000_000,
    )
    settings.audit_key_file.write_bytes(DRAW_KEY)
    _write_evidence(folder)
    runtime = Runtime.open(settings)
    runtime.replace(invented_country(n_dealers, with_hostile=with_hostile))
    columns = runtime.snapshot.columns
    offices, counts = np.unique(columns["office"].astype(str), return_counts=True)
    office = str(offices[np.argmax(counts)])
    division = str(columns["division"][columns["office"] == office][0])
    own = np.flatnonzero(columns["division"] == division)
    first = own[np.argsort(-columns["priority"][own])][:60]
    if with_country:
        _simulate(folder)
    else:
        write_warehouse(columns["dealer"][first], folder / "warehouse", folder=folder / "records")
    for name, role, areas in (
        ("inspector", "inspector", [f"office:{office}"]),
        ("supervisor", "supervisor", [f"division:{division}"]),
        ("chief", "supervisor", ["nation"]),
        ("analyst", "analyst", []),
        ("admin", "admin", []),
    ):
        runtime.directory.add_account(name, role, areas=areas, password=PASSWORD)
    server = uvicorn.Server(
        uvicorn.Config(build_app(runtime), port=port, log_level="warning", lifespan="off")
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    bound = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield Site(f"http://127.0.0.1:{bound}", runtime, office, division)
    finally:
        server.should_exit = True
        thread.join(timeout=10)
        runtime.close()


def _simulate(folder: Path) -> None:
    """Put a simulated country into the warehouse, up to the day of the invented scores."""
    world = folder / "world"
    for arguments in (
        ["simulate", "--out", str(world), "--dealers", "6000", "--years", "5", "--end", str(AS_OF)],
        ["ingest", str(world)],
    ):
        command = [sys.executable, "-P", "-m", "ffl_risk", *arguments]
        subprocess.run(command, check=True, env={**os.environ, "FFL_RISK_HOME": str(folder)})


def _write_evidence(folder: Path) -> None:
    """Leave an evaluation where a training would have left it."""
    share = np.linspace(0.01, 1.0, 100)
    rule = {"value": 0.22, "low": 0.18, "high": 0.26}
    head = {
        "is_in_bundle": True,
        "model": {"auc": {"value": 0.78, "low": 0.76, "high": 0.80},
                  "recall": {"value": 0.41, "low": 0.36, "high": 0.45}},
        "rules": {
            "longest_unseen": {"auc": {"value": 0.56, "low": 0.53, "high": 0.58}, "recall": rule},
            "trace_count": {"auc": {"value": 0.66, "low": 0.63, "high": 0.69},
                            "recall": {"value": 0.29, "low": 0.25, "high": 0.33}},
        },
        "curves": {
            "score": (1 - (1 - share) ** 4.2).tolist(),
            "trace_count": (1 - (1 - share) ** 2.4).tolist(),
            "longest_unseen": (1 - (1 - share) ** 1.5).tolist(),
        },
        "calibration": {
            "brier": 0.061, "ece": 0.012,
            "predicted": [0.01, 0.03, 0.06, 0.1, 0.17, 0.28],
            "observed": [0.012, 0.026, 0.066, 0.094, 0.18, 0.26],
            "size": [900, 800, 700, 500, 300, 120],
        },
    }  # fmt: skip
    candidate = folder / "candidates" / "000001"
    candidate.mkdir(parents=True)
    order = {
        **head,
        "rules": {**head["rules"], "compliance_alone": head["model"]},
        "sizes": [
            {"size": "fewest sales", "dealers": 40, "expected": 0.2, "listed": {"published": 0.02}},
            {"size": "middle", "dealers": 25, "expected": 0.17, "listed": {"published": 0.12}},
            {"size": "most sales", "dealers": 35, "expected": 0.62, "listed": {"published": 0.86}},
        ],
        "groups": {
            "rurality": [
                {"group": "rural", "is_few": False, "share_of_dealers": 0.3, "share_of_list": 0.2,
                 "rate": 0.03},
                {"group": "urban", "is_few": False, "share_of_dealers": 0.7, "share_of_list": 0.8,
                 "rate": 0.04},
            ],
        },
    }  # fmt: skip
    content = {"capacity": 0.1, "heads": {"compliance": head}, "order": order}
    (candidate / "evaluation.json").write_text(json.dumps(content))
    interval = {"value": 0.66, "low": 0.63, "high": 0.69}
    indicators = {
        "n": 4_120,
        "signals": [
            {"signal": "traces_short_ttc_3y", "auc": interval, "auc_random": interval},
            {"signal": "license_moves_5y", "auc": rule, "auc_random": None},
        ],
    }
    drift = {
        "advice": "watch",
        "drift": [
            {"name": "volume_sales_1y", "stability_index": 0.14, "share_missing_then": 0.04,
             "share_missing_now": 0.05, "advice": "watch"},
        ],
    }  # fmt: skip
    (folder / "reports").mkdir()
    for name, report in (("indicators", indicators), ("drift", drift)):
        (folder / "reports" / f"{name}.json").write_text(json.dumps(report))
    champion = {"bundle": "000001", "candidate": "000001", "history": []}
    (folder / "champion.json").write_text(json.dumps(champion))
