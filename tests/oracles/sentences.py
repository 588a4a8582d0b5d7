"""What the sentences about a dealer say, counted from the rows by nothing but plain Python.

Each rule is a form of sentence, the window and the amount read out of the words themselves, and what
must hold of the dealer's rows for the sentence to be true. No rule knows which signal it came from.
"""

from __future__ import annotations

import math
import re
import statistics
from collections import Counter, defaultdict
from datetime import date, timedelta
from types import SimpleNamespace

import pandas as pd

from tests.oracles.oracle_license import plain
from tests.oracles.oracle_traces import CARIBBEAN, LATIN, _weapon
from tests.oracles.oracle_violations import STEP, _tier

DAYS = {
    "90 days": 90, "a year": 365, "the last year": 365, "two years": 730, "three years": 1095,
    "five years": 1825, "ten years": 3650,
}  # fmt: skip
N = r"(?P<n>No|no|[\d,.]+)"
SHARE = r"(?P<share>[\d.]+%|less than 0\.01%)"
W = r"(?P<w>90 days|a year|the last year|two years|three years|five years|ten years)"
LADDER = (
    "no violation", "a report of violations", "a warning letter", "a warning conference",
    "a revocation or denied renewal",
)  # fmt: skip
PLURALS = re.compile(
    r"(?<![\d.,])1 (?:firearms|reports|traces|citations|inspections|dealers|licenses|months|years|days"
    r"|rifles|shotguns|tips|leads|shootings|purchasers|instances|sales|checks|seizures)\b"
    r"|(?:\b[02-9]|\d[\d,.]*\d|\bNo|\bno) (?:firearm|report|trace|citation|inspection|dealer|license|month"
    r"|year|day|rifle|shotgun|tip|lead|shooting|purchaser|instance|sale|check|seizure)\b"
)


def counts_toward(trace):
    gone = trace["acquisition_route"] in ("export", "government")
    return not (gone or trace["serial_status"] == "none" or trace["outcome"] == "unserialized")


def to_crime(trace):
    """Days from sale to recovery, None where they are not known."""
    if trace["recovered_on"] is None or trace["sold_on"] is None:
        return None
    days = (trace["recovered_on"] - trace["sold_on"]).days
    return days if days >= 0 else None


class Country:
    """All rows that stood as of a day, by table and dealer."""

    def __init__(self, tables: dict[str, pd.DataFrame], as_of: date, listed) -> None:
        self.as_of, self.listed = as_of, list(listed)
        self.every = {
            name: frame.astype(object).where(frame.notna(), None).to_dict("records")
            for name, frame in tables.items()
        }
        self.stood = {name: [r for r in rows if self._stood(r)] for name, rows in self.every.items()}
        self.of = {name: defaultdict(list) for name in self.stood}
        for name, rows in self.stood.items():
            for row in rows:
                self.of[name][row.get("dealer")].append(row)
        self.newest = {
            d: max(rows, key=lambda r: r["listed_on"]) for d, rows in self.of["licenses"].items()
        }
        self.history = defaultdict(list)
        for row in self.every["licenses"]:
            self.history[row["dealer"]].append(row)
        self.seen = {d: self._places_of(d) for d in self.listed}
        self.changes = {d: self._change(d) for d in self.listed}

    def _stood(self, row) -> bool:
        until = row["superseded_on"]
        return row["known_on"] < self.as_of and (until is None or until >= self.as_of)

    def _places_of(self, dealer):
        row = self.newest.get(dealer)
        street = plain(row["premises_street"]) if row else ""
        place = (street, row["premises_zip"][:5]) if street else None
        return place, plain(row["licensee_name"]) if row else ""

    def within(self, rows, window):
        since = self.as_of - timedelta(days=DAYS[window])
        return [r for r in rows if r["known_on"] >= since]

    def traces(self, dealer, window):
        return self.within([t for t in self.of["traces"][dealer] if counts_toward(t)], window)

    def home(self, trace):
        known = [r for r in self.history[trace["dealer"]] if r["known_on"] <= trace["known_on"]]
        if not known:
            return None
        return max(known, key=lambda r: (r["listed_on"], r["known_on"]))["premises_state"]

    def closed(self, dealer, window=None):
        rows = [r for r in self.of["inspections"][dealer] if r["closed_on"] is not None]
        return rows if window is None else self.within(rows, window)

    def cited(self, dealer, window):
        visits = {r["inspection_id"]: r["known_on"] for r in self.closed(dealer)}
        mine = [
            {**v, "known_on": max(v["known_on"], visits[v["inspection_id"]])}
            for v in self.stood["violations"]
            if v["inspection_id"] in visits
        ]
        return self.within(mine, window)

    def _change(self, dealer):
        """Median days to crime of the last year less that of five years."""
        year, five = (
            [d for d in map(to_crime, self.traces(dealer, w)) if d is not None]
            for w in ("a year", "five years")
        )
        return statistics.median(year) - statistics.median(five) if len(year) >= 5 else None

    def change_against_state(self, dealer):
        state = self.newest[dealer]["premises_state"]
        others = [
            change
            for d, change in self.changes.items()
            if change is not None and self.newest[d]["premises_state"] == state
        ]
        return self.changes[dealer] - statistics.median(others)


