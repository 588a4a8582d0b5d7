import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from models import Bundle, Policy, RateRegressor
from models.bundle.profile import Profile
from models.errors import BundleError, InputError
from models.order.restraint import Restraint, priorities
from models.order.set_against_alike import EXPOSURE, Peers, set_against


@pytest.fixture
def saved(bundle, tmp_path):
    bundle.save(tmp_path / "bundle")
    return tmp_path / "bundle"


@pytest.fixture
def rows(draw):
    return draw(200, 9)[0]


def test_loading_gives_the_same_scores_to_the_bit(bundle, saved, rows):
    pd.testing.assert_frame_equal(
        Bundle.load(saved).score(rows), bundle.score(rows), check_exact=True
    )


def test_two_saves_are_the_same_bytes(bundle, saved, tmp_path):
    Bundle.load(saved).save(tmp_path / "again")
    for path in sorted(p for p in saved.rglob("*") if p.is_file()):
        assert path.read_bytes() == (tmp_path / "again" / path.relative_to(saved)).read_bytes()


def test_priority_is_explained_as_the_weighted_sum_of_the_heads(bundle, rows):
    explained = bundle.explain(rows)
    total = sum(bundle.policy.weights[name] * explained[name].values for name in bundle.heads)
    np.testing.assert_allclose(explained["priority"].values, total, atol=1e-12)
    np.testing.assert_allclose(
        explained["priority"].margin, bundle.score(rows)["priority"], atol=1e-9
    )


def test_heads_beside_compliance_count_as_the_manifest_says(bundle, rows):
    half = {**bundle.manifest, "restraint": {"scale": 0.5, "cost": 0.01, "cost_in_full": 0.03}}
    made = replace(bundle, manifest=half)
    margins = {n: h.predict_margin(rows[list(h.columns_)]) for n, h in bundle.heads.items()}
    expected = margins["compliance"] + 0.5 * 0.25 * margins["diversion"]
    np.testing.assert_allclose(made.score(rows)["priority"], expected)
    np.testing.assert_allclose(made.explain(rows)["priority"].margin, expected, atol=1e-9)


@pytest.fixture(scope="module")
def counting(bundle, draw):
    """A bundle of one head that counts, as any policy would have it, and its signals."""
    X = draw(400, 3)[0].rename(columns={"count_0": EXPOSURE})
    X["border_km"] = np.tile([5.0, 300.0, 900.0, np.nan], 100)
    rate = (0.1 + 0.05 * X[EXPOSURE]) * (1 + 2 * (X["border_km"] < 100))
    model = RateRegressor(n_repeats=1, max_rounds=40).fit(
        X.drop(columns="kind"), np.random.default_rng(0).poisson(rate)
    )
    signals = [{"name": name, "family": "test", "reason": ""} for name in X.columns]
    margin = model.predict_margin(X[list(model.columns_)])
    peers = Peers.of(set_against(X, ["border_km", "absent", "kind"]), {"diversion": margin})
    profile = Profile.of(X, peers=peers)

    def priority(**shares: float) -> np.ndarray:
        text = bundle.policy.text
        for key, shipped in (("per_sale", "0.5"), ("per_place", "1.0")):
            text = text.replace(f"{key} = {shipped}", f"{key} = {shares.get(key, 0.0)}")
        policy = Policy.parse(text)
        made = Bundle({"diversion": model}, policy, signals, profile, "card", bundle.manifest)
        found = made.score(X)["priority"].to_numpy()
        explained = made.explain(X)["priority"]
        np.testing.assert_allclose(explained.margin, found, atol=1e-9)
        # As the published order is judged: one order everywhere.
        judged = priorities(
            policy, {"diversion": margin}, set_against(X, ["border_km"]), Restraint()
        )
        np.testing.assert_allclose(judged, found, atol=1e-9)
        return found

    return X, peers, priority


def test_counts_are_set_against_sales_as_far_as_the_policy_says(counting):
    X, peers, priority = counting
    by_count, half, by_rate = (priority(per_sale=share) for share in (0.0, 0.5, 1.0))
    taken = by_count - by_rate
    np.testing.assert_allclose(taken, 0.25 * peers.of_head("diversion", X[EXPOSURE]), atol=1e-9)
    assert abs(taken.mean()) < 1e-9
    np.testing.assert_allclose(taken / 2, by_count - half, atol=1e-9)


