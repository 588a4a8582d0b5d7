"""The state of a country between months: who sells how much, and what was counted so far."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Final

import numpy as np
import numpy.typing as npt

from features.arrays import Floats, Ints
from features.domain.asof import to_day
from features.simulation.country import national
from features.simulation.country.dealers import Dealers, drift, make_dealers, rename
from features.simulation.country.options import FULL_COUNTRY, Options
from features.simulation.reports import mexico

Texts = npt.NDArray[np.object_]

_DEPARTED: Final = 0.4  # businesses gone before the history, over the dealers
_RAMP: Final = 12.0  # months in which a new business reaches its level


@dataclass
class World:
    """A country in a month; arrays of shape (n,) or (n, months), n dealers.

    Parameters
    ----------
    options : Options
        What was asked for.
    dealers : Dealers
        The dealers and their latent causes.
    n_checks : ndarray of int
        Background checks of the month.
    recent_volume, older_volume : ndarray
        Yearly sales averaged over about two and about ten years: what is traced soon and late.
    n_reports : ndarray of uint16, shape (n, months)
        Multiple handgun sales reported.
    seen_short : ndarray of uint16, shape (n, months + 24)
        Traces at three years or less, by the month in which they became known.
    ring_share : ndarray
        Share of a dealer's multiple sales that go to rings of straw buyers.
    first_place : ndarray of int
        Where each dealer stood first: what rings go by.
    rate_short, rate_mexico : ndarray of float32, shape (n, months)
        Expected traces of a month at three years or less that name the dealer, and those of them
        recovered in Mexico.
    """

    options: Options
    dealers: Dealers
    n_checks: Ints
    recent_volume: Floats
    older_volume: Floats
    n_reports: npt.NDArray[np.uint16]
    seen_short: npt.NDArray[np.uint16]
    rate_short: npt.NDArray[np.float32]
    rate_mexico: npt.NDArray[np.float32]
    denied: Floats
    departed_keys: Texts
    departed_weight: Floats
    ring_share: Floats
    first_place: Ints
    submitters: mexico.Submitters
    n_ids: dict[str, int] = field(default_factory=dict)
    # Months, recoveries by Mexican state, and the shares that each prosecutor submits of them.
    mexico: list[tuple[date, Floats, tuple[Floats, Floats]]] = field(default_factory=list)
    office_weight: Floats = field(default_factory=lambda: np.empty(0))
    first_days: Ints = field(default_factory=lambda: np.empty(0, np.int64))

    @property
    def scale(self) -> float:
        """Size of the country against the full one."""
        return self.options.dealers / FULL_COUNTRY

    def take_ids(self, name: str, n: int) -> Ints:
        """Return the next `n` serial numbers of an id."""
        first = self.n_ids.get(name, 0)
        self.n_ids[name] = first + n
        return np.arange(first, first + n)

    def first_day(self, month: int) -> int:
        """Days since 1970 of the first day of a month of the history, or of the one after it."""
        return int(self.first_days[month])


def make_world(options: Options) -> World:
    """Invent a country as it stands before its first month."""
    dealers = make_dealers(options)
    n, months = len(dealers), options.n_months
    rng = options.generator(3)
    level = np.exp(dealers.volume_level)
    n_departed = max(20, round(_DEPARTED * options.dealers))
    places = rng.choice(len(dealers.known.weight), n_departed, p=dealers.known.weight)
    district = dealers.known.districts[0][dealers.known.state[places]]
    serial = rng.permutation(n_departed)
    digits = np.char.zfill((serial % 10_000).astype(str), 4).astype(object)
    letter = np.array(list("PNMLKJHGFE"), dtype=object)[serial // 10_000 % 10]
    return World(
        options,
        dealers,
        np.zeros(n, np.int64),
        np.where(dealers.begins < 0, level, 0.0),
        np.where(dealers.begins < -24, level, 0.0),
        np.zeros((n, months), np.uint16),
        np.zeros((n, months + 24), np.uint16),
        np.zeros((n, months), np.float32),
        np.zeros((n, months), np.float32),
        np.zeros(n),
        dealers.known.district_names[district] + "-" + letter + digits,
        rng.lognormal(0, 1.5, n_departed),
        np.clip(0.02 * np.exp(0.8 * dealers.diversion), 0, 0.25),
        dealers.place.copy(),
        mexico.Submitters.draw(options.generator(11)),
        office_weight=rng.lognormal(0, 0.25, len(dealers.known.offices)),
        first_days=np.array([to_day(options.month(m)) for m in range(months + 1)]),
    )


def begin_month(world: World, month: int) -> None:
    """Move the country into a month: moves, owners, latent causes and sales."""
    options, dealers = world.options, world.dealers
    rng = options.generator(4, month)
    if month % 3 == 0 and month > 0:
        rename(rng, dealers, drift(rng, dealers, month) & dealers.is_active(month))
    moving = dealers.moves_on == month
    dealers.place = np.where(moving, dealers.moves_to, dealers.place)
    when = options.month(month)
    known = dealers.known
    season = national.seasons().reindex(known.states).fillna(1.0).to_numpy()[:, when.month - 1]
    age = month - dealers.begins
    ramp = np.clip((age + 1) / _RAMP, 0, 1)
    yearly = np.exp(dealers.volume_level) * ramp * national.sales_level(when.year)
    yearly = np.where(dealers.is_active(month), yearly, 0.0)
    weather = rng.gamma(12.0, 1 / 12.0, len(dealers))
    world.n_checks = rng.poisson(
        np.minimum(yearly / 12 * season[known.state[dealers.place]] * weather, 2e5)
    )
    world.recent_volume += (yearly - world.recent_volume) / 15
    world.older_volume += (yearly - world.older_volume) / 90
