"""An invented country on disk, published by a real bundle: made once a process."""

import atexit
import dataclasses
import shutil
import tempfile
from datetime import date, timedelta
from functools import cache
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
from models.order.set_against_alike import Peers
from models.policy import Policy
from serving.scores.publish import publish
from tests.shared import DRAW_KEY

AS_OF = date(2026, 1, 1)
N = 240
ZIPS = (("AZ", "04013", "85001", "PHOENIX"), ("TX", "48141", "79901", "EL PASO"))


def dealer(n: int) -> str:
    return f"9-{86 if n % 2 else 74}-{n:05d}"


def write_country(folder: Path, seed: int = 3) -> None:
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    rows = []
    for listed in (date(2024, 12, 1), date(2025, 12, 1)):
        for n in range(N):
            state, county, zip_code, city = ZIPS[n % 2]
            rows.append(
                {
                    "dealer": dealer(n),
                    "license_number": f"{dealer(n)[:4]}-{county[2:]}-01-8F-{n:05d}",
                    "license_type": "02" if n % 7 == 0 else "01",
                    "expires_on": date(2028, 6, 1),
                    "listed_on": listed,
                    "licensee_name": f"INVENTED {n // 2}",
                    "business_name": f"SHOP {n}",
                    "premises_street": f"{n // 2} MAIN ST",
                    "premises_city": city,
                    "premises_state": state,
                    "premises_zip": zip_code,
                    "county_fips": county,
                }
            )
    pd.DataFrame(rows).to_parquet(folder / "licenses.parquet")
    recovered = [date(2022, 1, 1) + timedelta(days=int(d)) for d in rng.integers(0, 1400, 1500)]
    ages = rng.integers(10, 2000, 1500)
    pd.DataFrame(
        {
            "trace_id": [f"T{i}" for i in range(1500)],
            "requested_on": [r + timedelta(days=3) for r in recovered],
            "completed_on": [r + timedelta(days=20) for r in recovered],
            "recovered_on": recovered,
            "recovery_country": rng.choice(["US", "MX"], 1500, p=[0.8, 0.2]),
            "requester": "police",
            "dealer": [dealer(int(n)) for n in rng.integers(0, N, 1500) ** 2 // N],
            "sold_on": [r - timedelta(days=int(a)) for r, a in zip(recovered, ages, strict=True)],
            "firearm_type": "pistol",
            "serial_status": "legible",
            "outcome": "purchaser",
        }
    ).to_parquet(folder / "traces.parquet")
    opened = [date(2022, 1, 1) + timedelta(days=int(d)) for d in rng.integers(0, 1400, 300)]
    pd.DataFrame(
        {
            "inspection_id": [f"I{i}" for i in range(300)],
            "dealer": [dealer(int(n)) for n in rng.integers(0, N, 300)],
            "kind": "compliance",
            "opened_on": opened,
            "closed_on": [o + timedelta(days=10) for o in opened],
            "selected_by": "risk",
            "outcome": rng.choice(["none", "report", "warning_letter"], 300),
        }
    ).to_parquet(folder / "inspections.parquet")


def write_champion(home: Path, warehouse: Warehouse) -> None:
    table = build_features(warehouse, AS_OF)
    names = [
        name
        for name in ("traces_count_1y", "license_chain_size", "license_type")
        if name in table.X.columns
    ]
    # Those drawn toward the peers among them: a dealer scored alone would have other ones.
    names += ["time_to_crime_share_under_1y_3y", "southbound_share_3y"]
    names += [c for c in table.X.columns if c.startswith(("time_to_crime", "violations", "traces"))]
    names = list(dict.fromkeys(names))[:20]
    X = table.X[names]
    signal = np.nan_to_num(X.iloc[:, 0].to_numpy(dtype=float))
    rng = np.random.default_rng(0)
    y = (signal + rng.normal(0, 1, len(X)) > np.median(signal)).astype(int)
    heads = {
        "compliance": RiskClassifier(n_repeats=1, max_rounds=20).fit(X, y),
        "diversion": RateRegressor(n_repeats=1, max_rounds=20).fit(X, rng.poisson(1.0 + y)),
    }
    signals = [dataclasses.asdict(s) for s in table.signals if s.name in names]
    names = [s["name"] for s in signals]
    margins = {n: np.asarray(h.predict_margin(X[list(h.columns_)])) for n, h in heads.items()}
    manifest = {
        "name": "invented",
        "as_of": AS_OF.isoformat(),
        "restriction": "restricted",
        "variant": "full",
        "data_fingerprint": warehouse.fingerprint,
        "git_commit": "unknown",
    }
    # As if one signal stood for the place and counts went by it: a part of every priority.
    place = table.X[["time_to_crime_share_under_1y_3y"]].astype(float)
    ranks = place.iloc[:, 0].rank(pct=True).fillna(0.5).to_numpy()
    peers = Peers.of(place, {"diversion": 4.0 * ranks})
    profile = Profile.of(X[names], margins, peers=peers)
    card = "# Invented\n\n## What it cannot say\n\n- Anything about anyone.\n"
    Bundle(heads, Policy.read(), signals, profile, card, manifest).save(home / "champion/000001")
    write_json(home / "champion.json", {"bundle": "000001", "name": "invented", "version": "1"})


@cache
def _built() -> Path:
    """Build the country once a process, for whoever copies it."""
    home = Path(tempfile.mkdtemp(prefix="ffl-risk-country-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    write_country(home / "files")
    ingest(home / "files", home / "warehouse", today=date(2026, 6, 1))
    warehouse = Warehouse.open(home / "warehouse")
    write_champion(home, warehouse)
    publish(warehouse, AS_OF, home=home)
    # The service that reads it may be a process of its own: its draws are the same in every run.
    (home / "audit.key").touch(mode=0o600)
    (home / "audit.key").write_bytes(DRAW_KEY)
    return home


def publish_country(home: Path) -> None:
    """Put the country with its files, warehouse, champion and scored table into a home."""
    shutil.copytree(_built(), home, dirs_exist_ok=True)


@pytest.fixture(scope="module")
def country(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    publish_country(home)
    return home
