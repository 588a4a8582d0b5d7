"""Small random worlds of events about invented dealers: late, corrected, back-dated, incomplete."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from features.ingest import ingest
from features.schema import TABLES
from features.warehouse import Warehouse

START = date(2013, 1, 1)
LAST = 2700  # days
# Two large groups of peers, one too small to be one, and dealers that move between states.
PLACES = (
    ("5-76", "TX", "48201"),
    ("5-76", "TX", "48479"),
    ("9-86", "AZ", "04019"),
    ("1-54", "VA", "51059"),
)
SHARES = (0.4, 0.3, 0.25, 0.05)
RECOVERIES = (
    ("US", "TX"),
    ("US", "AZ"),
    ("US", None),
    ("MX", "MX-SON"),
    ("MX", "MX-TAM"),
    ("MX", None),
    ("GT", None),
    ("HN", None),
    ("SV", None),
    ("JM", None),
    ("CA", None),
)


class World:
    """Rows of every table, drawn from one seed."""

    def __init__(self, seed: int, n_dealers: int = 90) -> None:
        self.draw = np.random.default_rng(seed)
        places = [PLACES[i] for i in self.draw.choice(4, n_dealers, p=SHARES)]
        self.homes = {f"{p[0]}-{i:05d}": p for i, p in enumerate(places)}
        self.dealers = sorted(self.homes)
        traces = self._traces()
        self.tables = {
            "licenses": self._licenses(),
            "traces": self._corrected(traces, "outcome", "no_dealer_answer", moves_dealer=True),
            "sales_volume": self._corrected(self._monthly("n_checks", 60), "n_checks", 500),
            "denials": self._monthly("n_denied", 3),
            "multiple_sales": self._multiple_sales(traces),
            "thefts_losses": self._corrected(self._losses(), "n_firearms", 40),
            "seizures": self._seizures(),
            "ballistic_leads": self._leads(),
            "tips": self._corrected(self._tips(), "is_substantiated", True),
        }

    def pick(self, options):
        return options[int(self.draw.integers(len(options)))]

    def day(self, low: int = 0, high: int = LAST) -> date:
        return START + timedelta(days=int(self.draw.integers(low, high)))

    def later(self, day: date, most: int) -> date:
        return day + timedelta(days=int(self.draw.integers(0, most)))

    def _corrected(
        self, frame: pd.DataFrame, column: str, value: object, *, moves_dealer: bool = False
    ) -> pd.DataFrame:
        """Add later versions of a tenth of the rows, some of which only repeat what was known.

        A third of them are taken back later: the first version is told again.
        """
        first = frame.sample(frac=0.1, random_state=int(self.draw.integers(1 << 30)))
        again = first.copy()
        again[column] = value
        again["known_on"] = [self.later(day, 700) + timedelta(days=1) for day in again["known_on"]]
        if moves_dealer:
            again["dealer"] = [self.pick(self.dealers) for _ in range(len(again))]
        back = first.iloc[::3].copy()
        back["known_on"] = [
            self.later(day, 200) + timedelta(days=1) for day in again["known_on"].iloc[::3]
        ]
        return pd.concat([frame, again, back], ignore_index=True)

    def _licenses(self) -> pd.DataFrame:
        rows = []
        for dealer, home in self.homes.items():
            kind = self.pick(("01", "01", "01", "02"))
            begins = int(self.draw.integers(0, 4)) if self.draw.random() < 0.3 else 0
            for half in range(begins, 15):
                place = self.pick(PLACES) if self.draw.random() < 0.03 else home
                listed_on = date(START.year + half // 2, 1 + 6 * (half % 2), 1)
                rows.append(
                    {
                        "dealer": dealer,
                        "license_number": f"{dealer[:4]}-{place[2][2:]}-{kind}-9A-{dealer[5:]}",
                        "license_type": kind,
                        "listed_on": listed_on,
                        "premises_street": "1 MAIN ST",
                        "premises_city": "TOWN",
                        "premises_state": place[1],
                        "premises_zip": "77002",
                        "county_fips": place[2],
                        # One listing in six comes in late, after newer ones.
                        "known_on": self.later(listed_on, 300 if self.draw.random() < 0.16 else 1),
                    }
                )
        return pd.DataFrame(rows)

    def _traces(self) -> pd.DataFrame:
        rows = []
        heavy = self.dealers[:20]
        for i in range(2500):
            asked = self.day()
            country, state = self.pick(RECOVERIES)
            found = asked - timedelta(days=int(self.draw.integers(0, 60)))
            sold = found - timedelta(days=int(self.draw.exponential(900)))
            rows.append(
                {
                    "trace_id": f"t{i}",
                    "requested_on": asked,
                    "recovered_on": found if self.draw.random() < 0.95 else None,
                    "recovery_country": country,
                    "recovery_state": state,
                    "requester": "POLICE",
                    "dealer": self.pick((*self.dealers, *heavy * 25, None)),
                    "sold_on": sold if self.draw.random() < 0.8 else None,
                    "purchaser_token": self.pick((None, f"{i % 300:016x}")),
                    "is_purchaser_possessor": self.pick((True, False, None)),
                    "firearm_type": self.pick(("pistol", "rifle", "shotgun", "receiver")),
                    "is_semiautomatic_rifle": self.pick((True, False, None)),
                    "is_fifty_caliber": self.pick((True, False, False, None)),
                    "serial_status": self.pick(("legible", "legible", "obliterated", "none")),
                    "outcome": self.pick(("purchaser", "dealer", "no_dealer_answer", "foreign")),
                    "acquisition_route": self.pick((None,) * 8 + ("export", "retail")),
                    "known_on": self.later(asked, 400),
                }
            )
        return pd.DataFrame(rows)

    def _monthly(self, column: str, mean: int) -> pd.DataFrame:
        rows = [
            {
                "dealer": dealer,
                "month": date(START.year + m // 12, 1 + m % 12, 1),
                column: int(self.draw.poisson(mean)),
                "known_on": date(START.year + (m + 2) // 12, 1 + (m + 2) % 12, 1),
            }
            for dealer in self.dealers[: int(0.8 * len(self.dealers))]
            for m in range(0, LAST // 31, 3)
        ]
        return pd.DataFrame(rows)

    def _multiple_sales(self, traces: pd.DataFrame) -> pd.DataFrame:
        """Half of them sales of firearms that were traced, so that tokens meet."""
        known = traces.dropna(subset=["dealer", "sold_on", "purchaser_token"])
        known = known[known["sold_on"] > START]
        rows = []
        for i in range(500):
            seen = known.iloc[int(self.draw.integers(len(known)))]
            is_seen = self.draw.random() < 0.5
            sold = self.later(seen["sold_on"], 9) if is_seen else self.day()
            reported = self.later(sold, 5)
            rows.append(
                {
                    "report_id": f"m{i}",
                    "dealer": seen["dealer"] if is_seen else self.pick(self.dealers[:30]),
                    "sold_on": sold,
                    "reported_on": reported,
                    "kind": self.pick(("handgun", "rifle")),
                    "n_firearms": int(self.draw.integers(2, 9)),
                    "purchaser_token": seen["purchaser_token"],
                    "known_on": reported,
                }
            )
        return pd.DataFrame(rows)

    def _losses(self) -> pd.DataFrame:
        rows = []
        for i in range(300):
            found = self.day()
            told = self.later(found, 6)
            rows.append(
                {
                    "report_id": f"l{i}",
                    "dealer": self.pick(self.dealers),
                    "discovered_on": found,
                    "reported_on": told,
                    "kind": self.pick(("burglary", "robbery", "larceny", "loss")),
                    "n_firearms": int(self.draw.integers(1, 30)),
                    "known_on": told,
                }
            )
        return pd.DataFrame(rows)

    def _seizures(self) -> pd.DataFrame:
        rows = []
        for i in range(250):
            seized = self.day()
            told = self.later(seized, 90)
            rows.append(
                {
                    "seizure_id": f"s{i}",
                    "seized_on": seized,
                    "reported_on": told,
                    "agency": "CBP",
                    "firearm_type": "rifle",
                    "dealer": self.pick((None, None, self.pick(self.dealers))),
                    "trace_id": self.pick((None, f"t{int(self.draw.integers(2500))}")),
                    "known_on": told,
                }
            )
        return pd.DataFrame(rows)

    def _leads(self) -> pd.DataFrame:
        rows = [
            {
                # A lead of several firearms is a row for each.
                "lead_id": f"b{i % 150}",
                "trace_id": f"t{int(self.draw.integers(2500))}",
                "lead_on": (on := self.day()),
                "n_linked_events": int(self.draw.integers(1, 5)),
                "known_on": on,
            }
            for i in range(400)
        ]
        return pd.DataFrame(rows).drop_duplicates(["lead_id", "trace_id"])

    def _tips(self) -> pd.DataFrame:
        rows = [
            {
                "tip_id": f"p{i}",
                "dealer": self.pick(self.dealers),
                "received_on": (on := self.day()),
                "source": self.pick(("industry", "public", "agency")),
                "is_self_report": bool(self.draw.random() < 0.3),
                "is_substantiated": self.pick((True, False, None)),
                "known_on": on,
            }
            for i in range(400)
        ]
        return pd.DataFrame(rows)


def store(
    folder: Path,
    tables: dict[str, pd.DataFrame],
    *,
    before: date | None = None,
    shuffled: int | None = None,
) -> Warehouse:
    """Ingest the tables, or only what is known before a day; or in another order and in parts."""
    folder.mkdir(parents=True)
    for name, frame in tables.items():
        kept = frame if before is None else frame[frame["known_on"] < before]
        parts = [kept]
        if shuffled is not None:
            mixed = pd.concat([kept, kept.head(9)]).sample(frac=1.0, random_state=shuffled)
            parts = [mixed.iloc[: len(mixed) // 3], mixed.iloc[len(mixed) // 3 :]]
        for number, part in enumerate(parts):
            path = folder / f"part{number}" / f"{name}.parquet"
            path.parent.mkdir(exist_ok=True)
            pq.write_table(pa.Table.from_pandas(part, preserve_index=False), path)
            ingest([path], folder / "warehouse", today=START + timedelta(days=LAST + 1500))
    return Warehouse.open(folder / "warehouse")


def stored(warehouse: Warehouse) -> dict[str, pd.DataFrame]:
    """All versions of all rows, as Python values."""
    out = {}
    for name in TABLES:
        if warehouse.has(name):
            columns = [*TABLES[name].names, "known_on", "superseded_on"]
            parts = [pq.read_table(f, columns=columns) for f in warehouse.files(name)]
            frame = pa.concat_tables(parts).to_pandas(date_as_object=True)
            kinds = {c: object for c in frame if c.startswith("is_")}
            out[name] = frame.astype(kinds)
    return out
