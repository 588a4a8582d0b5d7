"""Tests that share what is expensive to build run in one process.

Nothing else would fail if the groups were forgotten: everything would only be built twice.
"""

import pytest

pytestmark = pytest.mark.xdist_group("told_apart")


def test_a_group_reaches_those_who_hand_out_tests(request: pytest.FixtureRequest) -> None:
    if not request.config.getoption("loadgroup", default=False):
        pytest.skip("tests are not handed out by group")
    assert request.node.nodeid.endswith("@told_apart")


def test_nobody_waits_at_the_end_for_a_long_test(request: pytest.FixtureRequest) -> None:
    units: dict[str, bool] = {}
    for item in request.session.items:
        group = item.get_closest_marker("xdist_group")
        unit = item.nodeid if group is None else group.args[0]
        units[unit] = units.get(unit, False) or item.get_closest_marker("slow") is not None
    long = list(units.values())
    assert long == sorted(long, reverse=True)
