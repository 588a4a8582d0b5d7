"""Family `area`: the county and the state around a dealer.

County figures follow the county of the newest listing. Population is the newest estimate public
before the date. Laws are those in force on the date.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from features.arrays import Floats
from features.domain.asof import NEVER, Y1, day_sql, from_day, known_sql, number_sql
from features.engine.context import Gathered
from features.reference.attribution import UNSERIALIZED_SQL
from features.reference.geography.places import counties, county_population, states, urban_rural
from features.reference.legal.law import is_in_force, law
from features.reference.series import known_before
from features.signals.shared.listings import Listings, Slice, listings, slices
from features.signals.shared.masses import trace_masses
from features.signals.shared.nearness import within
from features.signals.signal import (
    NO_EXPOSURE,
    NO_SOURCE,
    OBSERVED,
    TOO_FEW,
    FamilyColumns,
    Reasons,
    Signal,
    no_source,
)

if TYPE_CHECKING:
    import pyarrow as pa

    from features.engine.context import Context

MIN_REQUESTS: Final = 50  # requests of a state below which no share is given
_CHECKS: Final = ["handgun", "long_gun", "other", "multiple"]

_PRACTICE: Final = "Wintemute (2009): comprehensive tracing nearby inflates a dealer's traces"

_TRADE: Final = ("01", "02", "07", "08")  # who sells or makes firearms for the trade
_AROUND_KM: Final = 100.0
_signal = partial(Signal, family="area", table="licenses")
_traced = partial(Signal, family="area", table="traces", restriction="restricted")

SIGNALS: Final[tuple[Signal, ...]] = (
    _signal(
        name="area_dealers_per_100k",
        unit="per 100,000 people",
        definition=(
            "Listed dealers of the county per 100,000 people. Null where the population is unknown."
        ),
        reason="{value} dealers per 100,000 people in the county",
        reference="Stansfield, Semenza, Xu and Griffiths (2023); Census Bureau, ACS",
    ),
    _signal(
        name="area_people_per_km2",
        unit="people per km2",
        definition="People of the county per square kilometer of its area.",
        reason="{value} people per square kilometer in the county",
        reference="Koper (2014) on dealers in or near cities; Census Bureau, ACS",
    ),
    _signal(
        name="area_pawnbroker_share_100km",
        unit="share",
        definition=(
            "Share of pawnbrokers among the listed dealers of types 01, 02, 07 and 08 in the "
            "counties whose center lies within 100 km of the center of the dealer's county."
        ),
        reason="{value} of the dealers within 100 km are pawnbrokers",
        reference="Wintemute (2010) and Robinson et al. (2024) on pawnbrokers",
        direction=1,
    ),
    _signal(
        name="area_rural_code",
        unit="code",
        definition=(
            "Rural-Urban Continuum Code of the county, 1 most urban to 9 most rural; null before "
            "the edition of 2023 was public."
        ),
        reason="Rural-urban code {value} (1 most urban, 9 most rural)",
        reference="USDA Economic Research Service, Rural-Urban Continuum Codes 2023",
        is_category=True,
    ),
    _signal(
        name="area_checks_per_100_people_1y",
        unit="per 100 people",
        definition=(
            "Background checks for handguns, long guns, other and multiple sales in the state "
            "over the last 12 months then public, per 100 people."
        ),
        reason="{value} background checks for sales per 100 people in the state in a year",
        reference="FBI, NICS firearm background checks by month and state",
        window="1y",
    ),
    _signal(
        name="area_is_demand_letter_3_state",
        unit="yes or no",
        definition=(
            "1 in a state whose dealers report multiple sales of rifles on the date, else 0."
        ),
        reason="Multiple sales of rifles must be reported: {value}",
        reference="ATF letter of 12 July 2011; ATF Form 3310.12",
    ),
    _traced(
        name="area_traces_per_100k_3y",
        unit="per 100,000 people",
        definition=(
            "Traces of three years to the listed dealers of the county, less the dealer's own, "
            "per 100,000 people."
        ),
        reason="{value} traces per 100,000 people to other dealers of the county in three years",
        reference=_PRACTICE,
        window="3y",
        direction=1,
    ),
    _traced(
        name="area_recoveries_per_100k_1y",
        unit="per 100,000 people",
        definition=(
            "Trace requests of a year for firearms recovered in the dealer's state, per 100,000 "
            "people: how much the state traces."
        ),
        reason="{value} trace requests per 100,000 people of the state in a year",
        reference=_PRACTICE,
        window="1y",
    ),
    _traced(
        name="area_unserialized_share_1y",
        unit="share",
        definition=(
            "Share of those requests for firearms without a serial number, which count toward no "
            "dealer. Null below 50 requests."
        ),
        reason="{value} of the firearms recovered in the state bore no serial number in a year",
        reference="ATF, National Firearms Commerce and Trafficking Assessment, volume II",
        window="1y",
    ),
    _traced(
        name="area_share_to_purchaser_1y",
        unit="share",
        definition="Share of those requests that reached a purchaser. Null below 50 requests.",
        reason="{value} of the state's trace requests reached a purchaser in a year",
        reference="ATF, National Firearms Commerce and Trafficking Assessment, volume II",
        window="1y",
    ),
)


def build(context: Context) -> FamilyColumns:
    """Return the columns of the family, one row a cohort row."""
    if not context.has("licenses"):
        return no_source(SIGNALS, context.n_rows)
    stage = listings(context)
    has_traces = context.has("traces")
    requests = _requests(context) if has_traces else None
    values = {s.name: np.full(context.n_rows, np.nan, dtype=np.float32) for s in SIGNALS}
    reasons: dict[str, Reasons] = {
        s.name: np.full(context.n_rows, NO_SOURCE, dtype=np.int8) for s in SIGNALS
    }
    areas = _of_listings(context, stage)
    if len(context.cohort.as_of) == 1:  # of many dates it would be held for all at once
        areas = context.once(
            "areas", lambda: list(_of_listings(context, stage)), is_of_listings=True
        )
    for part, place, of_listings in areas:
        columns = dict(of_listings)
        if requests is not None:
            mass = trace_masses(context, stage)["traces_3y"][part.date].astype(np.float64)
            recovered = context.made_of(
                f"recovered by {place.when}",
                (requests, stage),
                partial(_recovered, place, requests),
            )
            columns |= _of_traces(place, mass, recovered)
        for name, (column, reason) in columns.items():
            values[f"area_{name}"][part.rows] = column
            reasons[f"area_{name}"][part.rows] = reason
    return FamilyColumns(values, reasons)


Columns = dict[str, tuple[Floats, Reasons]]


def _of_listings(context: Context, stage: Listings) -> Iterable[tuple[Slice, _Place, Columns]]:
    """Yield what no event changes: where the dealers are as of each date, and what that tells."""
    for part in slices(context, stage):
        place = _Place.of(stage, part)
        yield part, place, _of_county(place) | _of_state(place)


class _Place:
    """Where the dealers stand as of one date, and the people there.

    Parameters
    ----------
    stage : Listings
    part : Slice
        The cohort rows of the date.
    """

    def __init__(self, stage: Listings, part: Slice) -> None:
        self.stage, self.part = stage, part
        self.when: date = from_day(stage.as_of[part.date])
        self.county = np.where(stage.has(part.date), stage.at_last("county", part.date), -1)
        self.state = np.where(stage.has(part.date), stage.at_last("state", part.date), -1)
        self.counties = stage.rows.words["county"]
        self.states = stage.rows.words["state"]
        is_county = np.isin(self.counties.astype(str), counties().index.to_numpy(dtype=str))
        self.has_county = np.append(is_county, False)[self.county]
        people = county_population(self.when)
        self.people = people.reindex(self.counties).to_numpy(dtype=np.float64)
        of_state = people.groupby(people.index.str[:2]).sum()
        fips = states().set_index("state")["state_fips"].reindex(self.states)
        self.state_people = of_state.reindex(fips).to_numpy(dtype=np.float64)
        self.has_people = not people.empty

    @classmethod
    def of(cls, stage: Listings, part: Slice) -> _Place:
        """Return the places as of the date of `part`."""
        return cls(stage, part)

    def by_county(
        self, values: npt.NDArray[np.floating], *, was_public: bool = True
    ) -> tuple[Floats, Reasons]:
        """One value a county, given to the cohort rows."""
        return self.in_county(self._given(values, self.county, was_public))

    def in_county(self, column: tuple[Floats, Reasons]) -> tuple[Floats, Reasons]:
        """Return a column of the county; nothing tells of one that does not exist."""
        taken, why = column
        is_told = self.part.take(self.has_county) > 0
        return taken, np.where(np.isnan(taken) & ~is_told, NO_SOURCE, why).astype(np.int8)

    def by_state(
        self, values: npt.NDArray[np.floating], *, was_public: bool = True
    ) -> tuple[Floats, Reasons]:
        """One value a state, given to the cohort rows."""
        return self._given(values, self.state, was_public)

    def _given(
        self, values: npt.NDArray[np.floating], code: npt.NDArray[np.int64], was_public: bool
    ) -> tuple[Floats, Reasons]:
        return self.put(np.append(values, np.nan)[code], was_public=was_public)

    def put(self, by_dealer: Floats, *, was_public: bool = True) -> tuple[Floats, Reasons]:
        """One value a listed dealer, given to the cohort rows."""
        taken = self.part.take(by_dealer)
        missing = NO_EXPOSURE if was_public else NO_SOURCE
        return taken, np.where(np.isnan(taken), missing, OBSERVED).astype(np.int8)


def _of_county(place: _Place) -> Columns:
    is_listed = place.stage.is_listed[:, place.part.date]
    n_dealers = _per_county(place, is_listed.astype(np.float64))
    area = counties()["area_km2"].reindex(place.counties).to_numpy(dtype=np.float64)
    codes = urban_rural(place.when)
    rucc = codes["rucc"].astype("float64").reindex(place.counties).to_numpy(dtype=np.float64)
    public = place.has_people
    return {
        "dealers_per_100k": place.by_county(n_dealers / place.people * 1e5, was_public=public),
        "people_per_km2": place.by_county(place.people / area, was_public=public),
        "pawnbroker_share_100km": place.by_county(_pawnbroker_share(place)),
        "rural_code": place.by_county(rucc, was_public=not codes.empty),
    }


def _pawnbroker_share(place: _Place) -> Floats:
    """Share of pawnbrokers among the trade around each county; NaN where nobody is listed."""
    stage, date_index = place.stage, place.part.date
    words = stage.rows.words["license_type"].astype(str)
    kind = stage.at_last("license_type", date_index)
    is_listed = stage.is_listed[:, date_index]
    is_trade = is_listed & np.isin(words, _TRADE)[kind]
    is_pawn = is_trade & (words == "02")[kind]
    is_placed, near = _counties_around(tuple(place.counties))
    pawn, trade = (
        near @ _per_county(place, flag.astype(np.float64))[is_placed]
        for flag in (is_pawn, is_trade)
    )
    share = np.full(len(is_placed), np.nan)
    share[is_placed] = np.divide(pawn, trade, out=np.full(len(trade), np.nan), where=trade > 0)
    return share


@lru_cache(maxsize=2)
def _counties_around(names: tuple[str, ...]) -> tuple[npt.NDArray[np.bool_], sparse.csr_array]:
    """Which counties have a center, and which of those lie around each of those."""
    where = counties()[["lat", "lon"]].reindex(list(names))
    is_placed = where["lat"].notna().to_numpy()
    points = where.to_numpy(dtype=np.float64)[is_placed]
    return is_placed, within(points, points, _AROUND_KM)


def _of_state(place: _Place) -> Columns:
    checks = _checks_of_year(place.when)
    in_year = checks.reindex(place.states).to_numpy(dtype=np.float64)
    return {
        "checks_per_100_people_1y": place.by_state(
            in_year / place.state_people * 100,
            was_public=place.has_people and not checks.empty,
        ),
        "is_demand_letter_3_state": place.by_state(
            np.isin(place.states.astype(str), demand_letter_states(place.when)).astype(np.float64)
        ),
    }


def demand_letter_states(when: date) -> list[str]:
    """Return the states whose dealers report multiple sales of rifles, none before the letter."""
    name = "demand_letter_3_states"
    return str(law(name, when)).split() if is_in_force(name, when) else []


def _checks_of_year(when: date) -> pd.Series:
    """Return checks for sales by state over the last 12 months public before a date, or none."""
    rows = known_before("background_checks", when)
    months = np.sort(rows["month"].unique())[-12:]
    if len(months) < 12:
        return pd.Series(dtype=np.float64)
    rows = rows[rows["month"].isin(months)]
    codes = states().set_index("name")["state"]
    total = rows[_CHECKS].fillna(0).sum(axis=1).astype("float64")
    of_state: pd.Series = total.groupby(rows["state"].map(codes)).sum()
    return of_state


def _requests(context: Context) -> pa.Table:
    """Count requests for firearms recovered in each state, by the days they count from and to."""
    sql = f"""
        SELECT recovery_state AS state, {number_sql("known_on")} AS known,
               least({number_sql("known_on")} + {Y1.days},
                     coalesce({number_sql("superseded_on")}, {int(NEVER)})) AS until,
               count(*) AS n, count(*) FILTER (WHERE outcome = 'purchaser') AS n_reached,
               count(*) FILTER (WHERE {UNSERIALIZED_SQL}) AS n_unserialized
        FROM traces WHERE recovery_country = 'US' AND recovery_state IS NOT NULL
          AND {known_sql(day_sql(int(context.cohort.as_of[-1])))}
        GROUP BY ALL
        """
    seen = {"traces": "recovery_country = 'US'"}
    return context.gather(Gathered(sql, seen))


def _per_county(place: _Place, of_dealer: Floats) -> Floats:
    """Sum over the dealers of each county."""
    is_placed = place.county >= 0
    n_counties = len(place.counties)
    total = np.bincount(place.county[is_placed], of_dealer[is_placed], minlength=n_counties)
    return np.asarray(total, dtype=np.float64)


def _recovered(place: _Place, requests: pa.Table) -> tuple[Floats, ...]:
    """Sum the requests of a year over each state: all, those that reached a purchaser, ..."""
    day = place.stage.as_of[place.part.date]
    counted = requests.to_pandas()
    seen = counted[(counted["known"] < day) & (day <= counted["until"])]
    names = ["n", "n_reached", "n_unserialized"]
    sums = seen.groupby("state")[names].sum().reindex(place.states).fillna(0)
    return tuple(sums[name].to_numpy(dtype=np.float64) for name in names)


def _of_traces(place: _Place, mass: Floats, recovered: tuple[Floats, ...]) -> Columns:
    county = np.append(place.people, np.nan)[place.county]
    is_listed = place.stage.is_listed[:, place.part.date]
    listed_mass = np.where(is_listed, mass, 0.0)
    others = np.append(_per_county(place, listed_mass), 0.0)[place.county] - listed_mass
    n, n_reached, n_unserialized = recovered
    few = place.part.take(np.append(n, 0.0)[place.state]) > 0

    def share_of(top: Floats) -> tuple[Floats, Reasons]:
        share = np.divide(top, n, out=np.full(len(n), np.nan), where=n >= MIN_REQUESTS)
        taken, why = place.by_state(share)
        return taken, np.where((why != OBSERVED) & few, TOO_FEW, why).astype(np.int8)

    public = place.has_people
    return {
        "traces_per_100k_3y": place.in_county(place.put(others / county * 1e5, was_public=public)),
        "recoveries_per_100k_1y": place.by_state(n / place.state_people * 1e5, was_public=public),
        "unserialized_share_1y": share_of(n_unserialized),
        "share_to_purchaser_1y": share_of(n_reached),
    }