def test_counts_are_set_against_places_as_far_as_the_policy_says(counting):
    X, peers, priority = counting
    assert peers.places.signals == ("border_km",)  # what the table lacks, and words, are no place
    by_count, alike = (priority(per_place=share) for share in (0.0, 1.0))
    taken = by_count - alike
    np.testing.assert_allclose(taken / 2, by_count - priority(per_place=0.5), atol=1e-9)
    assert abs(taken.mean()) < 1e-9
    np.testing.assert_allclose(taken[X["border_km"].isna()], 0.0, atol=1e-9)
    near, far = (score[X["border_km"] == 5.0] .mean() - score[X["border_km"] == 900.0].mean()
                 for score in (by_count, alike))  # fmt: skip
    assert abs(far) < near / 4


def test_scores_lie_within_their_intervals_and_keep_the_index(bundle, rows):
    rows = rows.set_axis([f"d{i}" for i in range(len(rows))])
    scored = bundle.score(rows)
    assert list(scored.index) == list(rows.index)
    assert (scored["compliance_lower"] <= scored["compliance"]).all()
    assert (scored["compliance"] <= scored["compliance_upper"]).all()
    assert scored["support"].between(0, 1).all()


@pytest.mark.parametrize(
    "name", ["heads/compliance.txt", "calibration.json", "policy.toml", "card.md", "profile.json"]
)
def test_one_changed_byte_is_refused_by_name(saved, name):
    content = bytearray((saved / name).read_bytes())
    content[len(content) // 2] ^= 1
    (saved / name).write_bytes(content)
    with pytest.raises(BundleError, match=name):
        Bundle.load(saved)


def test_a_missing_file_is_refused_by_name(saved):
    (saved / "signals.json").unlink()
    with pytest.raises(BundleError, match=r"signals\.json"):
        Bundle.load(saved)


def test_an_unlisted_file_is_refused_by_name(saved):
    (saved / "heads" / "extra.txt").write_text("x", encoding="utf-8")
    with pytest.raises(BundleError, match=r"extra\.txt"):
        Bundle.load(saved)


def test_a_link_is_refused_even_to_the_right_content(saved, tmp_path):
    shutil.move(saved / "card.md", tmp_path / "card.md")
    (saved / "card.md").symlink_to(tmp_path / "card.md")
    with pytest.raises(BundleError, match=r"card\.md"):
        Bundle.load(saved)


@pytest.mark.parametrize(
    "change",
    [
        {"schema_version": 99},
        {"files": {"../outside.txt": "0"}},
        {"files": {"/etc/passwd": "0"}},
        {"files": {}},
        {"files": []},
        {"heads": {"compliance": "os.system"}},
    ],
)
def test_a_manifest_that_lies_is_refused(saved, change):
    path = saved / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change), encoding="utf-8")
    with pytest.raises(BundleError):
        Bundle.load(saved)


def test_no_manifest_is_no_bundle(tmp_path):
    with pytest.raises(BundleError, match="No bundle"):
        Bundle.load(tmp_path)


def test_saving_onto_something_is_refused(bundle, saved):
    with pytest.raises(BundleError, match="exists already"):
        bundle.save(saved)


def test_a_missing_signal_is_named_with_the_nearest(bundle, rows):
    with pytest.raises(InputError, match=r"'count_3'; did you mean 'count3'"):
        bundle.score(rows.rename(columns={"count_3": "count3"}))


def test_order_and_extra_columns_of_the_table_change_nothing(bundle, rows):
    shuffled = rows[rows.columns[::-1]].assign(extra=1)
    pd.testing.assert_frame_equal(bundle.score(shuffled), bundle.score(rows))


def test_a_policy_by_sales_needs_to_know_who_sells_alike(bundle, draw):
    X = draw(400, 3)[0].rename(columns={"count_0": EXPOSURE}).drop(columns="kind")
    model = RateRegressor(n_repeats=1, max_rounds=10).fit(
        X, np.random.default_rng(0).poisson(np.ones(len(X)))
    )
    signals = [{"name": name, "family": "test", "reason": ""} for name in X.columns]
    with pytest.raises(BundleError, match=r"dealers who sell alike.*\n.*\n.*train again"):
        Bundle({"diversion": model}, bundle.policy, signals, Profile.of(X), "card", bundle.manifest)
