"""Promotion gates: each says what it measured, what it wanted, and whether that is enough.

Head gates judge one head on its held-out rows; a head that fails `better_than_chance` or
`not_worse_than_rules` never enters a bundle. Bundle gates judge what would be put in force, beside
the champion when both were judged on some of the same rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.errors import FflRiskError
from training.errors import GateRefusedError
from training.evaluation.candidate import Candidate
from training.evaluation.evaluation import GROUP, RULE, level_weight, list_membership
from training.evaluation.metrics import Ranking, bootstrap, reliability
from training.recipe import Gates

Floats = npt.NDArray[np.float64]
N_RESAMPLES = 300


@dataclass(frozen=True)
class Verdict:
    """What one gate found.

    Parameters
    ----------
    gate, head : str
        Which gate, on which head (empty for the whole bundle).
    is_passed : bool
        Whether it lets the candidate through.
    measured, wanted : str
        What was found and what the gate asks for, in words with figures.
    shortfall : float
        By how much it failed, in the unit of the figures; 0 when passed.
    """

    gate: str
    head: str
    is_passed: bool
    measured: str
    wanted: str
    shortfall: float = 0.0

    def __str__(self) -> str:
        sign = "passed" if self.is_passed else "REFUSED"
        where = f" ({self.head})" if self.head else ""
        return f"{sign} {self.gate}{where}: {self.measured}; wanted {self.wanted}"

    def as_dict(self) -> dict[str, Any]:
        """Return it for a report."""
        return asdict(self)


def better_than_chance(head: str, rows: pd.DataFrame) -> Verdict:
    """Ask that the interval of the AUC lie wholly above one half."""
    y = (rows["y"].to_numpy() > 0).astype(np.float64)
    ranking, weight = Ranking(rows["score"]), rows["weight"].to_numpy()
    (auc,) = bootstrap(
        lambda w: ranking.auc(y, weight=w * weight), rows["cluster"], n_resamples=N_RESAMPLES
    )
    return Verdict(
        "better_than_chance",
        head,
        bool(auc.low > 0.5),
        f"AUC {auc}",
        "an interval above 0.500",
        max(0.0, 0.5 - auc.low),
    )


def not_worse_than_rules(head: str, rows: pd.DataFrame, *, capacity: float) -> Verdict:
    """Ask that no simple rule find significantly more at capacity (paired bootstrap)."""
    rules = [c for c in rows.columns if c.startswith(RULE)]
    if not rules:
        return Verdict("not_worse_than_rules", head, True, "no rule to compare", "none better")
    differences = recall_differences(rows, rules, capacity=capacity)
    best = min(differences, key=lambda name: differences[name][0])
    value, _, high = differences[best]
    return Verdict(
        "not_worse_than_rules",
        head,
        high >= 0,
        f"{value:+.3f} recall at {capacity:.0%} against the best rule, {_words(best)} "
        f"(at most {high:+.3f})",
        "a difference that may be zero or more",
        max(0.0, -high),
    )


def recall_differences(
    rows: pd.DataFrame, others: Sequence[str], *, capacity: float
) -> dict[str, tuple[float, float, float]]:
    """Paired difference in recall at capacity, model less other: value, low, high."""
    y, weight = rows["y"].to_numpy(dtype=np.float64), rows["weight"].to_numpy()
    model = Ranking(rows["score"])
    rankings = [Ranking(rows[name]) for name in others]

    def statistic(w: Floats) -> Floats:
        w = w * weight
        total = y @ w
        own = model.captured(y, share=capacity, weight=w)
        found = np.array([r.captured(y, share=capacity, weight=w) for r in rankings])
        return np.asarray((own - found) / total, dtype=np.float64)

    intervals = bootstrap(statistic, rows["cluster"], n_resamples=N_RESAMPLES)
    return {name: (i.value, i.low, i.high) for name, i in zip(others, intervals, strict=True)}


def calibrated(head: str, rows: pd.DataFrame, *, limit: float) -> Verdict:
    """Ask that predicted and observed rates agree, beyond what few outcomes differ by chance.

    The expected calibration error of true predictions is not zero: with few positives each bin
    misses by chance. What counts is the error above its 95th percentile under the predictions.
    """
    y, weight = rows["y"].to_numpy(dtype=np.float64), level_weight(rows)
    score = rows["score"].to_numpy(dtype=np.float64)
    rate = float(np.average(y, weights=weight))
    error = reliability(y, score, weight=weight).ece / rate
    by_chance = chance_calibration_error(y, score, weight) / rate
    beyond = max(0.0, error - by_chance)
    return Verdict(
        "calibration",
        head,
        beyond <= limit,
        f"calibration error {error:.1%} of the rate {rate:.4f}, chance alone gives {by_chance:.1%}",
        f"at most {limit:.0%} beyond chance",
        max(0.0, beyond - limit),
    )


def chance_calibration_error(y: Floats, score: Floats, weight: Floats) -> float:
    """Return the 95th percentile of the calibration error were the predictions true."""
    rng = np.random.default_rng(0)
    is_binary = bool(np.isin(y, (0.0, 1.0)).all())
    drawn = [
        rng.binomial(1, np.clip(score, 0, 1)) if is_binary else rng.poisson(np.maximum(score, 0))
        for _ in range(N_RESAMPLES)
    ]
    errors = [reliability(d.astype(np.float64), score, weight=weight).ece for d in drawn]
    return float(np.quantile(errors, 0.95))


def explanation_adds_up(candidate: Candidate) -> Verdict:
    """Ask that contributions add up to the score on every sampled row, for heads and priority."""
    try:
        candidate.bundle().explain(candidate.sample())
    except FflRiskError as error:
        return Verdict("explanation", "", False, error.what, "contributions that add up", 1.0)
    return Verdict(
        "explanation", "", True, "contributions add up on every sampled row", "additivity"
    )


def schema_holds(candidate: Candidate) -> Verdict:
    """Ask that every hash is right and every signal still means what it meant."""
    from features.signals.registry import SIGNALS

    now = {signal.name: signal for signal in SIGNALS}
    try:
        bundle = candidate.bundle()
    except FflRiskError as error:
        return Verdict("schema", "", False, error.what, "a bundle that loads", 1.0)
    names = [str(entry["name"]) for entry in bundle.signals]
    gone = [name for name in names if name not in now]
    changed = [
        str(entry["name"])
        for entry in bundle.signals
        if entry["name"] in now and entry.get("definition") != now[entry["name"]].definition
    ]
    found = f"{len(names)} signals, {len(gone)} unknown, {len(changed)} defined otherwise"
    if gone or changed:
        found += f" ({', '.join((gone + changed)[:3])})"
    wanted = "every signal in the registry, defined as it was"
    return Verdict("schema", "", not gone and not changed, found, wanted, len(gone) + len(changed))


def stable(candidate: Candidate, *, limit: float) -> Verdict:
    """Ask that lists that should be alike overlap enough."""
    overlaps = {
        name: entry["list_overlap"]
        for name, entry in candidate.evaluation["heads"].items()
        if name in candidate.heads and entry.get("list_overlap") is not None
    }
    if not overlaps:
        return Verdict("stability", "", True, "only one list to look at", f"at least {limit:.0%}")
    head = min(overlaps, key=lambda name: overlaps[name])
    value = float(overlaps[head])
    return Verdict(
        "stability",
        head,
        value >= limit,
        f"overlap of lists {value:.0%}",
        f"at least {limit:.0%}",
        max(0.0, limit - value),
    )


def no_loss_at_capacity(
    head: str, rows: pd.DataFrame, champion: pd.DataFrame | None, *, capacity: float, limit: float
) -> Verdict:
    """Ask that recall at capacity not fall against the champion (paired, on the same rows)."""
    wanted = f"no loss beyond {limit:.3f}"
    joined = _same_rows(rows, champion)
    if joined is None:
        return Verdict("champion", head, True, "no champion judged on the same rows", wanted)
    value, _, high = recall_differences(joined, ["champion"], capacity=capacity)["champion"]
    return Verdict(
        "champion",
        head,
        value >= -limit or high >= 0,
        f"{value:+.3f} recall at {capacity:.0%} against the champion (at most {high:+.3f}) on "
        f"{len(joined)} rows",
        wanted,
        max(0.0, -value - limit),
    )


def fair_enough(
    head: str, rows: pd.DataFrame, champion: pd.DataFrame | None, *, capacity: float, limit: float
) -> Verdict:
    """Ask that no group lose recall against the champion, beyond the limit and noise."""
    wanted = f"no group losing more than {limit:.2f} recall"
    joined = _same_rows(rows, champion)
    if joined is None:
        return Verdict("fairness", head, True, "no champion judged on the same rows", wanted)
    new = list_membership(joined["score"], capacity)
    old = list_membership(joined["champion"], capacity)
    y = (joined["y"].to_numpy() > 0).astype(np.float64)
    worst, where = 0.0, "no group"
    for column in (c for c in joined.columns if c.startswith(GROUP)):
        for value, index in joined.groupby(column, observed=True).indices.items():
            n = y[index].sum()
            if n < 20:
                continue
            loss = float((old[index] - new[index]) @ y[index] / n)
            noise = float(np.sqrt(((old[index] - new[index]) ** 2 * y[index]).sum()) / n)
            if loss - 1.645 * noise > worst:
                worst, where = loss - 1.645 * noise, f"{column.removeprefix(GROUP)} {value}"
    return Verdict(
        "fairness",
        head,
        worst <= limit,
        f"largest loss of recall beyond noise {worst:.3f} ({where})",
        wanted,
        max(0.0, worst - limit),
    )


def judge(candidate: Candidate, champion: Candidate | None, limits: Gates) -> list[Verdict]:
    """Run every gate on a candidate, beside the champion if there is one."""
    capacity = float(candidate.evaluation["capacity"])
    verdicts = [schema_holds(candidate)]
    if verdicts[0].is_passed:
        verdicts.append(explanation_adds_up(candidate))
    for head in candidate.heads:
        rows = candidate.held_out(head)
        before = _champion_rows(champion, head)
        verdicts += [
            better_than_chance(head, rows),
            not_worse_than_rules(head, rows, capacity=capacity),
            calibrated(head, rows, limit=limits.max_calibration_error),
            no_loss_at_capacity(
                head, rows, before, capacity=capacity, limit=limits.max_capacity_loss
            ),
            fair_enough(
                head, rows, before, capacity=capacity, limit=limits.max_fairness_regression
            ),
        ]
    verdicts.append(stable(candidate, limit=limits.min_list_overlap))
    return verdicts


def require_passed(verdicts: Sequence[Verdict], *, what: str) -> None:
    """Refuse when any gate did.

    Raises
    ------
    GateRefusedError
        Naming each gate that failed and by how much.
    """
    failed = [v for v in verdicts if not v.is_passed]
    if failed:
        raise GateRefusedError(
            f"{what} is not promoted: {len(failed)} of {len(verdicts)} gates refused.",
            found="; ".join(f"{v}, short by {v.shortfall:.3f}" for v in failed),
            expected="every gate passed; nothing has changed",
        )


def _champion_rows(champion: Candidate | None, head: str) -> pd.DataFrame | None:
    if champion is None or head not in champion.heads:
        return None
    return champion.held_out(head)


def _same_rows(rows: pd.DataFrame, champion: pd.DataFrame | None) -> pd.DataFrame | None:
    """Rows judged under both, with the champion's score as a column; None when there are few."""
    if champion is None:
        return None
    key = ["dealer", "as_of"]
    theirs = champion[[*key, "score"]].rename(columns={"score": "champion"})
    joined = rows.merge(theirs, on=key, how="inner", validate="one_to_one")
    return joined if (joined["y"] > 0).sum() >= 20 else None


def _words(name: str) -> str:
    return name.removeprefix(RULE).replace("_", " ")
