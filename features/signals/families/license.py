"""Family `license`: what the public listing says about a dealer, and about its place in it.

Everything is read from the newest listing of the dealer known before the date, and counts of
other dealers (same premises, same licensee) are taken over the dealers then on the newest listing
of their state.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from features.arrays import Floats
from features.domain.asof import DAYS_A_YEAR, NEVER, from_day, is_known, number_sql
from features.engine.context import Gathered
from features.schema import LICENSE_TYPES
from features.signals.shared.listings import UNKNOWN_DAY, Listings, Slice, listings, slices
from features.signals.shared.successors import Careers, link, window_days
from features.signals.signal import NO_SOURCE, OBSERVED, FamilyColumns, Reasons, Signal, no_source

if TYPE_CHECKING:
    from features.engine.context import Context

_LISTING: Final = "ATF, Complete list of federal firearms licensees"
_SUCCESSION: Final = (
    "DOJ OIG I-2013-005; Center for Public Integrity on licenses passed to relatives"
)
_TRACE: Final = "The Trace and USA Today (2021): 40 of 150 severest penalties fell on home sellers"


_signal = partial(Signal, family="license", table="licenses")

SIGNALS: Final[tuple[Signal, ...]] = (
    _signal(
        name="license_type",
        unit="code",
        definition="License type, coded by its place in 01, 02, 06, 07, 08, 09, 10, 11 (0 to 7).",
        reason="Licensed as {value}",
        words=(
            "dealer (type 01)",
            "pawnbroker (type 02)",
            "maker of ammunition (type 06)",
            "maker of firearms (type 07)",
            "importer (type 08)",
            "dealer in destructive devices (type 09)",
            "maker of destructive devices (type 10)",
            "importer of destructive devices (type 11)",
        ),
        reference="27 CFR 478.41 to 478.44; Wintemute, Cook and Wright (2005) on pawnbrokers",
        is_category=True,
    ),
    _signal(
        name="license_years_listed",
        unit="years",
        definition=(
            "Years of 365 days since the first listing known; a lower bound for dealers that "
            "stand in the oldest listing of their state."
        ),
        reason="Listed for {value} years",
        reference=_LISTING,
    ),
    _signal(
        name="license_sequence_rank",
        unit="share",
        definition=(
            "Share of listed dealers of the same region and district with a lower sequence "
            "number: numbers are given in order, so 0 is the oldest license and 1 the newest. "
            "Null when the dealer is the district's only one."
        ),
        reason="License number newer than {value} of those in its district",
        reference=_LISTING,
    ),
    _signal(
        name="license_months_to_expiry",
        unit="months",
        definition="Days from the date to the license's expiry, over 30.4375; negative after it.",
        reason="{value} months to the license's expiry",
        reference="27 CFR 478.49",
    ),
    _signal(
        name="license_renewals",
        unit="renewals",
        definition=(
            "How often the expiry moved, between listings known, at least 180 days beyond the "
            "latest one listed before."
        ),
        reason="Renewed {value} times",
        reference="27 CFR 478.45",
    ),
    _signal(
        name="license_moves_5y",
        unit="moves",
        definition=(
            "How often street and ZIP code of the premises changed between listings of the last "
            "five years."
        ),
        reason="Moved its premises {value} times in five years",
        reference="27 CFR 478.52",
        window="5y",
    ),
    _signal(
        name="license_is_residential",
        unit="yes or no",
        definition=(
            "1 when the premises are a residence, 0 when not; null where the source does not say."
        ),
        reason="Business from a residence: {value}",
        reference=_TRACE,
    ),
    _signal(
        name="license_colocated",
        unit="dealers",
        definition="Other listed dealers at the same street and ZIP code.",
        reason="{value} other dealers at the same premises",
        reference=_LISTING,
    ),
    _signal(
        name="license_chain_size",
        unit="dealers",
        definition="Listed dealers under the same licensee name in the country, itself included.",
        reason="{value} licenses under the same licensee",
        reference="Campbell and McDougal (2025) on independent stores and chains",
    ),
    _signal(
        name="license_is_person",
        unit="yes or no",
        definition=(
            "1 when the licensee is a person by the form of the name (LAST, FIRST), 0 for a "
            "company."
        ),
        reason="Licensed to a person: {value}",
        reference=_LISTING,
    ),
    _signal(
        name="license_has_trade_name",
        unit="yes or no",
        definition=(
            "1 when the listing has a business name that differs from the licensee's; a name borne "
            "by more than 5% of listed dealers (NULL) is none."
        ),
        reason="Trades under a business name: {value}",
        reference=_LISTING,
    ),
    _signal(
        name="license_is_mail_elsewhere",
        unit="yes or no",
        definition="1 when the ZIP code of the mail address differs from that of the premises.",
        reason="Mail goes to another ZIP code: {value}",
        reference=_LISTING,
    ),
    _signal(
        name="license_successor_rule",
        unit="code",
        definition=(
            "Strongest rule that links the dealer to an ended license: 0 none, 1 same licensee, 2 "
            "same premises, 3 both. Null when the dealer was on the first listing of its state, "
            "for then its beginning was not seen."
        ),
        reason="Took the place of an ended license: {value}",
        words=("no", "same licensee", "same premises", "same licensee and premises"),
        reference=_SUCCESSION,
        direction=1,
        is_category=True,
    ),
    _signal(
        name="license_is_successor_of_revoked",
        unit="yes or no",
        definition=(
            "1 when a license it took the place of had been revoked, 0 otherwise. Null as "
            "license_successor_rule."
        ),
        reason="Took the place of a revoked license: {value}",
        reference=_SUCCESSION,
        direction=1,
    ),
)

_FLAGS: Final = ("is_residential", "is_person", "is_mail_elsewhere")
# A business name borne by more of the listed dealers than any trade can be stands for "none".
_PLACEHOLDER_SHARE: Final = 0.05
_DAYS_A_MONTH: Final = 30.4375


def build(context: Context) -> FamilyColumns:
    """Return the columns of the family, one row a cohort row."""
    if not context.has("licenses"):
        return no_source(SIGNALS, context.n_rows)
    stage = listings(context)
    values = {s.name: np.full(context.n_rows, np.nan, dtype=np.float32) for s in SIGNALS}
    revocations = _revocations(context, stage)
    for part in slices(context, stage):
        for name, column in (_own(stage, part) | _among(stage, part, revocations)).items():
            values[f"license_{name}"][part.rows] = column
    reasons = {f"license_{name}": _unsaid(values[f"license_{name}"]) for name in _FLAGS}
    reasons["license_months_to_expiry"] = _unsaid(values["license_months_to_expiry"])
    return FamilyColumns(values, reasons)


def _own(stage: Listings, part: Slice) -> dict[str, Floats]:
    """Signals of the dealer's own rows."""
    j, when = part.date, int(stage.as_of[part.date])
    order = np.array([LICENSE_TYPES.index(t) for t in stage.rows.words["license_type"]])
    expires = stage.at_last("expires", j).astype(np.float64)
    expires[expires == UNKNOWN_DAY] = np.nan
    own = {
        "type": part.take(order[stage.at_last("license_type", j)]),
        "years_listed": part.take((when - stage.at_first("listed", j)) / DAYS_A_YEAR),
        "months_to_expiry": part.take((expires - when) / _DAYS_A_MONTH),
        "renewals": part.take(stage.renewals[:, j]),
        "moves_5y": part.take(stage.moves[:, j]),
    }
    for name in _FLAGS:
        flag = stage.at_last(name, j).astype(np.float64)
        own[name] = part.take(np.where(flag < 0, np.nan, flag))
    return own


