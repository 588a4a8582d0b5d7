"""An invented country behind the pages: dealers that exist nowhere, in counties that do."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from features import reference
from serving.scores.publish import strongest
from serving.scores.snapshot import Snapshot
from serving.scores.table.loaded_table import ScoredTable
from serving.scores.words.peers import peer_table

AS_OF = date(2026, 1, 1)
HEADS = ("compliance", "diversion", "mexico")
HOSTILE = "<script>document.title='owned'</script>\u202egnp.exe" + "Long & Sons " * 25


# name, family, weight, reason
_SIGNALS = (
    ("violations_years_since_visit", "violations", 0.35, "{value} years since the last visit"),
    ("violations_tier_1_5y", "violations", 0.9, "{value} citations of the gravest tier in 5 years"),
    ("violations_unaccounted_5y", "violations", 0.5, "{value} firearms unaccounted for in 5 years"),
    ("traces_short_ttc_3y", "traces", 0.8,
     "{value} traces within 3 years of sale, more than {percentile}% of peers"),
    ("traces_rate_3y", "traces", 0.4, "{value} traces per 1,000 sales in three years"),
    ("time_to_crime_median_3y", "time_to_crime", -0.3, "Median time to crime of {value} years"),
    ("southbound_traces_3y", "southbound", 0.6, "{value} firearms recovered in Mexico in 3 years"),
    ("border_km_to_port", "border", -0.2, "{value} km from the nearest land port of entry"),
    ("losses_firearms_3y", "losses", 0.5, "{value} firearms reported lost or stolen in 3 years"),
    ("multiple_sales_reports_1y", "multiple_sales", 0.45,
     "{value} multiple-sale reports in a year, more than {percentile}% of peers"),
    ("volume_sales_1y", "volume", 0.2, "{value} sales in a year"),
    ("volume_share_denied_3y", "volume", 0.4, "{value} of checks denied in three years"),
    ("license_years_listed", "license", -0.25, "Listed for {value} years"),
    ("license_moves_5y", "license", 0.15, "{value} premises moves in five years"),
)  # fmt: skip
SIGNALS = [
    {
        "name": name,
        "family": family,
        "weight": weight,
        "reason": reason,
        "unit": "",
        "window": "",
        "definition": name.replace("_", " "),
        "table": "traces" if "trace" in name else "inspections",
        "direction": 1,
        "restriction": "restricted",
    }
    for name, family, weight, reason in _SIGNALS
]
NAMES = [s["name"] for s in SIGNALS]
WEIGHTS = np.array([weight for _, _, weight, _ in _SIGNALS])
TOWNS = (
    "Ashford",
    "Bell Creek",
    "Cedar Flat",
    "Dunmore",
    "Eastfall",
    "Fair Oaks",
    "Granger",
    "Hollis",
)
SHOPS = (
    "Arms",
    "Outfitters",
    "Pawn & Loan",
    "Sporting Goods",
    "Firearms",
    "Trading Post",
    "Tactical",
)
OWNERS = (
    "Alder",
    "Birch",
    "Cypress",
    "Dogwood",
    "Elm",
    "Fir",
    "Ginkgo",
    "Hazel",
    "Juniper",
    "Larch",
)


@dataclass(frozen=True)
class InventedBundle:
    """Stands in for a trained bundle: heads that are linear on the log scale."""

    scale: np.ndarray
    card: str = field(default_factory=lambda: (Path(__file__).with_name("card.md")).read_text())

    @property
    def manifest(self) -> dict[str, str]:
        commit = "0" * 40
        return {
            "name": "country-invented", "restriction": "restricted", "as_of": "2025-12-01",
            "git_commit": commit,
        }  # fmt: skip

    @property
    def signals(self) -> list[dict[str, Any]]:
        return SIGNALS

    @property
    def heads(self) -> dict[str, None]:
        return dict.fromkeys(HEADS)

    @property
    def weights(self) -> dict[str, float]:
        return {"compliance": 1.0, "diversion": 0.5, "mexico": 0.5}

    @property
    def policy(self) -> SimpleNamespace:
        return SimpleNamespace(weights=self.weights)

    def values(self, X: pd.DataFrame) -> np.ndarray:
        values = np.nan_to_num(X[NAMES].to_numpy(dtype=np.float64) / self.scale - 1.0)
        return np.clip(values, -1, 2.2) * WEIGHTS * 0.7

    def score(self, X: pd.DataFrame) -> pd.DataFrame:
        margin = self.values(X).sum(axis=1)
        chance = 1 / (1 + np.exp(2.6 - margin))
        out: dict[str, Any] = {
            "compliance": chance,
            "compliance_lower": chance * (0.45 + 0.3 * chance),
            "compliance_upper": np.minimum(chance * 1.6 + 0.02, 0.99),
        }
        for head, level in (("diversion", 1.2), ("mexico", 0.15)):
            rate = level * np.exp(0.8 * margin)
            out |= {head: rate, f"{head}_lower": rate * 0.6, f"{head}_upper": rate * 1.7 + 0.1}
        support = 1 / (1 + np.abs(margin))
        out["is_insufficient_history"] = support < 0.12
        return pd.DataFrame({**out, "priority": margin - 2.6, "support": support})

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
        values, base = self.values(X), np.full(len(X), -2.6)
        whole = SimpleNamespace(values=values, base=base, columns=NAMES)
        part = SimpleNamespace(values=values / 2, base=base / 2, columns=NAMES)
        return {"priority": whole} | dict.fromkeys(HEADS, part)


def signals_of(n: int, km_to_port: np.ndarray, rng: np.random.Generator) -> pd.DataFrame:
    size = rng.lognormal(4.5, 1.3, n)
    risk = rng.lognormal(-0.6, 1.0, n)
    frame = pd.DataFrame(
        {
            "violations_years_since_visit": rng.gamma(2.0, 2.5, n),
            "violations_tier_1_5y": rng.poisson(0.25 * risk),
            "violations_unaccounted_5y": rng.poisson(0.8 * risk),
            "traces_short_ttc_3y": rng.poisson(np.minimum(risk * size / 90, 400)),
            "traces_rate_3y": risk * rng.gamma(3, 2, n),
            "time_to_crime_median_3y": rng.gamma(4, 1.4, n),
            "southbound_traces_3y": rng.poisson(risk * np.exp(-km_to_port / 500)),
            "border_km_to_port": km_to_port,
            "losses_firearms_3y": rng.poisson(0.4 * risk),
            "multiple_sales_reports_1y": rng.poisson(np.minimum(risk * size / 60, 300)),
            "volume_sales_1y": size.round(),
            "volume_share_denied_3y": rng.beta(2, 120, n),
            "license_years_listed": rng.gamma(2.5, 4, n),
            "license_moves_5y": rng.poisson(0.15, n),
        }
    ).astype(np.float32)
    frame[rng.random(frame.shape) < 0.04] = np.nan
    return frame[NAMES]


def facts_of(n: int, rng: np.random.Generator) -> pd.DataFrame:
    counties = reference.counties()
    counties = counties[
        counties["lat"].notna() & ~counties["state"].isin(["PR", "GU", "VI", "AS", "MP"])
    ]
    offices = reference.county_office().set_index("county_fips")
    people = reference.county_population(AS_OF).reindex(counties.index).fillna(5_000)
    weight = np.sqrt(people.to_numpy(dtype=np.float64))
    weight *= np.where(counties["state"].isin(["TX", "AZ", "NM"]), 2.5, 1.0)
    at = counties.iloc[rng.choice(len(counties), n, p=weight / weight.sum())]
    spread = np.sqrt(at["area_km2"].fillna(2_000.0).to_numpy(dtype=np.float64)) / 111 / 4
    last = pd.Timestamp(AS_OF) - pd.to_timedelta(rng.integers(10, 3600, n), unit="D")
    seen = rng.random(n) < 0.7
    last_on = pd.Series(last).where(seen).astype("datetime64[s]")
    eligible = (last_on + pd.DateOffset(years=1)).astype("datetime64[s]")
    outcome = rng.choice(
        ["none", "report", "warning_letter", "warning_conference"], n, p=[0.6, 0.25, 0.12, 0.03]
    )
    i = np.arange(n)
    owner, shop = rng.choice(OWNERS, n), rng.choice(SHOPS, n)
    kind = rng.choice(["01", "02", "07", "06", "08"], n, p=[0.6, 0.08, 0.26, 0.03, 0.03])
    frame = pd.DataFrame(
        {
            "dealer": [f"9-{k // 1000 + 10:02d}-{k:05d}" for k in i],
            "license_number": [
                f"9-{k // 1000 + 10:02d}-{fips[2:]}-{t}-9A-{k:05d}"
                for k, fips, t in zip(i, at.index, kind, strict=True)
            ],
            "license_type": kind,
            "licensee_name": [
                f"{o.upper()} HOLDINGS {k} LLC" for o, k in zip(owner, i, strict=True)
            ],
            "business_name": [
                f"{o} {s}" if k % 3 else "" for o, s, k in zip(owner, shop, i, strict=True)
            ],
            "street": [f"{k % 900 + 1} Example Road" for k in i],
            "city": rng.choice(TOWNS, n),
            "state": at["state"].to_numpy(dtype=object),
            "zip": "00000",
            "county": at.index.to_numpy(dtype=object),
            "office": offices["office"].reindex(at.index).fillna("").to_numpy(dtype=object),
            "division": offices["division"].reindex(at.index).fillna("").to_numpy(dtype=object),
            "last_outcome": np.where(seen, outcome, ""),
            "last_kind": np.where(seen, np.where(i % 5, "compliance", "recall"), ""),
            "latitude": at["lat"].to_numpy() + rng.normal(0, 1, n) * spread,
            "longitude": at["lon"].to_numpy() + rng.normal(0, 1, n) * spread * 1.2,
            "last_inspected_on": last_on,
            "eligible_on": eligible,
            "n_inspections": seen.astype(np.int32),
            "is_recall_due": seen
            & np.isin(outcome, ["warning_letter", "warning_conference"])
            & (eligible <= pd.Timestamp(AS_OF))
            & (eligible > pd.Timestamp("2025-09-01")),
        }
    )
    return frame.astype(
        {"city": object, "license_type": object, "last_outcome": object, "last_kind": object}
    )


def invented_country(n: int, *, seed: int = 0, with_hostile: bool = True) -> Snapshot:
    """Invent `n` dealers; the first of the busiest office has a hostile name unless told not to."""
    rng = np.random.default_rng(seed)
    facts = facts_of(n, rng)
    km, _ = reference.km_to_port(facts["latitude"].to_numpy(), facts["longitude"].to_numpy())
    inputs = signals_of(n, np.asarray(km, dtype=np.float64), rng)
    bundle = InventedBundle(np.nanmean(inputs.to_numpy(dtype=np.float64), axis=0))
    scored = pd.concat([facts, bundle.score(inputs)], axis=1)
    busiest = scored["office"].value_counts().index[0]
    top = scored[(scored["office"] == busiest) & ~(scored["eligible_on"] > pd.Timestamp(AS_OF))]
    if with_hostile:
        scored.loc[top["priority"].idxmax(), "business_name"] = HOSTILE
    scored["is_in_scope"] = True
    scored["as_of"] = np.datetime64(AS_OF, "s")
    manifest = {
        "as_of": AS_OF.isoformat(), "champion": "000001", "bundle": "country-invented",
        "bundle_sha256": "b" * 64, "restriction": "restricted", "heads": list(HEADS),
        "fingerprint": "3f9a1c5e7b20" + "0" * 52, "warehouse_fingerprint": "w" * 64,
    }  # fmt: skip
    holds = pd.DataFrame({"hold_id": [], "dealer": [], "starts_on": [], "ends_on": []}).astype(
        {"hold_id": str, "dealer": str, "starts_on": "datetime64[s]", "ends_on": "datetime64[s]"}
    )
    table = ScoredTable(
        name="000001", manifest=manifest, scored=scored,
        reasons=strongest(bundle.explain(inputs)["priority"].values, bundle.signals),
        peers=peer_table(inputs, facts["license_type"].to_numpy(dtype=object)),
        holds=holds, folder=Path("nowhere"),
    )  # fmt: skip
    missing = np.where(np.isnan(inputs.to_numpy()), 2, 0).astype(np.int8)
    features = SimpleNamespace(X=inputs, reasons=pd.DataFrame(missing, columns=NAMES))
    return Snapshot.of(table, bundle, features)
