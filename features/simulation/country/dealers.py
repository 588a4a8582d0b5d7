"""Invented dealers: what they are, when they come and go, and what drives them.

Latent causes: `care` (record-keeping; low care means violations) and `diversion` (high means
firearms that turn up soon) are weakly correlated, drift from quarter to quarter and are drawn anew
when the business changes hands. Volume drives exposure. None of the three is ever written outside
``truth/``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from features.arrays import Flags, Floats, Ints
from features.simulation.country import names, national
from features.simulation.country.options import Options
from features.simulation.country.places import RESERVED_LETTERS, Places, draw, known_places

Texts = npt.NDArray[np.object_]

YEARLY_EXIT: Final = 0.095
_SLOPPY_WITH_DIVERSION: Final = 0.25  # correlation of carelessness and diversion
_QUARTERLY_MEMORY: Final = 0.982
_YEARLY_OWNER_CHANGE: Final = 0.015
_YEARLY_MOVE: Final = 0.02
_SUCCESSOR_SLOTS: Final = 0.004  # of the dealers, a year: room for licenses after a revocation
NEVER: Final = 1 << 20  # a month that does not come
P01, P02, P07, P08 = 0, 1, 3, 4  # codes into national.TYPES


@dataclass
class Dealers:
    """The dealers of a country and their state in the current month; arrays of shape (n,).

    Parameters
    ----------
    known : Places
        The places that `place` indexes.
    kind : ndarray of int
        License type, a code into `national.TYPES`.
    place, moves_to, moves_on : ndarray of int
        Where it stands, where it moves and in which month (`NEVER` for most).
    begins, ends : ndarray of int
        First month in business and the month after the last; negative begins before the history.
    renews : ndarray of int
        Month of a renewal, modulo 36.
    is_store, is_home : ndarray of bool
        A storefront that sells to the public; residential premises.
    chain : ndarray of int
        Chain it belongs to, or -1.
    volume_level : ndarray
        Log of yearly sales in an average year; -inf for who sells nothing.
    custom : ndarray
        Log of how often what it sells is recovered, its clientele apart from diversion.
    care_offset : ndarray
        What type, chain and premises add to care.
    keys, licensee, business, street : ndarray of object
        Texts as listed.
    """

    known: Places
    kind: Ints
    place: Ints
    moves_to: Ints
    moves_on: Ints
    begins: Ints
    ends: Ints
    renews: Ints
    is_store: Flags
    is_home: Flags
    chain: Ints
    volume_level: Floats
    custom: Floats
    care_offset: Floats
    keys: Texts
    licensee: Texts
    business: Ints
    business_names: Texts
    street: Texts
    mail_place: Ints
    point: Floats
    district: Ints
    next_free: Ints
    next_successor: int
    care_base: Floats = field(default_factory=lambda: np.empty(0))
    diversion: Floats = field(default_factory=lambda: np.empty(0))
    owner_since: Ints = field(default_factory=lambda: np.empty(0, np.int64))

    def __len__(self) -> int:
        return len(self.kind)

    def is_active(self, month: int) -> Flags:
        """Whether each dealer is in business in a month."""
        return (self.begins <= month) & (month < self.ends)

    @property
    def care(self) -> Floats:
        """Care in record-keeping; the higher the fewer violations."""
        return self.care_base + self.care_offset


def make_dealers(options: Options) -> Dealers:
    """Invent the dealers of a country, those who enter and room for successors included."""
    rng = options.generator(1)
    n_entry = round(options.dealers * YEARLY_EXIT * options.years)
    n_slots = max(4, round(options.dealers * _SUCCESSOR_SLOTS * options.years))
    n = options.dealers + n_entry + n_slots
    known = known_places(options.end.year)
    kind = _kinds(rng, options, n_entry, n)
    place = draw(rng, n, options)
    # Dealers of the southern border region are a sixth of all (C2); counties see to it.
    is_store = rng.random(n) < np.array([0.165, 0.90, 0.03, 0.08, 0.10, 0.02, 0.02, 0.05])[kind]
    begins = -rng.integers(1, 300, n)
    begins[options.dealers :] = rng.integers(0, options.n_months, n - options.dealers)
    chain, chain_names = _chains(rng, kind, is_store)
    is_home = ~is_store & (rng.random(n) < np.where(np.isin(kind, (P01, P07)), 0.68, 0.2))
    level = _volume(rng, kind, is_store, chain)
    licensee, business, business_names = _names(rng, kind, is_store, (chain, chain_names))
    moves = rng.random(n) < 1 - (1 - _YEARLY_MOVE) ** options.years
    dealers = Dealers(
        known=known,
        kind=kind,
        place=place,
        moves_to=_near(rng, known, place),
        moves_on=np.where(moves, rng.integers(1, options.n_months + 1, n), NEVER),
        begins=begins,
        ends=np.full(n, NEVER),
        renews=rng.integers(0, 36, n),
        is_store=is_store,
        is_home=is_home,
        chain=chain,
        volume_level=level,
        custom=rng.normal(0, 0.65, n) + 0.45 * (kind == P02),
        care_offset=_care_offset(kind, is_home, chain),
        keys=np.full(n, "", dtype=object),
        licensee=licensee,
        business=business,
        business_names=business_names,
        street=names.streets(rng, n),
        mail_place=np.where(rng.random(n) < 0.13, _near(rng, known, place), -1),
        point=rng.normal(0, 0.012, (2, n)),
        district=np.zeros(n, np.int64),
        next_free=np.zeros(len(known.district_names), np.int64),
        next_successor=n - n_slots,
    )
    dealers.begins[n - n_slots :] = NEVER
    dealers.care_base, dealers.diversion = causes(rng, n)
    dealers.owner_since = dealers.begins.copy()
    number(rng, dealers, np.arange(n - n_slots))
    _lifetimes(rng, dealers)
    return dealers


def _kinds(rng: np.random.Generator, options: Options, n_entry: int, n: int) -> Ints:
    """Draw license types so that the shares of the first and the last year come out."""
    start = national.type_shares(options.start.year + options.start.month / 12)
    end = national.type_shares(options.end.year + options.end.month / 12)
    staying = np.exp(-YEARLY_EXIT * options.years)
    entry = np.clip((end - start * staying) / (1 - staying), 0.02 * end, None)
    kind = rng.choice(len(start), n, p=start)
    kind[options.dealers :] = rng.choice(len(end), n - options.dealers, p=entry / entry.sum())
    return kind.astype(np.int64)


def _chains(rng: np.random.Generator, kind: Ints, is_store: Flags) -> tuple[Ints, Texts]:
    """Draw chain membership: a few chains with many licenses, many with a handful."""
    can = is_store & np.isin(kind, (P01, P02))
    is_member = can & (rng.random(len(kind)) < 0.24)
    n_chains = max(4, int(is_member.sum() / 14))
    weight = 1.0 / np.arange(1, n_chains + 1) ** 0.9
    chain = np.where(is_member, rng.choice(n_chains, len(kind), p=weight / weight.sum()), -1)
    chain_names = names.companies(rng, np.zeros(n_chains, dtype=bool)) + " Stores Inc"
    return chain.astype(np.int64), chain_names


def _volume(rng: np.random.Generator, kind: Ints, is_store: Flags, chain: Ints) -> Floats:
    """Draw the log of yearly sales: sigma about 2 over those who sell, -inf for the idle."""
    n = len(kind)
    center = 8.0 + 247.0 * is_store
    center = np.log(center) + 0.8 * (chain >= 0) - 0.5 * (kind == P02)
    level = center + rng.normal(0.0, np.where(is_store, 1.4, 1.2), n)
    idle = np.where(is_store, 0.02, np.where(kind == P01, 0.42, 0.62))
    return np.where(rng.random(n) < idle, -np.inf, level)


def _names(
    rng: np.random.Generator, kind: Ints, is_store: Flags, chains: tuple[Ints, Texts]
) -> tuple[Texts, Ints, Texts]:
    """Return licensee names, and codes and texts of trade names (-1: none)."""
    n = len(kind)
    chain, titles = chains
    company = names.companies(rng, kind == P02)
    is_person = (rng.random(n) < np.where(is_store, 0.15, 0.72)) & (chain < 0)
    licensee = np.where(is_person, names.people(rng, n), company + " LLC")
    licensee = np.where(chain >= 0, titles[chain], licensee)
    has_trade = rng.random(n) < np.where(is_person, 0.55, 0.35)
    return licensee, np.where(has_trade, np.arange(n), -1), company


def _care_offset(kind: Ints, is_home: Flags, chain: Ints) -> Floats:
    """Return what an observer of the license could guess about care."""
    offset = 0.55 * (chain >= 0) - 0.12 * is_home - 0.25 * (kind == P02) - 0.10 * (kind == P07)
    return np.asarray(offset, dtype=np.float64)


def causes(rng: np.random.Generator, n: int) -> tuple[Floats, Floats]:
    """Draw care and diversion anew, standard normal and weakly opposed, each of shape (n,)."""
    care, own = rng.standard_normal((2, n))
    rho = -_SLOPPY_WITH_DIVERSION
    return care, rho * care + np.sqrt(1 - rho**2) * own


def drift(rng: np.random.Generator, dealers: Dealers, month: int) -> Flags:
    """Move the latent causes on by a quarter; return who changed hands."""
    n = len(dealers)
    care, diversion = causes(rng, n)
    changes = rng.random(n) < _YEARLY_OWNER_CHANGE / 4
    fresh = np.sqrt(1 - _QUARTERLY_MEMORY**2)
    keep = np.where(changes, 0.0, _QUARTERLY_MEMORY)
    add = np.where(changes, 1.0, fresh)
    dealers.care_base = keep * dealers.care_base + add * care
    dealers.diversion = keep * dealers.diversion + add * diversion
    dealers.owner_since[changes] = month
    dealers.volume_level = dealers.volume_level + rng.normal(-0.003, 0.08, n)
    return changes


def rename(rng: np.random.Generator, dealers: Dealers, changes: Flags) -> None:
    """Give those who changed hands the name of their new owner."""
    rows = np.flatnonzero(changes & (dealers.chain < 0))
    company = names.companies(rng, dealers.kind[rows] == P02) + " LLC"
    person = names.people(rng, len(rows))
    dealers.licensee[rows] = np.where(rng.random(len(rows)) < 0.5, person, company)


def _near(rng: np.random.Generator, known: Places, place: Ints) -> Ints:
    """Return another place a few ZIP codes on, in the same state."""
    other = np.clip(place + rng.integers(-6, 7, len(place)), 0, len(known.weight) - 1)
    return np.where(known.state[other] == known.state[place], other, place)


def number(rng: np.random.Generator, dealers: Dealers, rows: Ints) -> None:
    """Give dealer keys of the reserved block: the sequence opens with a letter."""
    first, n = dealers.known.districts
    state = dealers.known.state[dealers.place[rows]]
    district = first[state] + (rng.random(len(rows)) * n[state]).astype(np.int64)
    order = np.argsort(district, kind="stable")
    in_order = district[order]
    starts = np.searchsorted(in_order, in_order)
    serial = np.empty(len(rows), np.int64)
    serial[order] = dealers.next_free[in_order] + np.arange(len(rows)) - starts
    np.add.at(dealers.next_free, district, 1)
    letter = np.array(list(RESERVED_LETTERS), dtype=object)[serial // 10_000]
    digits = np.char.zfill((serial % 10_000).astype(str), 4).astype(object)
    dealers.district[rows] = district
    dealers.keys[rows] = dealers.known.district_names[district] + "-" + letter + digits


def _lifetimes(rng: np.random.Generator, dealers: Dealers) -> None:
    """Draw ends: small and careless businesses leave sooner, about a tenth a year."""
    sells = np.where(np.isfinite(dealers.volume_level), dealers.volume_level, 0.0)
    hazard = np.exp(-0.12 * dealers.care - 0.06 * (sells - sells.mean()))
    hazard *= YEARLY_EXIT / 12 / hazard.mean()
    stays = np.ceil(rng.exponential(1 / hazard)).astype(np.int64)
    dealers.ends = np.minimum(np.maximum(dealers.begins, 0) + np.maximum(stays, 1), NEVER)


def succeed(rng: np.random.Generator, dealers: Dealers, revoked: Ints, month: int) -> None:
    """Open a new license where some of the revoked stood, under the old name or a relative's."""
    chosen = revoked[rng.random(len(revoked)) < 0.35][: len(dealers) - dealers.next_successor]
    if not len(chosen):
        return
    rows = dealers.next_successor + np.arange(len(chosen))
    dealers.next_successor += len(chosen)
    for name in ("kind", "place", "is_store", "is_home", "volume_level", "custom", "mail_place"):
        getattr(dealers, name)[rows] = getattr(dealers, name)[chosen]
    dealers.point[:, rows] = dealers.point[:, chosen]
    dealers.street[rows] = dealers.street[chosen]
    same = rng.random(len(rows)) < 0.4
    dealers.licensee[rows] = np.where(same, dealers.licensee[chosen], dealers.licensee[rows])
    dealers.chain[rows] = -1
    dealers.care_base[rows] = 0.8 * dealers.care_base[chosen] - 0.2
    dealers.diversion[rows] = dealers.diversion[chosen]
    dealers.begins[rows] = month + rng.integers(2, 12, len(rows))
    dealers.owner_since[rows] = dealers.begins[rows]
    dealers.ends[rows] = NEVER
    dealers.moves_on[rows] = NEVER
    number(rng, dealers, rows)
