"""What dealers report each month: sales, denials, multiple sales, thefts and losses."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from features.arrays import Ints
from features.domain.asof import add_months, to_day
from features.simulation.country.dealers import P02
from features.simulation.country.world import World
from features.simulation.files.columns import coded, days, mixed, numbered, table_of, tokens
from features.simulation.files.dirt import DirtBook

DENIED: Final = 0.013
_MULTIPLE: Final = 0.0145  # multiple handgun sales reported per background check
_RIFLES: Final = 0.0022  # the same of rifles, in the four border states
_RIFLE_STATES: Final = ("TX", "AZ", "CA", "NM")
_RINGS: Final = 3  # groups of straw buyers in the area of one office, each half year
LOSS_KINDS: Final = ["burglary", "robbery", "larceny", "loss"]
_INCIDENTS: Final = (480.0, 35.0, 420.0, 1500.0)  # a year in the full country
_FIREARMS: Final = (12.0, 8.0, 2.6, 5.5)  # mean of an incident
MEGA_AUDIT: Final = 5200


def sales_tables(world: World, month: int, rng: np.random.Generator) -> tuple[pa.Table, pa.Table]:
    """Return `sales_volume` and `denials` of a month; both empty when not yet known."""
    dealers = world.dealers
    spread = 0.30 * dealers.diversion - 0.08 * dealers.care + 0.25 * (dealers.kind == P02)
    taste = (mixed(np.arange(len(dealers)), 5) % np.uint64(997)).astype(np.float64) / 997 - 0.5
    spread = spread + 1.0 * taste
    weight = world.n_checks * np.exp(spread)
    p = np.exp(spread) * DENIED * world.n_checks.sum() / max(weight.sum(), 1.0)
    denied = rng.binomial(world.n_checks, np.minimum(p, 0.2))
    world.denied = 0.9 * world.denied + denied
    when = world.options.month(month)
    known = add_months(when, 2) <= world.options.end
    tables = []
    for name, column, counts in (
        ("sales_volume", "n_checks", world.n_checks),
        ("denials", "n_denied", denied),
    ):
        rows = np.flatnonzero(counts > 0) if known else np.empty(0, np.int64)
        tables.append(
            table_of(
                name,
                {
                    "dealer": coded(rows, dealers.keys),
                    "month": days(np.full(len(rows), to_day(when))),
                    column: counts[rows],
                },
            )
        )
    return tables[0], tables[1]


def buyers(
    world: World, dealer: Ints, month: Ints, serial: Ints
) -> tuple[npt.NDArray[np.uint64], Ints]:
    """Return the buyer and day of the n-th multiple sale of a dealer in a month.

    They follow from the numbers alone, so that a trace drawn years later finds them again. Some
    buyers belong to a ring that goes round the dealers of an area.
    """
    seed = world.options.seed
    h = mixed(dealer, month, serial, seed)
    in_ring = (h >> np.uint64(20)) % np.uint64(1000) < 1000 * world.ring_share[dealer]
    office = world.dealers.known.office[world.first_place[dealer]]
    ring = mixed(office, month // 6, (h >> np.uint64(8)) % np.uint64(_RINGS), seed + 1)
    token = np.where(in_ring, ring, h)
    return token, world.first_days[month] + (h % np.uint64(28)).astype(np.int64)


def multiple_sales(world: World, month: int, rng: np.random.Generator) -> pa.Table:
    """Return the multiple-sale reports of a month, late where the dealer is careless."""
    dealers = world.dealers
    bulk = (mixed(np.arange(len(dealers)), 9) % np.uint64(1009)).astype(np.float64) / 1009 - 0.5
    appetite = np.exp(0.30 * dealers.diversion + 1.4 * bulk)
    expected = world.n_checks * _MULTIPLE * appetite / 1.17
    n_handgun = rng.poisson(expected)
    world.n_reports[:, month] = np.minimum(n_handgun, 65_535)
    states = dealers.known.states[dealers.known.state[dealers.place]]
    rifles = np.isin(states, _RIFLE_STATES) & dealers.is_store
    near = np.clip(dealers.known.pull[dealers.place], 0.05, 3)
    n_rifle = rng.poisson(
        world.n_checks * _RIFLES * rifles * near * np.exp(0.5 * dealers.diversion)
    )
    dealer = np.concatenate([np.repeat(np.arange(len(dealers)), k) for k in (n_handgun, n_rifle)])
    n = len(dealer)
    is_rifle = np.arange(n) >= n_handgun.sum()
    serial = np.arange(n) - np.searchsorted(dealer[~is_rifle], dealer) * ~is_rifle
    token, sold = buyers(world, dealer, np.full(n, month), serial)
    careless = np.exp(-0.8 * np.clip(dealers.care[dealer], -3, 3))
    is_late = rng.random(n) < np.minimum(0.05 * careless, 0.9)
    reported = sold + np.where(is_late, 1 + rng.exponential(9, n), 0).astype(np.int64)
    many = np.exp(0.25 * dealers.diversion[dealer])
    n_firearms = 2 + np.minimum(rng.poisson(0.35 * many) + (rng.random(n) < 0.01) * 8, 60)
    keep = (reported < world.first_day(world.options.n_months)) & (
        rng.random(n) > np.minimum(0.05 * careless, 0.6)
    )
    keep = np.flatnonzero(keep)
    return table_of(
        "multiple_sales",
        {
            "report_id": numbered("M", world.take_ids("multiple", len(keep))),
            "dealer": coded(dealer[keep], dealers.keys),
            "sold_on": days(sold[keep]),
            "reported_on": days(reported[keep]),
            "kind": coded(is_rifle[keep].astype(np.int64), ["handgun", "rifle"]),
            "n_firearms": n_firearms[keep],
            "purchaser_token": tokens(token[keep]),
        },
    )


def losses(world: World, month: int, rng: np.random.Generator, book: DirtBook) -> pa.Table:
    """Return the theft and loss reports of a month; `loss` and lateness follow lack of care."""
    dealers = world.dealers
    seller = np.sqrt(world.recent_volume) * dealers.is_active(month)
    careless = np.exp(-0.75 * np.clip(dealers.care, -3, 3))
    city = 0.5 + dealers.known.city_crime[dealers.place]
    weights = (seller * city, seller * city, seller * city * careless**0.3, seller * careless)
    who, kinds = [], []
    for code, weight in enumerate(weights):
        mean = weight * _INCIDENTS[code] / 12 * world.scale / max(weight.sum(), 1e-9)
        hit = np.repeat(np.arange(len(dealers)), rng.poisson(mean))
        who.append(hit)
        kinds.append(np.full(len(hit), code))
    dealer, kind = np.concatenate(who), np.concatenate(kinds)
    n = len(dealer)
    count = np.minimum(1 + rng.negative_binomial(0.5, 0.5 / np.array(_FIREARMS)[kind]), 400)
    discovered = world.first_day(month) + rng.integers(0, 28, n)
    is_late = rng.random(n) < np.minimum(0.15 * careless[dealer], 0.9)
    wait = np.where(is_late, 3 + rng.exponential(20, n), rng.integers(0, 3, n))
    reported = discovered + wait.astype(np.int64)
    ids = world.take_ids("loss", n)
    if month == world.options.n_months // 2 and n:
        dealer[0], kind[0], count[0], reported[0] = dealer[0], 3, MEGA_AUDIT, discovered[0]
        book.add("thefts_losses", numbered("L", ids[:1]), "mega_audit", "stored")
    keep = reported < world.first_day(world.options.n_months)
    return table_of(
        "thefts_losses",
        {
            "report_id": numbered("L", ids[keep]),
            "dealer": coded(dealer[keep], dealers.keys),
            "discovered_on": days(discovered[keep]),
            "reported_on": days(reported[keep]),
            "kind": coded(kind[keep], LOSS_KINDS),
            "n_firearms": count[keep],
        },
    )
