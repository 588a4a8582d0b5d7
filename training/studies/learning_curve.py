"""How much more labels would help: the model and the logistic regression on fewer of them.

Labels are few, and with few of them a plain model loses to a logistic regression. The curve shows
where the project stands, and whether more inspections or better signals are worth more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import pandas as pd

from features.arrays import Floats
from training.errors import TooFewLabelsError
from training.evaluation import efficacy
from training.labels.dated_labels import Labels
from training.studies.documents import CurvePoint

FRACTIONS: Final = (0.125, 0.25, 0.5, 1.0)
# Fits one subset of the labels and scores the judged rows: by the model and by the rule.
Fit = Callable[[Labels], tuple[Floats, Floats]]


def learning_curve(
    labels: Labels,
    fit: Fit,
    judged: pd.DataFrame,
    *,
    min_positive: int,
    seed: int,
    fractions: Sequence[float] = FRACTIONS,
) -> list[CurvePoint]:
    """Fit on growing parts of the labels, each part within the next, and judge on the same rows.

    Parameters
    ----------
    labels : Labels
        All labels known on the training day.
    fit : callable
        Takes labels; returns the scores of the judged rows by model and by logistic regression.
    judged : DataFrame
        Held-out rows: ``y``, ``weight``, ``cluster``.
    min_positive : int
        Parts with fewer positive labels are left out.

    Returns
    -------
    list of dict
        For each part: ``n_labels``, ``n_positive``, both AUCs and their difference (model less
        logistic regression), with intervals.

    Raises
    ------
    TooFewLabelsError
        When even all labels are too few.
    """
    dealers = labels.frame["dealer"].unique()
    order = pd.Series(np.random.default_rng(seed).permutation(len(dealers)), index=dealers)
    place = labels.frame["dealer"].map(order).to_numpy()
    y, weight = (judged[name].to_numpy(dtype=np.float64) for name in ("y", "weight"))
    clusters = np.unique(judged["cluster"], return_inverse=True)[1].astype(np.int64)
    out: list[CurvePoint] = []
    for fraction in sorted(fractions):
        kept = labels.frame[place < round(fraction * len(dealers))].reset_index(drop=True)
        part = replace(labels, frame=kept)
        if part.n_positive < min_positive:
            continue
        model, logistic = (efficacy.auc(score, y, weight) for score in fit(part))
        out.append(
            {
                "n_labels": len(part),
                "n_positive": part.n_positive,
                "auc_model": model.share_interval(clusters).as_dict(),
                "auc_logistic": logistic.share_interval(clusters).as_dict(),
                "gain": (model - logistic).interval(clusters).as_dict(),
            }
        )
    if not out:
        raise TooFewLabelsError(
            "Too few labels for a learning curve.",
            found=f"{labels.n_positive} positive",
            expected=f"at least {min_positive}",
        )
    return out
