"""The family `multiple_sales` from its definitions."""

from __future__ import annotations

from datetime import timedelta

import numpy as np

from tests.oracles.events import (
    at_dealers,
    both,
    counts,
    divided,
    gap_days,
    of_each,
    peers,
    shrunk,
    standing,
    table_of,
    within,
)


def oracle(tables, as_of, dealers):
    reports = standing(tables, "multiple_sales", as_of)
    traces = standing(tables, "traces", as_of)
    three, out = within(reports, as_of, "3y"), {}
    for kind in ("handgun", "rifle"):
        for window in ("1y", "3y"):
            mine = within(reports[reports["kind"] == kind], as_of, window)
            out[f"{kind}_{window}"] = counts(mine, dealers)
    out["firearms_3y"] = counts(three, dealers, "n_firearms")
    sales = within(standing(tables, "sales_volume", as_of), as_of, "3y")
    checks, group = counts(sales, dealers, "n_checks"), peers(tables, as_of, dealers)
    n = counts(three, dealers)
    out["per_1000_sales_3y"] = shrunk(n, checks, group, 1000)
    out["repeat_buyers_2y"] = _repeats(reports, at_dealers(tables["traces"]), as_of, dealers)
    traced = _traced(reports, traces, as_of)
    soon = traced[gap_days(traced["recovered_on"], traced["sold_on"]).between(0, 365)]
    out["traced_3y"] = _reports(traced, dealers)
    out["traced_within_1y_3y"] = _reports(soon, dealers)
    out["traced_share_3y"] = np.minimum(divided(out["traced_3y"], n, 5), 1)
    return table_of(dealers, "multiple_sales", out)


def _repeats(reports, traces, as_of, dealers):
    """Reports whose buyer stands in another one and, by then, in a trace of the dealer."""
    known = traces[traces["known_on"] < as_of].groupby(["dealer", "purchaser_token"])
    first = known["known_on"].min().rename("traced_on").reset_index()
    bought = reports.merge(first, on=["dealer", "purchaser_token"])
    bought["known_on"] = bought[["known_on", "traced_on"]].max(axis=1)
    recent = within(bought, as_of, "2y")
    again = recent[recent.duplicated(["dealer", "purchaser_token"], keep=False)]
    return counts(again, dealers)


def _traced(reports, traces, as_of):
    named = reports[reports["purchaser_token"].notna()]
    pairs = both(
        named[["report_id", "dealer", "sold_on", "purchaser_token", "known_on"]],
        traces[["dealer", "purchaser_token", "sold_on", "recovered_on", "known_on"]],
        ["dealer", "purchaser_token"],
    )
    near = [
        later is not None and abs(later - sold) <= timedelta(days=7)
        for later, sold in zip(pairs["sold_on_of_right"], pairs["sold_on"], strict=True)
    ]
    return within(pairs[np.array(near, dtype=bool)], as_of, "3y")


def _reports(pairs, dealers):
    return np.array([mine["report_id"].nunique() for mine in of_each(pairs, dealers)], dtype=float)
