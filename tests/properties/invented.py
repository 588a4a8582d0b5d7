"""Small random worlds of invented dealers: all tables, corrected, back-dated, with gaps.

Rows are plain records with their own `known_on`; nothing here knows how signals are built.
"""

from __future__ import annotations

import hashlib
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from features.ingest import ingest
from features.schema import TABLES
from features.warehouse import Warehouse

PLACES = (
    ("5-76", "TX", "48201", "77002"),
    ("5-74", "TX", "48479", "78040"),
    ("9-86", "AZ", "04019", "85701"),
    ("1-54", "VA", "51059", "22030"),
)
RECOVERIES = (
    *[("US", "TX")] * 5,
    ("US", "VA"), ("US", "AZ"), ("US", None), *[("MX", "MX-SON")] * 2, *[("MX", "MX-TAM")] * 2,
    ("MX", "MX-JAL"), ("MX", None), ("CA", "ON"), ("GT", None), ("HN", None), ("SV", None),
    ("JM", None), ("CO", None), ("PR", None), ("FR", None),
)  # fmt: skip
# From when on the agencies of two Mexican states submit.
SUBMITS = (("MX-SON", date(2016, 6, 1)), ("MX-TAM", date(2017, 3, 1)))
OUTCOMES = ("none", "report", "warning_letter", "warning_conference", "revocation", "surrender")
CITED = ("478.21(a)", "478.124(c)(1)", "478.99(c)", "478.102(a)", "478.126a", "478.39a")
FIRST, N_DAYS, N_TRACES = date(2015, 1, 1), 2300, 1500
TODAY = date(2021, 12, 1)

Rows = list[dict[str, object]]


