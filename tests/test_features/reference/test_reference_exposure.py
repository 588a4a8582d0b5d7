"""Exposure of a place, neighbors, shared purchasers: pure functions held to slow ones."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from features import reference
from features.reference.geography.border_distances import wgs84
from features.signals.shared import exposure, graph, nearness

HOUSTON, LAREDO, FARGO = (29.76, -95.37), (27.51, -99.51), (46.88, -96.79)
POINTS = np.array([HOUSTON, LAREDO, FARGO])
AS_OF = date(2020, 6, 1)
EXPOSED = exposure.Exposures(POINTS)


def _geodesic_km(a, b):
    return wgs84().inv(a[1], a[0], b[1], b[0])[2] / 1000


def test_neighbors_are_those_within_the_geodesic_radius():
    generator = np.random.default_rng(11)
    points = generator.uniform((29, -96), (31, -94), (60, 2))
    near = nearness.within(points, points, 50.0).toarray()
    for i in range(60):
        for j in range(60):
            assert near[i, j] == (_geodesic_km(points[i], points[j]) <= 50.0)


def test_distances_are_geodesics_to_a_meter():
    generator = np.random.default_rng(12)
    points = generator.uniform((29, -96), (29.5, -95.5), (20, 2))
    found = nearness.distances_within(points, points, 50.0).toarray()
    for i in range(20):
        for j in range(20):
            km = _geodesic_km(points[i], points[j])
            if km <= 49.9:
                assert found[i, j] == pytest.approx(km, abs=1e-3)


def test_sums_within_are_those_of_the_distances():
    generator = np.random.default_rng(13)
    points = generator.uniform((29, -96), (31, -94), (80, 2))
    targets = np.vstack((points[:30], generator.uniform((29, -96), (31, -94), (40, 2))))
    mass = generator.integers(0, 9, (70, 3))
    found = nearness.sums_within(points, targets, mass, (10, 50))
    for radius, total in zip((10.0, 50.0), found, strict=True):
        np.testing.assert_array_equal(total, nearness.within(points, targets, radius) @ mass)
    assert nearness.sums_within(points, targets[:0], mass[:0], (10, 50)).sum() == 0


def test_distinct_points_lead_back_to_the_rows():
    lat, lon = np.array([1.0, np.nan, 1.0, 2.0]), np.array([5.0, 5.0, 5.0, np.nan])
    points, position = nearness.distinct_points(lat, lon)
    assert points.tolist() == [[1.0, 5.0]]
    assert position.tolist() == [0, -1, 0, -1]


def test_nobody_is_near_nobody():
    assert nearness.within(np.empty((0, 2)), POINTS, 10.0).shape == (0, 3)


def test_port_gravity_by_hand():
    crossings = reference.known_before("port_crossings", AS_OF)
    crossings = crossings[crossings["year"] == 2018].set_index("port_code")
    expected = 0.0
    for code, port in reference.ports().iterrows():
        km = _geodesic_km(LAREDO, (port["lat"], port["lon"]))
        if km <= 600 and code in crossings.index:
            row = crossings.loc[code]
            vehicles = row["personal_vehicles"] + row["trucks"] + row["buses"]
            expected += vehicles / 1e6 * np.exp(-km / 100)
    found = EXPOSED.port_gravity(AS_OF)
    assert found[1] == pytest.approx(expected, rel=1e-4)
    assert found[2] == 0.0


def test_inland_hub_stands_out_where_distance_does_not():
    """Houston lies 500 km from the line and yet outranks Laredo in people within reach."""
    hub = EXPOSED.hub_exposure(AS_OF)
    assert hub[0] > hub[1] > hub[2] == 0.0


def test_exposures_are_missing_before_their_source_was_public():
    assert EXPOSED.mexico_demand(date(2017, 12, 22)) is None
    assert EXPOSED.mexico_demand(date(2017, 12, 23)) is not None
    assert EXPOSED.hub_exposure(date(2010, 12, 31)) is None
    assert EXPOSED.port_gravity(date(1996, 12, 31)) is None


def test_zone_keeps_missing_missing():
    assert np.isnan(exposure.zone([np.nan])).all()


def _slow_sharing(dealer, token, n):
    shared = [
        {j for j in range(n) if j != i and set(token[dealer == i]) & set(token[dealer == j])}
        for i in range(n)
    ]
    component = []
    for i in range(n):
        seen, todo = {i}, [i]
        while todo:
            for j in shared[todo.pop()] - seen:
                seen.add(j)
                todo.append(j)
        component.append(len(seen))
    return [len(s) for s in shared], component


@pytest.mark.parametrize("seed", range(5))
def test_shared_purchasers_against_a_walk(seed):
    generator = np.random.default_rng(seed)
    dealer, token = generator.integers(0, 12, 30), generator.integers(0, 40, 30)
    found = graph.share_purchasers(dealer, token, 12)
    degree, component = _slow_sharing(dealer, token, 12)
    assert found.degree.tolist() == degree
    assert found.component.tolist() == component
    for row in range(30):
        others = dealer[(token == token[row]) & (dealer != dealer[row])]
        assert found.is_shared[row] == (len(others) > 0)


def test_nobody_shares_without_events():
    nothing = np.zeros(0, dtype=np.int64)
    found = graph.share_purchasers(nothing, nothing, 3)
    assert found.degree.tolist() == [0, 0, 0]
    assert found.component.tolist() == [1, 1, 1]


def test_mass_of_others_leaves_out_its_own():
    label, mass = np.array([0, 0, 1]), np.array([2.0, 3.0, 4.0])
    assert graph.mass_of_others(label, mass).tolist() == [3.0, 2.0, 0.0]