def amount(text):
    return 0.0 if text.lower() == "no" else float(text.replace(",", ""))


def same(text, true):
    """Whether a number as written is the true one to the digits that are written."""
    decimals = len(text.partition(".")[2])
    return abs(amount(text) - true) <= 0.5 * 10**-decimals + 1e-6


def same_share(text, true):
    if text.startswith("less than"):
        return 0 < true < 0.0001
    stated, decimals = float(text[:-1]), len(text[:-1].partition(".")[2])
    if stated in (0.0, 100.0):
        return true == stated / 100
    return abs(stated - 100 * true) <= max(0.5 * 10**-decimals, 0.01 if stated > 99 else 0) + 1e-6


RECOVERED = {
    None: lambda c, t: True,
    "recovered in its own state": lambda c, t: _is_us(c, t) and t["recovery_state"] == c.home(t),
    "recovered in other states": lambda c, t: _is_us(c, t) and t["recovery_state"] != c.home(t),
    "recovered in Latin America or the Caribbean, Mexico left out":
        lambda c, t: t["recovery_country"] in LATIN,
    "recovered in Guatemala": lambda c, t: t["recovery_country"] == "GT",
    "recovered in Honduras": lambda c, t: t["recovery_country"] == "HN",
    "recovered in El Salvador": lambda c, t: t["recovery_country"] == "SV",
    "recovered in the Caribbean": lambda c, t: t["recovery_country"] in CARIBBEAN,
    "recovered in Canada": lambda c, t: t["recovery_country"] == "CA",
    "recovered in Mexico": lambda c, t: _is_mexican(t),
    "recovered in Mexico within three years of the sale":
        lambda c, t: _is_mexican(t) and _soon(t, 1095),
    "recovered within 90 days of the sale": lambda c, t: _soon(t, 90),
    "recovered within one year of the sale": lambda c, t: _soon(t, 365),
    "recovered within three years of the sale": lambda c, t: _soon(t, 1095),
}  # fmt: skip
CLASSES = {
    "semi-automatic rifle": "semiautomatic_rifle", "other rifle": "other_rifle",
    "shotgun": "shotgun", "pistol or revolver": "handgun", "pistols or revolvers": "handgun",
    "frame or receiver": "receiver", "frames or receivers": "receiver",
    "rifle of .50 caliber": "fifty_caliber", "rifles of .50 caliber": "fifty_caliber",
}  # fmt: skip


def _is_us(c, trace):
    is_placed = trace["recovery_country"] == "US" and trace["recovery_state"] is not None
    return is_placed and c.home(trace) is not None


