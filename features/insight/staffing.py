"""What another number of investigators would do, office by office: coverage, recalls, findings.

A what-if of flows, month by month: recalls stand first, then the dealers not seen from now on, and
no dealer is visited before the law allows it. What a visit finds beyond the number of the past is
taken from how findings moved where visits moved, not from the average: in the surge of 2009 visits
at the border doubled and severe findings did not.

References
----------
DOJ OIG I-2011-001 (Project Gunrunner): border inspections up 133%.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from datetime import date
from typing import Final

import numpy as np
import pandas as pd

from features.arrays import Floats
from features.domain.asof import add_months
from features.domain.number_words import counted
from features.domain.office_names import name_key
from features.errors import InvalidValueError, WarehouseError, did_you_mean
from features.insight.field_records import FieldRecords, field_records
from features.insight.marginal_yield import Yield, marginal_yield
from features.openjson import Json
from features.reference.legal.law import law
from features.reference.legal.outcome import SEVERE
from features.reference.legal.twelve_month_rule import interval_months
from features.warehouse import Warehouse

HORIZON: Final = 100  # years after which coverage is said not to be reached
_MIN_OWN: Final = 30  # visits below which a segment takes the rates of the country
_EPS: Final = 1e-9
_ENDED: Final = " or ".join(outcome.replace("_", " ") for outcome in SEVERE)


@dataclass(frozen=True)
class WhatIf:
    """What is asked.

    Parameters
    ----------
    investigators : mapping of str to float
        Investigators of some offices; the others stay as on record.
    hours : float or None
        Hours of an investigator at visits in a year; from the records of the last year if None.
    border_share : float or None
        Share of all hours spent in the four border states; as offices stand if None.
    years : int
        Up to how many whole years of past visits are read.
    """

    investigators: Mapping[str, float] = field(default_factory=dict)
    hours: float | None = None
    border_share: float | None = None
    years: int = 5

    def __post_init__(self) -> None:
        for office, n in self.investigators.items():
            if not (math.isfinite(n) and n >= 0):
                raise InvalidValueError(
                    f"The investigators of {office} are no number of people.", found=f"{n:g}",
                    expected="zero or more",
                )  # fmt: skip
        if self.hours is not None and not 0 < self.hours <= 8784:
            raise InvalidValueError(
                "An investigator cannot spend these hours at visits in a year.",
                found=f"{self.hours:g}", expected="more than 0 and at most 8784",
            )  # fmt: skip
        if self.border_share is not None and not 0 <= self.border_share <= 1:
            raise InvalidValueError(
                "The border share is no share.", found=f"{self.border_share:g}",
                expected="0 to 1, for example 0.3",
            )  # fmt: skip
        if not 1 <= self.years <= 25:
            raise InvalidValueError("The years of past visits are out of range.",
                                    found=str(self.years), expected="1 to 25")  # fmt: skip

    @staticmethod
    def office_of(text: str) -> tuple[str, float]:
        """Read an office and its investigators.

        Raises
        ------
        InvalidValueError
            When it is not ``OFFICE=N``.

        >>> WhatIf.office_of("Houston=12")
        ('Houston', 12.0)
        """
        office, _, number = text.rpartition("=")
        try:
            return office.strip(), float(number)
        except ValueError:
            raise InvalidValueError(
                f"{text[:80]!r} names no office and number.",
                expected="OFFICE=N, for example Houston=12",
            ) from None


@dataclass(frozen=True)
class Row:
    """An office, an area or the country in the first year, and what one more investigator adds.

    Parameters
    ----------
    name : str
        Office, ``border states``, ``other states`` or ``all``.
    dealers, recalls : int
        Dealers listed; of them, recalls due now or within the year.
    investigators, hours : float
        People, and their hours at visits in a year.
    past_visits, visits : float
        Visits a year in the past, and in the first year of the what-if.
    idle_hours : float
        Hours of the first year for which the law leaves nobody to visit.
    years_to_coverage : float or None
        Until every listed dealer was seen once from now on; None beyond `HORIZON`.
    findings, findings_low, findings_high : float
        Severe findings of the first year; the point is None where past changes say nothing.
    added_visits, added_findings, added_low, added_high, years_saved : float or None
        What one more investigator of the office adds in the first year, and the years until
        coverage that are saved; for offices alone.
    """

    name: str
    dealers: int
    recalls: int
    investigators: float
    hours: float
    past_visits: float
    visits: float
    idle_hours: float
    years_to_coverage: float | None
    findings: float | None
    findings_low: float
    findings_high: float
    added_visits: float | None = None
    added_findings: float | None = None
    added_low: float | None = None
    added_high: float | None = None
    years_saved: float | None = None


@dataclass(frozen=True)
class Staffing:
    """The answer: the country, border and other states, each office, and what it rests on."""

    as_of: date
    hours_per_investigator: float
    interval_months: int
    marginal: Yield
    areas: tuple[Row, ...]
    offices: tuple[Row, ...]
    statements: tuple[str, ...]

    def as_dict(self) -> Json:
        """Return what JSON can hold."""
        return asdict(self) | {"as_of": self.as_of.isoformat()}


@dataclass(frozen=True)
class _Run:
    visits: Floats
    idle: Floats
    months: Floats


def staffing(
    warehouse: Warehouse,
    as_of: date,
    ask: WhatIf | None = None,
    *,
    without: Collection[str] = (),
) -> Staffing:
    """Answer a what-if as of a day.

    Parameters
    ----------
    without : collection of str
        Dealers that are left out with their visits, such as those on hold.

    Raises
    ------
    InvalidValueError
        When an office is unknown.
    WarehouseError
        When the records do not tell dealers, visits, investigators or hours.
    """
    ask = ask or WhatIf()
    records = field_records(warehouse, as_of, years=ask.years, without=without)
    marginal = marginal_yield(records)
    segments = _segments(records)
    people, missing = _people(records, ask, sorted(set(segments["office"])))
    hours = ask.hours if ask.hours is not None else _hours_on_record(records)
    segments["people"] = segments["office"].map(people) * segments["share"]
    segments["hours"] = _shared(segments, segments["people"].to_numpy(float) * hours, ask)
    runs = [_run(segments, records, more * hours * segments["share"]) for more in (0.0, 1.0)]
    areas = [("all", segments["share"] >= 0)]
    areas += [("border states", segments["is_border"]), ("other states", ~segments["is_border"])]
    lines = tuple(
        _row(name, segments[at], at, runs[:1], marginal) for name, at in areas if at.any()
    )
    offices = tuple(
        _row(str(name), segments[at], at, runs, marginal)
        for name in people
        if (at := segments["office"] == name).any()
    )
    interval = interval_months(as_of)
    said = _statements(records, marginal, missing)
    return Staffing(as_of, hours, interval, marginal, lines, offices, said)


def _segments(records: FieldRecords) -> pd.DataFrame:
    """One row for each office and side of the border strip, with its rates."""
    key = ["office", "is_border"]
    visits = records.visits
    soon = records.dealers["is_recall"] & (records.dealers["months"] < 12)
    rows = (
        records.dealers.assign(soon=soon)
        .groupby(key)
        .agg(dealers=("dealer", "size"), recalls=("soon", "sum"))
    )
    seen = visits.groupby(key).agg(
        n=("year", "size"), severe=("is_severe", "mean"), warned=("is_warned", "mean"),
    )  # fmt: skip
    timed = visits.dropna(subset=["hours"])
    timed = timed[timed["hours"] > 0]
    if timed.empty:
        raise WarehouseError(
            "No visit of the past tells its hours, so no visit can be timed.",
            expected="inspections with the column hours",
            fix="ingest inspections with their hours",
        )
    spent = timed.groupby(key)["hours"].agg(n_timed="size", per_visit="mean")
    rows = rows.join(seen).join(spent)
    for name, count, national in (
        ("severe", "n", visits["is_severe"].mean()), ("warned", "n", visits["is_warned"].mean()),
        ("per_visit", "n_timed", timed["hours"].mean()),
    ):  # fmt: skip
        rows[name] = rows[name].where(rows[count] >= _MIN_OWN, national).astype(float)
    rows["past"] = rows["n"].fillna(0) / records.n_years
    rows["share"] = rows["dealers"] / rows.groupby("office")["dealers"].transform("sum")
    rows = rows.reset_index()
    rows["is_border"] = rows["is_border"].astype(bool)
    return rows


def _people(
    records: FieldRecords, ask: WhatIf, known: list[str]
) -> tuple[dict[str, float], list[str]]:
    """Investigators of each office that has dealers, and offices on record that have none."""
    spelled = {name_key(name): name for name in known}
    asked = {}
    for office, number in ask.investigators.items():
        if name_key(office) not in spelled:
            raise InvalidValueError(
                f"No office is called {office!r}{did_you_mean(office, known, end='.')}",
                found=office, expected=", ".join(known),
            )  # fmt: skip
        asked[spelled[name_key(office)]] = number
    last = records.visits[records.visits["year"] == 0]
    counted = last.groupby("visited_by")["investigator_token"].nunique()
    if not counted.sum() and set(known) - set(asked):
        raise InvalidValueError(
            "The records of the last year name no investigator of any office.",
            expected="inspections with office and investigator_token, or every office given",
            fix="give investigators OFFICE=N for: " + ", ".join(sorted(set(known) - set(asked))),
        )
    people = {name: float(asked.get(name, counted.get(name, 0))) for name in known}
    return people, sorted(str(n) for n in set(counted[counted > 0].index) - set(known))


def _hours_on_record(records: FieldRecords) -> float:
    last = records.visits[records.visits["year"] == 0].dropna(subset=["investigator_token"])
    timed = records.visits["hours"]
    mean = float(timed[timed > 0].mean())
    if last.empty:
        raise WarehouseError(
            "The records of the last year do not tell the hours of an investigator.",
            expected="visits with investigator_token", fix="give --hours",
        )  # fmt: skip
    return float(len(last) * mean / last["investigator_token"].nunique())


def _shared(segments: pd.DataFrame, hours: Floats, ask: WhatIf) -> Floats:
    """Move hours between border and other states until the border has its share."""
    if ask.border_share is None:
        return hours
    is_border = segments["is_border"].to_numpy(bool)
    out = hours.copy()
    for side, share in ((is_border, ask.border_share), (~is_border, 1 - ask.border_share)):
        many = segments["dealers"].to_numpy(float) * side
        if share > 0 and not many.any():
            where = "in" if side is is_border else "outside"
            raise InvalidValueError(
                f"No dealer is listed {where} the border states, so no hours can go there.",
                found=f"a border share of {ask.border_share:g}",
                expected="0 without border dealers, 1 without others",
            )
        held = float((hours * side).sum())
        base = hours * side / held if held > 0 else many / max(many.sum(), 1.0)
        out[side] = (share * hours.sum() * base)[side]
    return out


def _run(segments: pd.DataFrame, records: FieldRecords, more: pd.Series) -> _Run:
    """Let the months pass for all segments at once."""
    span = max(
        int(law(name, records.as_of))
        for name in ("inspection_interval_months", "recall_interval_months")
    )
    waiting = _arrivals(segments, records, span)
    months = 12 * HORIZON
    per_visit, warned = segments["per_visit"].to_numpy(float), segments["warned"].to_numpy(float)
    capacity = (segments["hours"] + more).to_numpy(float) / per_visit / 12
    again = np.zeros((len(segments), months + span + 1))
    recall, repeat, rest = (np.zeros(len(segments)) for _ in range(3))
    left = segments["dealers"].to_numpy(float).copy()
    visits, done = np.zeros(len(segments)), np.full(len(segments), np.inf)
    for month in range(months):
        if month < waiting.shape[2]:
            recall, rest = recall + waiting[1, :, month], rest + waiting[0, :, month]
        repeat = repeat + again[:, month]
        first = np.minimum(recall, capacity)
        second = np.minimum(repeat, capacity - first)
        third = np.minimum(rest, capacity - first - second)
        recall, repeat, rest = recall - first, repeat - second, rest - third
        made = first + second + third
        again[:, month + span] += warned * made
        left -= first + third
        visits += made if month < 12 else 0
        done = np.where((left <= _EPS * segments["dealers"]) & np.isinf(done), month + 1, done)
        if month >= 11 and np.isfinite(done).all():
            break
    idle = np.maximum(12 * capacity - visits, 0.0)  # sums of twelve months may miss by a bit
    return _Run(visits, idle * per_visit, done)


def _arrivals(segments: pd.DataFrame, records: FieldRecords, span: int) -> Floats:
    """Dealers that the law frees in each month, by [is recall, segment, month]."""
    at = pd.MultiIndex.from_frame(segments[["office", "is_border"]])
    place = at.get_indexer(pd.MultiIndex.from_frame(records.dealers[["office", "is_border"]]))
    out = np.zeros((2, len(segments), max(span, int(records.dealers["months"].max())) + 1))
    is_recall = records.dealers["is_recall"].to_numpy(int)
    np.add.at(out, (is_recall, place, records.dealers["months"].to_numpy(int)), 1.0)
    return out


def _findings(rows: pd.DataFrame, visits: Floats, rate: float | None) -> float | None:
    """Severe findings: the average up to the visits of the past, `rate` for each beyond."""
    average, past = rows["severe"].to_numpy(float), rows["past"].to_numpy(float)
    beyond = np.maximum(visits - past, 0.0)
    if rate is None and (beyond > _EPS).any():
        return None
    more = np.minimum(rate or 0.0, average) * beyond
    return float((average * np.minimum(visits, past) + more).sum())


def _row(name: str, rows: pd.DataFrame, at: pd.Series, runs: list[_Run], marginal: Yield) -> Row:
    mask, rates = at.to_numpy(bool), (marginal.value, marginal.low, marginal.high)
    told = [[_findings(rows, run.visits[mask], rate) for rate in rates] for run in runs]
    spans = [float(run.months[mask].max()) / 12 for run in runs]
    base = Row(
        name=name,
        dealers=int(rows["dealers"].sum()), recalls=int(rows["recalls"].sum()),
        investigators=float(rows["people"].sum()),
        hours=float(rows["hours"].sum()), past_visits=float(rows["past"].sum()),
        visits=float(runs[0].visits[mask].sum()),
        idle_hours=float(runs[0].idle[mask].sum()),
        years_to_coverage=spans[0] if math.isfinite(spans[0]) else None,
        findings=told[0][0],
        findings_low=float(told[0][1] or 0.0), findings_high=float(told[0][2] or 0.0),
    )  # fmt: skip
    if len(runs) == 1:
        return base
    gains = [None if a is None or b is None else b - a for a, b in zip(*told, strict=True)]
    added = {
        "added_visits": float(runs[1].visits[mask].sum()) - base.visits,
        "added_findings": gains[0], "added_low": gains[1], "added_high": gains[2],
        "years_saved": spans[0] - spans[1] if math.isfinite(spans[0]) else None,
    }  # fmt: skip
    return Row(**(asdict(base) | added))


def _statements(records: FieldRecords, marginal: Yield, missing: list[str]) -> tuple[str, ...]:
    since = add_months(records.as_of, -12 * records.n_years)
    said = [
        f"Past visits: {len(records.visits):,} closed {since} to {records.as_of}.",
        f"One more visit: {marginal.basis}; {marginal.low:.3f} to {marginal.high:.3f} severe "
        f"findings, against {records.visits['is_severe'].mean():.3f} on average.",
        f"A severe finding is here a visit that ended in a {_ENDED}. What a model's policy may "
        "call severe besides, by citations or by firearms that stay missing, is not counted.",
        "Travel, leave and training are in the hours only as far as the records hold them.",
    ]
    if records.n_placed_afar:
        stand = counted(records.n_placed_afar, "dealer stands", "dealers stand")
        said.append(
            f"{stand} in counties that no office on record has "
            "visited, and count for the office of the state or of the nearest county seen."
        )
    if missing:
        said.append(f"Left out, for no listed dealer is theirs: {', '.join(missing)}.")
    return tuple(said)
