"""The listings of every dealer as arrays, and where each dealer stands as of each date.

Families that look across dealers (license, border, area, network) share this stage: it is built
once for a warehouse and a grid of dates.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from features.arrays import Flags, Floats, Ints
from features.domain.asof import NEVER, Y5, day_sql, known_sql, number_sql
from features.reference.geography.areas import area_sql
from features.reference.geography.places import counties, zip_places
from features.signals.shared.careers import walk_listings

if TYPE_CHECKING:
    from features.engine.context import Context

Days = npt.NDArray[np.int32]

# A day is a listing of a state when at least this share of the state's dealers is on it.
MIN_LISTED_SHARE: Final = 0.1
UNKNOWN_DAY: Final = -1_000_000

_STREET: Final = "trim(regexp_replace(upper(coalesce(premises_street, '')), '\\W+', ' ', 'g'))"
_NAME: Final = "trim(regexp_replace(upper(coalesce(licensee_name, '')), '\\W+', ' ', 'g'))"
_TRADE: Final = "trim(regexp_replace(upper(coalesce(business_name, '')), '\\W+', ' ', 'g'))"
# LAST, FIRST is a person, unless what follows the comma is the form of a company.
_COMPANY: Final = r"\b(INC|LLC|L L C|CO|CORP|CORPORATION|COMPANY|LTD|LP|LLP|PLLC|PC|TRUST)\b"

# Streets and names are compared by hash: equality is all that the signals need of them.
_SQL: Final = f"""
SELECT dealer,
       CAST({number_sql("listed_on")} AS INTEGER) AS listed,
       CAST({number_sql("known_on")} AS INTEGER) AS known,
       CAST(coalesce({number_sql("superseded_on")}, {int(NEVER)}) AS INTEGER) AS superseded,
       CAST(coalesce({number_sql("expires_on")}, {UNKNOWN_DAY}) AS INTEGER) AS expires,
       license_type, premises_state AS state, {area_sql("county_fips", "premises_zip")} AS county,
       left(dealer, 4) AS series,
       left(premises_zip, 5) AS zip, latitude, longitude,
       CASE WHEN {_STREET} <> '' THEN hash({_STREET}, left(premises_zip, 5)) END AS premises,
       CASE WHEN {_NAME} <> '' THEN hash({_NAME}) END AS licensee,
       CASE WHEN {_NAME} <> '' THEN hash({_NAME}, premises_state) END AS licensee_in_state,
       CASE WHEN {_NAME} <> '' THEN CAST(regexp_matches(licensee_name, '^[^,]+,[^,]+$')
            AND NOT regexp_matches({_NAME}, '{_COMPANY}') AS TINYINT) ELSE -1 END AS is_person,
       CASE WHEN {_TRADE} NOT IN ('', 'NULL', {_NAME}) THEN hash({_TRADE}) END AS trade,
       coalesce(CAST(left(mail_zip, 5) <> left(premises_zip, 5) AS TINYINT), -1)
           AS is_mail_elsewhere,
       coalesce(CAST(is_residential AS TINYINT), -1) AS is_residential