def _is_mexican(trace):
    return trace["recovery_country"] == "MX"


def _soon(trace, days):
    return to_crime(trace) is not None and to_crime(trace) <= days


def _traced(c, dealer, m):
    return sum(RECOVERED[m["where"]](c, t) for t in c.traces(dealer, m["w"]))


def _of_class(c, dealer, m):
    wanted = CLASSES[m["what"]] if m["what"] in CLASSES else CLASSES[m["what"].removesuffix("s")]
    return sum(_weapon(t) == wanted for t in c.traces(dealer, m["w"]))


def _exported(c, dealer, m):
    return sum(
        t["acquisition_route"] in ("export", "government")
        and t["serial_status"] != "none"
        and t["outcome"] != "unserialized"
        for t in c.within(c.of["traces"][dealer], m["w"])
    )


def _last_calendar_year(c, dealer, m):
    mine = [t for t in c.of["traces"][dealer] if t["known_on"].year == c.as_of.year - 1]
    return sum(counts_toward(t) and _soon(t, 1095) for t in mine)


def _is_outcome(*wanted):
    return lambda c, dealer, m: sum(t["outcome"] in wanted for t in c.traces(dealer, m["w"]))


def _ratio(part, whole):
    def share(c, dealer, m):
        rows = [t for t in c.traces(dealer, m["w"]) if whole(t)]
        return sum(bool(part(t)) for t in rows) / len(rows)

    return share


def _at_most(level):
    """At least a share of the dealer's traces took at most so many days, and not many fewer."""

    def holds(c, dealer, m):
        days = [d for d in map(to_crime, c.traces(dealer, m["w"])) if d is not None]
        within = sum(d <= amount(m["n"]) for d in days)
        sooner = sum(d < amount(m["n"]) for d in days)
        return within >= level * len(days) and sooner <= level * len(days) + 1

    return holds


def _trend(column, table, added):
    def ratio(c, dealer, m):
        rows = c.of[table][dealer] if table != "traces" else c.traces(dealer, "three years")
        size = (lambda r: r[column] or 0) if column else (lambda r: 1)
        year, three = (sum(map(size, c.within(rows, w))) for w in ("a year", "three years"))
        return (year + added) / ((three - year) / 2 + added)

    return ratio


def _summed(table, column=None, **wanted):
    def total(c, dealer, m):
        rows = c.within(c.of[table][dealer], m["w"])
        rows = [r for r in rows if all(r[k] == v for k, v in wanted.items())]
        return sum((r[column] or 0) if column else 1 for r in rows)

    return total


def _mexican_states(c, dealer, m):
    mine = [t["recovery_state"] for t in c.traces(dealer, m["w"]) if _is_mexican(t)]
    return len({s for s in mine if s is not None})


def _concentration(keys, chosen):
    def index(c, dealer, m):
        mine = Counter(keys(t) for t in c.traces(dealer, m["w"]) if chosen(t))
        n = sum(mine.values())
        return sum((k / n) ** 2 for k in mine.values())

    return index


def _seizures(c, dealer, m):
    of_trace = {t["trace_id"]: t for t in c.of["traces"][dealer] if counts_toward(t)}
    n = len(c.within([s for s in c.stood["seizures"] if s["dealer"] == dealer], m["w"]))
    led = [
        {"known_on": max(s["known_on"], of_trace[s["trace_id"]]["known_on"])}
        for s in c.stood["seizures"]
        if s["dealer"] is None and s["trace_id"] in of_trace
    ]
    return n + len(c.within(led, m["w"]))


def _stepped(c, dealer, window=None):
    rows = [r for r in c.closed(dealer, window) if r["outcome"] in STEP]
    return sorted(rows, key=lambda r: (r["known_on"], r["inspection_id"]))


def _visits(c, dealer, window=None):
    return [r for r in c.closed(dealer, window) if r["kind"] in ("compliance", "recall")]


