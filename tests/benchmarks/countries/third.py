"""A third invented country: queues, episodes and thresholds, where the simulator has smooth sums.

A severe finding needs two things at once: paper that was left lying (a queue that grows with sales
and shrinks with the hands in the shop) and somebody who does not care (an episode that comes and
goes). Firearms are traced where the police trace everything. Visits go round by rota and, out of
turn, to whom a complaint names. Nothing of it is taken from the project's simulator.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

Floats = np.ndarray
END: Final = pd.Timestamp("2024-01-01")
# State, county, ZIP, town, and how much its police trace.
PLACES: Final = (
    ("AZ", "04013", "85001", "PHOENIX", 1.6), ("AZ", "04019", "85701", "TUCSON", 1.1),
    ("TX", "48141", "79901", "EL PASO", 1.3), ("TX", "48201", "77002", "HOUSTON", 1.8),
    ("TX", "48113", "75201", "DALLAS", 1.0), ("TX", "48029", "78201", "SAN ANTONIO", 0.7),
    ("CA", "06073", "92101", "SAN DIEGO", 2.2), ("CA", "06037", "90001", "LOS ANGELES", 2.6),
    ("NM", "35001", "87102", "ALBUQUERQUE", 0.8), ("FL", "12086", "33101", "MIAMI", 0.9),
    ("FL", "12057", "33602", "TAMPA", 0.6), ("GA", "13121", "30303", "ATLANTA", 1.2),
    ("OH", "39049", "43215", "COLUMBUS", 0.5), ("OH", "39035", "44113", "CLEVELAND", 1.0),
    ("PA", "42101", "19102", "PHILADELPHIA", 1.9), ("MO", "29095", "64106", "KANSAS CITY", 0.7),
)  # fmt: skip
OUTCOMES: Final = ("none", "report", "warning_letter", "warning_conference", "revocation")
CITATIONS: Final = ("478.124(c)(1)", "478.125(e)", "478.124(c)(4)", "478.126a", "478.21(a)")


@dataclass
class _Shops:
    """What each dealer is like; arrays of shape (n,)."""

    key: np.ndarray
    place: np.ndarray
    kind: np.ndarray
    pace: Floats  # firearms sold in a month
    hands: Floats  # forms filed in a month
    office: np.ndarray
    strict: Floats


def make(out: Path, *, seed: int, n_dealers: int = 8000, years: int = 7) -> pd.DataFrame:
    """Write the tables of a country to a folder and return its truth.

    Returns
    -------
    DataFrame
        ``dealer``, ``p_severe`` at an office of average strictness, ``may_visit``, ``strict``.
    """
    rng = np.random.default_rng(seed)
    shops = _shops(rng, n_dealers)
    n, n_months = n_dealers, years * 12
    starts = pd.date_range(END - pd.DateOffset(months=n_months), periods=n_months, freq="MS")
    backlog, careless = rng.gamma(1.0, 2.0, n), rng.random(n) < 0.12
    last, told = np.full(n, -999), np.zeros(n)
    parts: dict[str, list[pd.DataFrame]] = {}
    for month, start in enumerate(starts):
        careless = np.where(careless, rng.random(n) > 0.05, rng.random(n) < 0.007)
        sold = rng.poisson(shops.pace * (1.3 if start.month in (11, 12) else 0.95))
        backlog = np.maximum(0.0, backlog + sold - shops.hands * rng.gamma(4.0, 0.25, n))
        events = _month(rng, shops, (start, month), (sold, careless))
        told = 0.85 * told + events.pop("_told")
        chance = risk(backlog, shops, careless)
        visited, is_dice = _chosen(rng, (month, last, told), shops)
        found = _visits(rng, shops, (start, month), (visited, is_dice), chance)
        last[visited] = month
        # Whoever was visited clears the desk.
        backlog[visited] *= 0.3
        for name, rows in {**events, **found}.items():
            parts.setdefault(name, []).append(rows)
    out.mkdir(parents=True, exist_ok=True)
    _licenses(shops, starts, rng).to_parquet(out / "licenses.parquet")
    _write(parts, out)
    return pd.DataFrame(
        {
            "dealer": shops.key,
            "p_severe": risk(backlog, shops, careless),
            "may_visit": n_months - last > 12,
            "strict": shops.strict,
        }
    )


def risk(backlog: Floats, shops: _Shops, careless: np.ndarray) -> Floats:
    """Chance of a severe finding: little alone, much together, and a step where paper piles up."""
    months_behind = backlog / np.maximum(shops.pace, 0.5)
    pile = (months_behind > 1.5) * 1.0 + 0.6 * (months_behind > 4.0)
    odds = -3.6 + 0.9 * pile + 1.0 * careless + 1.6 * careless * pile + 0.4 * (shops.kind == "02")
    return 1.0 / (1.0 + np.exp(-odds))


def _shops(rng: np.random.Generator, n: int) -> _Shops:
    place = rng.choice(len(PLACES), n, p=_weights())
    kind = rng.choice(["01", "02", "07"], n, p=[0.66, 0.1, 0.24])
    pace = rng.pareto(1.4, n) * 1.2 + 0.1
    hands = pace * rng.lognormal(0.12, 0.25, n) + 0.3
    office = place * 2 + (rng.random(n) < 0.4)
    level = rng.normal(0, 0.5, office.max() + 1)
    key = np.array([f"{1 + p % 9}-{int(PLACES[p][1][2:]) % 100:02d}-{i + 10_000:05d}"
                    for i, p in enumerate(place)])  # fmt: skip
    return _Shops(key, place, kind, pace, hands, office, level[office])


def _weights() -> Floats:
    weight = np.linspace(2.0, 1.0, len(PLACES))
    return weight / weight.sum()


def _days(rng: np.random.Generator, start: pd.Timestamp, n: int) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(start + pd.to_timedelta(rng.integers(0, 28, n), "D"))


def _month(
    rng: np.random.Generator,
    shops: _Shops,
    when: tuple[pd.Timestamp, int],
    state: tuple[np.ndarray, np.ndarray],
) -> dict[str, pd.DataFrame]:
    """Sales, traces, multiple sales and thefts of a month, and who was complained of."""
    (start, month), (sold, careless) = when, state
    zeal = np.array([p[4] for p in PLACES])[shops.place]
    n_traced = rng.poisson(sold * 0.008 * zeal * np.where(careless, 3.5, 1.0))
    i = np.repeat(np.arange(len(sold)), n_traced)
    sold_on = _days(rng, start, len(i))
    recovered = sold_on + pd.to_timedelta(rng.gamma(1.1, 500, len(i)).round() + 1, "D")
    to_mexico = rng.random(len(i)) < np.where(shops.place[i] < 9, 0.2, 0.02)
    states = np.array([p[0] for p in PLACES])[shops.place[i]]
    traces = pd.DataFrame(
        {
            "trace_id": [f"T{month:03d}-{k:06d}" for k in range(len(i))],
            "dealer": shops.key[i],
            "sold_on": sold_on,
            "recovered_on": recovered,
            "requested_on": recovered + pd.Timedelta(days=3),
            "completed_on": recovered + pd.Timedelta(days=25),
            "recovery_country": np.where(to_mexico, "MX", "US"),
            "recovery_state": np.where(to_mexico, "CHH", states),
            "requester": np.where(to_mexico, "FGR", "police"),
            "firearm_type": rng.choice(["pistol", "rifle", "revolver"], len(i)),
            "serial_status": "legible",
            "outcome": "purchaser",
        }
    )
    on = np.flatnonzero(sold)
    several = np.flatnonzero(rng.random(len(sold)) < np.minimum(0.4, sold * 0.02))
    day = _days(rng, start, len(several))
    stolen = np.flatnonzero(rng.random(len(sold)) < 0.0012 * np.where(careless, 3.0, 1.0))
    missed = _days(rng, start, len(stolen))
    return {
        "sales_volume": pd.DataFrame(
            {"dealer": shops.key[on], "month": start, "n_checks": sold[on]}
        ),
        "traces": traces[traces["completed_on"] < END],
        "multiple_sales": pd.DataFrame(
            {
                "report_id": [f"M{month:03d}-{k:05d}" for k in several],
                "dealer": shops.key[several],
                "sold_on": day,
                "reported_on": day + pd.Timedelta(days=1),
                "kind": "handgun",
                "n_firearms": 2 + rng.poisson(0.5, len(several)),
            }
        ),
        "thefts_losses": pd.DataFrame(
            {
                "report_id": [f"L{month:03d}-{k:05d}" for k in stolen],
                "dealer": shops.key[stolen],
                "discovered_on": missed,
                "reported_on": missed + pd.to_timedelta(rng.integers(1, 30, len(stolen)), "D"),
                "kind": rng.choice(["loss", "burglary"], len(stolen)),
                "n_firearms": 1 + rng.poisson(2, len(stolen)),
            }
        ).query("reported_on < @END"),
        "_told": n_traced + 2.0 * (rng.random(len(sold)) < np.where(careless, 0.02, 0.003)),
    }


def _chosen(
    rng: np.random.Generator, history: tuple[int, Floats, Floats], shops: _Shops
) -> tuple[np.ndarray, np.ndarray]:
    """By rota, whoever waited longest; out of turn, who was named; some by the dice."""
    month, last, told = history
    if month < 6:
        return np.empty(0, dtype=int), np.empty(0, dtype=bool)
    free = month - last > 12
    out_of_turn = 0.02 * np.minimum(told, 8) / (1 + 0.1 * shops.pace)
    chance = 0.004 + 0.003 * (month - last > 48) + out_of_turn
    is_dice = rng.random(len(last)) < 0.001
    visited = np.flatnonzero(free & ((rng.random(len(last)) < chance) | is_dice))
    return visited, is_dice[visited]


def _visits(
    rng: np.random.Generator,
    shops: _Shops,
    when: tuple[pd.Timestamp, int],
    chosen: tuple[np.ndarray, np.ndarray],
    chance: Floats,
) -> dict[str, pd.DataFrame]:
    (start, month), (visited, is_dice) = when, chosen
    k = len(visited)
    person = rng.integers(0, 3, k)
    odds = np.log(chance[visited] / (1 - chance[visited])) + shops.strict[visited]
    severe = rng.random(k) < 1 / (1 + np.exp(-(odds + 0.3 * (person - 1))))
    light = rng.random(k) < 0.35
    rung = np.where(
        severe, 3 + (rng.random(k) < 0.3), np.where(light, 1 + (rng.random(k) < 0.3), 0)
    )
    opened = _days(rng, start, k)
    rows = pd.DataFrame(
        {
            "inspection_id": [f"V{month:03d}-{d:05d}" for d in visited],
            "dealer": shops.key[visited],
            "kind": "compliance",
            "opened_on": opened,
            "closed_on": opened + pd.to_timedelta(rng.integers(5, 120, k), "D"),
            "selected_by": np.where(is_dice, "random", "risk"),
            "hours": rng.lognormal(3.0, 0.5, k).round(1),
            "investigator_token": [
                f"P{o}-{p}" for o, p in zip(shops.office[visited], person, strict=True)
            ],
            "office": [f"OFFICE {o}" for o in shops.office[visited]],
            "outcome": np.array(OUTCOMES)[rung],
        }
    )
    rows = rows[rows["closed_on"] < END]
    cited = rows[rows["outcome"] != "none"]["inspection_id"].repeat(2).reset_index(drop=True)
    return {
        "inspections": rows,
        "violations": pd.DataFrame(
            {
                "inspection_id": cited,
                "citation": rng.choice(CITATIONS, len(cited)),
                "instances": 1 + rng.poisson(3, len(cited)),
            }
        ).drop_duplicates(["inspection_id", "citation"]),
    }


def _licenses(shops: _Shops, starts: pd.DatetimeIndex, rng: np.random.Generator) -> pd.DataFrame:
    place = [PLACES[p] for p in shops.place]
    one = pd.DataFrame(
        {
            "dealer": shops.key,
            "license_number": [
                f"{key[:4]}-{p[1][2:]}-{kind}-9C-{key[-5:]}"
                for key, p, kind in zip(shops.key, place, shops.kind, strict=True)
            ],
            "license_type": shops.kind,
            "expires_on": END + pd.to_timedelta(rng.integers(60, 900, len(place)), "D"),
            "licensee_name": [f"INVENTED {key[-5:]}" for key in shops.key],
            "premises_city": [p[3] for p in place],
            "premises_state": [p[0] for p in place],
            "premises_zip": [p[2] for p in place],
            "county_fips": [p[1] for p in place],
        }
    )
    return pd.concat([one.assign(listed_on=day) for day in starts[::6]], ignore_index=True)


def _write(parts: Mapping[str, list[pd.DataFrame]], out: Path) -> None:
    for name, rows in parts.items():
        pd.concat(rows, ignore_index=True).to_parquet(out / f"{name}.parquet")
