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
    for module in (kernels, tabulated):
        jitted = [v for v in vars(module).values() if hasattr(v, "nopython_signatures")]
        assert jitted
        assert any(function.signatures for function in jitted)
    assert not list(tmp_path.iterdir())
