"""The family `violations` from its definitions, one dealer and one date at a time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import date, timedelta

import pandas as pd

STEP = {"none": 0, "report": 1, "warning_letter": 2, "warning_conference": 3, "revocation": 4}
TIER_1 = ("478.99(c)", "478.102(a)", "478.128(c)", "478.25a", "478.23")
TIER_2 = ("478.99(a)", "478.124(a)", "478.126a", "478.39a", "18 USC 923(g)(5)(A)", "26 USC 5861(d)")


def _tier(citation):
    """Tiers of the citations that the random worlds use; any other is record-keeping."""
    if any(citation == rule or citation.startswith(f"{rule}(") for rule in TIER_1):
        return 1
    if any(citation == rule or citation.startswith(f"{rule}(") for rule in TIER_2):
        return 2
    return 3


def _in_force(frame, as_of):
    known = frame["known_on"] < as_of
    return frame[known & (frame["superseded_on"].isna() | (frame["superseded_on"] >= as_of))]


def oracle(tables: Mapping[str, pd.DataFrame], as_of: date, dealers: Sequence[str]) -> pd.DataFrame:
    inspections = _in_force(tables["inspections"], as_of)
    violations = _in_force(tables["violations"], as_of)
    violations = violations[violations["instances"].isna() | (violations["instances"] != 0)]
    rows = []
    for dealer in dealers:
        mine = inspections[(inspections["dealer"] == dealer) & inspections["closed_on"].notna()]
        cited = violations.merge(mine[["inspection_id", "known_on"]], on="inspection_id")
        # A citation is known when both it and its inspection are.
        cited["known_on"] = cited[["known_on_x", "known_on_y"]].max(axis=1)
        rows.append({"dealer": dealer, **_one(mine, cited, as_of)})
    return pd.DataFrame(rows).set_index("dealer")


def _one(mine, cited, as_of):
    five, ten = as_of - timedelta(days=1825), as_of - timedelta(days=3650)
    mine = mine.sort_values(["closed_on", "known_on", "inspection_id"])
    recent = mine[mine["known_on"] >= five]
    steps = mine["outcome"].map(STEP)
    out = {}

    stepped = mine[steps.notna()]
    if len(stepped):
        last = stepped.iloc[-1]
        out["violations_last_outcome"] = STEP[last["outcome"]]
        out["violations_years_since_last_outcome"] = (as_of - last["closed_on"]).days / 365
        due = STEP[last["outcome"]] + 1 if last["closed_on"] >= five else 1
    else:
        due = 1
    out["violations_step_due"] = min(due, 4)
    recent_steps = recent["outcome"].map(STEP).dropna()
    if len(recent_steps):
        out["violations_worst_outcome_5y"] = recent_steps.max()

    visits = mine[mine["kind"].isin(["compliance", "recall"])]
    out["violations_never_inspected"] = float(len(visits) == 0)
    out["violations_inspections_5y"] = (visits["known_on"] >= five).sum()
    out["violations_inspections_10y"] = (visits["known_on"] >= ten).sum()
    if len(visits):
        out["violations_years_since_inspection"] = (as_of - visits["closed_on"].max()).days / 365

    for which in ("initial", "final"):
        lost = recent[f"firearms_unaccounted_{which}"].dropna()
        if len(lost):
            out[f"violations_unaccounted_{which}_5y"] = lost.sum()
    judged = recent[recent["recommended_outcome"].map(STEP).notna()]
    judged = judged[judged["outcome"].map(STEP).notna()]
    if len(judged):
        softer = judged["outcome"].map(STEP) < judged["recommended_outcome"].map(STEP)
        out["violations_softened_5y"] = softer.sum()

    fresh = cited[cited["known_on"] >= five]
    if len(recent):
        tiers = fresh["citation"].map(_tier)
        for number, name in ((1, "trigger"), (2, "serious"), (3, "record")):
            out[f"violations_{name}_citations_5y"] = (tiers == number).sum()
        willful = fresh["is_willful"].dropna()
        if len(willful) or not len(fresh):
            out["violations_willful_5y"] = willful.astype(bool).sum()
        counted = fresh["instances"].dropna()
        if len(counted) or not len(fresh):
            out["violations_log_instances_5y"] = math.log1p(counted.sum())
    decade = mine[mine["known_on"] >= ten]
    if len(decade) >= 2:
        within = cited[cited["known_on"] >= ten]
        visits_of = within.groupby("citation")["inspection_id"].nunique()
        out["violations_repeated_citations_10y"] = visits_of[visits_of >= 2].sum()
    return out
