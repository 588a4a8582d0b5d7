"""Codes of counties that changed."""

from __future__ import annotations

from features.domain.county import COUNTY_CHANGES
from features.reference import counties


def test_every_patch_leads_to_a_county():
    assert set(COUNTY_CHANGES.values()) <= set(counties().index)
    assert not set(COUNTY_CHANGES) & set(counties().index)
