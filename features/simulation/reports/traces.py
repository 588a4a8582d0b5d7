"""Trace requests of a month: how many, of which dealers, how long after the sale.

Traces are drawn by the month of recovery. For each dealer the expected number at three years or
less is exposure (recent sales) times place, clientele and diversion; the rest follows older sales.
Both are held to the country's total of the year, so diversion moves a dealer against others and
never the total. The time since the sale is drawn within the dealer's days in business.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from features.arrays import Flags, Floats, Ints
from features.reference.legal.short_time_to_crime import short_days
from features.simulation.country import national
from features.simulation.country.dealers import P07, P08
from features.simulation.country.world import World
from features.simulation.reports import mexico

SHORT: Final = short_days()
EXPORTERS: Final = (P07, P08)
_LATE_MEAN: Final = 3800.0  # days beyond three years
_ABROAD: Final = 8.0  # thousand requests a year from other countries
# Traced to a purchaser from Central America over those from Mexico, 2015-22: 870 of 52,541.
CENTRAL_AMERICA: Final = 0.0166
_NAMED_ABROAD: Final = 0.0015  # of domestic requests that name a dealer; no share is published
LAWFUL_EXPORTS: Final = 0.03  # of Mexican requests; no share is published
COUNTRIES: Final = [
    "US", "MX", "CA", "GT", "HN", "SV", "CO", "BR", "JM", "HT", "DO", "BS", "PH",
]  # fmt: skip
US, MX = 0, 1
# Shares of the countries from "CA" on: of firearms with a dealer south of Mexico, of others with
# one, and of those without.
_SOUTH: Final = np.array([0, 0.5, 0.27, 0.23, 0, 0, 0, 0, 0, 0, 0])
_ELSEWHERE: Final = np.array([0.58, 0, 0, 0, 0.05, 0.02, 0.12, 0.06, 0.10, 0.07, 0])
_UNNAMED: Final = np.array([0.36, 0.10, 0.09, 0.08, 0.08, 0.06, 0.07, 0.03, 0.05, 0.04, 0.04])
ROUTES: Final = ["retail", "export", "government", "unknown"]
RETAIL, EXPORT, GOVERNMENT, NO_ROUTE = range(4)
_ATTRIBUTED: Final = 0.84  # of domestic requests: a dealer is named
_DEPARTED: Final = 0.13  # of those: a business gone before the history
OUTCOMES: Final = [
    "purchaser", "dealer", "no_dealer_answer", "pre1968", "unserialized", "foreign", "incomplete",
]  # fmt: skip
PURCHASER, DEALER, NO_ANSWER, PRE1968, UNSERIALIZED, FOREIGN, INCOMPLETE = range(7)


@dataclass
class Traces:
    """The traces of a month; arrays of shape (t,). Dates are days since 1970-01-01.

    `dealer` indexes the dealers, then the departed businesses (from ``n_dealers`` on), -1 for
    none; `sold` is meaningful where `has_sale`. `country` is a code into `COUNTRIES`, `route` one
    into `ROUTES`.
    """

    dealer: Ints
    recovered: Ints
    sold: Ints
    has_sale: Flags
    country: Ints
    route: Ints
    outcome: Ints

    def __len__(self) -> int:
        return len(self.dealer)

    @property
    def is_mexico(self) -> Flags:
        """Whether each was recovered in Mexico."""
        return np.asarray(self.country == MX, dtype=np.bool_)

    @property
    def is_abroad(self) -> Flags:
        """Whether each was recovered in another country than those two."""
        return np.asarray(self.country > MX, dtype=np.bool_)


def draw_month(world: World, month: int, rng: np.random.Generator) -> Traces:
    """Draw the traces of firearms recovered in a month, and note the expected numbers."""
    when = world.options.month(month)
    year = when.year + (when.month - 0.5) / 12 - 0.5
    size = 1000 / 12 * world.scale * world.options.traces_scale
    n_mexico = national.figure("mexico_requests", year) * size
    n_abroad = _ABROAD * size
    n_home = national.figure("trace_requests", year) * size - n_mexico - n_abroad
    named = n_home * _ATTRIBUTED
    n_short = named * national.figure("short_share", year)
    n_departed = named * _DEPARTED
    n_southern = n_mexico * mexico.TO_PURCHASER / _P_PURCHASER
    n_exports = n_mexico * LAWFUL_EXPORTS
    _note_mexico(world, month, (n_southern, n_mexico - n_southern))
    south = mexico.SHORT_SHARE
    of_dealers = (
        (n_short, named - n_short - n_departed, US),
        (n_southern * south, n_southern * (1 - south), MX),
        (n_southern * CENTRAL_AMERICA * south, n_southern * CENTRAL_AMERICA * (1 - south), _SOUTH),
        (n_short * _NAMED_ABROAD, (named - n_short) * _NAMED_ABROAD, _ELSEWHERE),
    )
    n_nobody = (n_home - named, n_mexico - n_southern - n_exports, n_abroad)
    parts = [
        *(_of_dealers(world, month, rng, totals) for totals in of_dealers),
        _of_departed(world, month, rng, rng.poisson(n_departed)),
        _of_exporters(world, month, rng, rng.poisson(n_exports)),
        _of_nobody(world, month, rng, n_nobody),
    ]
    return Traces(*(np.concatenate([getattr(p, f) for p in parts]) for f in _FIELDS))


def _note_mexico(world: World, month: int, n: tuple[float, float]) -> None:
    """Note how many recoveries are expected in each Mexican state, and who submits which share."""
    when = world.options.month(month)
    shares = world.submitters.shares(when)
    by_group = np.append(n[0] * mexico.source_shares(), n[1])
    world.mexico.append((when, mexico.recoveries(by_group, when, shares), shares))


_P_PURCHASER: Final = 0.925
_FIELDS: Final = ("dealer", "recovered", "sold", "has_sale", "country", "route", "outcome")


def p_no_answer(world: World) -> Floats:
    """Chance that the dealer leaves a trace request unanswered: the careless do."""
    return np.asarray(0.016 * np.exp(-0.75 * np.clip(world.dealers.care, -3.5, 3)), np.float64)


def _of_dealers(
    world: World,
    month: int,
    rng: np.random.Generator,
    totals: tuple[float, float, int | Floats],
) -> Traces:
    """Draw traces of dealers in the history: totals soon and late, and where (or shares of it)."""
    dealers = world.dealers
    where = totals[2]
    is_mexico = isinstance(where, int) and where == MX
    is_southern = is_mexico or where is _SOUTH
    first = world.first_day(month)
    age = np.maximum((month - dealers.begins) * 30.44 + 15, 0.0)
    gap = np.maximum((month - dealers.ends) * 30.44, 0.0)
    power = 1.0 / (1.8 * np.exp(0.10 * np.clip(dealers.diversion, -2.5, 2.5)))
    low, high = (np.minimum(x, SHORT) / SHORT for x in (gap, age))
    soon = (low**power, high**power)
    late = (_survival(age), _survival(gap))
    recent, older = (w * (dealers.begins <= month) for w in _weights(world, is_mexico=is_southern))
    rate_soon = _held(recent * (soon[1] - soon[0]), totals[0])
    rate_late = _held(older * (late[1] - late[0]), totals[1])
    named = np.clip(1 - 0.04 - p_no_answer(world), 0.5, 1)
    world.rate_short[:, month] += rate_soon * named
    if is_mexico:
        world.rate_mexico[:, month] += rate_soon * named
    every = np.arange(len(dealers))
    who = [np.repeat(every, rng.poisson(rate)) for rate in (rate_soon, rate_late)]
    u = rng.random(len(who[0]))
    days_soon = SHORT * (soon[0][who[0]] + u * (soon[1] - soon[0])[who[0]]) ** (1 / power[who[0]])
    u = rng.random(len(who[1]))
    s = late[0][who[1]] + u * (late[1] - late[0])[who[1]]
    days_late = SHORT - _LATE_MEAN * np.log(s)
    dealer = np.concatenate(who)
    recovered = first + rng.integers(0, 30, len(dealer))
    sold = recovered - np.concatenate([days_soon, days_late]).astype(np.int64)
    outcome = _outcomes(rng, p_no_answer(world)[dealer])
    country = (
        np.full(len(dealer), where) if isinstance(where, int) else _abroad(rng, len(dealer), where)
    )
    has_sale = outcome == PURCHASER
    return Traces(dealer, recovered, sold, has_sale, country, _routes(rng, has_sale), outcome)


def _abroad(rng: np.random.Generator, n: int, shares: Floats) -> Ints:
    """Draw countries from "CA" on."""
    return np.asarray(2 + rng.choice(len(shares), n, p=shares / shares.sum()), dtype=np.int64)


def _routes(rng: np.random.Generator, has_sale: Flags) -> Ints:
    """How the first holder came by each firearm, where the answer says so; -1 where it does not."""
    u = rng.random(len(has_sale))
    return np.where(has_sale & (u < 0.55), RETAIL, np.where(u > 0.92, NO_ROUTE, -1))


def _of_exporters(world: World, month: int, rng: np.random.Generator, n: int) -> Traces:
    """Draw firearms that makers and importers sold lawfully to Mexico."""
    dealers = world.dealers
    weight = (world.recent_volume + 1) * np.isin(dealers.kind, EXPORTERS)
    weight = weight * dealers.is_active(month)
    n = n if weight.sum() > 0 else 0
    dealer = rng.choice(len(dealers), n, p=weight / max(weight.sum(), 1e-9)) if n else _none()
    recovered = world.first_day(month) + rng.integers(0, 30, n)
    return Traces(
        dealer,
        recovered,
        recovered,
        np.zeros(n, bool),
        np.full(n, MX),
        np.full(n, EXPORT),
        np.full(n, DEALER),
    )


def _none() -> Ints:
    return np.empty(0, np.int64)


def _survival(age: Floats) -> Floats:
    """Share of late traces still to come at an age in days: 1 at three years, falling to 0."""
    return np.asarray(np.exp(-np.clip(age - SHORT, 0, 14_000) / _LATE_MEAN), np.float64)


def _weights(world: World, *, is_mexico: bool) -> tuple[Floats, Floats]:
    """Return the pull on recent and on older sales of each dealer."""
    dealers = world.dealers
    if is_mexico:
        return tuple(  # type: ignore[return-value]
            mexico.weights(dealers, volume) for volume in (world.recent_volume, world.older_volume)
        )
    city = dealers.known.city_crime[dealers.place]
    bent = np.clip(dealers.diversion, -3, 3.2)
    # Diversion tells beyond a threshold; a home business sells to people it knows.
    push = np.exp(0.55 * bent + 0.45 * np.maximum(bent - 1.0, 0)) * np.where(
        dealers.is_store, 1.0, 0.10
    )
    own = city * np.exp(dealers.custom) * np.where(dealers.is_store, 1.0, 0.10)
    return world.recent_volume * push * own, world.older_volume * own * np.exp(0.15 * bent)


def _held(weight: Floats, total: float) -> Floats:
    whole = weight.sum()
    return weight * (total / whole) if whole > 0 else weight


def _outcomes(rng: np.random.Generator, no_answer: Floats) -> Ints:
    u = rng.random(len(no_answer))
    outcome = np.full(len(u), PURCHASER)
    outcome[u < no_answer + 0.04] = DEALER
    outcome[u < no_answer] = NO_ANSWER
    return outcome


def _of_departed(world: World, month: int, rng: np.random.Generator, n: int) -> Traces:
    p = world.departed_weight / world.departed_weight.sum()
    dealer = len(world.dealers) + rng.choice(len(p), n, p=p)
    recovered = world.first_day(month) + rng.integers(0, 30, n)
    since = (month + 12) * 30 + rng.exponential(4000, n)
    outcome = _outcomes(rng, np.full(n, 0.0))
    sold = recovered - np.minimum(since, 18_000).astype(np.int64)
    has_sale = outcome == PURCHASER
    route = np.where(rng.random(n) < 0.01, GOVERNMENT, _routes(rng, has_sale))
    return Traces(dealer, recovered, sold, has_sale, np.full(n, US), route, outcome)


def _of_nobody(
    world: World, month: int, rng: np.random.Generator, means: tuple[float, float, float]
) -> Traces:
    """Draw requests that name no dealer: at home, in Mexico, elsewhere abroad."""
    counts = [int(rng.poisson(mean)) for mean in means]
    n = sum(counts)
    where = np.repeat([0, 1, 2], counts)
    mix = np.array(
        [
            [0, 0, 0, 0.16, 0.20, 0.06, 0.58],
            [0, 0, 0, 0.04, 0.12, 0.50, 0.34],
            [0, 0, 0, 0.04, 0.12, 0.40, 0.44],
        ]
    )
    reach = np.cumsum(mix, axis=1)
    outcome = (rng.random(n)[:, None] > reach[where]).sum(axis=1)
    recovered = world.first_day(month) + rng.integers(0, 30, n)
    country = np.where(where == 2, _abroad(rng, n, _UNNAMED), where)
    return Traces(
        np.full(n, -1),
        recovered,
        recovered,
        np.zeros(n, bool),
        country,
        np.full(n, -1),
        np.minimum(outcome, INCOMPLETE),
    )
