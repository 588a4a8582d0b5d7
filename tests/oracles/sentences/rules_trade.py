"""The forms of sentence about what a dealer sells, is denied, and what is told of it."""

from __future__ import annotations

from tests.oracles.sentences.raw_tables import (
    SHARE,
    N,
    W,
    concentration,
    fact,
    leads,
    linked_sales,
    linked_share,
    number,
    share,
    summed,
    tips,
    trend,
)


def leads_once(c, dealer, m):
    """The most shootings that each lead links."""
    once = {}
    for row in leads(c, dealer, m):
        once[row["lead_id"]] = max(once.get(row["lead_id"], 0), row["n_linked_events"])
    return once


TRADE = [
    *[
        number(
            rf"{N} reports? of multiple {kind} sales in {W}", summed("multiple_sales", kind=kind)
        )
        for kind in ("handgun", "rifle")
    ],
    number(rf"{N} firearms? in multiple sales in {W}", summed("multiple_sales", "n_firearms")),
    number(rf"{N} multiple sales? linked in {W} to a firearm traced", linked_sales(False)),
    number(
        rf"{N} multiple sales? linked in {W} to a firearm recovered within a year of its sale",
        linked_sales(True),
    ),
    share(
        rf"Multiple sales linked in {W} to a firearm traced: {SHARE} of the number reported, "
        "100% at "
        "most",
        linked_share,
    ),
    number(rf"{N} background checks? in {W}", summed("sales_volume", "n_checks")),
    number(
        r"Background checks in the last year at about (?P<n>[\d.]+) times the yearly level of the "
        "two years before, ten checks added to both",
        trend("n_checks", "sales_volume", 10),
    ),
    number(rf"{N} sales? denied in {W}", summed("denials", "n_denied")),
    number(
        rf"{N} ballistic leads? in {W} on firearms it sold",
        lambda c, d, m: len(leads_once(c, d, m)),
    ),
    number(
        rf"{N} firearms? it sold with a ballistic lead in {W}",
        lambda c, d, m: len({r["trace_id"] for r in leads(c, d, m)}),
    ),
    number(
        rf"{N} shootings? linked by the ballistic leads of {W}, counted once a lead",
        lambda c, d, m: sum(leads_once(c, d, m).values()),
    ),
    share(
        rf"Concentration of its traces of {W} on one maker and place: {SHARE} "
        r"\(100% when all are alike\)",
        concentration(
            lambda t: (t["manufacturer"], t["recovery_country"], t["recovery_state"]),
            lambda t: True,
        ),
    ),
    number(
        rf"{N} substantiated tips? in {W}",
        tips(lambda t: not t["is_self_report"] and bool(t["is_substantiated"])),
    ),
    number(
        rf"{N} tips? by agencies in {W} that were not found unsubstantiated",
        tips(
            lambda t: (
                not t["is_self_report"]
                and t["source"] == "agency"
                and t["is_substantiated"] is not False
            )
        ),
    ),
    fact(
        "Reported nothing itself in three years",
        lambda c, d, m: tips(lambda t: t["is_self_report"])(c, d, {"w": "three years"}) == 0,
    ),
    fact(
        "Reported one matter itself in three years",
        lambda c, d, m: tips(lambda t: t["is_self_report"])(c, d, {"w": "three years"}) == 1,
    ),
    number(rf"Reported (?P<n>\d+) matters itself in {W}", tips(lambda t: t["is_self_report"])),
]
