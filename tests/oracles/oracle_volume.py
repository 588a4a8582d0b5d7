"""The family `volume` from its definitions."""

from __future__ import annotations

import numpy as np

from tests.oracles.events import (
    counts,
    newest_listing,
    peers,
    shrunk,
    standing,
    table_of,
    within,
)


def oracle(tables, as_of, dealers):
    sales = standing(tables, "sales_volume", as_of)
    denied = standing(tables, "denials", as_of)
    year = counts(within(sales, as_of, "1y"), dealers, "n_checks")
    three = counts(within(sales, as_of, "3y"), dealers, "n_checks")
    out = {"sales_1y": year, "sales_3y": three}
    out["growth_1y"] = np.where(three > 0, (year + 10) / ((three - year) / 2 + 10), np.nan)
    rows = newest_listing(tables, as_of, dealers)
    county = [None if rows[d] is None else rows[d]["county_fips"] for d in dealers]
    share = []
    for mine, here in zip(year, county, strict=True):
        total = sum(y for y, c in zip(year, county, strict=True) if c == here)
        share.append(mine / total if here is not None and total > 0 else np.nan)
    out["county_share_1y"] = np.array(share)
    out["denied_1y"] = counts(within(denied, as_of, "1y"), dealers, "n_denied")
    out["denied_share_3y"] = shrunk(
        counts(within(denied, as_of, "3y"), dealers, "n_denied"),
        three,
        peers(tables, as_of, dealers),
    )
    return table_of(dealers, "volume", out)
