"""A fourth invented country: rings of buyers, lax books and new owners, each a cause by itself.

A severe finding comes of whichever cause strikes first: books that nobody keeps (told by nothing
but earlier visits and late reports), a ring of buyers whom a small dealer serves for a year or
three, an owner who is new, firearms that went missing. Offices differ in strictness and, apart
from it, in how bad their dealers are. Visits come in campaigns by type of license and turn of the
office. No firearm turns up in Mexico, traces are answered late at first and at once later, and
the police of two states trace from half-way on. It was made after everything else, and nothing
was chosen on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

Floats = np.ndarray
END: Final = pd.Timestamp("2023-10-01")
# State, county, ZIP, town.
PLACES: Final = (
    ("VA", "51760", "23220", "RICHMOND"), ("VA", "51710", "23510", "NORFOLK"),
    ("NC", "37119", "28202", "CHARLOTTE"), ("NC", "37183", "27601", "RALEIGH"),
    ("SC", "45079", "29201", "COLUMBIA"), ("GA", "13121", "30303", "ATLANTA"),
    ("GA", "13051", "31401", "SAVANNAH"), ("AL", "01073", "35203", "BIRMINGHAM"),
    ("TN", "47157", "38103", "MEMPHIS"), ("TN", "47037", "37203", "NASHVILLE"),
    ("KY", "21111", "40202", "LOUISVILLE"), ("IN", "18097", "46204", "INDIANAPOLIS"),
    ("IL", "17031", "60602", "CHICAGO"), ("WI", "55079", "53202", "MILWAUKEE"),
)  # fmt: skip
FAR: Final = ("NY", "NJ", "MA", "MD")
LATE: Final = ("IL", "WI")
TYPES: Final = np.array(["02", "07", "01", "06"])
CITATIONS: Final = np.array(["478.125(e)", "478.124(c)(1)", "478.21(a)", "478.126a", "478.102(a)"])
N_OFFICES: Final = 10
_NEVER: Final = -999


@dataclass
class _Shops:
    """What each dealer is like; arrays of shape (n,)."""

    key: np.ndarray
    place: np.ndarray
    kind: np.ndarray
    pace: Floats  # firearms sold in a month
    staff: Floats
    books: Floats  # share of entries that are wrong, of the first owner and of the second
    books_after: Floats
    sold_on: np.ndarray  # month in which a new owner comes, or never
    office: np.ndarray
    strict: Floats
    base: Floats  # log of how bad the dealers of the office are, whoever looks
    ring: np.ndarray  # -1 for none
    ring_from: np.ndarray
    ring_to: np.ndarray
    far: np.ndarray
    knows: np.ndarray  # sells to the ring knowingly

    def is_second(self, month: int) -> np.ndarray:
        """Whether a second owner has come."""
        return np.asarray((self.sold_on >= 0) & (month >= self.sold_on))

    def is_active(self, month: int) -> np.ndarray:
        """Whether a ring buys there."""
        return np.asarray((self.ring >= 0) & (month >= self.ring_from) & (month < self.ring_to))


def make(out: Path, *, seed: int, n_dealers: int = 8000, years: int = 8) -> pd.DataFrame:
    """Write the tables of a country to a folder and return its truth.

    Returns
    -------
    DataFrame
        ``dealer``, ``p_severe`` at an office of average strictness, ``may_visit``, ``strict``.
    """
    rng = np.random.default_rng(5000 + seed)
    n_months = years * 12
    shops = _shops(rng, n_dealers, n_months)
    starts = pd.date_range(END - pd.DateOffset(months=n_months), periods=n_months, freq="MS")
    last, told, missing = np.full(n_dealers, _NEVER), np.zeros(n_dealers), np.zeros(n_dealers)
    parts: dict[str, list[pd.DataFrame]] = {}
    for month, start in enumerate(starts):
        chance = risk(shops, month, missing)
        events = _month(rng, shops, (start, month), starts[n_months // 2])
        lost = events["thefts_losses"]["dealer"]
        missing = 0.95 * missing + np.isin(shops.key, lost)
        traced = events["traces"]["dealer"].value_counts()
        told = 0.9 * told + pd.Series(shops.key).map(traced).fillna(0.0).to_numpy()
        visited, is_drawn = _chosen(rng, shops, month, (last, told))
        found = _visits(rng, shops, (start, month), (visited, is_drawn), chance)
        last[visited] = month
        missing[visited] *= 0.3
        for name, rows in {**events, **found}.items():
            parts.setdefault(name, []).append(rows)
    out.mkdir(parents=True, exist_ok=True)
    _licenses(shops, starts, rng).to_parquet(out / "licenses.parquet")
    _write(parts, out)
    return pd.DataFrame(
        {
            "dealer": shops.key,
            "p_severe": risk(shops, n_months, missing),
            "may_visit": n_months - last > 12,
            "strict": shops.strict,
        }
    )


def risk(shops: _Shops, month: int, missing: Floats) -> Floats:
    """Chance of a severe finding: whichever cause strikes first."""
    is_second = shops.is_second(month)
    books = np.where(is_second, shops.books_after, shops.books)
    load = np.clip(shops.pace / shops.staff - 1.0, 0.0, 3.0)
    ring = shops.is_active(month) | shops.is_active(month - 12)
    causes = (
        0.008
        + 1.1 * books**2
        + 0.10 * load * (books > 0.15)
        + ring * np.where(shops.knows, 0.35, 0.06)
        + 0.10 * (is_second & (month - shops.sold_on < 18))
        + 0.05 * np.minimum(missing, 3.0)
    )
    return np.asarray(np.clip(1.0 - np.exp(-causes * np.exp(shops.base)), 0.001, 0.97))


def _shops(rng: np.random.Generator, n: int, n_months: int) -> _Shops:
    place = rng.integers(0, len(PLACES), n)
    size = rng.choice(4, n, p=[0.45, 0.3, 0.18, 0.07])
    pace = np.array([0.4, 3.0, 16.0, 90.0])[size] * rng.gamma(3, 1 / 3, n)
    # Offices cut across places, so that a place is in two of them.
    office = (place + (rng.random(n) < 0.3)) % N_OFFICES
    strict, base = rng.normal(0, 0.5, N_OFFICES), rng.normal(0, 0.35, N_OFFICES)
    n_rings = max(8, n // 90)
    ring = np.full(n, -1)
    for code in range(n_rings):
        pool = np.flatnonzero((place == rng.integers(len(PLACES))) & (size <= 1) & (ring < 0))
        ring[rng.permutation(pool)[: rng.integers(3, 8)]] = code
    begins, ends = rng.integers(-12, n_months, n_rings), rng.integers(8, 40, n_rings)
    key = np.array([f"{5 + p % 4}-{int(PLACES[p][1][:2]):02d}-{i + 11_000:05d}"
                    for i, p in enumerate(place)])  # fmt: skip
    return _Shops(
        key,
        place,
        rng.choice(["01", "02", "06", "07"], n, p=[0.58, 0.14, 0.05, 0.23]),
        pace,
        pace * rng.beta(4, 3, n) * 2 + 0.2,
        rng.beta(1.3, 4, n),
        rng.beta(1.6, 3, n),
        np.where(rng.random(n) < 0.18, rng.integers(3, n_months, n), _NEVER),
        office,
        (strict - strict.mean())[office],
        base[office],
        ring,
        begins[ring],
        (begins + ends)[ring],
        rng.choice(FAR, n_rings)[ring],
        rng.random(n) < 0.5,
    )


def _month(
    rng: np.random.Generator, shops: _Shops, when: tuple[pd.Timestamp, int], half: pd.Timestamp
) -> dict[str, pd.DataFrame]:
    """Return what happens in a month, apart from visits."""
    start, month = when
    n = len(shops.key)
    sold = rng.poisson(shops.pace * (1.4 if start.month in (11, 12) else 0.92))
    bought = rng.poisson(shops.is_active(month) * np.where(shops.knows, 1.2, 0.5))
    by_ring = np.repeat(np.arange(n), rng.binomial(bought, 0.45))
    others = np.repeat(np.arange(n), rng.binomial(sold, 0.018))
    several = np.flatnonzero(rng.random(n) < np.minimum(0.6, sold * 0.008 + bought * 0.3))
    books = np.where(shops.is_second(month), shops.books_after, shops.books)
    stolen = np.flatnonzero(rng.random(n) < 0.0015 * np.sqrt(shops.pace) * (1 + 3 * books))
    reported = _days(rng, start, len(stolen)) + pd.to_timedelta(
        rng.integers(2, 60, len(stolen)), "D"
    )
    active = np.flatnonzero(sold + bought)
    return {
        "sales_volume": pd.DataFrame(
            {"dealer": shops.key[active], "month": start, "n_checks": (sold + bought)[active]}
        ),
        "traces": _traces(rng, shops, when, (by_ring, others), half),
        "multiple_sales": pd.DataFrame(
            {
                "report_id": [f"M{month:03d}-{i:05d}" for i in several],
                "dealer": shops.key[several],
                "sold_on": start,
                "reported_on": start + pd.Timedelta(days=3),
                "kind": "handgun",
                "n_firearms": 2 + rng.poisson(0.5, len(several)),
                "purchaser_token": [
                    f"ring{shops.ring[i]:04d}x{rng.integers(6)}"
                    if bought[i]
                    else f"tok{rng.integers(10**9):09d}"
                    for i in several
                ],
            }
        ),
        "thefts_losses": pd.DataFrame(
            {
                "report_id": [f"L{month:03d}-{i:05d}" for i in stolen],
                "dealer": shops.key[stolen],
                "discovered_on": start,
                "reported_on": reported,
                "kind": rng.choice(["loss", "burglary", "larceny"], len(stolen)),
                "n_firearms": 1 + rng.geometric(0.3, len(stolen)),
            }
        ).query("reported_on < @END"),
    }


def _traces(
    rng: np.random.Generator,
    shops: _Shops,
    when: tuple[pd.Timestamp, int],
    traced: tuple[np.ndarray, np.ndarray],
    half: pd.Timestamp,
) -> pd.DataFrame:
    """Return traces of firearms sold in a month: those of rings soon and far away."""
    (start, month), (by_ring, others) = when, traced
    index = np.concatenate([by_ring, others])
    is_ring = np.arange(len(index)) < len(by_ring)
    days = np.where(is_ring, rng.gamma(1.5, 120, len(index)), rng.gamma(1.2, 1500, len(index)))
    sold_on = _days(rng, start, len(index))
    recovered = sold_on + pd.to_timedelta(days.round(), "D")
    own = np.array([place[0] for place in PLACES])[shops.place[index]]
    state = np.where(is_ring, shops.far[index], own)
    # Answers took half a year at first.
    wait = rng.poisson(210 if month < 38 else 25, len(index))
    rows = pd.DataFrame(
        {
            "trace_id": [f"T{month:03d}-{k:06d}" for k in range(len(index))],
            "dealer": shops.key[index],
            "sold_on": sold_on,
            "recovered_on": recovered,
            "requested_on": recovered + pd.Timedelta(days=3),
            "completed_on": recovered + pd.to_timedelta(3 + wait, "D"),
            "recovery_country": "US",
            "recovery_state": state,
            "requester": [f"{s} POLICE" for s in state],
            "firearm_type": rng.choice(["pistol", "rifle"], len(index), p=[0.8, 0.2]),
            "serial_status": "legible",
            "outcome": "purchaser",
        }
    )
    is_traced = ~np.isin(state, LATE) | (recovered >= half)
    return rows[is_traced & (rows["completed_on"] < END)]


def _chosen(
    rng: np.random.Generator, shops: _Shops, month: int, known: tuple[np.ndarray, Floats]
) -> tuple[np.ndarray, np.ndarray]:
    """By campaigns of type and turn of the office, by traces and size; some by lot."""
    last, told = known
    is_turn = (month // 3 + shops.office) % 5 == 0
    is_focus = shops.kind == TYPES[(month // 6) % len(TYPES)]
    chance = 0.003 + 0.022 * (is_focus & is_turn) + 0.006 * np.minimum(told, 5.0)
    is_drawn = rng.random(len(last)) < 0.0012
    free = (month - last > 12) & (month >= 3)
    visited = np.flatnonzero(free & ((rng.random(len(last)) < chance) | is_drawn))
    return visited, is_drawn[visited]


def _visits(
    rng: np.random.Generator,
    shops: _Shops,
    when: tuple[pd.Timestamp, int],
    chosen: tuple[np.ndarray, np.ndarray],
    chance: Floats,
) -> dict[str, pd.DataFrame]:
    (start, month), (visited, is_drawn) = when, chosen
    k = len(visited)
    person = rng.integers(0, 5, k)
    odds = np.log(chance[visited] / (1 - chance[visited])) + shops.strict[visited]
    is_severe = rng.random(k) < 1 / (1 + np.exp(-(odds + 0.25 * (person - 2))))
    is_light = rng.random(k) < 0.25 + 0.3 * shops.books[visited]
    light = np.where(is_light, rng.choice(["report", "warning_letter"], k), "none")
    opened = _days(rng, start, k)
    rows = pd.DataFrame(
        {
            "inspection_id": [f"N{month:03d}-{i:05d}" for i in visited],
            "dealer": shops.key[visited],
            "kind": "compliance",
            "opened_on": opened,
            "closed_on": opened + pd.to_timedelta(rng.integers(8, 90, k) + 60 * is_severe, "D"),
            "selected_by": np.where(is_drawn, "random", "risk"),
            "hours": rng.gamma(4, 6, k).round(1),
            "investigator_token": [
                f"{o}#{p}" for o, p in zip(shops.office[visited], person, strict=True)
            ],
            "office": [f"FO/{o}" for o in shops.office[visited]],
            "outcome": np.where(
                is_severe, rng.choice(["warning_conference", "revocation"], k), light
            ),
        }
    )
    rows = rows[rows["closed_on"] < END]
    cited = rows[rows["outcome"] != "none"]["inspection_id"].repeat(2).reset_index(drop=True)
    return {
        "inspections": rows,
        "violations": pd.DataFrame(
            {
                "inspection_id": cited,
                "citation": rng.choice(CITATIONS[:4], len(cited)),
                "instances": 1 + rng.geometric(0.2, len(cited)),
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
            "premises_city": [p[3] for p in place],
            "premises_state": [p[0] for p in place],
            "premises_zip": [p[2] for p in place],
            "county_fips": [p[1] for p in place],
        }
    )
    owner = np.array(["FIRST OWNER", "NEW OWNER"])
    return pd.concat(
        [
            one.assign(listed_on=day, licensee_name=owner[shops.is_second(month * 6).astype(int)])
            for month, day in enumerate(starts[::6])
        ],
        ignore_index=True,
    )


def _days(rng: np.random.Generator, start: pd.Timestamp, k: int) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(start + pd.to_timedelta(rng.integers(0, 28, k), "D"))


def _write(parts: Mapping[str, list[pd.DataFrame]], out: Path) -> None:
    for name, rows in parts.items():
        pd.concat(rows, ignore_index=True).to_parquet(out / f"{name}.parquet")
