"""The visits of a month: who goes, what is found, what becomes of it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import date
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from features.arrays import Flags, Floats, Ints
from features.reference.legal.citation import tier_of
from features.simulation.country.dealers import succeed
from features.simulation.country.world import World
from features.simulation.files.columns import coded, days, mixed, numbered, table_of, tokens
from features.simulation.visits import findings
from features.simulation.visits.findings import LUCK, THRESHOLDS
from features.simulation.visits.orders import Chance, Orders, SameLuck
from features.simulation.visits.selection import APPLICATION, OTHER, REASONS, RECALL, Memory, choose

OUTCOMES: Final = [
    "none", "report", "warning_letter", "warning_conference", "revocation", "surrender", "other",
]  # fmt: skip
NONE, REPORT, LETTER, CONFERENCE, REVOCATION, SURRENDER, OTHER_END = range(7)
KINDS: Final = ["compliance", "recall", "application", "trace", "criminal", "warrant"]
_SPREAD: Final = 0.30  # of strictness, between offices and between investigators
_REGIME: Final = (date(2021, 7, 14), date(2025, 4, 7))
_ELSEWHERE: Final = (250.0, 60.0, 10.0)  # trace, criminal and warrant visits a year


class Inspectorate:
    """The offices, their investigators, and what they remember.

    Parameters
    ----------
    world : World
        The country that it watches.
    """

    def __init__(self, world: World) -> None:
        n = len(world.dealers)
        rng = world.options.generator(5)
        start = world.first_day(0)
        seen = start - rng.exponential(7 * 365, n).astype(np.int64) - 1
        self.memory = Memory(
            last_opened=np.where(world.dealers.begins * 30 < seen - start, seen, start - 12 * 365),
            worst=np.zeros(n, np.int64),
            # Penalties of the year before the history fall due in its first months.
            recall_due=np.where(rng.random(n) < 0.012, rng.integers(0, 18, n), 1 << 20),
            tips=np.zeros(n),
        )
        citations = findings.citation_table()["citation"]
        self.citations = [str(c["text"]) for c in citations]
        self.share = np.array([float(c["share"]) for c in citations])
        self.is_trigger = np.array([tier_of(c) == 1 for c in self.citations])
        self.cited = np.zeros((n, len(self.citations)), bool)
        n_offices = len(world.dealers.known.offices)
        self.n_staff = max(2, round(10.5 * world.scale))
        self.strictness = rng.normal(0, _SPREAD, (n_offices, 1)) + rng.normal(
            0, _SPREAD, (n_offices, self.n_staff)
        )

    def eligible(self, world: World, month: int) -> Flags:
        """Who may be visited: in business, and not seen within twelve months."""
        dealers = world.dealers
        waited = world.first_day(month) - self.memory.last_opened
        return dealers.is_active(month) & (dealers.begins < month) & (waited > 366)

    def month(
        self,
        world: World,
        month: int,
        value: Floats,
        eligible: Flags,
        orders: Orders | None = None,
    ) -> tuple[pa.Table, pa.Table]:
        """Visit for a month; return the rows of `inspections` and of `violations`.

        Ordered visits have the luck of their dealer and month, whoever else is visited.
        """
        rng = world.options.generator(6, month)
        if orders is None:
            hearsay = value + rng.normal(0, 1.0, len(value))
            dealer, reason = choose(world, self.memory, month, eligible, hearsay)
            order = np.argsort(dealer, kind="stable")
            dealer, reason = dealer[order], reason[order]
            luck: Chance = rng
        else:
            orders = orders.lawful(eligible)
            dealer, reason = orders.dealer, orders.reason
            luck = SameLuck(world.options.generator(16, month), dealer, len(value))
        opened = world.first_day(month) + luck.integers(0, 28, len(dealer))
        office = world.dealers.known.office[world.dealers.place[dealer]]
        who = luck.integers(0, self.n_staff, len(dealer))
        total = value[dealer] + self.strictness[office, who] + year_of_leniency(world, month)
        total = total + luck.normal(0, LUCK, len(dealer)) - 0.25 * (reason == RECALL)
        found = self._find(world, dealer, total, (month, luck))
        self._remember(dealer, opened, found, (month, rng))
        closed = opened + _duration(rng, found)
        self._close_down(world, dealer, found, (month, rng))
        kind = np.where(reason == RECALL, 1, 0)
        visits = _Visits(dealer, kind, reason, opened, closed, office, who, total, found)
        rows = _concatenate(visits, self._others(world, month, rng))
        ids = world.take_ids("inspection", len(rows.dealer))
        end = world.first_day(world.options.n_months)
        table = self._table(world, rows, ids, rng)
        return (
            table if orders is None else orders.told(table),
            self._citations(world, rows, ids, (rng, rows.closed < end)),
        )

    def chances(self, world: World, month: int) -> Floats:
        """Return each dealer's chance of a severe finding with its own office's investigators."""
        value = findings.burden(world, month) + year_of_leniency(world, month)
        own = self.strictness[world.dealers.known.office[world.dealers.place]]
        each = [findings.chances(world, value + own[:, k]).severe for k in range(self.n_staff)]
        return np.asarray(np.mean(each, axis=0), dtype=np.float64)

    def _find(self, world: World, dealer: Ints, total: Floats, when: tuple[int, Chance]) -> _Found:
        month, rng = when
        n = len(dealer)
        outcome = np.searchsorted(list(THRESHOLDS.values()), total, side="right")
        trigger = rng.random(n) < findings.p_tier_1(total)
        outcome = np.maximum(outcome, trigger * REPORT)
        day = world.options.month(month)
        is_strict = _REGIME[0] <= day < _REGIME[1]
        p = findings.REVOKED * (findings.REGIME if is_strict else 1.0)
        u = rng.random(n)
        recommended = np.where(trigger & (u < min(p * 1.8, 0.85)), REVOCATION, outcome)
        outcome = np.where(trigger & (u < p), REVOCATION, outcome)
        side = rng.random(n)
        leaves = findings.p_leaves(world)[dealer]
        outcome = np.where(side < leaves, SURRENDER, outcome)
        is_other = (side >= leaves) & (side < leaves + findings.OTHER)
        outcome = np.where(is_other, OTHER_END, outcome)
        is_out = outcome >= SURRENDER
        mean = findings.mean_missing(total, world.recent_volume[dealer])
        shape = findings.MISSING_SHAPE
        final = np.where(is_out, 0, rng.negative_binomial(shape, shape / (shape + mean)))
        more = rng.negative_binomial(0.3, 0.3 / (0.3 + 8.0 * mean))
        return _Found(
            outcome=outcome,
            recommended=np.where(is_out, outcome, recommended),
            trigger=trigger & ~is_out,
            final=final,
            initial=final + np.where(is_out, 0, more),
        )

    def _remember(
        self,
        dealer: Ints,
        opened: Ints,
        found: _Found,
        when: tuple[int, np.random.Generator],
    ) -> None:
        month, rng = when
        self.memory.last_opened[dealer] = opened
        outcome = found.outcome
        self.memory.worst[dealer] = np.where(outcome <= REVOCATION, outcome, 0)
        again = np.isin(outcome, (LETTER, CONFERENCE)) & (rng.random(len(dealer)) < 0.8)
        due = month + 13 + rng.integers(0, 6, len(dealer))
        self.memory.recall_due[dealer] = np.where(again, due, 1 << 20)

    def _close_down(
        self,
        world: World,
        dealer: Ints,
        found: _Found,
        when: tuple[int, np.random.Generator],
    ) -> None:
        month, rng = when
        dealers = world.dealers
        gone = dealer[found.outcome == SURRENDER]
        dealers.ends[gone] = np.minimum(dealers.ends[gone], month + 1)
        revoked = dealer[found.outcome == REVOCATION]
        ends = month + rng.integers(6, 18, len(revoked))
        dealers.ends[revoked] = np.minimum(dealers.ends[revoked], ends)
        succeed(rng, dealers, revoked, month + 6)

    def _others(self, world: World, month: int, rng: np.random.Generator) -> _Visits:
        """Visits to applicants, and visits outside the yearly allowance."""
        dealers = world.dealers
        apply = np.flatnonzero((dealers.begins == month + 2) & (rng.random(len(dealers)) < 0.95))
        active = np.flatnonzero(dealers.is_active(month) & (world.recent_volume > 5))
        counts = rng.poisson(np.array(_ELSEWHERE) / 12 * world.scale)
        else_ = rng.choice(active, int(counts.sum())) if len(active) else active
        dealer = np.concatenate([apply, else_])
        kind = np.concatenate([np.full(len(apply), 2), np.repeat([3, 4, 5], counts)[: len(else_)]])
        reason = np.where(kind == 2, APPLICATION, OTHER)
        n = len(dealer)
        opened = world.first_day(month) + rng.integers(0, 28, n)
        zero = np.zeros(n, np.int64)
        outcome = np.where((kind > 2) & (rng.random(n) < 0.5), OTHER_END, NONE)
        found = _Found(outcome, recommended=outcome, trigger=zero > 0, final=zero, initial=zero)
        office = dealers.known.office[dealers.place[dealer]]
        who = rng.integers(0, self.n_staff, n)
        closed = opened + rng.integers(1, 45, n)
        return _Visits(dealer, kind, reason, opened, closed, office, who, np.zeros(n), found)

    def _table(self, world: World, rows: _Visits, ids: Ints, rng: np.random.Generator) -> pa.Table:
        n = len(ids)
        found = rows.found
        end = world.first_day(world.options.n_months)
        is_open = rows.closed >= end
        counts = (rows.kind >= 2) | (found.outcome >= SURRENDER) | is_open
        checks = np.minimum(world.recent_volume[rows.dealer], 6000)
        hours = 8 + 0.02 * checks + 6 * (found.outcome % SURRENDER > 0)
        hours = hours + 25 * np.isin(found.outcome, (CONFERENCE, REVOCATION))
        hours = np.round(hours * rng.lognormal(0.35, 0.45, n), 1)
        token = mixed(rows.office, rows.who, world.options.seed)
        return table_of(
            "inspections",
            {
                "inspection_id": numbered("I", ids),
                "dealer": coded(rows.dealer, world.dealers.keys),
                "kind": coded(rows.kind, KINDS),
                "opened_on": days(rows.opened),
                "closed_on": days(rows.closed, is_open),
                "selected_by": coded(rows.reason, REASONS),
                "hours": pa.array(hours, mask=is_open),
                "investigator_token": tokens(token),
                "office": coded(rows.office, world.dealers.known.offices),
                "outcome": coded(np.where(is_open, NONE, found.outcome), OUTCOMES),
                "recommended_outcome": coded(found.recommended, OUTCOMES, is_open),
                "firearms_unaccounted_initial": pa.array(found.initial, mask=counts),
                "firearms_unaccounted_final": pa.array(found.final, mask=counts),
            },
        )

    def _citations(
        self, world: World, rows: _Visits, ids: Ints, when: tuple[np.random.Generator, Flags]
    ) -> pa.Table:
        rng, is_closed = when
        found = rows.found
        outcome = found.outcome
        is_cited = is_closed & (rows.kind < 2) & (outcome > NONE) & (outcome < SURRENDER)
        at = np.flatnonzero(is_cited)
        total = rows.total[at]
        # Half the published share at the first threshold, all of it at a typical letter.
        level = np.clip(0.30 + 0.37 * (total - THRESHOLDS["report"]), 0.22, 1.7)
        p = np.where(self.is_trigger, 0.0, self.share) * level[:, None]
        cites = rng.random(p.shape) < p
        trigger = np.flatnonzero(found.trigger[at])
        weight = np.where(self.is_trigger, self.share, 0.0)
        cites[trigger, rng.choice(len(weight), len(trigger), p=weight / weight.sum())] = True
        bare = np.flatnonzero(~cites.any(axis=1))
        weight = np.where(self.is_trigger, 0.0, self.share)
        cites[bare, rng.choice(len(weight), len(bare), p=weight / weight.sum())] = True
        row, citation = np.nonzero(cites)
        dealer = rows.dealer[at][row]
        repeat = self.cited[dealer, citation]
        self.cited[dealer, citation] = True
        many = rng.lognormal(1.1 + 0.25 * np.clip(total[row], 0, 5), 1.5)
        # Rare inspections cite every line of the books: most instances are theirs.
        skewed = rng.random(len(at)) < 0.003
        many = np.where(skewed[row], many * 20_000, many)
        willful = rng.random(len(row)) < np.where(self.is_trigger[citation], 0.35, 0.03)
        return table_of(
            "violations",
            {
                "inspection_id": numbered("I", ids[at][row]),
                "citation": coded(citation, self.citations),
                "instances": np.maximum(many, 1).astype(np.int64),
                "is_willful": willful,
                "is_repeat": repeat,
            },
        )


@dataclass(frozen=True, slots=True)
class _Found:
    """What is found at visits; arrays of shape (v,)."""

    outcome: Ints
    recommended: Ints
    trigger: npt.NDArray[np.bool_]
    final: Ints
    initial: Ints


@dataclass(frozen=True)
class _Visits:
    """Visits of a month; arrays of shape (v,), `found` holds more."""

    dealer: Ints
    kind: Ints
    reason: Ints
    opened: Ints
    closed: Ints
    office: Ints
    who: Ints
    total: Floats
    found: _Found


def _concatenate(a: _Visits, b: _Visits) -> _Visits:
    names = ("dealer", "kind", "reason", "opened", "closed", "office", "who", "total")
    arrays = {name: np.concatenate([getattr(a, name), getattr(b, name)]) for name in names}
    found = _Found(
        **{
            one.name: np.concatenate([getattr(a.found, one.name), getattr(b.found, one.name)])
            for one in fields(_Found)
        }
    )
    return _Visits(**arrays, found=found)


def year_of_leniency(world: World, month: int) -> float:
    """How lenient the year was: the epidemic's visits found less."""
    day = world.options.month(month)
    return -0.30 if date(2020, 3, 1) <= day < date(2022, 1, 1) else 0.0


def _duration(rng: np.random.Generator, found: _Found) -> Ints:
    n = len(found.outcome)
    wait = 6 + rng.gamma(2.0, 14.0, n) + 25.0 * (found.outcome == CONFERENCE)
    wait = wait + np.where(found.outcome == REVOCATION, rng.uniform(90, 300, n), 0)
    return np.asarray(wait, dtype=np.int64)
