"""Each gate passes the good, refuses the bad by how much it fails, and says when it cannot tell."""

import ast
import itertools
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from training.errors import GateRefusedError
from training.evaluation import gates
from training.evaluation.candidate import Candidate
from training.evaluation.head_evaluation import (
    Overlap,
    list_membership,
    list_overlap,
    overlap_by_lot,
)
from training.evaluation.metrics import Interval
from training.evaluation.promotion_verdict import MENDING, require_passed


def rows(strength: float, *, n: int = 4000, seed: int = 0, **columns: float) -> pd.DataFrame:
    """Held-out rows whose score says `strength` about the label; rules by name and strength."""
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < 0.1).astype(float)

    def scored(s: float) -> np.ndarray:
        margin = s * (y - 0.1) + rng.normal(size=n) - 2.2
        return 1 / (1 + np.exp(-margin))

    frame = pd.DataFrame(
        {
            "dealer": [f"1-54-{i:05d}" for i in range(n)],
            "as_of": pd.Timestamp("2024-01-01"),
            "y": y,
            "weight": 1.0,
            "cluster": np.arange(n) // 4,
            "score": scored(strength),
            "group_state": np.where(np.arange(n) % 2, "VA", "NC"),
        }
    )
    return frame.assign(**{name: scored(s) for name, s in columns.items()})


def test_chance_is_refused_and_signal_is_not():
    assert gates.better_than_chance("h", rows(1.0)).is_passed
    refused = gates.better_than_chance("h", rows(0.0))
    assert refused.outcome == "refused"
    assert refused.shortfall > 0
    assert "REFUSED better_than_chance (h)" in str(refused)


def test_a_signal_that_few_visits_cannot_show_is_neither_passed_nor_refused():
    verdict = gates.better_than_chance("h", rows(0.15, n=300, seed=3))
    assert verdict.outcome == "unsaid"
    assert "CANNOT BE SAID" in str(verdict)


def test_a_model_that_a_simple_rule_beats_is_refused_and_the_rule_named():
    verdict = gates.not_worse_than_rules("h", rows(0.2, rule_trace_count=2.0), capacity=0.1)
    assert verdict.outcome == "refused"
    assert "trace count" in verdict.measured
    assert gates.not_worse_than_rules("h", rows(1.0, rule_random=0.0), capacity=0.1).is_passed


def test_a_rule_that_looks_better_and_is_not_shown_to_be_cannot_be_said():
    frame = rows(1.0, n=300, seed=5)
    ahead = frame.assign(rule_twin=frame["score"])
    best = frame["score"].nlargest(30).index
    missed = frame.index[(frame["y"] > 0) & ~frame.index.isin(best)][:1]
    ahead.loc[missed, "rule_twin"] = 1.0
    assert gates.not_worse_than_rules("h", ahead, capacity=0.1).outcome == "unsaid"


def test_a_candidate_must_be_shown_to_lose_little_and_random_orders_never_are():
    good = rows(2.0, seed=1)
    with_itself = good.assign(champion=good["score"])
    assert gates.no_loss_at_capacity(with_itself, capacity=0.1, margin=0.03, how="").is_passed
    rng = np.random.default_rng(0)
    for n in (300, 2000):
        part = good.iloc[:n].assign(champion=good["score"].iloc[:n])
        for _ in range(3):
            lost = part.assign(score=rng.random(n))
            verdict = gates.no_loss_at_capacity(lost, capacity=0.1, margin=0.03, how="")
            assert not verdict.is_passed
        assert n < 1000 or verdict.outcome == "refused"


def test_a_group_that_loses_recall_is_named():
    champion = rows(2.0, seed=2)
    new = champion.assign(champion=champion["score"])
    is_va = new["group_state"] == "VA"
    assert gates.fair_enough(new, capacity=0.1, limit=0.1).is_passed
    new.loc[is_va, "score"] = new.loc[is_va, "score"].to_numpy()[::-1]
    refused = gates.fair_enough(new, capacity=0.1, limit=0.1)
    assert refused.outcome == "refused"
    assert "state VA" in refused.measured