def _step_due(c, dealer, m):
    rows = _stepped(c, dealer)
    if not rows or not c.within(rows[-1:], "five years"):
        return 1
    return min(STEP[rows[-1]["outcome"]] + 1, 4)


def _of_tier(tier):
    return lambda c, dealer, m: sum(_tier(v["citation"]) == tier for v in c.cited(dealer, m["w"]))


def _again(c, dealer, m):
    visits = defaultdict(set)
    for v in c.cited(dealer, m["w"]):
        visits[v["citation"]].add(v["inspection_id"])
    return sum(len(ids) for ids in visits.values() if len(ids) > 1)


def _left(which):
    def total(c, dealer, m):
        column = f"firearms_unaccounted_{which}"
        return sum(r[column] or 0 for r in c.closed(dealer, m["w"]))

    return total


def _softened(c, dealer, m):
    rows = [
        r
        for r in c.closed(dealer, m["w"])
        if r["outcome"] in STEP and r["recommended_outcome"] in STEP
    ]
    return sum(STEP[r["outcome"]] < STEP[r["recommended_outcome"]] for r in rows)


def _moves(c, dealer, m):
    rows = sorted(c.of["licenses"][dealer], key=lambda r: r["listed_on"])
    since, n, place = c.as_of - timedelta(days=1825), 0, None
    for row in rows:
        street = plain(row["premises_street"])
        here = (street, row["premises_zip"][:5]) if street else None
        if here is not None:
            n += place is not None and here != place and row["known_on"] >= since
            place = here
    return n


def _renewals(c, dealer, m):
    rows = sorted(c.of["licenses"][dealer], key=lambda r: r["listed_on"])
    days = [r["expires_on"] for r in rows if r["expires_on"] is not None]
    return sum(b > a for a, b in zip(days, days[1:], strict=False))


def _others(which):
    def count(c, dealer, m):
        mine = c.seen[dealer][which]
        return sum(bool(mine) and c.seen[d][which] == mine for d in c.listed if d != dealer)

    return count


def _months(c, dealer, m):
    return (c.newest[dealer]["expires_on"] - c.as_of).days / 30.4375


def _listed_years(c, dealer, m):
    first = min(r["listed_on"] for r in c.of["licenses"][dealer])
    return (c.as_of - first).days / 365


def _rank(c, dealer, m):
    series = [d for d in c.listed if d[:4] == dealer[:4] and d != dealer]
    return sum(d < dealer for d in series) / len(series)


def _late(c, dealer, m):
    from tests.oracles.oracle_losses import oracle

    frame = pd.DataFrame(c.of["thefts_losses"][dealer])
    if frame.empty:
        return 0
    return int(oracle(_tables(c, "thefts_losses", "sales_volume", "licenses"), c.as_of, [dealer])
               ["losses_late_5y"].iloc[0])  # fmt: skip


def _tables(c, *names):
    return {name: pd.DataFrame(c.every[name]) for name in names}


def _unexplained(c, dealer, m):
    rows = c.within(c.of["thefts_losses"][dealer], m["w"])
    total = sum(r["n_firearms"] or 0 for r in rows)
    return sum(r["n_firearms"] or 0 for r in rows if r["kind"] == "loss") / total


def _leads(c, dealer, m):
    known = {t["trace_id"]: t for t in c.of["traces"][dealer] if counts_toward(t)}
    leads = [
        {**row, "known_on": max(row["known_on"], known[row["trace_id"]]["known_on"])}
        for row in c.stood["ballistic_leads"]
        if row["trace_id"] in known
    ]
    return c.within(leads, m["w"])


