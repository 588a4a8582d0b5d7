"""Whom each arm visits in a year, in which month, and under what design."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from features.arrays import Floats, Ints
from features.errors import did_you_mean
from features.simulation.ongoing import Ongoing
from features.simulation.visits import findings
from features.simulation.visits.orders import Orders
from features.simulation.visits.selection import RANDOM, RISK
from models.order.random_share import Draw, lowest, random_places
from training.errors import TrainingError

LIST, TRACES, RANDOM_ONLY = "list", "trace_chasing", "random_only"
ARMS: Final = (LIST, TRACES, RANDOM_ONLY)
_MONTHS: Final = 12


class UnknownArmError(TrainingError):
    """An arm that a rehearsal does not know."""

    exit_code = 2


@dataclass(frozen=True)
class Year:
    """The visits of a year.

    Parameters
    ----------
    listed : array of int
        Certain places of the list, best first; what the arm stands for, visited or not.
    orders : Orders
        Every visit.
    month : array of int
        Of each visit, 0 to 11.
    """

    listed: Ints
    orders: Orders
    month: Ints

    def of(self, month: int) -> Orders:
        """Return the visits of a month."""
        return self.orders.taken(np.flatnonzero(self.month == month))

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return it as plain arrays, for a file."""
        text = {
            name: np.array(["" if v is None else v for v in getattr(self.orders, name)], dtype=str)
            for name in ("list_id", "why")
        }
        numbers = {
            name: getattr(self.orders, name)
            for name in (
                "dealer", "reason", "inclusion_probability", "is_mandatory",
                "mandatory_probability", "certain_places",
            )
        }  # fmt: skip
        return {"listed": self.listed, "month": self.month, **text, **numbers}

    @classmethod
    def read(cls, arrays: Any) -> Year:
        """Read it back."""
        text = {
            name: np.array([str(v) or None for v in arrays[name]], dtype=object)
            for name in ("list_id", "why")
        }
        orders = Orders(
            arrays["dealer"],
            arrays["reason"],
            text["list_id"],
            text["why"],
            arrays["inclusion_probability"],
            arrays["is_mandatory"],
            arrays["mandatory_probability"],
            arrays["certain_places"],
        )
        return cls(arrays["listed"], orders, arrays["month"])


def check_arms(arms: tuple[str, ...]) -> None:
    """Refuse arms that are not known.

    Raises
    ------
    UnknownArmError
    """
    if not arms:
        raise UnknownArmError("No arm is named.", expected=f"one or more of {', '.join(ARMS)}")
    for arm in arms:
        if arm not in ARMS:
            raise UnknownArmError(
                f"The arm {arm!r} is unknown{did_you_mean(arm, ARMS)}", expected=", ".join(ARMS)
            )


def of_list(
    country: Ongoing, order: Ints, k: int, *, share: float, obey: float, draw: Draw
) -> Year:
    """Return the visits of a year by a list.

    Parameters
    ----------
    order : array of int
        Eligible dealers, the published order.
    k : int
        Visits of the year.
    share : float
        Random share of the list, half of it inside.
    obey : float
        Share of the certain places that are visited; drawn and mandatory places always are. What
        is not visited goes to whom inspectors would choose themselves, by what they hear.
    """
    n_inside, n_outside = random_places(k, share)
    certain, rest = order[: k - n_outside], order[k - n_outside :]
    outside, chance = _drawn(country, rest, n_outside, draw, use="list")
    inside, must = _drawn(country, certain, n_inside, draw, use="mandatory")
    is_mandatory = np.isin(certain, inside)
    hearsay = _hearsay(country)
    n_kept = max(0, round(obey * len(certain)) - len(inside))
    free = certain[~is_mandatory]
    kept = free[np.argsort(-hearsay[free], kind="stable")][:n_kept]
    visited = certain[is_mandatory | np.isin(certain, kept)]
    others = rest[~np.isin(rest, outside)]
    others = others[np.argsort(-hearsay[others], kind="stable")][: len(certain) - len(visited)]
    orders = _together(
        _orders(
            visited,
            RISK,
            draw,
            why="model",
            chance=1.0,
            is_mandatory=np.isin(visited, inside),
            must=must if len(inside) else np.nan,
            places=len(certain),
        ),
        _orders(outside, RANDOM, draw, why="random", chance=chance, must=1.0),
        _orders(others, RISK, draw),
    )
    return Year(certain, orders, _months(country, orders, draw))


def of_order(country: Ongoing, order: Ints, k: int, *, draw: Draw) -> Year:
    """Return the visits of a year by somebody's order, without any design."""
    orders = _orders(order[:k], RISK, draw)
    return Year(order[:k], orders, _months(country, orders, draw))


def at_random(country: Ongoing, eligible: Ints, k: int, *, draw: Draw) -> Year:
    """Return the visits of a year drawn from all."""
    drawn, chance = _drawn(country, eligible, k, draw, use="list")
    orders = _orders(drawn, RANDOM, draw, why="random", chance=chance, must=1.0)
    return Year(drawn, orders, _months(country, orders, draw))


def _drawn(country: Ongoing, rows: Ints, n: int, draw: Draw, *, use: str) -> tuple[Ints, float]:
    dealers = country.world.dealers
    codes = dealers.known.office[dealers.place[rows]]
    office = np.asarray(dealers.known.offices, dtype=object)[codes]
    numbers = draw.numbers(office, dealers.keys[rows], use=use)
    start = draw.start(office, use=use) if len(rows) else 0.0
    return lowest(rows, n, numbers=numbers, strata=codes, start=start)


def _hearsay(country: Ongoing) -> Floats:
    """Return what inspectors hear of each dealer: part of what is really the matter, (n,)."""
    month = country.month
    value = findings.burden(country.world, max(month - 1, 0))
    rng = country.options.generator(17, month)
    return np.asarray(value + rng.normal(0, 1.0, len(value)), dtype=np.float64)


def _orders(
    dealer: Ints,
    reason: int,
    draw: Draw,
    *,
    why: str | None = None,
    chance: float = np.nan,
    is_mandatory: npt.NDArray[np.bool_] | None = None,
    must: float = np.nan,
    places: float = np.nan,
) -> Orders:
    n = len(dealer)
    name = None if why is None else f"R-{draw.starts_on:%Y%m%d}"
    if is_mandatory is None:
        is_mandatory = np.full(n, why == "random")
    return Orders(
        dealer,
        np.full(n, reason),
        np.full(n, name, dtype=object),
        np.full(n, why, dtype=object),
        np.full(n, chance),
        is_mandatory,
        np.full(n, must),
        np.full(n, places, dtype=np.float64),
    )


def _together(*parts: Orders) -> Orders:
    names = Orders.__dataclass_fields__
    return Orders(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def _months(country: Ongoing, orders: Orders, draw: Draw) -> Ints:
    """Spread the visits over the months of the year, whoever is visited."""
    dealers = country.world.dealers
    office = np.full(len(orders.dealer), "", dtype=object)
    numbers = draw.numbers(office, dealers.keys[orders.dealer], use="month")
    return np.asarray(np.argsort(np.argsort(numbers)) % _MONTHS, dtype=np.int64)
