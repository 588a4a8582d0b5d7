"""Settings every test runs under: no telemetry, UTC, one thread a library."""

import gc
import os
import tempfile
from collections.abc import Generator

# Set before anything is imported that reads them.
os.environ["BENTOML_DO_NOT_TRACK"] = "True"
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["DO_NOT_TRACK"] = "true"
os.environ["TZ"] = "UTC"
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["MPLBACKEND"] = "Agg"
# The processes that tests start import the same modules hundreds of times: compiled once.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# Spark's processes here live for seconds: a compiler that optimizes little is done sooner.
os.environ.setdefault("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")
os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", tempfile.mkdtemp(prefix="ffl-risk-metrics-"))

import pytest
from hypothesis import settings

# Until all is collected: what modules bring stays to the end, and is looked through in vain.
gc.disable()
# Nothing that a test writes outlives the machine, and each wait for the disk takes milliseconds.
os.fsync = lambda _: None

# A loaded machine is no failure: examples are bounded in number, never in time. They are the same
# in every run; `--hypothesis-profile=search` looks for others.
settings.register_profile("search", deadline=None, derandomize=False)
settings.register_profile("same", deadline=None, derandomize=True, database=None)
settings.load_profile("same")

# Fixtures that simulate, ingest, publish, plan, fit or start a server before the first test of
# their module runs.
BUILT = {
    "absent", "bucket", "built", "bundle", "classifier", "country", "draw", "eve", "found", "held",
    "history", "home", "homes", "make_warehouse", "measured", "nation", "office", "past", "place",
    "plain", "plan", "planned", "problem", "quarters", "regressor", "runtime", "service",
    "shuffled", "simulated", "snapshots", "stored", "table", "told", "warehouse", "world",
}  # fmt: skip


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Leave modules and tests out of what is looked for as garbage from here on."""
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Generator[None]:
    """Mark the tests that something large is built for, and begin with the long ones.

    `make test-fast` leaves the marked out. What is built for a module, or for all that read one
    country, is built by one process. A long test that came last would leave the others idle.
    """
    for item in items:
        fixtures = BUILT & set(getattr(item, "fixturenames", ()))
        if not fixtures:
            continue
        item.add_marker("built")
        if item.get_closest_marker("xdist_group") is not None:
            continue
        known = getattr(item, "_fixtureinfo").name2fixturedefs  # noqa: B009 - private to pytest
        if "simulated" in fixtures:
            item.add_marker(pytest.mark.xdist_group("simulated"))
        elif any(one.scope == "module" for name in fixtures for one in known.get(name, ())):
            item.add_marker(pytest.mark.xdist_group(item.nodeid.partition("::")[0]))
    yield  # the others put them into a random order and write the group into each name
    long = {_unit(item) for item in items if item.get_closest_marker("slow") is not None}
    items.sort(key=lambda item: _unit(item) not in long)


def _unit(item: pytest.Item) -> str:
    """What one process runs in one go: a group of tests, or a test."""
    group = item.get_closest_marker("xdist_group")
    return item.nodeid if group is None else group.args[0]


# Simulated countries, each made when a test first asks for it.
from tests.shared import learned_country  # noqa: E402, F401
from tests.simulated import simulated  # noqa: E402, F401