def test_fairness_cannot_be_said_where_no_group_has_findings_to_compare():
    """15 findings passed with "0.000 (no group)", by whatever order."""
    frame = rows(2.0, n=400, seed=2)
    found = frame.index[frame["y"] > 0]
    frame.loc[found[15:], "y"] = 0.0
    same = frame.assign(champion=frame["score"])
    assert gates.fair_enough(same, capacity=0.1, limit=0.1).is_passed
    other = frame.assign(champion=-frame["score"])
    verdict = gates.fair_enough(other, capacity=0.1, limit=0.1)
    assert (verdict.outcome, "no group has 20 findings" in verdict.measured) == ("unsaid", True)


def test_an_order_that_goes_with_strictness_is_refused():
    assert gates.free_of_strictness(Interval(0.05, -0.1, 0.2), limit=0.15).is_passed
    assert gates.free_of_strictness(Interval(-0.4, -0.6, -0.2), limit=0.15).outcome == "refused"
    assert gates.free_of_strictness(Interval(0.2, -0.1, 0.5), limit=0.15).outcome == "unsaid"
    # Four offices that differ in what has nothing to do with strictness, by luck evenly.
    wide = gates.free_of_strictness(Interval(0.05, -0.45, 0.55), limit=0.15)
    assert (wide.outcome, wide.shortfall) == ("unsaid", pytest.approx(0.25))
    assert gates.free_of_strictness(Interval(-0.1, -0.31, 0.11), limit=0.15).outcome == "unsaid"
    assert gates.free_of_strictness(None, limit=0.15).is_passed
    one = gates.free_of_strictness(None, limit=0.15, n_visiting=1, n_placed=1)
    alike = gates.free_of_strictness(None, limit=0.15, n_visiting=5, n_placed=5)
    assert one.is_passed
    assert alike.is_passed
    assert "equally strict" in alike.measured


def test_offices_whose_dealers_are_not_known_are_not_judged():
    """An export without counties, of one state: nobody can say whose list goes with whom."""
    unknown = gates.free_of_strictness(None, limit=0.15, n_visiting=5, n_placed=1)
    assert unknown.outcome == "unsaid"
    assert "5 offices visit" in unknown.measured


def test_a_list_is_compared_with_the_one_in_force():
    assert gates.stable(Overlap(0.7, 0.6, 0.8), "the champion's", limit=0.4).is_passed
    assert gates.stable(Overlap(0.2, 0.1, 0.3), "the champion's", limit=0.4).outcome == "refused"
    assert gates.stable(None, "", limit=0.4).is_passed
    unseen = gates.stable(None, "the champion's", limit=0.4, is_first=False)
    assert unseen.outcome == "unsaid"


@pytest.mark.parametrize(
    ("entry", "against"),
    [
        ({"list_overlap": 0.6}, "dealt anew"),
        ({"list_overlap": 0.6, "stability": {"pairs": [{"before": "2023-07-01"}]}}, "2023-07-01"),
    ],
)
def test_a_first_list_says_which_other_list_of_its_own_it_is_compared_with(entry, against):
    """Both were said to be of a year before: two dealings of one listing, and half a year."""
    one = Candidate(Path("000001"), {"bundle_heads": ["h"], "heads": {"h": entry}})
    overlap, words = one.own_overlap()
    assert (overlap, against in words) == (Overlap(0.6, 0.6, 0.6), True)
    entry["list_overlap_by_lot"] = [0.5, 0.7]
    assert one.own_overlap()[0] == Overlap(0.6, 0.5, 0.7)


