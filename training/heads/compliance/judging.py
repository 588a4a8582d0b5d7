"""Judge the compliance head on the years after it was fitted, each by a model that stands before.

One year holds too few findings to tell a good order from a fair one. Each of the last years is
judged by a model fitted on what was known before it, and the years are pooled, dealers whole.
Findings count as an average inspector would have made them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from features.arrays import Floats
from features.openjson import Json
from training.errors import TooFewLabelsError
from training.evaluation import stability
from training.evaluation.calibration_gate import LEVEL_KNOWN
from training.evaluation.documents import SectionRecord, StabilityRecord
from training.evaluation.few_findings import FEW_FINDINGS
from training.evaluation.head_evaluation import LEVEL_WEIGHT, measure
from training.evaluation.metrics import LEVEL, Interval
from training.heads.compliance import inspection_hours as hours
from training.heads.compliance.compliance import FittedCompliance, Looked, place_labels
from training.heads.compliance.yield_estimates import History, every_estimate, national_rate, served
from training.heads.country_history import CountryHistory
from training.heads.fit import (
    Design,
    absent_from_rules,
    held_out_table,
    inputs_of,
    predict,
    rule_columns,
)
from training.labels.dated_labels import Labels
from training.labels.effects import at_average
from training.labels.gains import three_gains
from training.labels.splits import Split
from training.labels.strictness import Strictness, who_looked
from training.labels.weights.delays import CLOSING
from training.labels.weights.propensity import Propensity, overlap
from training.recipe import Head, Recipe

# Severe findings that rows of known probability must have made to judge the level by them alone.
MIN_RANDOM_POSITIVE = 10
_YIELDS = (
    "Share of listed dealers with a severe finding. By design uses visits of known probability "
    "alone: places of lists that were visited, and dealers drawn at random. Served is what the "
    f"model says itself, its level set on them; of fewer than {FEW_FINDINGS} severe findings it "
    "has no point, for what so few do not tell is served as the average. The naive figure counts "
    "dealers that somebody chose to inspect; bounds take everyone not looked at for clean, and "
    "for severe."
)
_NO_DESIGN = (
    "No visit of known probability was made, so what the list would find cannot be said: the "
    "bounds take everyone not looked at for clean, and for severe. Issue lists with a random "
    "share and return their outcomes with the list."
)
WITHIN = (("assignment_fixed", "division"), ("within_investigator", "investigator"))
HOME = "home"
BEYOND = "risk_beyond"
STRICT = "strictness"
INSPECTED = "is_inspected"
INVESTIGATOR = "investigator"
KNOWN_ON = "known_on"
_DRAWN = "drawn_weight"


@dataclass(frozen=True)
class Origin:
    """One judged year: the model that stood before it, and what was found in it.

    Parameters
    ----------
    split : Split
    fitted : FittedCompliance
        On what was known before.
    now : Labels
        What the year found.
    """

    split: Split
    fitted: FittedCompliance
    now: Labels


@dataclass(frozen=True)
class JudgedYear:
    """Every dealer of one judged year.

    Parameters
    ----------
    everyone : DataFrame
        As `judge` returns it, without the weights that judge the level.
    looked : Looked
        What the year's visits found.
    propensity : Propensity
        Of being visited.
    X : DataFrame
        Signals.
    score, interval : array
        Of the model that stood before the year.
    n_severe : int
        Severe findings that this model was fitted on.
    """

    everyone: pd.DataFrame
    looked: Looked
    propensity: Propensity
    X: pd.DataFrame
    score: Floats
    interval: Floats
    n_severe: int

    def history(self) -> History:
        """Return what estimates of what a list finds rest on."""
        return History(
            self.propensity,
            self.looked.y,
            self.looked.is_random,
            self.everyone["cluster"].to_numpy(dtype=str),
            self.everyone[HOME].to_numpy(dtype=str),
            known=self.looked.sampled.standing(self.looked.delay_weight),
        )

    def estimates(self, share: float) -> dict[str, Interval | None]:
        """Estimate what the list that takes the first `share` would find, in every way.

        What is served is stated only where a visit of known probability can tell its level.
        """
        past = self.history()
        stated = served(self.score, self.interval, share=share, n_severe=self.n_severe)
        return {
            "served": stated if past.has_design else None,
            **every_estimate(past, self.score, self.score, share=share),
        }


def judge(
    recipe: Recipe, head: Head, made: Design, history: CountryHistory, origins: Sequence[Origin]
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """Judge each year by the model that stood before it, and pool the years.

    Returns
    -------
    held_out : DataFrame
        Inspected rows of every year (`training.evaluation.head_evaluation`).
    everyone : DataFrame
        The same of every dealer, with ``margin``, `HOME`, `STRICT`, `BEYOND` and `INSPECTED`.
    entry : dict
        Figures for the report.
    """
    years = [judged_year(recipe, head, made, history, origin) for origin in origins]
    everyone = with_level(pd.concat([year.everyone for year in years], ignore_index=True))
    held_out = everyone[everyone[INSPECTED]].reset_index(drop=True)
    last, fitted = years[-1], origins[-1].fitted
    entry: Json = {**measure(held_out, recipe.evaluation, seed=recipe.seed)}
    share = recipe.evaluation.capacity
    estimates = last.estimates(share)
    gains = three_gains(
        held_out.rename(columns=lambda c: c.removeprefix("group_")), share=share, within=WITHIN
    )
    stable = consecutive(made, history, origins[-1], capacity=share)
    entry |= {
        "years": [year.everyone["as_of"].iloc[0].date().isoformat() for year in years],
        "absent": absent_from_rules(head.rules, made.X),
        "overlap": overlap(last.propensity, last.X).as_dict(),
        "yield": {name: i.as_dict() if i else None for name, i in estimates.items()},
        "gains": gains,
        "strictness": strictness_entry(fitted.weighted.strictness),
        "recency": fitted.weighted.recency.entry(),
        "stability": stable,
        "list_overlap": stable["pairs"][-1]["overlap"] if stable["pairs"] else None,
        "list_overlap_by_lot": [
            pair[end] for pair in stable["pairs"][-1:] for end in ("least", "most")
        ],
        "sections": _sections(estimates, gains, last.history(), fitted.level_in_words),
    }
    return held_out, everyone, entry


def judged_year(
    recipe: Recipe, head: Head, made: Design, history: CountryHistory, origin: Origin
) -> JudgedYear:
    """Judge every dealer of one year by the model that stood before it."""
    is_test = history.is_at(origin.split.test_as_of)
    rows, X = history.cohort[is_test], made.X[is_test]
    fitted, strictness = origin.fitted, origin.fitted.weighted.strictness
    looked = place_labels(rows, origin.now)
    dealer = rows["dealer"].to_numpy(dtype=str)
    propensity = looked.propensity(X, dealer, seed=recipe.seed)
    margin = fitted.model.predict_margin(inputs_of(fitted.model, X))
    score, low, high = fitted.model.from_margin(margin, LEVEL)
    who = who_looked(looked.office, looked.investigator, rows, rows["as_of"])
    everyone = held_out_table(
        rows,
        y=looked.y,
        score=score,
        cluster=dealer,
        rules=rule_columns(head.rules, X, fitted.logistic.log_odds(X)),
        groups=history.groups[is_test].assign(division=rows["division"]),
        weight=propensity.weights(),
    )
    everyone["margin"] = margin
    everyone[INSPECTED] = looked.is_inspected
    everyone[INVESTIGATOR] = looked.investigator.to_numpy(dtype=object)
    # A finding corrected since was known, and may have been learned, when its visit closed.
    known = origin.now.frame[["dealer", "as_of", CLOSING]].rename(columns={CLOSING: KNOWN_ON})
    everyone[KNOWN_ON] = rows[["dealer", "as_of"]].merge(known, how="left")[KNOWN_ON].to_numpy()
    everyone[HOME] = who.home.to_numpy()
    everyone[STRICT] = strictness.level_of(who.home)
    everyone[BEYOND] = strictness.risk_beyond(X, who.home)
    average = at_average(looked.y, everyone[BEYOND].to_numpy(), strictness.offset_of(who))
    everyone["weight"] *= average
    everyone[_DRAWN] = looked.level_weight * average
    everyone[hours.WAIT_DAYS] = hours.wait_days(
        propensity.probability, horizon_months=recipe.horizon_months
    )
    interval = np.column_stack([low, high])
    return JudgedYear(everyone, looked, propensity, X, score, interval, fitted.n_severe)


def with_level(everyone: pd.DataFrame) -> pd.DataFrame:
    """Add the weight of each row in judging the level: of those drawn, if they found enough.

    With fewer findings all inspections are used, weighted by inverse propensity; what was chosen
    by hearsay then makes a right level look low, and the level cannot be said.
    """
    drawn = everyone[_DRAWN]
    is_known = bool(((drawn > 0) & (everyone["y"] > 0)).sum() >= MIN_RANDOM_POSITIVE)
    out = everyone.drop(columns=_DRAWN)
    out[LEVEL_WEIGHT] = drawn if is_known else everyone["weight"]
    out[LEVEL_KNOWN] = is_known
    return out


def consecutive(
    made: Design, history: CountryHistory, origin: Origin, *, capacity: float
) -> StabilityRecord:
    """Compare the lists that the same model gives at dates that follow each other."""
    rows, split = history.rows, origin.split
    scores = {
        when: pd.Series(
            predict(origin.fitted.model, made.X[is_at]), rows.loc[is_at, "dealer"].to_numpy()
        )
        for when in (*split.train_as_of, *split.test_as_of)
        for is_at in (history.is_at((when,)),)
    }
    return stability.consecutive(scores, capacity=capacity)


def strictness_entry(found: Strictness) -> dict[str, Any]:
    """State who is how strict, and how what differs between offices was read."""
    return {
        "reading": found.reading,
        "n_rounds": found.n_rounds,
        "moved": found.moved,
        "changed_codes": list(found.changed),
        "place_signals": list(found.place_signals),
        "evidence": {
            "n_movers": found.evidence.n_movers,
            "n_across": found.evidence.n_across,
            "n_rows": found.evidence.n_rows,
            "spread": found.evidence.spread,
        },
        "effects": {
            e.column: {
                "spread": e.spread,
                "groups": [
                    {
                        "group": str(name),
                        "visits": int(e.visits[name]),
                        "log_odds": float(e.value[name]),
                        "error": float(e.error[name]),
                        "credited": float(found.evidence.credited.get(name, 0.0))
                        if e.column == "office"
                        else 0.0,
                    }
                    for name in e.value.sort_values(ascending=False).index
                ],
            }
            for e in found.effects
        },
    }


def _sections(
    estimates: dict[str, Interval | None],
    gains: dict[str, float | None],
    past: History,
    level: str,
) -> list[SectionRecord]:
    rows = [
        [name.replace("_", " "), str(value) if value else "cannot be said"]
        for name, value in estimates.items()
    ]
    try:
        rows.append(["all dealers, by the design", str(national_rate(past))])
    except TooFewLabelsError:
        rows.append(["all dealers, by the design", "cannot be said"])
    return [
        {
            "title": "What the list would find, in every way",
            "text": f"{_YIELDS if past.has_design else _NO_DESIGN} {level}",
            "columns": ["estimate", "rate"],
            "rows": rows,
        },
        {
            "title": "Three gains",
            "text": "Precision at capacity over a random list: in all, with each division's share "
            "fixed, and within the caseload of each investigator; visits of nobody on record "
            "count in the first alone.",
            "columns": ["gain", "multiple of random"],
            "rows": [
                [k.replace("_", " "), "-" if v is None else f"{v:.2f}"] for k, v in gains.items()
            ],
        },
    ]
