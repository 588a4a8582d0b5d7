"""The family `tips` from its definitions."""

from __future__ import annotations

from tests.oracles.events import counts, standing, table_of, true, within


def oracle(tables, as_of, dealers):
    tips = standing(tables, "tips", as_of)
    own = true(tips["is_self_report"])
    others, said = tips[~own], tips[~own]["is_substantiated"]
    agency = others[(others["source"] == "agency") & said.fillna(True).astype(bool)]
    out = {
        "substantiated_1y": counts(within(others[true(said)], as_of, "1y"), dealers),
        "substantiated_3y": counts(within(others[true(said)], as_of, "3y"), dealers),
        "agency_3y": counts(within(agency, as_of, "3y"), dealers),
        "self_reports_3y": counts(within(tips[own], as_of, "3y"), dealers),
    }
    return table_of(dealers, "tips", out)
