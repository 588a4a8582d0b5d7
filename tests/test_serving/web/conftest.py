"""An inspector at a browser, and a dealer and a list of the own office."""

from __future__ import annotations

import pytest

from tests.test_serving.pages import Visitor


@pytest.fixture
def inspector(service):
    return Visitor(service, "inspector")


@pytest.fixture
def free(service):
    """A dealer of the inspector's office that was never inspected."""
    columns = service.runtime.snapshot.columns
    return str(
        columns["dealer"][(columns["office"] == "office0") & (columns["n_inspections"] == 0)][0]
    )


@pytest.fixture
def listed(service):
    return service.post("/v1/rank", "inspector", {"k": 20}).json()
