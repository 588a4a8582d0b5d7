"""The family `traces` from its definitions."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd

from tests.oracles.events import (
    counts,
    divided,
    gap_days,
    peers,
    prior,
    shrunk,
    standing,
    table_of,
    true,
    within,
    year_of,
)

CARIBBEAN = {
    "AG", "AI", "AN", "AW", "BB", "BL", "BM", "BQ", "BS", "CU", "CW", "DM", "DO", "GD", "GP", "HT",
    "JM", "KN", "KY", "LC", "MF", "MQ", "MS", "SX", "TC", "TT", "VC", "VG",
}  # fmt: skip
LATIN = CARIBBEAN | {
    "AR", "BO", "BR", "BZ", "CL", "CO", "CR", "EC", "FK", "GF", "GT", "GY", "HN", "NI", "PA", "PE",
    "PY", "SR", "SV", "UY", "VE",
}  # fmt: skip


def weapon(trace):
    """Class of a traced firearm with a serial number."""
    kind = trace["firearm_type"]
    if kind == "rifle":
        fifty = trace["is_fifty_caliber"]
        if pd.isna(fifty):  # nobody says: what its caliber says
            fifty = trace["caliber"] in (".50 BMG", "50 BMG")
        if fifty:
            return "fifty_caliber"
        loading = trace["is_semiautomatic_rifle"]
        return "semiautomatic_rifle" if not pd.isna(loading) and loading else "other_rifle"
    return "handgun" if kind in ("pistol", "revolver") else kind


def _home(listings, dealer, day):
    """State of the newest listing known by a day, in the version known by then."""
    rows = listings.get(dealer)
    if rows is None:
        return None
    known = [row for row in rows if row[1] <= day]
    return max(known)[2] if known else None


def _listings(licenses):
    """Day listed, day known and state of every row, by dealer."""
    rows = licenses[["dealer", "listed_on", "known_on", "premises_state"]]
    return {
        dealer: [tuple(row) for row in mine.drop(columns="dealer").to_numpy(object)]
        for dealer, mine in rows.groupby("dealer")
    }


def oracle(tables, as_of, dealers):
    traces = standing(tables, "traces", as_of)
    three = within(traces, as_of, "3y")
    out = {f"n_{w}": counts(within(traces, as_of, w), dealers) for w in ("90d", "1y", "3y", "5y")}
    n = out["n_3y"]
    listings = _listings(tables["licenses"])
    home = np.array(
        [_home(listings, d, k) for d, k in zip(three["dealer"], three["known_on"], strict=True)],
        object,
    )
    us = ((three["recovery_country"] == "US") & three["recovery_state"].notna()).to_numpy()
    us = us & np.array([h is not None for h in home], dtype=bool)
    is_home = three["recovery_state"].to_numpy(object) == home
    out["same_state_3y"] = counts(three[us & is_home], dealers)
    out["other_state_3y"] = counts(three[us & ~is_home], dealers)
    out["latin_america_3y"] = counts(three[three["recovery_country"].isin(LATIN)], dealers)
    for name, code in (("guatemala", "GT"), ("honduras", "HN"), ("el_salvador", "SV")):
        out[f"{name}_3y"] = counts(three[three["recovery_country"] == code], dealers)
    out["caribbean_3y"] = counts(three[three["recovery_country"].isin(CARIBBEAN)], dealers)
    classed = three.assign(weapon=[weapon(t) for t in three.to_dict("records")])
    for name in ("fifty_caliber", "semiautomatic_rifle", "other_rifle", "handgun", "shotgun",
                 "receiver"):  # fmt: skip
        out[f"class_{name}_3y"] = counts(classed[classed["weapon"] == name], dealers)
    gone = three[three["acquisition_route"].isin(["export", "government"])]
    gone = gone[(gone["serial_status"] != "none") & (gone["outcome"] != "unserialized")]
    out["lawful_exports_3y"] = counts(gone.assign(dealer=gone["named"]), dealers)
    out["canada_3y"] = counts(three[three["recovery_country"] == "CA"], dealers)
    out["trend_1y"] = np.where(n > 0, (out["n_1y"] + 0.5) / ((n - out["n_1y"]) / 2 + 0.5), np.nan)
    unanswered = counts(three[three["outcome"] == "no_dealer_answer"], dealers)
    answered = counts(three[three["outcome"].isin(["purchaser", "dealer"])], dealers)
    out["unanswered_3y"] = unanswered
    out["answer_share_3y"] = divided(answered, answered + unanswered, 5)
    hit = counts(three[three["serial_status"] == "obliterated"], dealers)
    out["obliterated_share_3y"] = divided(hit, n, 5)
    known = three[three["is_purchaser_possessor"].notna()]
    other = known[~true(known["is_purchaser_possessor"])]
    out["other_possessor_share_3y"] = divided(counts(other, dealers), counts(known, dealers), 5)
    _per_sales(tables, as_of, dealers, n, out)
    _last_year(traces, as_of, dealers, out)
    return table_of(dealers, "traces", out)


def _per_sales(tables, as_of, dealers, n, out):
    sales = within(standing(tables, "sales_volume", as_of), as_of, "3y")
    checks, group = counts(sales, dealers, "n_checks"), peers(tables, as_of, dealers)
    out["per_1000_sales_3y"] = shrunk(n, checks, group, 1000)
    mean, _ = prior(n, checks, group)
    out["over_expected_3y"] = np.where(checks > 0, (n + 0.5) / (mean * checks + 0.5), np.nan)


def _last_year(traces, as_of, dealers, out):
    """Form 5300.5: 25 traces at three years or less, ten until the end of 2017."""
    last = traces[year_of(traces["known_on"]) == as_of.year - 1]
    short = last[gap_days(last["recovered_on"], last["sold_on"]).between(0, 1095)]
    found = counts(short, dealers)
    out["short_last_calendar_year"] = found
    threshold = 10 if date(as_of.year - 1, 12, 31) < date(2018, 1, 1) else 25
    out["demand_letter_2_met"] = (found >= threshold).astype(float)