def test_refusals_are_told_together_and_what_cannot_be_said_needs_a_reason():
    passed, refused, unsaid = (
        gates.better_than_chance("a", rows(2.0)),
        gates.better_than_chance("b", rows(0.0)),
        gates.better_than_chance("c", rows(0.15, n=300, seed=3)),
    )
    require_passed([passed], what="Candidate 000001")
    with pytest.raises(GateRefusedError, match="1 of 2 gates refused") as raised:
        require_passed([passed, refused], what="Candidate 000001", accept_unjudged="why not")
    assert raised.value.exit_code == 5
    assert "short by" in str(raised.value)
    assert "more labels" in raised.value.fix
    for reason in (None, "", "  "):
        with pytest.raises(GateRefusedError, match="cannot say"):
            require_passed([passed, unsaid], what="Candidate 000001", accept_unjudged=reason)
    require_passed([passed, unsaid], what="Candidate 000001", accept_unjudged="a new agency")


def test_every_gate_says_what_mends_a_refusal():
    folder = Path(gates.__file__).parent
    named = {
        constant.value
        for path in folder.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "Verdict" and node.args
        for constant in ast.walk(node.args[0])
        if isinstance(constant, ast.Constant)
    }
    assert len(named) > 8
    assert named == set(MENDING)


def test_list_membership_adds_up_to_the_capacity_with_ties():
    listed = list_membership(np.array([3.0, 2.0, 2.0, 2.0, 1.0]), 0.4)
    assert listed.tolist() == pytest.approx([1.0, 1 / 3, 1 / 3, 1 / 3, 0.0])


def test_what_lists_of_dealers_that_tie_share_is_bounded_by_every_lot():
    rng = np.random.default_rng(3)
    for _ in range(60):
        one, other = rng.integers(0, 3, 4), rng.integers(0, 3, 4)
        shared = [
            len(
                set(sorted(range(4), key=lambda n: (-one[n], first[n]))[:2])
                & set(sorted(range(4), key=lambda n: (-other[n], second[n]))[:2])
            )
            / 2
            for first, second in itertools.product(itertools.permutations(range(4)), repeat=2)
        ]
        found = overlap_by_lot(one, other, share=0.5)
        assert (found.least, found.most) == (pytest.approx(min(shared)), pytest.approx(max(shared)))


@pytest.mark.parametrize("other", [np.zeros(100), np.arange(100.0)])
def test_where_all_dealers_tie_the_gate_cannot_say_whether_the_list_jumps(other):
    """It refused a list that nothing but the lot had parted from the one in force."""
    overlap = overlap_by_lot(np.zeros(100), other, share=0.1)
    verdict = gates.stable(overlap, "the champion's", limit=0.4, is_first=False)
    assert verdict.outcome == "unsaid"
    assert "the lot decides who is listed: 0% to 100% of the list" in verdict.measured


def test_unrelated_lists_overlap_by_chance():
    rng = np.random.default_rng(0)
    overlap = list_overlap(rng.random(20_000), rng.random(20_000), share=0.1)
    assert overlap == pytest.approx(0.1, abs=0.02)


def few(n_found: int, seed: int, **orders: float) -> pd.DataFrame:
    """Judged rows with few findings that no order knows, by as many orders as are named."""
    rng = np.random.default_rng(seed)
    y = np.zeros(400)
    y[rng.permutation(400)[:n_found]] = 1.0
    drawn = {name: rng.normal(size=400) for name in ("score", *orders)}
    return pd.DataFrame({"y": y, "weight": 1.0, "cluster": np.arange(400), **drawn})


@pytest.mark.parametrize("gate", ["chance", "champion"])
def test_what_few_findings_do_by_chance_is_neither_passed_nor_refused(gate):
    """Resampling three findings passed and refused one random order in five, and showed 29 of 40
    random orders to lose nothing against another."""
    told = []
    for seed in range(40):
        frame = few(3, seed, champion=1)
        told.append(
            gates.better_than_chance("h", frame).outcome
            if gate == "chance"
            else gates.no_loss_at_capacity(frame, capacity=0.1, margin=0.03, how="").outcome
        )
    assert told.count("unsaid") >= 37


