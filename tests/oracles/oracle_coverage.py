"""Coverage of Mexican submission from its definition: one state and one quarter at a time."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta
from math import exp, log
from pathlib import Path

import pandas as pd

HOMICIDES = (
    Path(__file__).parents[2] / "features" / "reference" / "data" / "mexico_homicides.parquet"
)


def quarter(day):
    return day.year * 4 + (day.month - 1) // 3


def starts(number):
    return date(number // 4, 3 * (number % 4) + 1, 1)


def told(asked, agencies, as_of):
    """Share submitted, by state and quarter, where the state tells it.

    `asked` holds requester, state and day of each request known; `agencies` the rows in force.
    """
    if not asked:
        return {}
    own = {a["requester"]: a for a in agencies if a["kind"] != "federal"}
    if not agencies:
        own = _guess(asked)
    every = range(min(quarter(day) for _, _, day in asked), quarter(as_of) + 1)
    table = pd.read_parquet(HOMICIDES)
    states = sorted(set(table["state_code"]) | {s for _, s, _ in asked})
    killed = _homicides(table, states, every, as_of)
    kind = {(s, q): _regime(own, s, q) for s in states for q in every}
    settled = [q for q in every if starts(q + 1) + timedelta(days=60) <= as_of]
    total = Counter((s, quarter(d)) for _, s, d in asked)
    federal = Counter((s, quarter(d)) for a, s, d in asked if a not in own)
    moved = _moved(federal, killed, kind, states, every, settled)
    exposure = {(s, q): killed[s, q] * moved[q] for s in states for q in every}
    sums = {
        (s, k): (
            sum(total[s, q] for q in settled if kind[s, q] == k),
            sum(exposure[s, q] for q in settled if kind[s, q] == k),
            sum(kind[s, q] == k for q in settled),
        )
        for s in states
        for k in ("before", "part", "full")
    }
    full = _full(sums, states)
    out = {}
    for s in states:
        if s not in full:
            continue
        for q in every:
            n, x, _ = sums[s, kind[s, q]]
            if x > 0:
                out[s, q] = min(max(n / (full[s] * x), 0.05), 1.0)
    return out


def _guess(asked):
    by = Counter(a for a, _, _ in asked)
    pairs = Counter((a, s) for a, s, _ in asked)
    return {
        a: {
            "state": s,
            "submits_from": starts(min(quarter(d) for b, t, d in asked if (b, t) == (a, s))),
            "submits_to": None,
        }
        for (a, s), n in pairs.items()
        if by[a] >= 20 and n >= 0.8 * by[a]
    }


def _homicides(table, states, every, as_of):
    public = [m for m in sorted(set(table["month"])) if _public(m) < as_of]
    if not public:
        return {(s, q): 1.0 for s in states for q in every}
    monthly = table[table["month"].isin(public)]
    n = monthly.assign(q=[quarter(m) for m in monthly["month"]])
    n = n.groupby(["state_code", "q"])["firearm_homicide_victims"].sum().to_dict()
    whole = [q for q, k in Counter(quarter(m) for m in public).items() if k == 3]
    out = {}
    for s in states:
        for q in every:
            at = min(max(q, min(whole)), max(whole))
            near = [p for p in range(at - 3, at + 1) if p in whole]
            is_known = any((s, p) in n for p in near)
            mean = sum(n.get((s, p), 0) for p in near) / len(near) if is_known else 1.0
            out[s, q] = mean + 0.5
    return out


def _public(month):
    """Two months after the first of the month, and not before the series began."""
    after = month.month + 1
    return max(date(month.year + after // 12, after % 12 + 1, 1), date(2017, 12, 22))


def _regime(own, state, q):
    kinds = ["before"]
    for agency in own.values():
        if agency["state"] != state:
            continue
        begins, ends = agency["submits_from"], agency["submits_to"]
        begins = date.min if begins is None or pd.isna(begins) else begins
        ends = date(9000, 1, 1) if ends is None or pd.isna(ends) else ends
        if (
            starts(q) >= begins
            and (starts(q) - begins).days >= 365
            and (starts(q + 1) <= ends + timedelta(days=1))
        ):
            kinds.append("full")
        elif starts(q + 1) > begins and starts(q) <= ends:
            kinds.append("part")
    return "full" if "full" in kinds else "part" if "part" in kinds else "before"


def _moved(federal, killed, kind, states, every, settled):
    moved = dict.fromkeys(every, 1.0)
    control = {q: [s for s in states if kind[s, q] == "before"] for q in settled}
    for _ in range(20):
        rate = {}
        for s in states:
            mine = [q for q in settled if s in control[q]]
            below = sum(killed[s, q] * moved[q] for q in mine)
            rate[s] = sum(federal[s, q] for q in mine) / below if below > 0 else 0.0
        found = {}
        for q in settled:
            expected = sum(rate[s] * killed[s, q] for s in control[q])
            if expected >= 12:
                found[q] = sum(federal[s, q] for s in control[q]) / expected
        if not found:
            return dict.fromkeys(every, 1.0)
        drawn = {q: max(_between(found, q), 0.05) for q in every}
        mean = sum(drawn.values()) / len(drawn)
        moved = {q: v / mean for q, v in drawn.items()}
    return moved


def _between(found, q):
    if q in found:
        return found[q]
    below = [p for p in found if p < q]
    above = [p for p in found if p > q]
    if not below:
        return found[min(above)]
    if not above:
        return found[max(below)]
    a, b = max(below), min(above)
    return found[a] + (found[b] - found[a]) * (q - a) / (b - a)


def _full(sums, states):
    def rate(s, k):
        n, x, quarters = sums[s, k]
        return n / x if n >= 12 and quarters >= 2 and x > 0 else None

    both = [s for s in states if rate(s, "before") and rate(s, "full")]
    factor = None
    if len(both) >= 2:
        logs = [log(rate(s, "full") / rate(s, "before")) for s in both]
        var = [1 / sums[s, "full"][0] + 1 / sums[s, "before"][0] + 0.01 for s in both]
        w = [1 / v for v in var]
        mean = sum(a * b for a, b in zip(w, logs, strict=True)) / sum(w)
        q = sum(a * (b - mean) ** 2 for a, b in zip(w, logs, strict=True))
        between = max(0, (q - (len(logs) - 1)) / (sum(w) - sum(a * a for a in w) / sum(w)))
        w = [1 / (v + between) for v in var]
        factor = exp(max(sum(a * b for a, b in zip(w, logs, strict=True)) / sum(w), 0))
    out = {}
    for s in states:
        if rate(s, "full"):
            out[s] = rate(s, "full")
        elif rate(s, "before") and factor:
            out[s] = rate(s, "before") * factor
    return out
