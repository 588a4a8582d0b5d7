"""Settings every test runs under: no telemetry, UTC, one thread a library."""

import os
import tempfile

# Set before anything is imported that reads them.
os.environ["BENTOML_DO_NOT_TRACK"] = "True"
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["DO_NOT_TRACK"] = "true"
os.environ["TZ"] = "UTC"
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["MPLBACKEND"] = "Agg"
os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", tempfile.mkdtemp(prefix="ffl-risk-metrics-"))

from hypothesis import settings

# A loaded machine is no failure: examples are bounded in number, never in time.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

# One simulated country for everything beside the ranking; made when a test first asks for it.
from tests.simulated import simulated  # noqa: E402, F401
