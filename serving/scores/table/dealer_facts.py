"""What a scored table says of each dealer beside its scores."""

from __future__ import annotations

from datetime import date
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from features import reference
from features.domain.home_offices import has_own_offices, home_offices
from features.warehouse import Warehouse
from serving.scores.table.inspection_facts import inspection_facts
from serving.scores.table.loaded_table import TEXT_COLUMNS

_LICENSE_COLUMNS: Final = {
    "premises_street": "street",
    "premises_city": "city",
    "premises_state": "state",
    "premises_zip": "zip",
    "county_fips": "county",
}
_VISITS: Final = ("compliance", "recall")


def dealer_facts(
    warehouse: Warehouse, dealers: npt.NDArray[np.object_], as_of: date
) -> pd.DataFrame:
    """Return one row a dealer, in the order given: listing in force, place, office, inspections."""
    licenses = warehouse.read("licenses", as_of=as_of).to_pandas(date_as_object=False)
    licenses = licenses.sort_values("listed_on", kind="stable").drop_duplicates(
        "dealer", keep="last"
    )
    facts = licenses.rename(columns=_LICENSE_COLUMNS).set_index("dealer").reindex(dealers)
    facts = _with_place(facts)
    offices = reference.county_office().set_index("county_fips")[["office", "division"]]
    facts = facts.join(offices, on="county")
    inspections = warehouse.read("inspections", as_of=as_of).to_pandas(date_as_object=False)
    facts = _with_own_offices(facts, licenses, inspections)
    facts = facts.join(inspection_facts(inspections, as_of))
    facts.index.name = "dealer"
    facts = facts.reset_index()
    for name in TEXT_COLUMNS:
        facts[name] = facts[name].astype(object).where(facts[name].notna(), "").astype(str)
    facts["n_inspections"] = facts["n_inspections"].fillna(0).astype(np.int32)
    facts["is_recall_due"] = facts["is_recall_due"].eq(True)
    dates = ["last_inspected_on", "eligible_on"]
    facts[dates] = facts[dates].astype("datetime64[s]")
    columns = ["dealer", *TEXT_COLUMNS, "latitude", "longitude", *dates]
    return facts[[*columns, "n_inspections", "is_recall_due"]]


def _with_own_offices(
    facts: pd.DataFrame, licenses: pd.DataFrame, inspections: pd.DataFrame
) -> pd.DataFrame:
    """Put an agency's own offices in the place of the published, by who visits where.

    A published office is that of the county, whoever came by from another. Offices of own codes are
    on no map but that of their visits: a dealer in a state without visits belongs to none.
    """
    visits = inspections.loc[inspections["kind"].isin(_VISITS), ["dealer", "office"]]
    if not has_own_offices(visits["office"], reference.offices().index):
        return facts
    listed = licenses.rename(columns=_LICENSE_COLUMNS)[["dealer", "county", "state"]]
    return facts.assign(office=home_offices(facts, visits.merge(listed, on="dealer")))


def _with_place(facts: pd.DataFrame) -> pd.DataFrame:
    """Fill coordinates that the listing does not give with the center of the ZIP area."""
    centers = reference.zip_places()
    for name, place in (("latitude", "lat"), ("longitude", "lon")):
        center = facts["zip"].map(centers[place])
        facts[name] = facts[name].astype(np.float64).fillna(center)
    return facts
