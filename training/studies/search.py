"""Search for better parameters of a head, inside the training window only.

Defaults are meant to be good; a search is for the last step, and its first trial is the head as the
recipe has it. Trials are kept in a file, so that an interrupted search goes on where it stopped,
and a time budget ends it. Each trial is fitted as training fits the head, judged by log-loss on
dealers held out, fold by fold, and given up early when it falls behind.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import sqlalchemy as sa

from features.arrays import Floats
from features.warehouse import Warehouse
from training.errors import NotTrainedError
from training.heads import country_history as country
from training.heads.compliance import compliance
from training.heads.fit import Design, design, estimator, mean_of
from training.labels import dated_labels as labels
from training.labels.splits import group_folds, require_disjoint
from training.progress import Steps
from training.recipe import Head, Recipe
from training.studies.documents import SearchDocument, SearchRecord

N_FOLDS = 3
MAX_TRIALS = 50
# The trial that changes nothing; always judged first.
_UNCHANGED: Final = "is_unchanged"
# Trials of another way to fit are not gone on with.
_FITTED: Final = "as the head"


def search(
    head: Head,
    made: Design,
    y: Floats,
    groups: npt.NDArray[Any],
    treatment: Mapping[str, npt.NDArray[Any]],
    *,
    store: Path,
    budget_s: float,
    max_trials: int = MAX_TRIALS,
    seed: int = 0,
    step: Callable[[], None] = lambda: None,
) -> SearchRecord:
    """Look for parameters until the budget, or the number of trials, is used up.

    Parameters
    ----------
    made : Design
        Signals of the training rows alone; what is judged later is not among them.
    y, groups : array of shape (n,)
        Labels, and the dealer of each row.
    treatment : mapping of str to array of shape (n,)
        What else the fit of the head is given, ``sample_weight`` among it
        (`training.heads.compliance.compliance.Weighted.treatment`).
    store : Path
        SQLite file that keeps the trials; the same file goes on with the same search.
    budget_s : float
        Seconds after which no trial is begun.

    Returns
    -------
    dict
        ``parameters``, ``loss``, ``default_loss``, ``n_trials`` and ``trials`` of all runs so far;
        ``parameters`` are empty where nothing was better than the head as it is.

    Raises
    ------
    NotTrainedError
        When not even the first trial was done.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        study_name=head.name,
        storage=str(sa.URL.create("sqlite", database=str(store))),
        load_if_exists=True,
        direction="minimize",
        sampler=optuna.samplers.TPESampler(seed=seed),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=4),
    )
    _take_up(study)
    deadline = time.monotonic() + budget_s
    folds = group_folds(groups, n_folds=N_FOLDS, seed=seed)

    def judged(trial: optuna.Trial) -> float:
        parameters = {} if _changes_nothing(trial) else _suggest(trial)
        loss = _loss(head, made, (y, groups, treatment), folds, parameters, seed, trial)
        step()
        return loss

    def stop(study: optuna.Study, _: optuna.trial.FrozenTrial) -> None:
        if time.monotonic() > deadline or len(_finished(study)) >= max_trials:
            study.stop()

    if len(_finished(study)) < max_trials:
        study.optimize(judged, timeout=budget_s, callbacks=[stop])
    return _result(study)


def _finished(study: Any) -> list[Any]:
    """Trials that came to an end, given up early or not; an interrupted one did not."""
    return [t for t in study.trials if t.state.name in ("COMPLETE", "PRUNED")]


def _take_up(study: Any) -> None:
    """Set aside what an interruption left running, and see that the head is judged as it is."""
    from optuna.trial import TrialState

    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
    is_due = any(t.state == TrialState.WAITING for t in study.trials)
    is_done = any(_changes_nothing(t) for t in _finished(study))
    if not is_due and not is_done:
        study.enqueue_trial({}, user_attrs={_UNCHANGED: True})


def _changes_nothing(trial: Any) -> bool:
    return _UNCHANGED in trial.user_attrs


def _result(study: Any) -> SearchRecord:
    done = [t for t in study.trials if t.state.name == "COMPLETE"]
    if not done:
        raise NotTrainedError(
            "The search was stopped before its first trial was done.",
            fix="run it again with a larger budget; it goes on where it stopped",
        )
    best = min(done, key=lambda t: float(t.value))
    return {
        "parameters": dict(best.params),
        "loss": best.value,
        "default_loss": next((t.value for t in done if _changes_nothing(t)), None),
        "n_trials": len(_finished(study)),
        "trials": [
            {
                "number": t.number,
                "loss": t.value,
                "is_given_up": t.state.name == "PRUNED",
                "parameters": dict(t.params),
            }
            for t in _finished(study)
        ],
    }


