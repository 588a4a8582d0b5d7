"""What heads beside compliance may cost a list, and that they count for no more."""

import numpy as np
import pandas as pd
import pytest

from models.order.restraint import Restraint, priorities, restrain
from models.order.set_against_alike import EXPOSURE
from models.policy import DEFAULT, Policy

N = 4000
TEXT = DEFAULT.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def margins() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(5)
    return {"compliance": rng.normal(-2, 0.5, N), "diversion": rng.normal(-3, 4.0, N)}


def policy_of(maximum: float) -> Policy:
    assert "maximum = 0.01" in TEXT
    return Policy.parse(TEXT.replace("maximum = 0.01", f"maximum = {maximum}"))


def lost(score: np.ndarray, margins: dict[str, np.ndarray]) -> float:
    chance = 1 / (1 + np.exp(-margins["compliance"]))
    own, other = (chance[np.argsort(-s)[: N // 10]].mean() for s in (chance, score))
    return float(1 - other / own)


@pytest.mark.parametrize("maximum", [0.0, 0.01, 0.1])
def test_a_list_gives_up_no_more_than_the_policy_allows(margins, maximum):
    policy = policy_of(maximum)
    found = restrain(policy, margins, None)
    assert lost(priorities(policy, margins, None, found), margins) == pytest.approx(found.cost)
    assert found.cost <= maximum < found.cost_in_full
    more = priorities(policy, margins, None, Restraint(scale=found.scale + 0.05))
    assert lost(more, margins) > maximum, "as far as it may, not less"
    assert f"{found.scale:.0%}" in found.in_words()


def test_what_costs_little_counts_in_full(margins):
    found = restrain(policy_of(0.01), margins | {"diversion": margins["diversion"] / 50}, None)
    assert found.scale == 1.0
    assert "in full" in found.in_words()


def test_what_is_taken_off_for_sales_is_part_of_the_price(margins):
    sales = pd.DataFrame({EXPOSURE: np.exp(margins["diversion"] / 2 + 3)})
    by_count, against = (
        restrain(
            Policy.parse(TEXT.replace("per_sale = 0.5", f"per_sale = {share}")), margins, sales
        )
        for share in (0, 1)
    )
    assert against.cost_in_full < by_count.cost_in_full / 2


def test_without_compliance_or_without_a_limit_the_policy_counts(margins):
    alone = {"diversion": margins["diversion"]}
    found = restrain(policy_of(0.01), alone, None)
    assert found.weights(Policy.read(), alone) == {"diversion": 0.25}
    free = restrain(policy_of(1.0), margins, None)
    assert free.scale == 1.0
    assert free.in_words() == ""


def test_a_manifest_states_it_and_an_older_one_has_the_weights_of_its_policy(margins):
    found = restrain(policy_of(0.01), margins, None)
    again = Restraint.of_manifest({"restraint": found.state()})
    assert again == found
    weights = again.weights(Policy.read(), margins)
    assert weights == {"compliance": 1.0, "diversion": pytest.approx(0.25 * found.scale)}
    assert Restraint.of_manifest({}).weights(Policy.read(), margins)["diversion"] == 0.25
