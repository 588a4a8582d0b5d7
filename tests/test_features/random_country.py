"""Small random worlds for the families that look across dealers, with every kind of dirt."""

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

# Region-district, state, county and ZIP codes: border towns, inland metropolis, far away.
PLACES = (
    ("5-76", "TX", "48201", "77002"),
    ("5-76", "TX", "48201", "77004"),
    ("5-74", "TX", "48479", "78040"),
    ("9-86", "AZ", "04019", "85701"),
    ("9-86", "AZ", "04013", "85004"),
    ("1-54", "VA", "51059", "22030"),
)
TYPES = ("01", "02", "07", "08")
CITED = (
    "478.21(a)",
    "478.124(c)(1)",
    "478.99(c)",
    "478.102(a)",
    "478.126a",
    "478.39a",
    "478.125(e)",
)
OUTCOMES = ("none", "report", "warning_letter", "warning_conference", "revocation", "surrender")
RECOVERIES = (("US", "TX"), ("US", "VA"), ("MX", "MX-SON"), ("US", None))
START = date(2017, 1, 1)


def _month(number: int) -> date:
    return date(START.year + number // 12, number % 12 + 1, 1)


def _pick(generator, options):
    return options[int(generator.integers(len(options)))]


def _day(generator, low: int = 0, high: int = 1500) -> date:
    return START + timedelta(days=int(generator.integers(low, high)))


def _token(number: int) -> str:
    return hashlib.sha256(f"purchaser {number}".encode()).hexdigest()[:16]


def licenses(generator, n_dealers: int = 30) -> pd.DataFrame:
    """Half-yearly listings; some dealers come, go, move, renew, and some rows are corrected.

    Some corrections are taken back, and some rows only told again.
    """
    rows = []
    for i in range(n_dealers):
        district, state, county, zip_code = _pick(generator, PLACES)
        name = _pick(generator, ("DOE, JANE", "GUNS LLC", "SMITH & SONS, INC", f"SHOP {i}", None))
        begins, ends = int(generator.integers(0, 4)), int(generator.integers(3, 9))
        street = f"{int(generator.integers(1, 6))} MAIN ST"
        has_point = generator.random() < 0.4
        for half in range(0 if generator.random() < 0.6 else begins, ends):
            if generator.random() < 0.08:
                street = f"{int(generator.integers(1, 6))} Main St."
            listed_on = _month(6 * half)
            rows.append(
                {
                    "dealer": f"{district}-{i:05d}",
                    "license_number": f"{district}-{county[2:]}-01-9A-{i:05d}",
                    "license_type": _pick(generator, TYPES),
                    "expires_on": _month(36 + 36 * int((half + i) % 7 > 3)),
                    "listed_on": listed_on,
                    "licensee_name": name,
                    "business_name": _pick(generator, ("NULL", None, "THE GUN SHOP", f"TRADE {i}")),
                    "premises_street": street if generator.random() < 0.95 else None,
                    "premises_city": "TOWN",
                    "premises_state": state,
                    "premises_zip": zip_code,
                    "mail_zip": _pick(generator, (zip_code, "99999", None)),
                    "county_fips": county,
                    "latitude": 29.7 + generator.random() if has_point else None,
                    "longitude": -95.4 + generator.random() if has_point else None,
                    "is_residential": _pick(generator, (True, False, None)),
                    "known_on": listed_on,
                }
            )
    frame = pd.DataFrame(rows)
    fixed = frame.sample(frac=0.1, random_state=int(generator.integers(1 << 30))).copy()
    fixed["premises_street"] = "9 OAK AVE"
    fixed["known_on"] = fixed["known_on"] + timedelta(days=200)
    back = frame.loc[fixed.index[::3]].copy()
    back["known_on"] = back["known_on"] + timedelta(days=300)
    again = frame.iloc[::25].copy()
    again["known_on"] = again["known_on"] + timedelta(days=100)
    return pd.concat([frame, fixed, back, again])


def inspections(generator, dealers) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Inspections and citations; some still open, some corrected later."""
    visits, cited = [], []
    for i in range(60):
        opened = _day(generator)
        closed = opened + timedelta(days=int(generator.integers(5, 120)))
        visit = {
            "inspection_id": f"i{i}",
            "dealer": _pick(generator, dealers),
            "kind": _pick(generator, ("compliance", "recall", "application", "trace")),
            "opened_on": opened,
            "closed_on": closed if generator.random() < 0.95 else None,
            "selected_by": "risk",
            "outcome": _pick(generator, OUTCOMES),
            "recommended_outcome": _pick(generator, (*OUTCOMES, None)),
            "firearms_unaccounted_initial": _pick(generator, (None, 0, 7)),
            "firearms_unaccounted_final": _pick(generator, (None, 0, 2)),
        }
        visits.append({**visit, "known_on": closed})
        if generator.random() < 0.2:
            changed = {**visit, "closed_on": closed, "outcome": _pick(generator, OUTCOMES)}
            visits.append({**changed, "known_on": closed + timedelta(days=150)})
            if generator.random() < 0.3:
                visits.append({**visit, "known_on": closed + timedelta(days=250)})
        texts = generator.choice(CITED, int(generator.integers(0, 5)), replace=False)
        cited += [
            {
                "inspection_id": f"i{i}",
                "citation": str(text),
                "instances": _pick(generator, (None, 1, 30)),
                "is_willful": _pick(generator, (None, True, False)),
            }
            for text in texts
        ]
    return pd.DataFrame(visits), pd.DataFrame(cited)


def traces(generator, dealers) -> pd.DataFrame:
    """Traces with shared purchasers, gaps and late completions."""
    rows = []
    for i in range(1200):
        asked = _day(generator)
        country, state = _pick(
            generator, (("US", "TX"), ("US", "VA"), ("MX", "MX-SON"), ("US", None))
        )
        rows.append(
            {
                "trace_id": f"t{i}",
                "requested_on": asked,
                "completed_on": asked + timedelta(days=int(generator.integers(1, 300))),
                "recovery_country": country,
                "recovery_state": state,
                "requester": "POLICE",
                "dealer": _pick(generator, (*dealers, None)),
                "purchaser_token": _pick(generator, (None, *map(_token, range(400)))),
                "firearm_type": "pistol",
                "manufacturer": _pick(generator, ("A", "B", None)),
                "serial_status": "legible",
                "outcome": _pick(generator, ("purchaser", "dealer", "no_dealer_answer")),
            }
        )
    return pd.DataFrame(rows)


def multiple_sales(generator, dealers) -> pd.DataFrame:
    """Multiple sales whose purchasers appear in traces, or not."""
    rows = []
    for i in range(80):
        sold = _day(generator)
        rows.append(
            {
                "report_id": f"m{i}",
                "dealer": _pick(generator, dealers),
                "sold_on": sold,
                "reported_on": sold + timedelta(days=1),
                "kind": "handgun",
                "n_firearms": 2,
                "purchaser_token": _token(int(generator.integers(500))),
            }
        )
    return pd.DataFrame(rows)


def build(
    folder: Path, seed: int, *, before: date | None = None, shuffled: int | None = None
) -> tuple[Warehouse, dict[str, pd.DataFrame]]:
    """Ingest a random world; the tables come back as stored, all versions.

    With `before`, only what is known before that day is ever ingested; with `shuffled`, the rows
    come in another order and some twice.
    """
    generator = np.random.default_rng(seed)
    listing = licenses(generator)
    dealers = tuple(sorted(listing["dealer"].unique()))
    visits, cited = inspections(generator, dealers)
    tables = {
        "licenses": listing,
        "inspections": visits,
        "violations": cited,
        "traces": traces(generator, dealers),
        "multiple_sales": multiple_sales(generator, dealers),
    }
    if before is not None:
        tables = _known_before(tables, before)
    if shuffled is not None:
        for name, frame in tables.items():
            again = pd.concat([frame, frame.head(5)])
            tables[name] = again.sample(frac=1.0, random_state=shuffled)
    folder.mkdir(parents=True, exist_ok=True)
    for name, frame in tables.items():
        frame.to_csv(folder / f"{name}.csv", index=False)
    ingest([folder / f"{name}.csv" for name in tables], folder / "warehouse")
    warehouse = Warehouse.open(folder / "warehouse")
    return warehouse, {name: _stored(warehouse, name) for name in tables}


def _known_before(tables: dict[str, pd.DataFrame], day: date) -> dict[str, pd.DataFrame]:
    known = {
        "licenses": "known_on",
        "inspections": "known_on",
        "traces": "completed_on",
        "multiple_sales": "reported_on",
    }
    cut = {name: tables[name][tables[name][column] < day] for name, column in known.items()}
    cited = tables["violations"]
    kept = cited["inspection_id"].isin(cut["inspections"]["inspection_id"])
    return {**cut, "violations": cited[kept]}


def _stored(warehouse: Warehouse, table: str) -> pd.DataFrame:
    columns = [*TABLES[table].names, "known_on", "superseded_on"]
    parts = [pq.read_table(file, columns=columns) for file in warehouse.files(table)]
    frame = pa.concat_tables(parts).to_pandas(date_as_object=True)
    return frame.astype({name: object for name in frame if name.startswith("is_")})