FROM licenses
WHERE {known_sql(day_sql("{before}"))}
ORDER BY dealer, listed, known
"""


@dataclass(frozen=True)
class Rows:
    """Every version of every listing row, sorted by dealer, ``listed_on`` and ``known_on``.

    Parameters
    ----------
    dealers : ndarray of str, shape (n_dealers,)
        Dealer keys, ascending.
    offsets : ndarray of int, shape (n_dealers + 1,)
        Where each dealer's rows begin and end.
    dealer : ndarray of int, shape (n_rows,)
        Dealer of each row.
    columns : dict of str to ndarray, shape (n_rows,)
        Days as int32, codes as int64 (-1 unknown), flags as int8 (-1 unknown), ``lat``, ``lon``.
    words : dict of str to ndarray of str
        What the codes of ``license_type``, ``state``, ``county`` and ``series`` (region and
        district, within which sequence numbers are given) stand for.
    """

    dealers: npt.NDArray[np.object_]
    offsets: Ints
    dealer: Ints
    columns: dict[str, npt.NDArray[Any]]
    words: dict[str, npt.NDArray[np.object_]]

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        """Return a column."""
        return self.columns[name]

    def taken(self, at: Ints) -> Rows:
        """Return only some rows, given ascending."""
        dealer = self.dealer[at]
        offsets = np.searchsorted(dealer, np.arange(len(self.dealers) + 1)).astype(np.int64)
        columns = {name: column[at] for name, column in self.columns.items()}
        return Rows(self.dealers, offsets, dealer, columns, self.words)


def read_rows(context: Context) -> Rows:
    """Read every listing row known before the last date of the cohort."""
    table = context.query(_SQL.format(before=int(context.cohort.as_of[-1])))
    dealer, dealers = _codes(table, "dealer")
    offsets = np.searchsorted(dealer, np.arange(len(dealers) + 1)).astype(np.int64)
    columns: dict[str, npt.NDArray[Any]] = {}
    words = {}
    for name in ("listed", "known", "superseded", "expires"):
        columns[name] = table[name].to_numpy()
    for name in ("is_person", "is_mail_elsewhere", "is_residential"):
        columns[name] = table[name].to_numpy()
    for name in ("license_type", "state", "county", "series"):
        columns[name], words[name] = _codes(table, name)
    for name in ("premises", "licensee", "licensee_in_state", "trade"):
        columns[name], _ = _codes(table, name)
    columns["lat"], columns["lon"] = _points(table, columns["county"], words["county"])
    return Rows(dealers, offsets, dealer, columns, words)


def _codes(table: pa.Table, name: str) -> tuple[Ints, npt.NDArray[np.object_]]:
    """Codes by first appearance, -1 for null, and what they stand for."""
    encoded = table[name].combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return codes, encoded.dictionary.to_numpy(zero_copy_only=False).astype(object)


def _points(
    table: pa.Table, county: Ints, county_words: npt.NDArray[np.object_]
) -> tuple[Floats, Floats]:
    """Point of each row: as listed, else of the ZIP code, else the county's centroid.

    One number of two is no point.
    """
    zip_code, zip_words = _codes(table, "zip")
    listed = [table[name].to_numpy().astype(np.float64) for name in ("latitude", "longitude")]
    is_listed = np.isfinite(listed[0]) & np.isfinite(listed[1])
    out = []
    for values, place in zip(listed, ("lat", "lon"), strict=True):
        by_zip = np.append(zip_places()[place].reindex(zip_words).to_numpy(np.float64), np.nan)
        by_county = np.append(counties()[place].reindex(county_words).to_numpy(np.float64), np.nan)
        found = np.where(is_listed, values, by_zip[zip_code])
        out.append(np.where(np.isfinite(found), found, by_county[county]))
    return out[0], out[1]


@dataclass(frozen=True)
class Listings:
    """Where each dealer stands as of each date of a grid; arrays of shape (n_dealers, n_dates).

    Parameters
    ----------
    rows : Rows
        The listing rows that `first` and `last` name; a history is many times as long.
    as_of : ndarray of int32, shape (n_dates,)
        The dates, days since 1970.
    first, last : ndarray of int
        Rows of the first and the newest listing known, -1 where there is none.
    renewals, moves : ndarray of int
        Renewals ever, and moves of premises within five years.
    newest_on, oldest_on : ndarray of int, shape (n_states, n_dates)
        Days of the newest and the oldest listing of each state, `UNKNOWN_DAY` where none.
    is_listed : ndarray of bool
        Whether the dealer is on the newest listing of its state.
    """

    rows: Rows
    as_of: Days
    first: Ints
    last: Ints
    renewals: Ints
    moves: Ints
    newest_on: Ints
    oldest_on: Ints
    is_listed: Flags

    def at_last(self, name: str, date: int) -> npt.NDArray[Any]:
        """Column of the newest listing row as of a date; of row 0 where there is none."""
        column: npt.NDArray[Any] = self.rows[name][np.maximum(self.last[:, date], 0)]
        return column

    def at_first(self, name: str, date: int) -> npt.NDArray[Any]:
        """Column of the first listing row as of a date; of row 0 where there is none."""
        column: npt.NDArray[Any] = self.rows[name][np.maximum(self.first[:, date], 0)]
        return column

    def has(self, date: int) -> Flags:
        """Whether the dealer stands in any listing known before a date."""
        return np.asarray(self.last[:, date] >= 0)


def stand(rows: Rows, as_of: Days) -> Listings:
    """Find where each dealer stands as of each date.

    Parameters
    ----------
    rows : Rows
        As `read_rows` returns them.
    as_of : ndarray of int32, shape (n_dates,)
        The dates, days since 1970.
    """
    changing = (rows["expires"], rows["premises"])
    first, last, renewals, moves = walk_listings(
        rows.offsets, rows["known"], rows["superseded"], changing, as_of, Y5.days
    )
    newest_on, oldest_on = listing_days_by_state(rows, last, as_of)
    row = np.maximum(last, 0)
    newest = newest_on[rows["state"][row], np.arange(len(as_of))]
    # A dealer whose newest row came after the listing, with an inspection, is listed too.
    is_listed = (last >= 0) & (newest != UNKNOWN_DAY) & (rows["listed"][row] >= newest)
    # Row 0 stays: a dealer without a row is read there and then passed over.
    named = np.unique(np.concatenate([first[first >= 0], last[last >= 0], np.arange(len(row) > 0)]))
    first, last = (np.where(at >= 0, np.searchsorted(named, at), -1) for at in (first, last))
    return Listings(
        rows.taken(named),
        as_of,
        first,
        last,
        renewals,
        moves,
        newest_on,
        oldest_on,
        np.asarray(is_listed),
    )


def listing_days_by_state(rows: Rows, last: Ints, as_of: Days) -> tuple[Ints, Ints]:
    """Newest and oldest day that counts as a listing of each state, as of each date.

    A day counts when the dealers on it are at least `MIN_LISTED_SHARE` of those whose newest row
    is in the state: the single rows that inspections bring are no listing.

    Returns
    -------
    newest_on, oldest_on : ndarray of int, shape (n_states, n_dates)
        `UNKNOWN_DAY` where no day counts.
    """
    keys = ["state", "listed", "known", "superseded"]
    counts = pd.DataFrame({name: rows[name] for name in keys}).value_counts(keys)
    on_day = counts.reset_index(name="n")
    n_states = len(rows.words["state"])
    newest = np.full((n_states, len(as_of)), UNKNOWN_DAY, dtype=np.int64)
    oldest = newest.copy()
    for j, when in enumerate(as_of):
        known = last[last[:, j] >= 0, j]
        size = np.bincount(rows["state"][known], minlength=n_states)
        seen = on_day[(on_day["known"] < when) & (on_day["superseded"] >= when)]
        days = seen.groupby(["state", "listed"])["n"].sum().reset_index()
        days = days[days["n"] >= MIN_LISTED_SHARE * size[days["state"]]]
        of_state = days.groupby("state")["listed"]
        newest[of_state.max().index, j] = of_state.max()
        oldest[of_state.min().index, j] = of_state.min()
    return newest, oldest


def listings(context: Context) -> Listings:
    """Return the listings of a build; worked out once, shared by the families that need them."""
    return context.once(
        "listings", lambda: stand(read_rows(context), context.cohort.as_of), is_of_listings=True
    )


@dataclass(frozen=True)
class Slice:
    """The cohort rows of one date.

    Parameters
    ----------
    date : int
        Index of the date in the grid.
    rows : slice
        The cohort rows; a cohort is sorted by date.
    dealer : ndarray of int, shape (n,)
        Position of each row's dealer in the listings, -1 where it stands in none by then.
    """

    date: int
    rows: slice
    dealer: Ints

    def take(self, values: npt.NDArray[Any]) -> Floats:
        """Values of the cohort rows from one value a listed dealer; NaN for the unlisted."""
        taken = np.asarray(values, dtype=np.float64)[np.maximum(self.dealer, 0)]
        return np.where(self.dealer >= 0, taken, np.nan)


def slices(context: Context, stage: Listings) -> Iterator[Slice]:
    """Yield the cohort rows of each date, with their dealers' places in the listings."""
    cohort, dealers = context.cohort, stage.rows.dealers

    def places() -> Ints:
        at = np.searchsorted(dealers, cohort.dealers)
        at[at == len(dealers)] = 0
        return np.where(dealers[at] == cohort.dealers, at, -1)

    place = context.once("places", places, is_of_listings=True)
    bounds = np.searchsorted(cohort.date_index, np.arange(len(cohort.as_of) + 1))
    for j in range(len(cohort.as_of)):
        rows = slice(int(bounds[j]), int(bounds[j + 1]))
        dealer = place[cohort.dealer[rows]]
        is_there = (dealer >= 0) & (stage.last[np.maximum(dealer, 0), j] >= 0)
        yield Slice(j, rows, np.where(is_there, dealer, -1))
