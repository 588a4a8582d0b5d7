"""Codes of counties and the point where a dealer stands."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from features.domain.county import COUNTY_CHANGES
from features.reference import counties, places, zip_places


def test_counties_of_listings_are_patched():
    state = pd.Series(["DC", "FL", "VA", "TX", "PA"])
    county = pd.Series(["000", "025", "515", "141", "006"])
    codes = places.county_fips(state, county)
    assert codes.iloc[:4].tolist() == ["11001", "12086", "51019", "48141"]
    assert pd.isna(codes.iloc[4])


def test_unknown_county_falls_back_to_the_zip_code():
    codes = places.county_fips(pd.Series(["PA"]), pd.Series(["006"]), pd.Series(["15222-1234"]))
    assert codes.tolist() == ["42003"]


def test_every_patch_leads_to_a_county():
    assert set(COUNTY_CHANGES.values()) <= set(counties().index)
    assert not set(COUNTY_CHANGES) & set(counties().index)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("85004", "85004"), ("85004-1234", "85004"), ("850041234", "85004"), (" 85004 ", "85004")],
)
def test_zip_codes(text, expected):
    assert places.zip5(pd.Series([text])).tolist() == [expected]


@pytest.mark.parametrize("text", ["8500", "8500A", "", "85004-12"])
def test_bad_zip_codes_are_null(text):
    assert places.zip5(pd.Series([text])).isna().all()


def test_point_comes_from_the_listing_then_zip_then_county():
    frame = pd.DataFrame(
        {
            "premises_zip": ["85701", "85701", "99999", "99999"],
            "county_fips": ["04019", "04019", "04019", "00000"],
            "latitude": [32.5, np.nan, np.nan, np.nan],
            "longitude": [-111.0, np.nan, np.nan, np.nan],
        },
        index=[5, 6, 7, 8],
    )
    found = places.locate(frame)
    assert found.index.tolist() == [5, 6, 7, 8]
    assert found["point_source"].iloc[:3].tolist() == ["listing", "zip", "county"]
    assert pd.isna(found["point_source"].iloc[3])
    assert found.loc[5, ["lat", "lon"]].tolist() == [32.5, -111.0]
    assert found.loc[6, "lat"] == zip_places().loc["85701", "lat"]
    assert found.loc[7, "lat"] == counties().loc["04019", "lat"]
    assert np.isnan(found.loc[8, "lat"])


def test_point_without_coordinates_in_the_listing():
    frame = pd.DataFrame({"premises_zip": ["85701"], "county_fips": ["04019"]})
    assert places.locate(frame)["point_source"].tolist() == ["zip"]