def _linked_sales(is_soon):
    def count(c, dealer, m):
        found = set()
        for sale in c.of["multiple_sales"][dealer]:
            for trace in c.of["traces"][dealer] if sale["purchaser_token"] else ():
                near = trace["sold_on"] and abs((trace["sold_on"] - sale["sold_on"]).days) <= 7
                is_same = trace["purchaser_token"] == sale["purchaser_token"]
                if not (near and is_same and counts_toward(trace)):
                    continue
                if is_soon and not _soon(trace, 365):
                    continue
                pair = {"known_on": max(sale["known_on"], trace["known_on"])}
                if c.within([pair], m["w"]):
                    found.add(sale["report_id"])
        return len(found)

    return count


def _linked_share(c, dealer, m):
    n = len(c.within(c.of["multiple_sales"][dealer], m["w"]))
    return min(_linked_sales(False)(c, dealer, m) / n, 1.0)


def _tips(wanted):
    return lambda c, dealer, m: sum(map(wanted, c.within(c.of["tips"][dealer], m["w"])))


def _number(pattern, fn):
    return pattern, lambda c, d, m: same(m["n"], fn(c, d, m))


def _share(pattern, fn):
    return pattern, lambda c, d, m: same_share(m["share"], fn(c, d, m))


def _fact(pattern, fn):
    return pattern, fn


def _firsts(name):
    return lambda c, d, m: c.newest[d][name]


