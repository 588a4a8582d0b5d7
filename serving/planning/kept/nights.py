"""Where the evenings of an investigator's week are spent: away, or at home with more driving."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from features.domain.number_words import counted
from serving.contract.kept_plan import KeptVisit
from serving.planning.request import policy
from serving.planning.travel import drive_hours
from serving.scores.words.wording import miles

_EPSILON: Final = 1e-6


@dataclass(frozen=True)
class Evenings:
    """How the evenings between the working days of one week are spent.

    Parameters
    ----------
    away : tuple of (str, int)
        Towns, in the order reached, with the nights spent near each.
    n_home : int
        Evenings on which a visit goes on and is near enough to go home from.
    more_hours : float
        What going home and back on those adds to the driving; it is in no hours of the plan.
    """

    away: tuple[tuple[str, int], ...] = ()
    n_home: int = 0
    more_hours: float = 0.0

    @property
    def n_away(self) -> int:
        """Nights away, those of holidays between included."""
        return sum(n for _, n in self.away)

    @property
    def words(self) -> str:
        """Say it in a sentence; nothing when every day begins and ends at home as planned.

        >>> Evenings((("Rocksprings, TX", 4),)).words
        '4 nights away, near Rocksprings, TX.'
        >>> Evenings((), 2, 1.64).words
        '2 evenings at home in between: about 1.6 hours more driving, not in these hours.'
        """
        towns = [town for town, _ in self.away]
        near = " and ".join(filter(None, ("; ".join(towns[:-1]), *towns[-1:])))
        said = [f"{counted(self.n_away, 'night')} away, near {near}."] if towns else []
        if self.n_home:
            said.append(
                f"{counted(self.n_home, 'evening')} at home in between: about"
                f" {self.more_hours:.1f} hours more driving, not in these hours."
            )
        return " ".join(said)


def evenings(
    visits: Sequence[KeptVisit], ways_km: Sequence[float], *, days: Sequence[date], day_hours: float
) -> Evenings:
    """Return how the evenings of one investigator's week are spent.

    Parameters
    ----------
    visits : sequence of KeptVisit
        Of the week, in their order.
    ways_km : sequence of float
        Road kilometers from the start of the week to each.
    days : sequence of date
        Working days of the week.
    day_hours : float
        Hours of a working day: those after them are an evening.
    """
    limit = policy()["night_away_km"]
    away: dict[str, int] = {}
    n_home, more = 0, 0.0
    for k in range(1, len(days)):
        at = _at(visits, ways_km, k * day_hours)
        if at is None:
            continue
        n_nights = (days[k] - days[k - 1]).days
        if ways_km[at] > limit:
            town = f"{visits[at].city.title()}, {visits[at].state}"
            away[town] = away.get(town, 0) + n_nights
        else:
            n_home += 1
            more += drive_hours(2.0 * ways_km[at])
    return Evenings(tuple(away.items()), n_home, more)


def _at(visits: Sequence[KeptVisit], ways_km: Sequence[float], hours: float) -> int | None:
    """Return the visit one is at so many hours into the week, or nearest to; None when home."""
    before = 0.0
    for i, visit in enumerate(visits):
        begins, ends = visit.starts_after_hours, visit.starts_after_hours + visit.hours
        if hours < ends - _EPSILON or abs(hours - ends) <= _EPSILON:
            is_nearer_before = i > 0 and hours - before < begins - hours
            return i - 1 if is_nearer_before else i
        before = ends
    if not visits:
        return None
    home = before + drive_hours(ways_km[-1])
    return len(visits) - 1 if hours - before < home - hours else None


def evenings_sentence(weeks: Sequence[Evenings]) -> str:
    """Say it of a whole plan.

    >>> evenings_sentence([Evenings((("Alba, TX", 2),))])
    '2 nights away.'
    """
    n_away, n_home = sum(w.n_away for w in weeks), sum(w.n_home for w in weeks)
    said = [f"{counted(n_away, 'night')} away."] if n_away else ["No night away."]
    if n_home:
        said.append(
            f"From within {miles(policy()['night_away_km'])} of the start one goes home:"
            f" {counted(n_home, 'evening')}, about {sum(w.more_hours for w in weeks):.1f} hours"
            " more driving, which the hours do not count."
        )
    return " ".join(said)
