"""The family `license` from its definitions, one dealer and one date at a time."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from functools import cache

import pandas as pd

TYPES = ["01", "02", "06", "07", "08", "09", "10", "11"]
COMPANY = {"INC", "LLC", "CO", "CORP", "CORPORATION", "COMPANY", "LTD", "LP", "LLP", "PLLC", "PC"}


def in_force(frame, as_of):
    """Rows known before the date in the version that stood."""
    known = frame["known_on"] < as_of
    return frame[known & (frame["superseded_on"].isna() | (frame["superseded_on"] >= as_of))]


@cache
def plain(text):
    """Upper case, letters and digits only, single spaces."""
    if text is None or pd.isna(text):
        return ""
    return " ".join(re.sub(r"\W+", " ", str(text).upper()).split())


def standing(licenses, as_of):
    """First and last row of each dealer, and the first and newest listing day of each state."""
    rows = in_force(licenses, as_of).sort_values(["dealer", "listed_on"])
    first = {d: g.iloc[0] for d, g in rows.groupby("dealer")}
    last = {d: g.iloc[-1] for d, g in rows.groupby("dealer")}
    days = {}
    for state in rows["premises_state"].unique():
        size = sum(row["premises_state"] == state for row in last.values())
        of_state = rows[rows["premises_state"] == state]
        counts = of_state.groupby("listed_on")["dealer"].nunique()
        good = [day for day, n in counts.items() if n >= 0.1 * size]
        if good:
            days[state] = (min(good), max(good))
    listed = [
        d
        for d, row in last.items()
        if row["premises_state"] in days and row["listed_on"] >= days[row["premises_state"]][1]
    ]
    return rows, first, last, days, listed


def premises(row):
    street = plain(row["premises_street"])
    return (street, row["premises_zip"][:5]) if street else None


def oracle(tables: Mapping[str, pd.DataFrame], as_of: date, dealers: Sequence[str]) -> pd.DataFrame:
    rows, first, last, days, listed = standing(tables["licenses"], as_of)
    revoked = set()
    if "inspections" in tables:
        closed = in_force(tables["inspections"], as_of)
        closed = closed[closed["closed_on"].notna() & (closed["outcome"] == "revocation")]
        revoked = set(closed["dealer"])
    out = []
    for dealer in dealers:
        found = {"dealer": dealer}
        if dealer in last:
            mine = rows[rows["dealer"] == dealer]
            found |= _own(mine, as_of)
            found |= _among(dealer, last, listed)
            found |= _succession(dealer, first, last, days, revoked)
        out.append(found)
    return pd.DataFrame(out).set_index("dealer")


def _own(mine, as_of):
    row = mine.iloc[-1]
    out = {
        "license_type": TYPES.index(row["license_type"]),
        "license_years_listed": (as_of - mine.iloc[0]["listed_on"]).days / 365,
    }
    if pd.notna(row["expires_on"]):
        out["license_months_to_expiry"] = (row["expires_on"] - as_of).days / 30.4375
    expiries = [day for day in mine["expires_on"] if pd.notna(day)]
    latest = list(itertools.accumulate(expiries, max))
    out["license_renewals"] = sum((b - a).days >= 180 for a, b in itertools.pairwise(latest))
    moves, place = 0, None
    for _, each in mine.iterrows():
        here = premises(each)
        if here is not None:
            recent = each["known_on"] >= as_of - timedelta(days=1825)
            moves += place is not None and here != place and recent
            place = here
    out["license_moves_5y"] = moves
    if pd.notna(row["is_residential"]):
        out["license_is_residential"] = float(row["is_residential"])
    name = plain(row["licensee_name"])
    if name:
        is_form = re.fullmatch(r"[^,]+,[^,]+", row["licensee_name"]) is not None
        out["license_is_person"] = float(is_form and not COMPANY & set(name.split()))
    if pd.notna(row["mail_zip"]):
        out["license_is_mail_elsewhere"] = float(row["mail_zip"][:5] != row["premises_zip"][:5])
    return out


def _among(dealer, last, listed):
    row = last[dealer]
    here, name = premises(row), plain(row["licensee_name"])
    others = [last[d] for d in listed if d != dealer]
    trade = plain(row["business_name"])
    bearers = sum(
        plain(last[d]["business_name"]) == trade and plain(last[d]["licensee_name"]) != trade
        for d in listed
    )
    has_trade = trade not in {"", "NULL", name} and bearers <= 0.05 * len(listed)
    out = {
        "license_colocated": sum(here is not None and premises(o) == here for o in others),
        "license_chain_size": 1
        + sum(name != "" and plain(o["licensee_name"]) == name for o in others),
        "license_has_trade_name": float(has_trade),
    }
    series = [d for d in listed if d[:4] == dealer[:4] and d != dealer]
    if series:
        out["license_sequence_rank"] = sum(d < dealer for d in series) / len(series)
    return out


def _succession(dealer, first, last, days, revoked):
    begun = first[dealer]
    state = last[dealer]["premises_state"]
    if state not in days or not begun["listed_on"] > days[state][0]:
        return {}
    bearers = {}
    for row in last.values():
        key = (plain(row["licensee_name"]), row["premises_state"])
        bearers[key] = bearers.get(key, 0) + 1
    rule, after_revoked = 0, 0
    for other, row in last.items():
        other_state = row["premises_state"]
        if other == dealer or other_state not in days:
            continue
        gap = (begun["listed_on"] - row["listed_on"]).days
        if not (row["listed_on"] < days[other_state][1] and 0 < gap <= 730):
            continue
        same_place = premises(begun) is not None and premises(begun) == premises(row)
        key = (plain(row["licensee_name"]), other_state)
        mine = (plain(begun["licensee_name"]), begun["premises_state"])
        same_name = key[0] != "" and key == mine and bearers[key] <= 5
        strength = 2 * same_place + same_name
        rule = max(rule, strength)
        if strength and other in revoked:
            after_revoked = 1
    return {"license_successor_rule": rule, "license_is_successor_of_revoked": after_revoked}
