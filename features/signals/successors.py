"""Links from an ended license to the one that took its place.

A dealer that gets a new sequence number at the same premises, or under the same licensee, within
two years of the old one ending is a *successor*. The link is made by a deterministic rule with a
name and a reason; the two dealers are never merged.

As of ``T``, from listings known before ``T`` only:

- a dealer is *new* when its first listing is later than the first listing of its state: before
  that nobody can tell who is new;
- a dealer has *ended* when its last listing is earlier than the newest listing of its state.

==============================  ===================================================================
rule                            the new dealer has ... as the ended one
==============================  ===================================================================
``same_premises_and_licensee``  the same street and ZIP code and the same licensee
``same_premises``               the same street and ZIP code
``same_licensee``               the same licensee in the same state; names that more than five
                                dealers of the state bear are chains: a new store succeeds none
==============================  ===================================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.domain.asof import from_day
from features.reference.legal import law

if TYPE_CHECKING:
    from features.warehouse import Warehouse

RULES: Final[Mapping[int, str]] = {
    3: "same_premises_and_licensee",
    2: "same_premises",
    1: "same_licensee",
}
MAX_SAME_LICENSEE: Final = 5

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Careers:
    """When and where each dealer was first and last listed, as of a date; arrays of shape (n,).

    Parameters
    ----------
    first_on, last_on : ndarray of int
        Days of the first and the last listing.
    state_first_on, state_newest_on : ndarray of int
        Days of the first and the newest listing of the dealer's state.
    premises_at_first, premises_at_last, licensee_at_first, licensee_at_last : ndarray of int
        Codes of premises and of licensee within the state, -1 where unknown.
    """

    first_on: Ints
    last_on: Ints
    state_first_on: Ints
    state_newest_on: Ints
    premises_at_first: Ints
    premises_at_last: Ints
    licensee_at_first: Ints
    licensee_at_last: Ints

    @property
    def is_new(self) -> npt.NDArray[np.bool_]:
        """Whether the dealer's beginning was seen."""
        return self.first_on > self.state_first_on

    @property
    def has_ended(self) -> npt.NDArray[np.bool_]:
        """Whether a newer listing of its state lacks the dealer."""
        return self.last_on < self.state_newest_on


def link(careers: Careers, *, window_days: int) -> pd.DataFrame:
    """Pair each new dealer with the ended ones it took over from.

    Returns
    -------
    DataFrame
        ``successor``, ``predecessor`` (rows of `careers`) and ``rule`` (key of `RULES`), one row
        a pair, the strongest rule of each, sorted.
    """
    begun = np.flatnonzero(careers.is_new)
    ended = np.flatnonzero(careers.has_ended)
    by_premises = _pairs(begun, careers.premises_at_first, ended, careers.premises_at_last)
    last = careers.licensee_at_last
    bearers = np.bincount(last[last >= 0], minlength=int(last.max(initial=-1)) + 1)
    is_chain = np.zeros(len(last), dtype=bool)
    is_chain[last >= 0] = bearers[last[last >= 0]] > MAX_SAME_LICENSEE
    alone = ended[~is_chain[ended]]
    by_licensee = _pairs(begun, careers.licensee_at_first, alone, last)
    new, old = (np.concatenate(side) for side in zip(by_premises, by_licensee, strict=True))
    rule = np.repeat([2, 1], [len(by_premises[0]), len(by_licensee[0])])
    gap = careers.first_on[new] - careers.last_on[old]
    is_link = (new != old) & (gap > 0) & (gap <= window_days)
    # Both rules at once make the strongest: 2 + 1.
    n_dealers = max(len(last), 1)
    pair, at = np.unique(new[is_link] * n_dealers + old[is_link], return_inverse=True)
    strongest = np.bincount(at, weights=rule[is_link], minlength=len(pair)).astype(np.int64)
    successor, predecessor = np.divmod(pair, n_dealers)
    return pd.DataFrame({"successor": successor, "predecessor": predecessor, "rule": strongest})


def _pairs(begun: Ints, begun_code: Ints, ended: Ints, ended_code: Ints) -> tuple[Ints, Ints]:
    """Every new dealer with every ended one of the same known code."""
    begun = begun[begun_code[begun] >= 0]
    ended = ended[np.argsort(ended_code[ended], kind="stable")]
    wanted, held = begun_code[begun], ended_code[ended]
    first = np.searchsorted(held, wanted)
    n_pairs = np.searchsorted(held, wanted, side="right") - first
    start = np.cumsum(n_pairs) - n_pairs
    place = np.arange(n_pairs.sum()) + np.repeat(first - start, n_pairs)
    return np.repeat(begun, n_pairs), ended[place]


