"""What the installation compiles is what commands use."""

from __future__ import annotations

import pytest

from features.engine import kernels
from models.margin import tabulated
from training.commands.warm_up import warm_up


@pytest.mark.slow
def test_the_kernels_are_compiled_and_nothing_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    told = []
    warm_up(told.append)
    assert len(told) == 3
    assert kernels.sums.signatures
    compiled = [v for v in vars(tabulated).values() if getattr(v, "signatures", None)]
    assert compiled
    assert not list(tmp_path.iterdir())
