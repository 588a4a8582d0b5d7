"""A published country of 79,000 invented dealers for the benchmarks of the service."""

from __future__ import annotations

import dataclasses
import os
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd

from features.home import write_json
from features.ingest import ingest
from features.table import FeatureTable, build_features
from features.warehouse import Warehouse
from models import Bundle, RateRegressor, RiskClassifier
from models.bundle.profile import Profile
from models.order.set_against_alike import EXPOSURE, Peers
from models.policy import Policy
from serving.scores.publish import publish

AS_OF = date(2026, 1, 1)
N_DEALERS = 79_000
# FFL_RISK_BENCH_TRACES=10000000 makes a file as long as the national one.
N_TRACES = int(os.environ.get("FFL_RISK_BENCH_TRACES", "400000"))
N_INSPECTIONS = 80_000
N_TRAINING = 20_000
PLACES = (
    ("AZ", "04013", "85001"), ("TX", "48141", "79901"), ("TX", "48201", "77002"),
    ("CA", "06073", "92101"), ("NM", "35001", "87102"), ("FL", "12086", "33101"),
)  # fmt: skip


def dealer_keys() -> list[str]:
    """Return the keys of the invented dealers."""
    return [f"9-{10 + n // 10_000}-{90_000 + n % 10_000}" for n in range(N_DEALERS)]


def publish_country(home: Path) -> list[str]:
    """Ingest, train and publish under `home`; return the dealer keys."""
    keys = dealer_keys()
    files = home / "files"
    files.mkdir(parents=True)
    rng = np.random.default_rng(7)
    _licenses(keys).to_parquet(files / "licenses.parquet")
    _traces(keys, rng).to_parquet(files / "traces.parquet")
    _inspections(keys, rng).to_parquet(files / "inspections.parquet")
    ingest(files, home / "warehouse", today=date(2026, 6, 1))
    warehouse = Warehouse.open(home / "warehouse")
    _champion(home, build_features(warehouse, AS_OF), rng)
    publish(warehouse, AS_OF, home=home)
    return keys


def _licenses(keys: list[str]) -> pd.DataFrame:
    n = np.arange(len(keys))
    place = [PLACES[i % len(PLACES)] for i in n]
    return pd.DataFrame(
        {
            "dealer": keys,
            "license_number": [
                f"{key[:4]}-{p[1][2:]}-01-8F-{key[-5:]}" for key, p in zip(keys, place, strict=True)
            ],
            "license_type": np.where(n % 9 == 0, "02", "01"),
            "expires_on": date(2028, 6, 1),
            "listed_on": date(2025, 12, 1),
            "licensee_name": [f"INVENTED {i}" for i in n],
            "premises_street": [f"{i} MAIN ST" for i in n],
            "premises_city": "TOWN",
            "premises_state": [p[0] for p in place],
            "premises_zip": [p[2] for p in place],
            "county_fips": [p[1] for p in place],
        }
    )


def _days(rng: np.random.Generator, n: int) -> np.ndarray:
    return np.datetime64("2021-06-01") + rng.integers(0, 1_600, n).astype("timedelta64[D]")


def _traces(keys: list[str], rng: np.random.Generator) -> pd.DataFrame:
    recovered = _days(rng, N_TRACES)
    place = (len(keys) * rng.random(N_TRACES) ** 3).astype(int)
    return pd.DataFrame(
        {
            "trace_id": [f"T{i}" for i in range(N_TRACES)],
            "requested_on": recovered + np.timedelta64(3, "D"),
            "completed_on": recovered + np.timedelta64(20, "D"),
            "recovered_on": recovered,
            "recovery_country": np.where(rng.random(N_TRACES) < 0.1, "MX", "US"),
            "requester": "police",
            "dealer": np.array(keys, dtype=object)[place],
            "sold_on": recovered - rng.integers(10, 2_000, N_TRACES).astype("timedelta64[D]"),
            "firearm_type": "pistol",
            "serial_status": "legible",
            "outcome": "purchaser",
        }
    )


def _inspections(keys: list[str], rng: np.random.Generator) -> pd.DataFrame:
    opened = _days(rng, N_INSPECTIONS)
    return pd.DataFrame(
        {
            "inspection_id": [f"I{i}" for i in range(N_INSPECTIONS)],
            "dealer": np.array(keys, dtype=object)[rng.integers(0, len(keys), N_INSPECTIONS)],
            "kind": "compliance",
            "opened_on": opened,
            "closed_on": opened + np.timedelta64(9, "D"),
            "selected_by": "risk",
            "outcome": rng.choice(["none", "report", "warning_letter"], N_INSPECTIONS),
        }
    )


def _champion(home: Path, table: FeatureTable, rng: np.random.Generator) -> None:
    rows = rng.choice(len(table), N_TRAINING, replace=False)
    X = table.X.iloc[rows].reset_index(drop=True)
    margin = np.nan_to_num(X.to_numpy(dtype=float)).sum(axis=1)
    y = (margin + rng.normal(0, margin.std(), len(X)) > np.quantile(margin, 0.9)).astype(int)
    heads = {
        "compliance": RiskClassifier(n_repeats=1).fit(X, y),
        "diversion": RateRegressor(n_repeats=1).fit(X, rng.poisson(0.5 + y)),
    }
    margins = {name: np.asarray(head.predict_margin(X)) for name, head in heads.items()}
    manifest = {
        "name": "invented",
        "as_of": AS_OF.isoformat(),
        "restriction": "restricted",
        "variant": "full",
        "data_fingerprint": table.warehouse_fingerprint,
        "git_commit": "unknown",
    }
    signals = [dataclasses.asdict(signal) for signal in table.signals]
    peers = Peers.of(X[[EXPOSURE]], margins)
    profile = Profile.of(X, margins, peers=peers)
    bundle = Bundle(heads, Policy.read(), signals, profile, "# Invented", manifest)
    bundle.save(home / "champion/000001")
    write_json(home / "champion.json", {"bundle": "000001", "name": "invented", "version": "1"})
