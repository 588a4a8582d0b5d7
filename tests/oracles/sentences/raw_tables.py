"""What sentences about a dealer count, counted from the rows by nothing but plain Python."""

from __future__ import annotations

import itertools
import re
import statistics
from collections import Counter, defaultdict
from datetime import date, timedelta

import pandas as pd

from tests.oracles.oracle_license import oracle as oracle_license
from tests.oracles.oracle_license import plain
from tests.oracles.oracle_traces import CARIBBEAN, LATIN, weapon
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
_COUNTED = (
    "firearm|report|trace|citation|inspection|dealer|license|month|year|day|rifle|shotgun|tip|lead"
    "|shooting|purchaser|instance|sale|check|seizure|request"
)
# One of something said as many, or many said as one.
MISCOUNTED = re.compile(
    rf"(?<![\d.,])1 (?:\w+ )?(?:{_COUNTED.replace('|', 's|')}s)\b"
    rf"|(?:\b[02-9]|\d[\d,.]*\d) (?:{_COUNTED})\b(?! (?:request|sale|lead|check|report)s)(?!-)"
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
        self.stood = {
            name: [r for r in rows if self._stood(r)] for name, rows in self.every.items()
        }
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
            if v["inspection_id"] in visits and v["instances"] != 0  # none: it was taken back
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
    "recovered in Mexico": lambda c, t: is_mexican(t),
    "recovered in Mexico within three years of the sale":
        lambda c, t: is_mexican(t) and _soon(t, 1095),
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


def is_mexican(trace):
    return trace["recovery_country"] == "MX"


def _soon(trace, days):
    return to_crime(trace) is not None and to_crime(trace) <= days


def traced(c, dealer, m):
    return sum(RECOVERED[m["where"]](c, t) for t in c.traces(dealer, m["w"]))


def of_class(c, dealer, m):
    wanted = CLASSES[m["what"]] if m["what"] in CLASSES else CLASSES[m["what"].removesuffix("s")]
    return sum(weapon(t) == wanted for t in c.traces(dealer, m["w"]))


def exported(c, dealer, m):
    return sum(
        t["acquisition_route"] in ("export", "government")
        and t["serial_status"] != "none"
        and t["outcome"] != "unserialized"
        for t in c.within(c.of["traces"][dealer], m["w"])
    )


def last_calendar_year(c, dealer, m):
    mine = [t for t in c.of["traces"][dealer] if t["known_on"].year == c.as_of.year - 1]
    return sum(counts_toward(t) and _soon(t, 1095) for t in mine)


def is_outcome(*wanted):
    return lambda c, dealer, m: sum(t["outcome"] in wanted for t in c.traces(dealer, m["w"]))


def ratio(part, whole):
    def share(c, dealer, m):
        rows = [t for t in c.traces(dealer, m["w"]) if whole(t)]
        return sum(bool(part(t)) for t in rows) / len(rows)

    return share


def at_most(level):
    """At least a share of the dealer's traces took at most so many days, and not many fewer."""

    def holds(c, dealer, m):
        days = [d for d in map(to_crime, c.traces(dealer, m["w"])) if d is not None]
        within = sum(d <= amount(m["n"]) for d in days)
        sooner = sum(d < amount(m["n"]) for d in days)
        return within >= level * len(days) and sooner <= level * len(days) + 1

    return holds


def trend(column, table, added):
    def ratio(c, dealer, m):
        rows = c.of[table][dealer] if table != "traces" else c.traces(dealer, "three years")
        size = (lambda r: r[column] or 0) if column else (lambda r: 1)
        year, three = (sum(map(size, c.within(rows, w))) for w in ("a year", "three years"))
        return (year + added) / ((three - year) / 2 + added)

    return ratio


def summed(table, column=None, **wanted):
    def total(c, dealer, m):
        rows = c.within(c.of[table][dealer], m["w"])
        rows = [r for r in rows if all(r[k] == v for k, v in wanted.items())]
        return sum((r[column] or 0) if column else 1 for r in rows)

    return total


def mexican_states(c, dealer, m):
    mine = [t["recovery_state"] for t in c.traces(dealer, m["w"]) if is_mexican(t)]
    return len({s for s in mine if s is not None})


def concentration(keys, chosen):
    def index(c, dealer, m):
        mine = Counter(keys(t) for t in c.traces(dealer, m["w"]) if chosen(t))
        n = sum(mine.values())
        return sum((k / n) ** 2 for k in mine.values())

    return index


def seizures(c, dealer, m):
    of_trace = {t["trace_id"]: t for t in c.of["traces"][dealer] if counts_toward(t)}
    n = len(c.within([s for s in c.stood["seizures"] if s["dealer"] == dealer], m["w"]))
    led = [
        {"known_on": max(s["known_on"], of_trace[s["trace_id"]]["known_on"])}
        for s in c.stood["seizures"]
        if s["dealer"] is None and s["trace_id"] in of_trace
    ]
    return n + len(c.within(led, m["w"]))


def stepped(c, dealer, window=None):
    rows = [r for r in c.closed(dealer, window) if r["outcome"] in STEP]
    return sorted(rows, key=lambda r: (r["closed_on"], r["known_on"], r["inspection_id"]))


def visits(c, dealer, window=None):
    return [r for r in c.closed(dealer, window) if r["kind"] in ("compliance", "recall")]


def step_due(c, dealer, m):
    rows = stepped(c, dealer)
    if not rows or rows[-1]["closed_on"] < c.as_of - timedelta(days=DAYS["five years"]):
        return 1
    return min(STEP[rows[-1]["outcome"]] + 1, 4)


def of_tier(tier):
    return lambda c, dealer, m: sum(_tier(v["citation"]) == tier for v in c.cited(dealer, m["w"]))


def again(c, dealer, m):
    visits = defaultdict(set)
    for v in c.cited(dealer, m["w"]):
        visits[v["citation"]].add(v["inspection_id"])
    return sum(len(ids) for ids in visits.values() if len(ids) > 1)


def left(which):
    def total(c, dealer, m):
        column = f"firearms_unaccounted_{which}"
        return sum(r[column] or 0 for r in c.closed(dealer, m["w"]))

    return total


def softened(c, dealer, m):
    rows = [
        r
        for r in c.closed(dealer, m["w"])
        if r["outcome"] in STEP and r["recommended_outcome"] in STEP
    ]
    return sum(STEP[r["outcome"]] < STEP[r["recommended_outcome"]] for r in rows)


def moves(c, dealer, m):
    rows = sorted(c.of["licenses"][dealer], key=lambda r: r["listed_on"])
    since, n, place = c.as_of - timedelta(days=1825), 0, None
    for row in rows:
        street = plain(row["premises_street"])
        here = (street, row["premises_zip"][:5]) if street else None
        if here is not None:
            n += place is not None and here != place and row["known_on"] >= since
            place = here
    return n


def renewals(c, dealer, m):
    rows = sorted(c.of["licenses"][dealer], key=lambda r: r["listed_on"])
    days = [r["expires_on"] for r in rows if r["expires_on"] is not None]
    latest = itertools.accumulate(days, max)
    return sum((b - a).days >= 180 for a, b in itertools.pairwise(latest))


def others(which):
    def count(c, dealer, m):
        mine = c.seen[dealer][which]
        return sum(bool(mine) and c.seen[d][which] == mine for d in c.listed if d != dealer)

    return count


def months(c, dealer, m):
    return (c.newest[dealer]["expires_on"] - c.as_of).days / 30.4375


def listed_years(c, dealer, m):
    first = min(r["listed_on"] for r in c.of["licenses"][dealer])
    return (c.as_of - first).days / 365


def rank(c, dealer, m):
    series = [d for d in c.listed if d[:4] == dealer[:4] and d != dealer]
    return sum(d < dealer for d in series) / len(series)


def unexplained(c, dealer, m):
    rows = c.within(c.of["thefts_losses"][dealer], m["w"])
    total = sum(r["n_firearms"] or 0 for r in rows)
    return sum(r["n_firearms"] or 0 for r in rows if r["kind"] == "loss") / total


def leads(c, dealer, m):
    known = {t["trace_id"]: t for t in c.of["traces"][dealer] if counts_toward(t)}
    leads = [
        {**row, "known_on": max(row["known_on"], known[row["trace_id"]]["known_on"])}
        for row in c.stood["ballistic_leads"]
        if row["trace_id"] in known
    ]
    return c.within(leads, m["w"])


def linked_sales(is_soon):
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


def linked_share(c, dealer, m):
    n = len(c.within(c.of["multiple_sales"][dealer], m["w"]))
    return min(linked_sales(False)(c, dealer, m) / n, 1.0)


def tips(wanted):
    return lambda c, dealer, m: sum(map(wanted, c.within(c.of["tips"][dealer], m["w"])))


def number(pattern, fn):
    return pattern, lambda c, d, m: same(m["n"], fn(c, d, m))


def share(pattern, fn):
    return pattern, lambda c, d, m: same_share(m["share"], fn(c, d, m))


def fact(pattern, fn):
    return pattern, fn


FEW = "too few cases to say"


def none(which=lambda t: True, below=1):
    """Too few of the dealer's traces; none at all where nothing is said to have happened."""

    def holds(c, dealer, m):
        n = sum(bool(which(t)) for t in c.traces(dealer, m["w"]))
        return 1 <= n < below if m["why"] == FEW else n == 0

    return holds


def succession(c, dealer, name):
    if not hasattr(c, "succession"):
        names = ("licenses", "inspections")
        frames = {name: pd.DataFrame(c.every[name]) for name in names}
        c.succession = oracle_license(frames, c.as_of, c.listed)
    return c.succession.loc[dealer, name]


FOLLOWS = {
    "No ended license found whose place it took": 0,
    "Follows an ended license of the same licensee name": 1,
    "Follows an ended license at the same premises": 2,
    "Follows an ended license of the same licensee name at the same premises": 3,
}
