"""Counties are shaded by a mean that five dealers cannot lead."""

from __future__ import annotations

import numpy as np
import pytest

from serving.web.atlas import shrunk_means


def test_few_dealers_do_not_lead_many():
    rng = np.random.default_rng(0)
    size = rng.integers(1, 200, 400)
    true = 50 + 5 * rng.standard_normal(400)
    values = [rng.normal(mean, 25, n) for mean, n in zip(true, size, strict=True)]
    total = np.array([one.sum() for one in values])
    found = shrunk_means(size, total, np.concatenate(values))
    plain = total / size
    assert np.abs(found - true).mean() < 0.8 * np.abs(plain - true).mean()
    assert size[np.argsort(-plain)[:10]].mean() < size[np.argsort(-found)[:10]].mean()


def test_it_lies_between_the_countys_own_mean_and_that_of_all():
    values = np.array([90.0, 10.0, 20.0, 30.0, 80.0, 70.0, 60.0, 75.0])
    size, total = np.array([1, 3, 4]), np.array([90.0, 60.0, 285.0])
    found = shrunk_means(size, total, values)
    overall = values.mean()
    for mean, own in zip(found, total / size, strict=True):
        assert min(own, overall) - 1e-9 <= mean <= max(own, overall) + 1e-9


def test_without_a_difference_between_counties_all_have_the_mean_of_all():
    values = np.array([40.0, 60.0] * 10)
    found = shrunk_means(np.array([10, 10]), np.array([500.0, 500.0]), values)
    assert found == pytest.approx([50.0, 50.0])
