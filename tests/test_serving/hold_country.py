"""A service over an invented country, with a token and a session for each account, and holds."""

from __future__ import annotations

import dataclasses
from datetime import date

import numpy as np
import pandas as pd
from starlette.testclient import TestClient

from serving.runtime import Runtime
from serving.scores import holds
from serving.scores.snapshot import Snapshot
from serving.server.app import build_app
from serving.settings import Settings

SINCE = date(2025, 1, 1)
ACCOUNTS = {
    "inspector": ("inspector", ["office:office0"]),
    "elsewhere": ("inspector", ["office:office4"]),
    "supervisor": ("supervisor", ["division:division0"]),
    "chief": ("supervisor", ["nation"]),
    "owner": ("supervisor", ["nation"]),
    "analyst": ("analyst", []),
    "scheduler": ("scheduler", []),
    "agent": ("agent", ["nation"]),
    "auditor": ("auditor", []),
}
OTHERS = [name for name in ACCOUNTS if name != "owner"]


class Country:
    """A running service, with a token and a browser session for each account."""

    def __init__(self, folder, snapshot):
        settings = Settings(folder, f"sqlite:///{folder / 'service.db'}", folder / "audit.key")
        settings.audit_key_file.write_bytes(b"k" * 32)  # draws follow from it
        self.runtime = Runtime.open(settings)
        self.runtime.replace(snapshot)
        self.app = build_app(self.runtime)
        self.client = TestClient(self.app, base_url="http://localhost")
        self.tokens, self.sessions = {}, {}
        for name, (role, areas) in ACCOUNTS.items():
            self.runtime.directory.add_account(name, role, areas=areas)
            self.tokens[name] = self.runtime.directory.issue_token(name)
            who = self.runtime.directory.principal_of_token(self.tokens[name])
            self.sessions[name] = self.runtime.directory.start_session(who, "licensing", hours=1)

    def ask(self, who, method, path, body=None):
        headers = {"Authorization": f"Bearer {self.tokens[who]}", "Ffl-Risk-Purpose": "licensing"}
        if not path.startswith("/v1/"):
            headers = {"Cookie": f"ffl_risk_session={self.sessions[who]}"}
        more = {} if body is None else {"json": body}
        return self.client.request(method, path, headers=headers, **more)

    def hold(self, dealer, owners=("owner",)):
        holds.place(self.runtime.store, dealer, owners=list(owners), starts_on=SINCE)
        self.runtime.refresh_holds()

    def rank(self, who, **body):
        answer = self.ask(
            who, "POST", "/v1/rank", {"k": 12, "random_share": 0.25, "with_recalls": False} | body
        )
        assert answer.status_code == 200, answer.text
        return answer.json()

    def close(self):
        self.runtime.close()


def lonely(snapshot_of):
    """A country whose first dealer of office0 is alone in its state and county and far away."""
    snapshot = snapshot_of(300)
    scored = snapshot.table.scored.copy()
    row = int(np.flatnonzero(scored["office"] == "office0")[0])
    place = {"state": "NM", "county": "35001", "latitude": 36.0, "longitude": -104.0}
    for name, value in place.items():
        scored.loc[row, name] = value
    scored.loc[row, "eligible_on"] = pd.NaT
    scored.loc[row, "priority"] = 99.0
    return with_scored(snapshot, scored), str(scored.loc[row, "dealer"])


def with_scored(snapshot, scored, keep=None):
    """The same table with other rows."""
    keep = np.ones(len(scored), dtype=bool) if keep is None else keep
    table = dataclasses.replace(
        snapshot.table,
        scored=scored[keep].reset_index(drop=True),
        reasons=snapshot.table.reasons[keep].reset_index(drop=True),
    )
    inputs = pd.DataFrame(
        snapshot.inputs[keep], columns=[s["name"] for s in snapshot.bundle.signals]
    )
    missing = pd.DataFrame(snapshot.missing[keep], columns=inputs.columns)
    features = type("Features", (), {"X": inputs, "reasons": missing})()
    return Snapshot.of(table, snapshot.bundle, features)


Country.dealer_on = staticmethod(
    lambda document, dealer: any(row["dealer"] == dealer for row in document["rows"])
)
