"""Traces as rows: requests, completions, places, firearms, buyers, and the dirt among them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from features.arrays import Flags, Ints
from features.reference import files
from features.reference.geography import places
from features.reference.legal.short_time_to_crime import is_short
from features.simulation.country.world import World
from features.simulation.files.columns import coded, days, mixed, numbered, table_of, tokens
from features.simulation.files.dirt import DirtBook
from features.simulation.reports import mexico
from features.simulation.reports.reports import buyers
from features.simulation.reports.traces import (
    COUNTRIES,
    OUTCOMES,
    PURCHASER,
    ROUTES,
    UNSERIALIZED,
    Traces,
)

KINDS: Final = ["pistol", "revolver", "rifle", "shotgun", "receiver", "other"]
_HOME_MIX: Final = np.array([0.73, 0.08, 0.11, 0.06, 0.01, 0.01])
_MEXICO_MIX: Final = np.array([0.49, 0.10, 0.33, 0.055, 0.005, 0.02])
_CALIBERS: Final = ["9MM", "40", "45", "22", "38", "380", "5.56", "7.62", "12 GA", "50"]
_CALIBER_OF: Final = np.array(
    [
        [0.50, 0.12, 0.12, 0.12, 0.02, 0.12, 0, 0, 0, 0],
        [0, 0, 0.05, 0.30, 0.65, 0, 0, 0, 0, 0],
        [0.05, 0, 0, 0.20, 0, 0, 0.40, 0.35, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, 0, 1.0, 0],
        [0.3, 0, 0, 0, 0, 0, 0.7, 0, 0, 0],
        [0.5, 0, 0, 0.5, 0, 0, 0, 0, 0, 0],
    ]
)
_MAKERS: Final = [f"MAKER {k:02d}" for k in range(1, 41)]
_CRIMES: Final = [
    "FIREARM OFFENSE",
    "ASSAULT",
    "HOMICIDE",
    "NARCOTICS",
    "ROBBERY",
    "BURGLARY",
    "FOUND",
]
LATE: Final = 0.03  # completed weeks to a year after the request
DUPLICATED: Final = 0.004
MISTYPED: Final = 0.002
IMPOSSIBLE: Final = 0.001
MISSING: Final = 0.0005
UNKNOWN_CODE: Final = 0.0005
CORRECTED: Final = 0.004


@dataclass
class Rows:
    """The traces of a month as codes and days; arrays of shape (t,), see `write_traces`."""

    ids: Ints
    dealer: Ints
    requested: Ints
    completed: Ints
    recovered: Ints
    sold: Ints
    has_sale: Flags
    country: Ints
    route: Ints
    state: Ints
    kind: Ints
    is_semiautomatic: Flags
    is_fifty: Flags
    serial: Ints
    outcome: Ints
    requester: Ints
    has_requester: Flags
    token: npt.NDArray[np.uint64]
    u: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: npt.NDArray[np.generic]) -> Rows:
        """Return some of the rows."""
        return Rows(**{name: value[rows] for name, value in vars(self).items()})

    def __add__(self, other: Rows) -> Rows:
        mine, theirs = vars(self), vars(other)
        return Rows(**{name: np.concatenate([mine[name], theirs[name]]) for name in mine})


@lru_cache(maxsize=1)
def _flows() -> tuple[npt.NDArray[np.object_], npt.NDArray[np.float64]]:
    """Return states, and for each source state the cumulative shares of recovery states."""
    table = files.read_table("trace_flows").dropna()
    known = sorted(set(places.states()["state"]))
    table = table[table["source_state"].isin(known) & table["recovery_state"].isin(known)]
    wide = table.pivot_table(
        index="source_state", columns="recovery_state", values="traces", aggfunc="sum"
    )
    wide = wide.reindex(index=known, columns=known).fillna(0.0)
    counts = wide.to_numpy(np.float64) + 1e-6 + np.diag(np.full(len(known), 1e-3))
    reach = np.cumsum(counts / counts.sum(axis=1, keepdims=True), axis=1)
    reach[:, -1] = 1.0
    return np.array(known, dtype=object), reach


def _choose(rng: np.random.Generator, row: Ints, reach: npt.NDArray[np.float64]) -> Ints:
    """Draw a column for each row of a table of cumulative shares."""
    width = reach.shape[1]
    flat = (reach + np.arange(len(reach))[:, None]).ravel()
    at = np.searchsorted(flat, row + rng.random(len(row)), side="right")
    return np.asarray(np.minimum(at - row * width, width - 1), dtype=np.int64)


def make_rows(world: World, traces: Traces, month: int, rng: np.random.Generator) -> Rows:
    """Complete the traces of a month; requests after the history are left out."""
    n = len(traces)
    requested = traces.recovered + rng.exponential(9, n).astype(np.int64)
    wait = 2 + rng.gamma(1.6, 6.0, n)
    is_late = rng.random(n) < LATE
    wait = np.where(is_late, rng.uniform(21, 365, n), wait)
    end = world.first_day(world.options.n_months)
    completed = requested + wait.astype(np.int64)
    kind = np.where(traces.is_mexico, _pick(rng, _MEXICO_MIX, n), _pick(rng, _HOME_MIX, n))
    is_rifle = kind == 2
    semi = is_rifle & (rng.random(n) < np.where(traces.is_mexico, 0.80, 0.55))
    fifty = is_rifle & (rng.random(n) < np.where(traces.is_mexico, 0.03, 0.001))
    serial = np.where(rng.random(n) < 0.012, 1, 0)
    serial = np.where((traces.outcome == UNSERIALIZED) | (rng.random(n) < 0.004), 2, serial)
    serial = np.where(traces.outcome == PURCHASER, 0, serial)
    state = _recovery_state(world, traces, (month, rng))
    rows = Rows(
        ids=world.take_ids("trace", n),
        dealer=traces.dealer,
        requested=requested,
        completed=completed,
        recovered=traces.recovered,
        sold=traces.sold,
        has_sale=traces.has_sale,
        country=traces.country,
        route=traces.route,
        state=state,
        kind=kind,
        is_semiautomatic=semi,
        is_fifty=fifty,
        serial=serial,
        outcome=traces.outcome,
        requester=_requesters(world, traces, state, (month, rng)),
        has_requester=np.ones(n, bool),
        token=mixed(np.arange(n), month, world.options.seed, 77),
        u=rng.random(n),
    )
    _link_buyers(world, rows, rng)
    return rows.take(rows.requested < end)


def _pick(rng: np.random.Generator, p: npt.NDArray[np.float64], n: int) -> Ints:
    return np.asarray(np.searchsorted(np.cumsum(p)[:-1], rng.random(n)), dtype=np.int64)


def _recovery_state(world: World, traces: Traces, when: tuple[int, np.random.Generator]) -> Ints:
    """Draw where each firearm was recovered: a code into states, or those of Mexico."""
    month, rng = when
    known, reach = _flows()
    dealers = world.dealers
    home = np.searchsorted(known, dealers.known.states)[dealers.known.state]
    n = len(dealers)
    anyone = dealers.place[rng.integers(0, n, len(traces))]
    named = (traces.dealer >= 0) & (traces.dealer < n)
    place = np.where(named, dealers.place[np.where(named, traces.dealer, 0)], anyone)
    state = _choose(rng, home[place].astype(np.int64), reach)
    own_group = mexico.source_group(dealers)[np.where(named, traces.dealer, 0)]
    group = np.where(named, own_group, mexico.NOBODY)
    day = world.options.month(month)
    federal, own = world.submitters.shares(day)
    submitted = (federal + own) * mexico.level(day)
    southern = mexico.recovery_states(rng, group, submitted) + len(known)
    return np.where(traces.is_mexico, southern, np.where(traces.is_abroad, -1, state))


def _requesters(
    world: World, traces: Traces, state: Ints, when: tuple[int, np.random.Generator]
) -> Ints:
    """Return who asked, a code into `requester_names`."""
    month, rng = when
    known, _ = _flows()
    n_home = len(known) * 6
    home = np.clip(state, 0, len(known) - 1) * 6 + _pick(
        rng, np.array([0.45, 0.2, 0.12, 0.1, 0.08, 0.05]), len(traces)
    )
    southern = np.where(traces.is_mexico, state - len(known), 0)
    shares = world.submitters.shares(world.options.month(month))
    asked = mexico.submitters(rng, southern, shares)
    abroad = n_home + len(mexico.requesters())
    return np.where(traces.is_mexico, n_home + asked, np.where(traces.is_abroad, abroad, home))


def requester_names() -> list[str]:
    """Names of the agencies that request traces."""
    known, _ = _flows()
    units = ("CITY PD", "COUNTY SO", "STATE POLICE", "METRO PD", "TASK FORCE", "ATF")
    return [f"{s} {u}" for s in known for u in units] + mexico.requesters() + ["FOREIGN LIAISON"]


def _link_buyers(world: World, rows: Rows, rng: np.random.Generator) -> None:
    """Let some firearms sold lately come from multiple sales: same buyer, same day."""
    n = len(world.dealers)
    lag = rows.recovered - rows.sold
    lately = rows.has_sale & (rows.dealer >= 0) & (rows.dealer < n) & is_short(lag)
    start = world.first_day(0)
    month = ((rows.sold - start) / 30.4375).astype(np.int64)
    lately &= (rows.sold >= start) & (month < world.options.n_months)
    at = np.flatnonzero(lately & (rng.random(len(rows)) < 0.30))
    reports = world.n_reports[rows.dealer[at], month[at]]
    at, reports = at[reports > 0], reports[reports > 0]
    serial = (rng.random(len(at)) * reports).astype(np.int64)
    token, day = buyers(world, rows.dealer[at], month[at], serial)
    fits = day <= rows.recovered[at]
    rows.token[at[fits]] = token[fits]
    rows.sold[at[fits]] = day[fits]


def traces_table(world: World, rows: Rows, *, keys: pa.Array) -> pa.Table:
    """Return the rows as a canonical table."""
    known, _ = _flows()
    end = world.first_day(world.options.n_months)
    open_ = rows.completed >= end
    named = (rows.dealer >= 0) & ~open_
    outcome = np.where(open_, len(OUTCOMES) - 1, rows.outcome)
    has_sale = rows.has_sale & ~open_
    has_buyer = has_sale & (outcome == PURCHASER)
    caliber = np.minimum(
        (rows.u[:, None] > np.cumsum(_CALIBER_OF, axis=1)[rows.kind % 6]).sum(axis=1), 9
    )
    maker = (40 * rows.u**2.2).astype(np.int64)
    states = [*known, *mexico.states()]
    fraction = (rows.u * 7919) % 1
    return table_of(
        "traces",
        {
            "trace_id": numbered("T", rows.ids),
            "requested_on": days(rows.requested),
            "completed_on": days(rows.completed, open_),
            "recovered_on": days(rows.recovered, rows.recovered < 0),
            "recovery_country": coded(rows.country, COUNTRIES),
            "recovery_state": coded(rows.state, states),
            "requester": coded(np.where(rows.has_requester, rows.requester, -1), requester_names()),
            "dealer": pa.DictionaryArray.from_arrays(
                pa.array(rows.dealer.astype(np.int32), mask=~named), keys
            ),
            "sold_on": days(rows.sold, ~has_sale),
            "purchaser_token": tokens(rows.token, ~has_buyer),
            "is_purchaser_possessor": pa.array(fraction < 0.12, mask=~has_buyer),
            "firearm_type": coded(rows.kind, [*KINDS, "pistl"]),
            "caliber": coded(np.where(rows.is_fifty, 9, caliber), _CALIBERS),
            "manufacturer": coded(maker, _MAKERS),
            "is_semiautomatic_rifle": rows.is_semiautomatic,
            "is_fifty_caliber": rows.is_fifty,
            "acquisition_route": coded(rows.route, ROUTES),
            "serial_status": coded(rows.serial, ["legible", "obliterated", "none"]),
            "outcome": coded(outcome, OUTCOMES),
            "crime_code": coded((fraction * len(_CRIMES)).astype(np.int64), _CRIMES),
        },
    )


def soil(world: World, rows: Rows, rng: np.random.Generator, book: DirtBook) -> Rows:
    """Put defects among the traces of a month and record each."""
    n = len(rows)
    end = world.first_day(world.options.n_months)
    u = rng.random(n)
    steps = np.cumsum(
        [MISTYPED, IMPOSSIBLE, IMPOSSIBLE, MISSING, UNKNOWN_CODE, CORRECTED, DUPLICATED]
    )
    fault = np.searchsorted(steps, u, side="right")
    is_done = rows.completed < end
    named = (rows.dealer >= 0) & (rows.dealer < len(world.dealers)) & is_done

    def mark(rows_at: Ints, kind: str, ingest: str) -> Ints:
        book.add("traces", numbered("T", rows.ids[rows_at]), kind, ingest)
        return rows_at

    clean = fault == len(steps)
    for status, kind in ((1, "obliterated"), (2, "unserialized")):
        mark(np.flatnonzero(clean & (rows.serial == status)), kind, "stored")
    mark(
        np.flatnonzero(clean & (rows.completed - rows.requested >= 60)), "late_completion", "stored"
    )
    at = mark(np.flatnonzero((fault == 0) & named), "mistyped_license", "unparsed_license")
    # A digit lost: the keys of the dictionary are followed by their mistyped spellings.
    rows.dealer[at] += len(world.dealers) + len(world.departed_keys)
    sold = rows.has_sale & is_done
    at = mark(np.flatnonzero((fault == 1) & sold), "sold_after_recovery", "sold_after_recovery")
    rows.sold[at] = rows.recovered[at] + 1 + (rows.u[at] * 30).astype(np.int64)
    at = mark(
        np.flatnonzero((fault == 2) & is_done), "completed_before_request", "known_before_event"
    )
    rows.completed[at] = rows.requested[at] - 400
    at = mark(np.flatnonzero(fault == 3), "missing_requester", "missing_required")
    rows.has_requester[at] = False
    at = mark(np.flatnonzero(fault == 4), "unknown_code", "unknown_code")
    rows.kind[at] = len(KINDS)
    # An earlier answer named another dealer; the row that stands corrects it.
    wait = rows.completed - rows.requested
    at = np.flatnonzero((fault == 5) & named & (wait >= 4))
    earlier = rows.take(mark(at, "corrected", "superseded"))
    earlier.dealer = rng.integers(0, len(world.dealers), len(at))
    earlier.completed = rows.requested[at] + 1
    twice = rows.take(mark(np.flatnonzero(fault == 6), "duplicate", "duplicate"))
    return rows + earlier + twice