class Country:
    """A random world.

    Parameters
    ----------
    seed : int
    n_dealers : int
    """

    def __init__(self, seed: int, n_dealers: int = 64) -> None:
        self.rng = np.random.default_rng(seed)
        self.home = {self._key(i): PLACES[i % len(PLACES)] for i in range(n_dealers)}
        # Some dealers stand in no other table, some in no listing at all.
        self.dealers = [*list(self.home)[: n_dealers - 3], "4-31-77777"]
        self.sales = [(self.pick(*self.dealers[:8]), self.day(), self.token()) for _ in range(160)]
        self.tables = {name: self._with_faults(name) for name in TABLES}

    def _key(self, i: int) -> str:
        return f"{PLACES[i % len(PLACES)][0]}-{i:05d}"

    def pick(self, *options: object) -> object:
        return options[int(self.rng.integers(len(options)))]

    def day(self, low: int = 0, high: int = N_DAYS) -> date:
        return FIRST + timedelta(days=int(self.rng.integers(low, high)))

    def token(self) -> object:
        number = int(self.rng.integers(60))
        text = hashlib.sha256(f"{number}".encode()).hexdigest()[:16]
        return self.pick(text, text, text, None)

    def later(self, day: date, most: int) -> date:
        return day + timedelta(days=int(self.rng.integers(1, most)))

    def _with_faults(self, name: str) -> pd.DataFrame:
        """Rows of a table, with corrections made later and events that came in late."""
        rows: Rows = getattr(self, f"_{name}")()
        for row in rows:
            if self.rng.random() < 0.06:
                row["known_on"] = self.later(row["known_on"], 900)
        keys, extra = TABLES[name].key, []
        optional = [c.name for c in TABLES[name].columns if c.name not in keys]
        for row in rows:
            if self.rng.random() < 0.15:
                # A correction takes some values of another row, once or twice over.
                other, fixed = rows[int(self.rng.integers(len(rows)))], dict(row)
                dates = {c.name for c in TABLES[name].columns if c.kind == "date"}
                for column in optional:
                    if column not in dates and self.rng.random() < 0.5:
                        fixed[column] = other.get(column)
                # It may say nothing new, and the first row may be told again after it.
                fixed["known_on"] = self.later(row["known_on"], 500)
                extra.append(fixed)
                if self.rng.random() < 0.3:
                    extra.append({**row, "known_on": self.later(fixed["known_on"], 300)})
        frame = pd.DataFrame([*rows, *extra])
        return frame.drop_duplicates([*keys, "known_on"]).reset_index(drop=True)

    def _licenses(self) -> Rows:
        rows = []
        for i, (dealer, home) in enumerate(self.home.items()):
            name = self.pick("DOE, JANE", "GUNS LLC", f"SHOP {i}", None)
            street = f"{int(self.rng.integers(1, 6))} MAIN ST"
            begins, ends = int(self.rng.integers(0, 5)), int(self.rng.integers(3, 14))
            _, state, county, zip_code = home
            for half in range(begins if i % 3 == 0 else 0, ends):
                if self.rng.random() < 0.05:
                    _, state, county, zip_code = PLACES[int(self.rng.integers(len(PLACES)))]
                month = 6 * half
                listed_on = date(2015 + month // 12, month % 12 + 1, 1)
                rows.append(
                    {
                        "dealer": dealer,
                        "license_number": f"{dealer[:4]}-{county[2:]}-01-9A-{dealer[-5:]}",
                        "license_type": self.pick("01", "01", "02", "07"),
                        "expires_on": self.pick(date(2018, 1, 1), date(2021, 1, 1), None),
                        "listed_on": listed_on,
                        "licensee_name": name,
                        "business_name": self.pick("NULL", None, f"TRADE {i}"),
                        "premises_street": self.pick(street, street, None),
                        "premises_city": "TOWN",
                        "premises_state": state,
                        "premises_zip": zip_code,
                        "mail_zip": self.pick(zip_code, "99999", None),
                        "county_fips": county,
                        "latitude": None,
                        "longitude": None,
                        "is_residential": self.pick(True, False, None),
                        "known_on": listed_on,
                    }
                )
        return rows

    def _traces(self) -> Rows:
        rows = []
        for i in range(N_TRACES):
            # Traces crowd on few dealers, so that shares and quantiles are seen.
            dealer = self.pick(*self.dealers, *self.dealers[:3] * 6, None)
            asked, token = self.day(), self.token()
            country, state = RECOVERIES[int(self.rng.integers(len(RECOVERIES)))]
            recovered = self.pick(asked, asked - timedelta(days=40), None)
            days = int(self.rng.integers(0, int(self.pick(90, 400, 2000))))
            sold = self.pick(recovered - timedelta(days=days), None) if recovered else None
            if i % 8 == 0:  # a firearm of a multiple sale
                dealer, sold, token = self.sales[i // 8 % len(self.sales)]
                recovered = self.later(sold, 600)
                asked = recovered
            rows.append(
                {
                    "trace_id": f"t{i}",
                    "requested_on": asked,
                    "completed_on": self.pick(known := self.later(asked, 70), None),
                    "recovered_on": recovered,
                    "recovery_country": country,
                    "recovery_state": state,
                    "requester": self._requester(country, state, asked),
                    "dealer": dealer,
                    "sold_on": sold,
                    "purchaser_token": token,
                    "is_purchaser_possessor": self.pick(True, False, None),
                    "firearm_type": self.pick(
                        "pistol",
                        "revolver",
                        "rifle",
                        "rifle",
                        "rifle",
                        "shotgun",
                        "receiver",
                        "other",
                    ),
                    "caliber": self.pick("9MM", "50 BMG", ".50 BMG", "5.56", None, None),
                    "manufacturer": self.pick("A", "B", None),
                    "is_semiautomatic_rifle": self.pick(True, False, None),
                    "is_fifty_caliber": self.pick(True, False, None),
                    "serial_status": self.pick(
                        "legible", "legible", "legible", "obliterated", "none"
                    ),
                    "acquisition_route": self.pick(
                        None, None, "retail", "retail", "unknown", "export", "government"
                    ),
                    "outcome": self.pick(
                        "purchaser",
                        "dealer",
                        "no_dealer_answer",
                        "incomplete",
                        "purchaser",
                        "dealer",
                        "no_dealer_answer",
                        "unserialized",
                    ),
                    "known_on": known,
                }
            )
        return rows

    def _requester(self, country: str, state: str | None, asked: date) -> object:
        """Who asks: in Mexico the federal agency, and from some day on the state's own too."""
        if country != "MX":
            return "POLICE"
        begins = dict(SUBMITS).get(str(state))
        own = begins is not None and asked >= begins and self.rng.random() < 0.5
        return f"FGE-{state}" if own else "FGR"

    def _agencies(self) -> Rows:
        since = self.day()
        police = {
            "requester": "POLICE", "country": "US", "state": "TX", "kind": "local",
            "submits_from": since, "submits_to": self.pick(self.later(since, 900), None),
            "known_on": since,
        }  # fmt: skip
        return [police] + [
            {
                "requester": "FGR" if state is None else f"FGE-{state}",
                "country": "MX",
                "state": state,
                "kind": "federal" if state is None else "state",
                "submits_from": begins,
                "submits_to": None,
                "known_on": begins,
            }
            for state, begins in ((None, FIRST), *SUBMITS)
        ]

    def _inspections(self) -> Rows:
        rows = []
        for i in range(70):
            opened = self.day()
            closed = self.later(opened, 120)
            rows.append(
                {
                    "inspection_id": f"i{i}",
                    "dealer": self.pick(*self.dealers),
                    "kind": self.pick("compliance", "recall", "application", "trace"),
                    "opened_on": opened,
                    "closed_on": closed if self.rng.random() < 0.95 else None,
                    "selected_by": "risk",
                    "outcome": self.pick(*OUTCOMES),
                    "recommended_outcome": self.pick(*OUTCOMES, None),
                    "firearms_unaccounted_initial": self.pick(None, 0, 7),
                    "firearms_unaccounted_final": self.pick(None, 0, 2),
                    "known_on": closed,
                }
            )
        self.visits = rows
        return rows

    def _violations(self) -> Rows:
        return [
            {
                "inspection_id": visit["inspection_id"],
                "citation": str(text),
                "instances": self.pick(None, 0, 1, 30),
                "is_willful": self.pick(None, True, False),
                "is_repeat": None,
                "known_on": visit["known_on"],
            }
            for visit in self.visits
            for text in self.rng.choice(CITED, int(self.rng.integers(0, 4)), replace=False)
        ]

    def _multiple_sales(self) -> Rows:
        return [
            {
                "report_id": f"m{i}",
                "dealer": dealer,
                "sold_on": sold,
                "reported_on": sold,
                "kind": self.pick("handgun", "rifle"),
                "n_firearms": int(self.rng.integers(2, 9)),
                "purchaser_token": token,
                "known_on": self.later(sold, 9),
            }
            for i, (dealer, sold, token) in enumerate(self.sales)
        ]

    def _thefts_losses(self) -> Rows:
        return [
            {
                "report_id": f"l{i}",
                "dealer": self.pick(*self.dealers),
                "discovered_on": found,
                "reported_on": (reported := found + timedelta(days=int(self.rng.integers(0, 6)))),
                "kind": self.pick("burglary", "robbery", "larceny", "loss"),
                "n_firearms": int(self.rng.integers(1, 40)),
                "known_on": reported,
            }
            for i, found in enumerate(self.day() for _ in range(80))
        ]

    def _months(self, column: str, most: int) -> Rows:
        rows = []
        for dealer in self.dealers[:-4]:
            for month in range(0, 75, int(self.pick(1, 2, 5))):
                first = date(2015 + month // 12, month % 12 + 1, 1)
                n = int(self.rng.integers(0, most))
                rows.append(
                    {
                        "dealer": dealer,
                        "month": first,
                        column: n,
                        "known_on": first + timedelta(days=62),
                    }
                )
        return rows

    def _sales_volume(self) -> Rows:
        return self._months("n_checks", 90)

    def _denials(self) -> Rows:
        return self._months("n_denied", 3)

    def _seizures(self) -> Rows:
        return [
            {
                "seizure_id": f"s{i}",
                "seized_on": seized,
                "reported_on": (reported := self.later(seized, 30)),
                "agency": self.pick("CBP", "HSI"),
                "port_code": None,
                "firearm_type": "rifle",
                "dealer": self.pick(*self.dealers, *[None] * 30),
                "trace_id": self.pick(f"t{int(self.rng.integers(N_TRACES))}", "t0", "t1", None),
                "known_on": reported,
            }
            for i, seized in enumerate(self.day() for _ in range(150))
        ]

    def _ballistic_leads(self) -> Rows:
        return [
            {
                "lead_id": f"b{i % 90}",
                "trace_id": f"t{int(self.rng.integers(300))}",
                "lead_on": lead,
                "n_linked_events": int(self.rng.integers(0, 5)),
                "known_on": lead,
            }
            for i, lead in enumerate(self.day() for _ in range(150))
        ]

    def _tips(self) -> Rows:
        return [
            {
                "tip_id": f"p{i}",
                "dealer": self.pick(*self.dealers),
                "received_on": received,
                "source": self.pick("industry", "public", "agency"),
                "is_self_report": self.pick(True, False),
                "is_substantiated": self.pick(True, False, None),
                "known_on": received,
            }
            for i, received in enumerate(self.day() for _ in range(120))
        ]

    def _holds(self) -> Rows:
        return [
            {
                "hold_id": f"h{i}",
                "dealer": self.pick(*self.dealers),
                "starts_on": starts,
                "ends_on": self.pick(self.later(starts, 90), None),
                "known_on": starts,
            }
            for i, starts in enumerate(self.day() for _ in range(5))
        ]

    def _area_covariates(self) -> Rows:
        return [
            {
                "area": area,
                "name": "permit_required",
                "from": (since := self.day()),
                "to": self.pick(self.later(since, 900), None),
                "value": float(self.rng.integers(0, 2)),
                "source": "invented",
                "known_on": since,
            }
            for area in ("48", "04", "51059")
        ]


def load(tables: dict[str, pd.DataFrame], folder: Path, number: int, today: date = TODAY) -> None:
    """Ingest tables through canonical files, as load `number` of the warehouse in `folder`."""
    place = folder / f"files-{number}"
    place.mkdir(parents=True)
    files = []
    for name, frame in tables.items():
        if len(frame):
            files.append(place / f"{name}.csv")
            frame.astype(object).to_csv(files[-1], index=False)
    ingest(files, folder / "warehouse", today=today, max_rejects=0.5)


def opened(folder: Path) -> Warehouse:
    """Open the warehouse in `folder`."""
    return Warehouse.open(folder / "warehouse")


def store(tables: dict[str, pd.DataFrame], folder: Path, *, today: date = TODAY) -> Warehouse:
    """Ingest tables in one load."""
    load(tables, folder, 0, today)
    return opened(folder)


def known_before(tables: dict[str, pd.DataFrame], when: date) -> dict[str, pd.DataFrame]:
    """Return the rows known before a day: what an agency held on its eve."""
    return {name: frame[frame["known_on"] < when] for name, frame in tables.items()}


def stored(warehouse: Warehouse, table: str) -> pd.DataFrame:
    """Return all versions of all rows of a table as Python values."""
    columns = [*TABLES[table].names, "known_on", "superseded_on"]
    parts = [pq.read_table(file, columns=columns) for file in warehouse.files(table)]
    return pa.concat_tables(parts).to_pandas(date_as_object=True, types_mapper={
        pa.bool_(): pd.BooleanDtype(), pa.int64(): pd.Int64Dtype(),
    }.get)  # fmt: skip
