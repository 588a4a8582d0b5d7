"""A family of an agency's own is scored and explained in its own words, and missed when absent."""

import dataclasses
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.home import write_json
from features.ingest import ingest
from features.table import build_features
from features.warehouse import Warehouse
from models import Bundle, RateRegressor, RiskClassifier
from models.bundle.profile import Profile
from models.policy import Policy
from serving.errors import NotReadyError
from serving.scores.publish import publish
from serving.scores.snapshot import Snapshot
from tests.test_serving.published_country import AS_OF, write_country

FAMILY = """
from features.signals.own import Y3, Context, FamilyColumns, Signal, Sum

SIGNALS = (
    Signal(name="streets_police_traces_3y", family="streets", unit="traces", table="traces",
           definition="Traces asked for by police in three years.", window="3y", direction=1,
           reason="The police asked for {value} traces here", reference="Own records",
           restriction="restricted"),
)


def build(context: Context) -> FamilyColumns:
    grids = context.grids("traces", [Sum("n", (Y3,), "requester = 'police'")])
    return FamilyColumns({"streets_police_traces_3y": grids["n_3y"]}, {})
"""


@pytest.fixture
def country(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    own = tmp_path / "signals"
    own.mkdir(mode=0o700)
    (own / "streets.py").write_text(FAMILY)
    monkeypatch.setenv("FFL_RISK_SIGNALS", str(own))
    write_country(tmp_path / "files")
    ingest(tmp_path / "files", tmp_path / "warehouse", today=date(2026, 6, 1))
    champion(tmp_path)
    return tmp_path


def champion(home: Path) -> None:
    warehouse = Warehouse.open(home / "warehouse")
    table = build_features(warehouse, AS_OF, families=["license", "streets"])
    X = table.X[["license_type", "license_chain_size", "streets_police_traces_3y"]]
    y = (X["streets_police_traces_3y"] > X["streets_police_traces_3y"].median()).astype(int)
    heads = {
        "compliance": RiskClassifier(n_repeats=1, max_rounds=20).fit(X, y),
        "diversion": RateRegressor(n_repeats=1, max_rounds=20).fit(X, 1 + 3 * y),
    }
    signals = [dataclasses.asdict(s) for s in table.signals if s.name in X.columns]
    X = X[[s["name"] for s in signals]]
    margins = {n: np.asarray(h.predict_margin(X[list(h.columns_)])) for n, h in heads.items()}
    manifest = {
        "name": "invented", "as_of": AS_OF.isoformat(), "restriction": "restricted",
        "variant": "full", "data_fingerprint": warehouse.fingerprint, "git_commit": "unknown",
    }  # fmt: skip
    card = "# Invented\n\n## What it cannot say\n\n- Anything about anyone.\n"
    bundle = Bundle(heads, Policy.read(), signals, Profile.of(X, margins), card, manifest)
    bundle.save(home / "champion/000001")
    judged = {"n_gates": 9, "unsaid": [{"gate": "fairness", "head": "order"}]}
    write_json(
        home / "champion.json",
        {"bundle": "000001", "name": "invented", "version": "1", "judged": judged},
    )


def test_it_is_scored_and_said_in_its_own_words(
    country: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(Warehouse.open(country / "warehouse"), AS_OF, home=country)
    scored = country / "scored/000001"
    reasons = pd.read_parquet(scored / "reasons.parquet")
    bundle = Bundle.load(country / "champion/000001")
    own = [s["name"] for s in bundle.signals].index("streets_police_traces_3y")
    assert (reasons["signal_0"] == own).mean() > 0.3  # it lowers the others
    loaded = Snapshot.load(country)
    assert loaded.judged.startswith("Not all was judged: 1 of 9 gates cannot say")
    assert loaded.judged in loaded.disclaimers
    sentences = loaded.sentences
    said = sentences.reason(own, 7.0, 0.5, license_type="01")
    assert said["sentence"].startswith("The police asked for 7 traces here")
    assert (said["family"], said["restriction"]) == ("streets", "restricted")

    monkeypatch.delenv("FFL_RISK_SIGNALS")
    with pytest.raises(NotReadyError, match="reads 1 signals that are not built here") as missed:
        publish(Warehouse.open(country / "warehouse"), AS_OF, home=country)
    assert "FFL_RISK_SIGNALS" in str(missed.value)
    assert sorted(p.name for p in (country / "scored").iterdir()) == ["000001"]
