"""The family `losses` from its definitions."""

from __future__ import annotations

from tests.oracles.events import (
    counts,
    divided,
    gap_days,
    peers,
    shrunk,
    standing,
    table_of,
    within,
)


def oracle(tables, as_of, dealers):
    reports = standing(tables, "thefts_losses", as_of)
    three, five = within(reports, as_of, "3y"), within(reports, as_of, "5y")
    lost = five[five["kind"] == "loss"]
    out = {"reports_1y": counts(within(reports, as_of, "1y"), dealers)}
    for kind in ("burglary", "robbery", "larceny", "loss"):
        out[f"{kind}_5y"] = counts(five[five["kind"] == kind], dealers)
    out["firearms_3y"] = counts(three, dealers, "n_firearms")
    out["lost_firearms_5y"] = counts(lost, dealers, "n_firearms")
    out["unexplained_share_5y"] = divided(
        out["lost_firearms_5y"], counts(five, dealers, "n_firearms")
    )
    out["late_5y"] = counts(five[gap_days(five["reported_on"], five["discovered_on"]) > 2], dealers)
    sales = within(standing(tables, "sales_volume", as_of), as_of, "3y")
    checks = counts(sales, dealers, "n_checks")
    group = peers(tables, as_of, dealers)
    out["per_1000_sales_3y"] = shrunk(out["firearms_3y"], checks, group, 1000)
    return table_of(dealers, "losses", out)