RULES = [
    # Licenses.
    _fact(r"Listed for at least (?P<n>[\d.]+) years?", lambda c, d, m:
          0 <= _listed_years(c, d, m) - amount(m["n"]) < 0.1 + 1e-6),
    _share(rf"License number newer than {SHARE} of the others in its district", _rank),
    _number(r"(?P<n>[\d,.]+) months? to the expiry of the license", _months),
    _number(r"License past its expiry by (?P<n>[\d,.]+) months?", lambda c, d, m: -_months(c, d, m)),
    _fact(r"No renewal of the license seen between the listings on file",
          lambda c, d, m: _renewals(c, d, m) == 0),
    _fact(r"License renewed once between the listings on file",
          lambda c, d, m: _renewals(c, d, m) == 1),
    _number(r"License renewed (?P<n>\d+) times between the listings on file", _renewals),
    _fact(r"No move of the premises seen in the listings of five years",
          lambda c, d, m: _moves(c, d, m) == 0),
    _fact(r"Premises moved once in five years", lambda c, d, m: _moves(c, d, m) == 1),
    _number(r"Premises moved (?P<n>\d+) times in five years", _moves),
    _fact(r"The premises are (?P<not>not )?a residence", lambda c, d, m:
          c.newest[d]["is_residential"] is (m["not"] is None)),
    _fact("No other dealer known at the same premises", lambda c, d, m: _others(0)(c, d, m) == 0),
    _number(r"(?P<n>\d+) other dealers? at the same premises", _others(0)),
    _fact("No other license in the country under the same licensee name",
          lambda c, d, m: _others(1)(c, d, m) == 0),
    _number(r"(?P<n>[\d,]+) licenses in the country under the same licensee name, this one included",
            lambda c, d, m: _others(1)(c, d, m) + 1),
    _fact(r"Mail goes to (?P<is>the|another) ZIP code (?:of|than that of) the premises", lambda c, d, m:
          (c.newest[d]["mail_zip"][:5] == c.newest[d]["premises_zip"][:5]) is (m["is"] == "the")),
    # Traces.
    _number(rf"{N} firearms? traced in {W}(?:, (?P<where>recovered .*))?", _traced),
    _number(rf"{N} (?P<what>{'|'.join(k for k in CLASSES)}|\S+ rifles|shotguns) traced in {W}",
            _of_class),
    _number(rf"{N} firearms? traced in {W} that had left by lawful export or to a government", _exported),
    _number(rf"{N} firearms? traced in the last calendar year, recovered within three years of the sale",
            _last_calendar_year),
    _fact("Below the threshold of the demand letter 2 program in the last calendar year",
          lambda c, d, m: _last_calendar_year(c, d, m) < 25),
    _fact("Reached the threshold of the demand letter 2 program in the last calendar year",
          lambda c, d, m: _last_calendar_year(c, d, m) >= 25),
    _number(r"Traces in the last year at about (?P<n>[\d.]+) times the yearly level of the two years "
            "before, half a trace added to both", _trend(None, "traces", 0.5)),
    _number(rf"{N} trace requests? not answered in {W}", _is_outcome("no_dealer_answer")),
    _share(rf"{SHARE} of the trace requests that reached it in {W} were answered",
           _ratio(lambda t: t["outcome"] != "no_dealer_answer",
                  lambda t: t["outcome"] in ("purchaser", "dealer", "no_dealer_answer"))),
    _share(rf"{SHARE} of firearms traced in {W} had the serial number obliterated",
           _ratio(lambda t: t["serial_status"] == "obliterated", lambda t: True)),
    _share(rf"{SHARE} of firearms traced in {W}, where that is known, were found with someone other "
           "than the buyer", _ratio(lambda t: not t["is_purchaser_possessor"],
                                    lambda t: t["is_purchaser_possessor"] is not None)),
    _fact(rf"At least half of the firearms traced in {W}, where the days are known, were recovered "
          r"within (?P<n>[\d,.]+) days? of their sale", _at_most(0.5)),
    _fact(rf"At least a tenth of the firearms traced in {W}, where the days are known, were recovered "
          r"within (?P<n>[\d,.]+) days? of their sale", _at_most(0.1)),
    _fact("Median time from sale to recovery in the last year, against that of five years, changed as "
          "is usual in its state", lambda c, d, m: c.change_against_state(d) == 0),
    _number("Median time from sale to recovery in the last year, against that of five years: "
            r"(?P<n>[\d,.]+) days? longer than is usual in its state",
            lambda c, d, m: c.change_against_state(d)),
    _number("Median time from sale to recovery in the last year, against that of five years: "
            r"(?P<n>[\d,.]+) days? shorter than is usual in its state",
            lambda c, d, m: -c.change_against_state(d)),
    # Mexico.
    _share(rf"{SHARE} of its firearms traced in {W} and recovered in Mexico were semi-automatic rifles",
           _ratio(lambda t: t["is_semiautomatic_rifle"], _is_mexican)),
    _number(rf"{N} rifles? of \.50 caliber traced in {W}, recovered in Mexico", lambda c, d, m:
            sum(_is_mexican(t) and bool(t["is_fifty_caliber"]) for t in c.traces(d, m["w"]))),
    _fact(rf"No Mexican state known in which its firearms traced in {W} were recovered",
          lambda c, d, m: _mexican_states(c, d, m) == 0),
    _number(rf"Its firearms traced in {W} were recovered in (?P<n>\d+) known Mexican states?",
            _mexican_states),
    _share(rf"Concentration of its recoveries on few Mexican states: {SHARE} \(100% when all are in one\)",
           lambda c, d, m: _concentration(
               lambda t: t["recovery_state"],
               lambda t: _is_mexican(t) and t["recovery_state"] is not None)(c, d, {"w": "five years"})),
    _number(rf"{N} seizures? on the way to the border in {W} of firearms it sold", _seizures),
    # Inspections.
    _fact(rf"Last outcome on the ladder of graduated action: (?P<what>{'|'.join(LADDER)})",
          lambda c, d, m: STEP[_stepped(c, d)[-1]["outcome"]] == LADDER.index(m["what"])),
    _number(r"Last outcome on the ladder of graduated action on record for (?P<n>[\d.]+) years?",
            lambda c, d, m: (c.as_of - _stepped(c, d)[-1]["known_on"]).days / 365),
    _fact("No outcome on the ladder of graduated action on record", lambda c, d, m: not _stepped(c, d)),
    _fact(rf"Worst outcome of five years on the ladder of graduated action: (?P<what>{'|'.join(LADDER)})",
          lambda c, d, m: max(STEP[r["outcome"]] for r in _stepped(c, d, "five years"))
          == LADDER.index(m["what"])),
    _fact("No outcome on the ladder of graduated action in five years on record",
          lambda c, d, m: not _stepped(c, d, "five years")),
    _fact("If violations are found again, graduated action calls for (?P<what>.*)", lambda c, d, m:
          [*LADDER[:4], "revocation or a denied renewal"].index(m["what"]) == _step_due(c, d, m)),
    _number(rf"{N} citations? in {W} of the kind that calls for revocation when willful", _of_tier(1)),
    _number(rf"{N} serious citations? in {W}", _of_tier(2)),
    _number(rf"{N} record-keeping citations? in {W}", _of_tier(3)),
    _fact(r"No inspection in five years that could .*", lambda c, d, m: not c.closed(d, "five years")),
    _number(rf"{N} citations? in {W} of what was cited at more than one inspection", _again),
    _fact("Fewer than two inspections in ten years, so that nothing can have been cited again",
          lambda c, d, m: len(c.closed(d, "ten years")) < 2),
    _number(rf"{N} citations? marked willful in {W}",
            lambda c, d, m: sum(bool(v["is_willful"]) for v in c.cited(d, m["w"]))),
    _number(rf"{N} instances? of violations counted in citations of {W}",
            lambda c, d, m: sum(v["instances"] or 0 for v in c.cited(d, m["w"]))),
    _fact("Every firearm accounted for when inspections of five years counted them at first",
          lambda c, d, m: _left("initial")(c, d, {"w": "five years"}) == 0),
    _number(rf"{N} firearms? unaccounted for when inspections of {W} counted them at first",
            _left("initial")),
    _fact("No firearm left unaccounted for by inspections of five years that counted them",
          lambda c, d, m: _left("final")(c, d, {"w": "five years"}) == 0),
    _number(rf"{N} firearms? left unaccounted for by inspections of {W}", _left("final")),
    _fact(r"No count of firearms at the (?P<which>start|end) of an inspection in five years",
          lambda c, d, m: all(
              r["firearms_unaccounted_" + {"start": "initial", "end": "final"}[m["which"]]] is None
              for r in c.closed(d, "five years"))),
    _number(r"Last compliance inspection on record for (?P<n>[\d.]+) years?", lambda c, d, m:
            (c.as_of - max(r["known_on"] for r in _visits(c, d))).days / 365),
    _fact("No compliance inspection on record", lambda c, d, m: not _visits(c, d)),
    _fact("Never inspected for compliance on record", lambda c, d, m: not _visits(c, d)),
    _fact("Inspected for compliance before", lambda c, d, m: bool(_visits(c, d))),
    _fact(rf"No compliance inspection in {W}", lambda c, d, m: not _visits(c, d, m["w"])),
    _fact(rf"Inspected for compliance once in {W}", lambda c, d, m: len(_visits(c, d, m["w"])) == 1),
    _number(rf"Inspected for compliance (?P<n>\d+) times in {W}",
            lambda c, d, m: len(_visits(c, d, m["w"]))),
    _number(rf"{N} inspections? in {W} with a milder outcome than was recommended", _softened),
    _fact("No recommended outcome on record in five years", lambda c, d, m: not [
        r for r in c.closed(d, "five years")
        if r["outcome"] in STEP and r["recommended_outcome"] in STEP]),
    # Losses, multiple sales, volume, leads, tips.
    _number(rf"{N} theft or loss reports? in {W}", _summed("thefts_losses")),
    _number(rf"{N} theft or loss reports? made late in {W}", _late),
    *[_number(rf"{N} reports? of {words} in {W}", _summed("thefts_losses", kind=kind))
      for words, kind in (("burglary", "burglary"), ("robbery", "robbery"), ("larceny", "larceny"),
                          ("unexplained loss", "loss"))],
    _number(rf"{N} firearms? reported stolen or lost in {W}", _summed("thefts_losses", "n_firearms")),
    _number(rf"{N} firearms? lost without explanation in {W}",
            _summed("thefts_losses", "n_firearms", kind="loss")),
    _share(rf"{SHARE} of its firearms missing in {W} were lost without explanation", _unexplained),
    *[_number(rf"{N} reports? of multiple {kind} sales in {W}", _summed("multiple_sales", kind=kind))
      for kind in ("handgun", "rifle")],
    _number(rf"{N} firearms? in multiple sales in {W}", _summed("multiple_sales", "n_firearms")),
    _number(rf"{N} multiple sales? linked in {W} to a firearm traced", _linked_sales(False)),
    _number(rf"{N} multiple sales? linked in {W} to a firearm recovered within a year of its sale",
            _linked_sales(True)),
    _share(rf"Multiple sales linked in {W} to a firearm traced: {SHARE} of the number reported, 100% at "
           "most", _linked_share),
    _number(rf"{N} background checks? in {W}", _summed("sales_volume", "n_checks")),
    _number(r"Background checks in the last year at about (?P<n>[\d.]+) times the yearly level of the "
            "two years before, ten checks added to both", _trend("n_checks", "sales_volume", 10)),
    _number(rf"{N} sales? denied in {W}", _summed("denials", "n_denied")),
    _number(rf"{N} ballistic leads? in {W} on firearms it sold", lambda c, d, m: len(_leads(c, d, m))),
    _number(rf"{N} firearms? it sold with a ballistic lead in {W}",
            lambda c, d, m: len({r["trace_id"] for r in _leads(c, d, m)})),
    _number(rf"{N} shootings? linked by the ballistic leads of {W}, counted once a lead",
            lambda c, d, m: sum(r["n_linked_events"] or 0 for r in _leads(c, d, m))),
    _share(rf"Concentration of its traces of {W} on one maker and place: {SHARE} "
           r"\(100% when all are alike\)",
           _concentration(lambda t: (t["manufacturer"], t["recovery_country"], t["recovery_state"]),
                          lambda t: True)),
    _number(rf"{N} substantiated tips? in {W}",
            _tips(lambda t: not t["is_self_report"] and t["is_substantiated"])),
    _number(rf"{N} tips? by agencies in {W} that were not found unsubstantiated",
            _tips(lambda t: not t["is_self_report"] and t["source"] == "agency"
                  and t["is_substantiated"] is not False)),
    _fact("Reported nothing itself in three years", lambda c, d, m:
          _tips(lambda t: t["is_self_report"])(c, d, {"w": "three years"}) == 0),
    _fact("Reported one matter itself in three years", lambda c, d, m:
          _tips(lambda t: t["is_self_report"])(c, d, {"w": "three years"}) == 1),
    _number(rf"Reported (?P<n>\d+) matters itself in {W}", _tips(lambda t: t["is_self_report"])),
]  # fmt: skip
COMPILED = [(re.compile(pattern), holds) for pattern, holds in RULES]


def judged(country: Country, dealer: str, text: str) -> SimpleNamespace:
    """Say whether any rule reads a sentence, and whether what it says holds."""
    for n, (pattern, holds) in enumerate(COMPILED):
        found = pattern.fullmatch(text)
        if found:
            return SimpleNamespace(rule=n, is_true=bool(holds(country, dealer, found)))
    return SimpleNamespace(rule=None, is_true=True)


def reads_back(text: str, value: float) -> bool:
    """Whether some number of a sentence is the value, to its digits."""
    shares = re.findall(r"([\d.]+%|less than 0\.01%)", text)
    numbers = re.findall(r"(?<![\d.])[\d,]*\d(?:\.\d+)?(?!%|\d)", text)
    return (
        any(same_share(s, value) for s in shares)
        or any(same(n, abs(value)) for n in numbers)
        or (text.startswith(("No ", "no ")) and value == 0)
        or math.isclose(value, 1.0)
    )