def search_compliance(
    recipe: Recipe, warehouse: Warehouse, folder: Path, steps: Steps, *, budget_s: float
) -> SearchDocument:
    """Search for the compliance head, on inspections known before its test date alone.

    Parameters
    ----------
    folder : Path
        State folder; the trials are kept in ``search/`` of it, by recipe and by data.
    """
    head = recipe.head_of_label("compliance")
    past = country.assemble(recipe, warehouse, steps)
    then = labels.compliance(
        warehouse,
        past.split.train_as_of,
        rule=recipe.read_policy().severe_finding,
        known_before=past.split.trained_on,
        horizon_months=recipe.horizon_months,
    )
    then.require_known(past.split.trained_on)
    then.require_enough(n_positive=head.min_positive, what=head.name)
    rows = past.rows[past.is_at(past.split.train_as_of)]
    made = design(past.table, head)
    looked = compliance.place_labels(rows, then)
    dealer = rows["dealer"].to_numpy(dtype=str)
    X = made.X.loc[rows.index]
    cohort = past.cohort.loc[rows.index]
    weighted = compliance.weigh(
        X, looked, cohort, recipe.read_policy().strictness, seed=recipe.seed
    )
    index = weighted.index
    # Signals that name an office teach nothing but who looked; the head does not read them.
    signals = tuple(s for s in made.signals if s.name in weighted.strictness.columns)
    kept = folder / "search"
    kept.mkdir(parents=True, exist_ok=True)
    asked = hashlib.sha256(
        "".join(
            (recipe.model_dump_json(), recipe.read_policy().text, warehouse.fingerprint, _FITTED)
        ).encode()
    )
    store = kept / f"{recipe.name}-{asked.hexdigest()[:16]}.db"
    with steps.bar("trials", MAX_TRIALS) as bar:
        found = search(
            head,
            Design(X.iloc[index][[s.name for s in signals]], signals),
            looked.y[index],
            dealer[index],
            weighted.treatment(looked, cohort),
            store=store,
            budget_s=budget_s,
            seed=recipe.seed,
            step=lambda: bar.advance(bar.task_ids[0]),
        )
    return {
        "recipe": recipe.name,
        "head": head.name,
        "trained_on": past.split.trained_on.isoformat(),
        "n_labels": len(index),
        "data_fingerprint": warehouse.fingerprint,
        **found,
    }


def _suggest(trial: Any) -> dict[str, float | int]:
    return {
        "num_leaves": trial.suggest_int("num_leaves", 2, 31, log=True),
        "learning_rate": trial.suggest_float("learning_rate", 0.02, 0.2, log=True),
        "max_rounds": trial.suggest_int("max_rounds", 50, 800, log=True),
    }


def _loss(
    head: Head,
    made: Design,
    rows: tuple[Floats, npt.NDArray[Any], Mapping[str, npt.NDArray[Any]]],
    folds: npt.NDArray[np.int64],
    parameters: dict[str, float | int],
    seed: int,
    trial: Any,
) -> float:
    """Mean log-loss (or Poisson deviance) over held-out folds; a hopeless trial is given up.

    What is known of a held-out row's margin, such as who looked, is added to what is served.
    """
    import optuna

    y, groups, treatment = rows
    weight, known = treatment["sample_weight"], treatment.get("offset", np.zeros(len(y)))
    tuned = head.model_copy(update={"parameters": {**head.parameters, **parameters}})
    losses = []
    for fold in range(N_FOLDS):
        is_out = folds == fold
        require_disjoint(groups[~is_out], groups[is_out], what="dealers")
        model = estimator(tuned, made.monotone, seed=seed)
        X: pd.DataFrame = made.X[~is_out]
        given = {name: values[~is_out] for name, values in treatment.items()}
        model.fit(X, y[~is_out], groups=groups[~is_out], **given)
        margin = model.predict_margin(made.X[is_out]) + known[is_out]
        p = np.clip(mean_of(model, margin), 1e-9, None)
        own = y[is_out]
        if head.kind == "probability":
            p = np.minimum(p, 1 - 1e-9)
            each = -(own * np.log(p) + (1 - own) * np.log1p(-p))
        else:
            each = p - own * np.log(p)
        losses.append(float(np.average(each, weights=weight[is_out])))
        trial.report(float(np.mean(losses)), fold)
        if trial.should_prune():
            raise optuna.TrialPruned
    return float(np.mean(losses))