def _among(stage: Listings, part: Slice, revocations: Revocations) -> dict[str, Floats]:
    """Signals of the dealer among the others as of the date."""
    j = part.date
    is_listed = stage.is_listed[:, j]
    premises, licensee = stage.at_last("premises", j), stage.at_last("licensee", j)
    rule, is_after_revoked = _succession(stage, j, revocations)
    return {
        "colocated": part.take(_others(premises, is_listed)),
        "chain_size": part.take(_others(licensee, is_listed) + 1),
        "has_trade_name": part.take(_has_trade_name(stage.at_last("trade", j), is_listed)),
        "sequence_rank": part.take(_rank(stage.at_last("series", j), is_listed)),
        "successor_rule": part.take(rule),
        "is_successor_of_revoked": part.take(is_after_revoked),
    }


def _others(code: npt.NDArray[np.int64], is_listed: npt.NDArray[np.bool_]) -> Floats:
    """Count the other listed dealers with the same code; 0 where the code is unknown."""
    counted = code[is_listed & (code >= 0)]
    size = np.bincount(counted, minlength=int(code.max(initial=0)) + 1)
    return np.where(code >= 0, size[code] - (is_listed & (code >= 0)), 0).astype(np.float64)


def _has_trade_name(trade: npt.NDArray[np.int64], is_listed: npt.NDArray[np.bool_]) -> Floats:
    """Whether the dealer bears a business name that is neither its own nor a placeholder."""
    named = trade >= 0
    share = np.bincount(trade[named & is_listed], minlength=int(trade.max(initial=0)) + 1)
    is_placeholder = share > _PLACEHOLDER_SHARE * is_listed.sum()
    return np.asarray(named & ~is_placeholder[trade], dtype=np.float64)


