"""The family `ballistics` from its definitions."""

from __future__ import annotations

import numpy as np

from tests.oracles.events import both, counts, of_each, standing, table_of, within


def oracle(tables, as_of, dealers):
    traces = standing(tables, "traces", as_of)[["trace_id", "dealer", "known_on"]]
    leads = both(standing(tables, "ballistic_leads", as_of), traces, "trace_id")
    once = ["dealer", "lead_id"]
    three = within(leads, as_of, "3y")
    out = {
        "leads_1y": counts(within(leads, as_of, "1y").drop_duplicates(once), dealers),
        "leads_3y": counts(three.drop_duplicates(once), dealers),
    }
    out["firearms_3y"] = np.array(
        [mine["trace_id"].nunique() for mine in of_each(three, dealers)], dtype=float
    )
    most = three.groupby(once, as_index=False)["n_linked_events"].max()
    out["events_3y"] = counts(most, dealers, "n_linked_events")
    return table_of(dealers, "ballistics", out)