def test_a_rule_that_is_ahead_by_three_of_six_findings_is_not_shown_to_be_better():
    frame = few(6, 0, rule_a=1)
    found = np.flatnonzero(frame["y"])
    frame["score"] -= 10.0 * frame["y"]
    frame.loc[found[:3], "rule_a"] = 10.0
    frame.loc[found[3:], "rule_a"] = -10.0
    verdict = gates.not_worse_than_rules("h", frame, capacity=0.1)
    assert (verdict.outcome, "-0.500 recall" in verdict.measured) == ("unsaid", True)


def test_a_rule_whose_rows_tie_catches_no_more_than_its_places_hold():
    """Half of all dealers were never visited: a place for one in five of them is no finding."""
    frame = few(8, 0, rule_a=1)
    found = frame["y"] > 0
    frame["score"] -= 10.0 * frame["y"]
    frame["rule_a"] = (found | (np.arange(400) % 2 == 0)).astype(float)
    verdict = gates.not_worse_than_rules("h", frame, capacity=0.1)
    assert (verdict.outcome, "-0.19" in verdict.measured) == ("unsaid", True)


def test_one_rule_of_six_must_be_ahead_by_more_than_one_alone():
    """One of many is ahead by chance more often than a single one would be."""
    frame = rows(1.0, n=1500, seed=2, rule_a=1.7)
    alone = gates.not_worse_than_rules("h", frame, capacity=0.1)
    for name in "bcdef":
        frame[f"rule_{name}"] = frame["score"]
    among = gates.not_worse_than_rules("h", frame, capacity=0.1)
    assert "6 rules at once" in among.measured
    assert "at once" not in alone.measured
    one, six = (
        [float(v) for v in re.findall(r"\(([+-][\d.]+) to ([+-][\d.]+)", verdict.measured)[0]]
        for verdict in (alone, among)
    )
    assert six[0] < one[0] < one[1] < six[1]


def test_a_rule_shown_to_be_better_is_not_hidden_by_one_that_only_looks_better(monkeypatch):
    """Only the rule with the lowest difference was looked at, so a noisy one hid a clear one."""
    told = {"rule_a": Interval(-0.05, -0.11, 0.01), "rule_b": Interval(-0.04, -0.07, -0.01)}
    monkeypatch.setattr(gates, "recall_differences", lambda *_args, **_options: told)
    frame = rows(1.0, rule_a=1.0, rule_b=1.0)
    verdict = gates.not_worse_than_rules("h", frame, capacity=0.1)
    assert verdict.outcome == "refused"
    assert "-0.040 recall at 10% against a rule that is better, b (" in verdict.measured
    assert verdict.shortfall == pytest.approx(0.01)


def test_of_few_findings_one_rule_of_many_must_be_ahead_by_more_than_one_alone():
    """Six of six findings leave no doubt about one rule; one of ten is so far ahead more often."""
    frame = few(6, 0, rule_a=1)
    frame["score"] -= 10.0 * frame["y"]
    frame["rule_a"] += 10.0 * frame["y"]
    assert gates.not_worse_than_rules("h", frame, capacity=0.1).outcome == "refused"
    many = frame.assign(**{f"rule_{name}": frame["score"] for name in "bcdefghij"})
    assert gates.not_worse_than_rules("h", many, capacity=0.1).outcome == "unsaid"


def test_few_findings_that_leave_no_doubt_are_passed_and_refused():
    frame = few(12, 0, rule_a=1)
    right = frame.assign(score=frame["y"] + frame["score"] / 10)
    assert gates.better_than_chance("h", right).is_passed
    assert gates.better_than_chance("h", right.assign(score=-right["score"])).outcome == "refused"
    beaten = frame.assign(score=-right["score"], rule_a=right["score"])
    assert gates.not_worse_than_rules("h", beaten, capacity=0.1).outcome == "refused"
    champion = {"capacity": 0.1, "margin": 0.03, "how": ""}
    worse = beaten.rename(columns={"rule_a": "champion"})
    assert gates.no_loss_at_capacity(worse, **champion).outcome == "refused"
    same = frame.assign(champion=frame["score"])
    assert gates.no_loss_at_capacity(same, **champion).is_passed