def _rank(series: npt.NDArray[np.int64], is_listed: npt.NDArray[np.bool_]) -> Floats:
    """Share of the other listed dealers of the series that come before each dealer.

    Dealers are in the order of region, district and sequence, so within a series the order of the
    dealers is the order of the numbers.
    """
    n_series = int(series.max(initial=0)) + 1
    size = np.bincount(series[is_listed], minlength=n_series)
    before = np.zeros(len(series))
    for code in range(n_series):
        mine = series == code
        before[mine] = np.cumsum(is_listed[mine]) - is_listed[mine]
    others = (size[series] - is_listed).astype(np.float64)
    rank = np.full(len(series), np.nan)
    np.divide(before, others, out=rank, where=others > 0)
    return rank


def _succession(stage: Listings, j: int, revocations: Revocations) -> tuple[Floats, Floats]:
    """Strongest rule of each dealer, and whether a predecessor was revoked; NaN if not new."""
    careers = careers_at(stage, j)
    links = link(careers, window_days=window_days(from_day(stage.as_of[j])))
    rule = np.where(careers.is_new, 0.0, np.nan)
    is_after = rule.copy()
    new = links["successor"].to_numpy()
    np.maximum.at(rule, new, links["rule"].to_numpy(dtype=np.float64))
    was_revoked = revocations.before(int(stage.as_of[j]), len(rule))
    np.maximum.at(is_after, new, was_revoked[links["predecessor"].to_numpy()].astype(np.float64))
    return rule, is_after


def careers_at(stage: Listings, j: int) -> Careers:
    """First and last listing of every dealer as of a date of the grid."""
    has = stage.has(j)
    state = stage.at_last("state", j)
    oldest, newest = stage.oldest_on[state, j], stage.newest_on[state, j]
    is_dated = has & (oldest != UNKNOWN_DAY)
    far = 10**9  # before any listing of the state nobody is new and nobody has ended
    first, last = stage.at_first("listed", j), stage.at_last("listed", j)
    return Careers(
        first_on=first.astype(np.int64),
        last_on=last.astype(np.int64),
        state_first_on=np.where(is_dated, oldest, far),
        state_newest_on=np.where(is_dated, newest, -far),
        premises_at_first=stage.at_first("premises", j),
        premises_at_last=stage.at_last("premises", j),
        licensee_at_first=stage.at_first("licensee_in_state", j),
        licensee_at_last=np.where(has, stage.at_last("licensee_in_state", j), -1),
    )


@dataclass(frozen=True)
class Revocations:
    """Every version of every revocation; arrays of shape (n,).

    Parameters
    ----------
    dealer : ndarray of int
        Position in the listings.
    known_on, superseded_on : ndarray of int
        Days since 1970.
    """

    dealer: npt.NDArray[np.int64]
    known_on: npt.NDArray[np.int64]
    superseded_on: npt.NDArray[np.int64]

    def before(self, when: int, n_dealers: int) -> npt.NDArray[np.bool_]:
        """Whether a revocation of each dealer was known and stood as of a day."""
        was_revoked = np.zeros(n_dealers, dtype=bool)
        stood = is_known(self.known_on, when) & (when <= self.superseded_on)
        was_revoked[self.dealer[stood]] = True
        return was_revoked


def _revocations(context: Context, stage: Listings) -> Revocations:
    dealers = pa.table(
        {"dealer": pa.array(stage.rows.dealers, pa.string()), "at": range(len(stage.rows.dealers))}
    )
    sql = f"""
        SELECT d.at, {number_sql("i.known_on")} AS known,
               coalesce({number_sql("i.superseded_on")}, {int(NEVER)}) AS superseded
        FROM inspections i JOIN listed_dealers d USING (dealer)
        WHERE i.outcome = 'revocation' AND i.closed_on IS NOT NULL
        """
    revoked = {"inspections": "outcome = 'revocation'"}
    found = context.gather(Gathered(sql, revoked), listed_dealers=dealers)
    at, known, superseded = (
        found[name].to_numpy().astype(np.int64) for name in ("at", "known", "superseded")
    )
    return Revocations(at, known, superseded)


def _unsaid(values: npt.NDArray[np.floating]) -> Reasons:
    """Return why a flag is missing: the listing does not carry it."""
    return np.where(np.isnan(values), NO_SOURCE, OBSERVED).astype(np.int8)