def listing_days(rows: pd.DataFrame, *, min_share: float = 0.1) -> pd.DataFrame:
    """First and newest day that counts as a listing of each state.

    A day counts when the dealers on it are at least `min_share` of those whose newest row is in
    the state: the single rows that inspections bring are no listing.

    Parameters
    ----------
    rows : DataFrame
        ``dealer``, ``premises_state`` and ``listed_on`` of the rows known so far.

    Returns
    -------
    DataFrame
        ``first_on`` and ``newest_on``, indexed by state.
    """
    on_day = rows.groupby(["premises_state", "listed_on"], observed=True)["dealer"].nunique()
    newest = rows.sort_values("listed_on").drop_duplicates("dealer", keep="last")
    size = newest["premises_state"].value_counts()
    share = on_day / size.reindex(on_day.index.get_level_values(0)).to_numpy()
    days = on_day[share >= min_share].reset_index().groupby("premises_state")["listed_on"]
    return pd.DataFrame({"first_on": days.min(), "newest_on": days.max()})


def successor_links(warehouse: Warehouse, as_of: date) -> pd.DataFrame:
    """Every successor known as of a date, with the rule that links it and why.

    Parameters
    ----------
    warehouse : Warehouse
        Where the listings and the inspections are.
    as_of : date
        Only rows known before this day are read.

    Returns
    -------
    DataFrame
        ``dealer``, ``predecessor``, ``rule_id``, ``reason``, ``is_predecessor_revoked``, one row a
        pair, sorted by dealer and predecessor.
    """
    columns = [
        "dealer",
        "premises_state",
        "premises_street",
        "premises_zip",
        "licensee_name",
        "listed_on",
    ]
    rows = warehouse.read("licenses", as_of=as_of, columns=columns).to_pandas()
    rows["listed_on"] = _days(rows["listed_on"])
    rows = rows.sort_values(["dealer", "listed_on"], ignore_index=True)
    rows["premises"], rows["licensee"] = premises_codes(rows), licensee_codes(rows)
    days = listing_days(rows)
    first = rows.drop_duplicates("dealer", keep="first")
    last = rows.drop_duplicates("dealer", keep="last")
    of_state = days.reindex(last["premises_state"])
    # A state without a listing day has neither new nor ended dealers.
    careers = Careers(
        first_on=first["listed_on"].to_numpy(),
        last_on=last["listed_on"].to_numpy(),
        state_first_on=of_state["first_on"].fillna(10**9).to_numpy(np.int64),
        state_newest_on=of_state["newest_on"].fillna(-(10**9)).to_numpy(np.int64),
        premises_at_first=first["premises"].to_numpy(),
        premises_at_last=last["premises"].to_numpy(),
        licensee_at_first=first["licensee"].to_numpy(),
        licensee_at_last=last["licensee"].to_numpy(),
    )
    links = link(careers, window_days=window_days(as_of))
    dealers = last["dealer"].to_numpy()
    return _described(links, careers, dealers, _revoked(warehouse, as_of))


def window_days(as_of: date) -> int:
    """Days within which a new license counts as a successor; a year is 365 days."""
    return 365 * int(law("successor_window_years", as_of))


def premises_codes(rows: pd.DataFrame) -> Ints:
    """Code of street and ZIP code, equal for equal premises; -1 where the street is unknown."""
    street = rows["premises_street"].astype("str").str.upper().str.replace(r"\W+", " ", regex=True)
    key = street.str.strip() + "|" + rows["premises_zip"].astype("str").str[:5]
    return _codes(key, is_known=rows["premises_street"].notna() & (street.str.strip() != ""))


def licensee_codes(rows: pd.DataFrame) -> Ints:
    """Code of licensee name within the state, equal for equal names; -1 where it is unknown."""
    name = rows["licensee_name"].astype("str").str.upper().str.replace(r"\W+", " ", regex=True)
    key = name.str.strip() + "|" + rows["premises_state"].astype("str")
    return _codes(key, is_known=rows["licensee_name"].notna() & (name.str.strip() != ""))


def _codes(key: pd.Series, *, is_known: pd.Series) -> Ints:
    codes, _ = pd.factorize(key.where(is_known), sort=True)
    return codes.astype(np.int64)


def _days(dates: pd.Series) -> pd.Series:
    return pd.to_datetime(dates).dt.as_unit("s").astype("int64") // 86_400


def _revoked(warehouse: Warehouse, as_of: date) -> set[str]:
    if not warehouse.has("inspections"):
        return set()
    rows = warehouse.read("inspections", as_of=as_of, columns=["dealer", "outcome"]).to_pandas()
    return set(rows.loc[rows["outcome"] == "revocation", "dealer"])


def _described(
    links: pd.DataFrame,
    careers: Careers,
    dealers: npt.NDArray[np.object_],
    revoked: set[str],
) -> pd.DataFrame:
    new, old = links["successor"].to_numpy(), links["predecessor"].to_numpy()
    table = pd.DataFrame({"dealer": dealers[new], "predecessor": dealers[old]})
    table["rule_id"] = links["rule"].map(RULES).to_numpy()
    words = table["rule_id"].str.replace("_", " ").tolist()
    ends, starts = careers.last_on[old].tolist(), careers.first_on[new].tolist()
    table["reason"] = [
        f"{word}: {before} was last listed on {from_day(end)}, "
        f"this license first on {from_day(start)}"
        for word, before, end, start in zip(words, table["predecessor"], ends, starts, strict=True)
    ]
    table["is_predecessor_revoked"] = table["predecessor"].isin(revoked).to_numpy()
    return table.sort_values(["dealer", "predecessor"], ignore_index=True)
