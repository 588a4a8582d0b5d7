"""Each form of sentence about a dealer, and what must hold of the rows for it to be true.

The window and the amount are read out of the words; no rule knows which signal a sentence is of.
"""

from __future__ import annotations

import math

from tests.oracles.oracle_traces import weapon
from tests.oracles.oracle_violations import STEP
from tests.oracles.sentences.raw_tables import (
    CLASSES,
    FEW,
    FOLLOWS,
    LADDER,
    SHARE,
    N,
    W,
    again,
    amount,
    at_most,
    concentration,
    exported,
    fact,
    is_mexican,
    is_outcome,
    last_calendar_year,
    left,
    listed_years,
    mexican_states,
    months,
    moves,
    none,
    number,
    of_class,
    of_tier,
    others,
    rank,
    ratio,
    renewals,
    seizures,
    share,
    softened,
    step_due,
    stepped,
    succession,
    summed,
    to_crime,
    traced,
    trend,
    unexplained,
    visits,
)
from tests.oracles.sentences.rules_trade import TRADE


def aged(c, closed_on, unit):
    """How long ago a visit was closed, in years or, below one, in days."""
    days = (c.as_of - closed_on).days
    assert (days < 365) is (unit == "day")
    return days if unit == "day" else days / 365


WHY = rf"(?P<why>{FEW}|nothing happened that it could be measured on)"
RULES = [
    fact(
        r"Licensed as .* \(type (?P<type>\d\d)\)",
        lambda c, d, m: c.newest[d]["license_type"] == m["type"],
    ),
    fact(
        rf"(?P<what>{'|'.join(FOLLOWS)})",
        lambda c, d, m: succession(c, d, "license_successor_rule") == FOLLOWS[m["what"]],
    ),
    fact(
        "Follows a revoked license of the same licensee name or premises",
        lambda c, d, m: succession(c, d, "license_is_successor_of_revoked") == 1,
    ),
    fact(
        "No revoked license found whose place it took",
        lambda c, d, m: succession(c, d, "license_is_successor_of_revoked") == 0,
    ),
    fact(
        "Whether it took the place of an? (?:ended|revoked) license is not known",
        lambda c, d, m: math.isnan(succession(c, d, "license_successor_rule")),
    ),
    fact(
        rf"An unknown share of firearms traced in {W} had the serial number obliterated: {WHY}",
        none(below=5),
    ),
    fact(
        rf"An unknown share of firearms traced in {W}, where that is known, were found .*: {WHY}",
        none(lambda t: t["is_purchaser_possessor"] is not None, 5),
    ),
    fact(
        rf"An unknown share of the trace requests that reached it in {W} were answered: {WHY}",
        none(lambda t: t["outcome"] in ("purchaser", "dealer", "no_dealer_answer"), 5),
    ),
    fact(
        rf"At least (?:half|a tenth) of the firearms traced in {W}, where .* an unknown .*: {WHY}",
        none(lambda t: to_crime(t) is not None, 5),
    ),
    fact(
        "Share of firearms traced that were recovered within .* of the sale not known: no trace "
        f"with both days in {W}",
        lambda c, d, m: not any(to_crime(t) is not None for t in c.traces(d, m["w"])),
    ),
    fact(
        f".* not known: no background checks on record in {W}",
        lambda c, d, m: summed("sales_volume", "n_checks")(c, d, m) == 0,
    ),
    fact(
        f"(?:Trend of traces|Share of traced .*) not known: no firearm traced in {W}",
        lambda c, d, m: not c.traces(d, m["w"]),
    ),
    fact(f"No multiple-sale report in {W}", lambda c, d, m: summed("multiple_sales")(c, d, m) == 0),
    fact(
        rf"An unknown share of its firearms traced in {W} and recovered in Mexico were .*: {WHY}",
        none(is_mexican, 3),
    ),
    fact(
        rf"Concentration of its traces of {W} on one maker and place: an unknown .*: {WHY}",
        none(below=5),
    ),
    # Licenses.
    fact(
        r"Listed for at least (?P<n>[\d.]+) years?",
        lambda c, d, m: 0 <= listed_years(c, d, m) - amount(m["n"]) < 0.1 + 1e-6,
    ),
    share(rf"License number newer than {SHARE} of the others in its district", rank),
    number(r"(?P<n>[\d,.]+) months? to the expiry of the license", months),
    number(r"License past its expiry by (?P<n>[\d,.]+) months?", lambda c, d, m: -months(c, d, m)),
    fact(
        r"No renewal of the license seen between the listings on file",
        lambda c, d, m: renewals(c, d, m) == 0,
    ),
    fact(
        r"License renewed once between the listings on file", lambda c, d, m: renewals(c, d, m) == 1
    ),
    number(r"License renewed (?P<n>\d+) times between the listings on file", renewals),
    fact(
        r"No move of the premises seen in the listings of five years",
        lambda c, d, m: moves(c, d, m) == 0,
    ),
    fact(r"Premises moved once in five years", lambda c, d, m: moves(c, d, m) == 1),
    number(r"Premises moved (?P<n>\d+) times in five years", moves),
    fact(
        r"The premises are (?P<not>not )?a residence",
        lambda c, d, m: c.newest[d]["is_residential"] is (m["not"] is None),
    ),
    fact("No other dealer known at the same premises", lambda c, d, m: others(0)(c, d, m) == 0),
    number(r"(?P<n>\d+) other dealers? at the same premises", others(0)),
    fact(
        "No other license in the country under the same licensee name",
        lambda c, d, m: others(1)(c, d, m) == 0,
    ),
    number(
        r"(?P<n>[\d,]+) licenses in the country under the same licensee name, this one included",
        lambda c, d, m: others(1)(c, d, m) + 1,
    ),
    fact(
        r"Mail goes to (?P<is>the|another) ZIP code (?:of|than that of) the premises",
        lambda c, d, m: (
            (c.newest[d]["mail_zip"][:5] == c.newest[d]["premises_zip"][:5]) is (m["is"] == "the")
        ),
    ),
    # Traces.
    number(rf"{N} firearms? traced in {W}(?:, (?P<where>recovered .*))?", traced),
    number(
        rf"{N} (?P<what>{'|'.join(k for k in CLASSES)}|\S+ rifles|shotguns) traced in {W}", of_class
    ),
    number(
        rf"{N} firearms? traced in {W} that had left by lawful export or to a government", exported
    ),
    number(
        rf"{N} firearms? traced in the last calendar year, "
        "recovered within three years of the sale",
        last_calendar_year,
    ),
    fact(
        "Below the threshold of the demand letter 2 program in the last calendar year",
        lambda c, d, m: last_calendar_year(c, d, m) < 25,
    ),
    fact(
        "Reached the threshold of the demand letter 2 program in the last calendar year",
        lambda c, d, m: last_calendar_year(c, d, m) >= 25,
    ),
    number(
        r"Traces in the last year at about (?P<n>[\d.]+) times the yearly level of the two years "
        "before, half a trace added to both",
        trend(None, "traces", 0.5),
    ),
    number(
        rf"{N} trace requests? (?:left without an answer|not answered) in {W}",
        is_outcome("no_dealer_answer"),
    ),
    share(
        rf"{SHARE} of the trace requests that reached it in {W} were answered",
        ratio(
            lambda t: t["outcome"] != "no_dealer_answer",
            lambda t: t["outcome"] in ("purchaser", "dealer", "no_dealer_answer"),
        ),
    ),
    share(
        rf"{SHARE} of firearms traced in {W} had the serial number obliterated",
        ratio(lambda t: t["serial_status"] == "obliterated", lambda t: True),
    ),
    share(
        rf"{SHARE} of firearms traced in {W}, where that is known, were found with someone other "
        "than the buyer",
        ratio(
            lambda t: not t["is_purchaser_possessor"],
            lambda t: t["is_purchaser_possessor"] is not None,
        ),
    ),
    fact(
        rf"At least half of the firearms traced in {W}, where the days are known, "
        "were recovered "
        r"within (?P<n>[\d,.]+) days? of their sale",
        at_most(0.5),
    ),
    fact(
        rf"At least a tenth of the firearms traced in {W}, where the days are known, "
        "were recovered "
        r"within (?P<n>[\d,.]+) days? of their sale",
        at_most(0.1),
    ),
    fact(
        "Median time from sale to recovery in the last year, against that of five years, "
        "changed as "
        "is usual in its state",
        lambda c, d, m: c.change_against_state(d) == 0,
    ),
    number(
        "Median time from sale to recovery in the last year, against that of five years: "
        r"(?P<n>[\d,.]+) days? longer than is usual in its state",
        lambda c, d, m: c.change_against_state(d),
    ),
    number(
        "Median time from sale to recovery in the last year, against that of five years: "
        r"(?P<n>[\d,.]+) days? shorter than is usual in its state",
        lambda c, d, m: -c.change_against_state(d),
    ),
    # Mexico.
    share(
        rf"{SHARE} of its firearms traced in {W} and recovered in Mexico "
        "were semi-automatic rifles",
        ratio(lambda t: t["is_semiautomatic_rifle"], is_mexican),
    ),
    number(
        rf"{N} rifles? of \.50 caliber traced in {W}, recovered in Mexico",
        lambda c, d, m: sum(
            is_mexican(t) and weapon(t) == "fifty_caliber" for t in c.traces(d, m["w"])
        ),
    ),
    fact(
        rf"No Mexican state known in which its firearms traced in {W} were recovered",
        lambda c, d, m: mexican_states(c, d, m) == 0,
    ),
    number(
        rf"Its firearms traced in {W} were recovered in (?P<n>\d+) known Mexican states?",
        mexican_states,
    ),
    share(
        rf"Concentration of its recoveries on few Mexican states: {SHARE} "
        r"\(100% when all are in one\)",
        lambda c, d, m: concentration(
            lambda t: t["recovery_state"],
            lambda t: is_mexican(t) and t["recovery_state"] is not None,
        )(c, d, {"w": "five years"}),
    ),
    number(rf"{N} seizures? on the way to the border in {W} of firearms it sold", seizures),
    # Inspections.
    fact(
        rf"Last outcome on the ladder of graduated action, of any kind of visit: "
        rf"(?P<what>{'|'.join(LADDER)})",
        lambda c, d, m: STEP[stepped(c, d)[-1]["outcome"]] == LADDER.index(m["what"]),
    ),
    number(
        r"Last outcome on the ladder of graduated action, of any kind of visit, is of "
        r"(?P<n>[\d.]+) (?P<unit>year|day)s? ago",
        lambda c, d, m: aged(c, stepped(c, d)[-1]["closed_on"], m["unit"]),
    ),
    fact(
        "No outcome on the ladder of graduated action on record", lambda c, d, m: not stepped(c, d)
    ),
    fact(
        rf"Worst outcome of five years on the ladder of graduated action: "
        rf"(?P<what>{'|'.join(LADDER)})",
        lambda c, d, m: (
            max(STEP[r["outcome"]] for r in stepped(c, d, "five years")) == LADDER.index(m["what"])
        ),
    ),
    fact(
        "No outcome on the ladder of graduated action in five years on record",
        lambda c, d, m: not stepped(c, d, "five years"),
    ),
    fact(
        "If violations are found, graduated action calls for (?P<what>.*)",
        lambda c, d, m: (
            [*LADDER[:4], "revocation or a denied renewal"].index(m["what"]) == step_due(c, d, m)
        ),
    ),
    number(
        rf"{N} citations? in {W} of the kind that calls for revocation when willful", of_tier(1)
    ),
    number(rf"{N} serious citations? in {W}", of_tier(2)),
    number(rf"{N} record-keeping citations? in {W}", of_tier(3)),
    fact(
        r"No inspection in five years that could .*", lambda c, d, m: not c.closed(d, "five years")
    ),
    number(rf"{N} citations? in {W} of what was cited at more than one inspection", again),
    fact(
        "Fewer than two inspections in ten years, so that nothing can have been cited again",
        lambda c, d, m: len(c.closed(d, "ten years")) < 2,
    ),
    number(
        rf"{N} citations? marked willful in {W}",
        lambda c, d, m: sum(bool(v["is_willful"]) for v in c.cited(d, m["w"])),
    ),
    number(
        rf"{N} instances? of violations counted in citations of {W}",
        lambda c, d, m: sum(v["instances"] or 0 for v in c.cited(d, m["w"])),
    ),
    fact(
        "Every firearm accounted for when inspections of five years counted them at first",
        lambda c, d, m: left("initial")(c, d, {"w": "five years"}) == 0,
    ),
    number(
        rf"{N} firearms? unaccounted for when inspections of {W} counted them at first",
        left("initial"),
    ),
    fact(
        "No firearm left unaccounted for by inspections of five years that counted them",
        lambda c, d, m: left("final")(c, d, {"w": "five years"}) == 0,
    ),
    number(rf"{N} firearms? left unaccounted for by inspections of {W}", left("final")),
    fact(
        r"No count of firearms at the (?P<which>start|end) of an inspection in five years",
        lambda c, d, m: all(
            r["firearms_unaccounted_" + {"start": "initial", "end": "final"}[m["which"]]] is None
            for r in c.closed(d, "five years")
        ),
    ),
    number(
        r"Last compliance or recall inspection was closed (?P<n>[\d.]+) "
        r"(?P<unit>year|day)s? ago",
        lambda c, d, m: aged(c, max(r["closed_on"] for r in visits(c, d)), m["unit"]),
    ),
    fact("No compliance or recall inspection on record", lambda c, d, m: not visits(c, d)),
    fact("Never inspected for compliance on record", lambda c, d, m: not visits(c, d)),
    fact("Inspected for compliance before", lambda c, d, m: bool(visits(c, d))),
    fact(rf"No compliance or recall inspection in {W}", lambda c, d, m: not visits(c, d, m["w"])),
    fact(
        rf"One compliance or recall inspection in {W}",
        lambda c, d, m: len(visits(c, d, m["w"])) == 1,
    ),
    number(
        rf"(?P<n>\d+) compliance or recall inspections in {W}",
        lambda c, d, m: len(visits(c, d, m["w"])),
    ),
    number(rf"{N} inspections? in {W} with a milder outcome than was recommended", softened),
    fact(
        "No recommended outcome on record in five years",
        lambda c, d, m: (
            not [
                r
                for r in c.closed(d, "five years")
                if r["outcome"] in STEP and r["recommended_outcome"] in STEP
            ]
        ),
    ),
    # Losses, multiple sales, volume, leads, tips.
    number(rf"{N} theft or loss reports? in {W}", summed("thefts_losses")),
    number(
        rf"{N} theft or loss reports? made late in {W}",
        lambda c, d, m: sum(
            r["discovered_on"] is not None and (r["reported_on"] - r["discovered_on"]).days > 2
            for r in c.within(c.of["thefts_losses"][d], m["w"])
        ),
    ),
    *[
        number(rf"{N} reports? of {words} in {W}", summed("thefts_losses", kind=kind))
        for words, kind in (
            ("burglary", "burglary"),
            ("robbery", "robbery"),
            ("larceny", "larceny"),
            ("unexplained loss", "loss"),
        )
    ],
    number(rf"{N} firearms? reported stolen or lost in {W}", summed("thefts_losses", "n_firearms")),
    number(
        rf"{N} firearms? lost without explanation in {W}",
        summed("thefts_losses", "n_firearms", kind="loss"),
    ),
    share(rf"{SHARE} of its firearms missing in {W} were lost without explanation", unexplained),
    *TRADE,
]
