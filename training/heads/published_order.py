"""The published order, judged: what a list is made by is what is measured, gated and stated.

A list is made by the priority, the weighted sum of the heads. Each judged year's dealers are put in
order by heads that stood before it; the compliance order, counts of traces and points stand beside
it, over all dealers and at each office's own capacity.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.arrays import Floats
from features.openjson import Json
from features.table import FeatureTable
from models.order.restraint import RESTRAINT, Restraint, priorities, restrain
from models.order.set_against_alike import EXPOSURE, set_against
from training.evaluation.head_evaluation import RULE, SIZES, list_membership, measure, size_of
from training.evaluation.metrics import LEVEL, Interval, bootstrap
from training.heads.compliance.judging import BEYOND, HOME, INSPECTED, STRICT
from training.heads.fit import HeadResult, place_signals
from training.recipe import Recipe

N_RESAMPLES: Final = 200
# Fewer are dealt anew: of five that differ by luck, resampling showed a dependence once in five.
MANY_OFFICES: Final = 20
_MAX_ALL: Final = 6  # offices of which every order is tried
_DEALINGS: Final = 1999
# Rows of the newest date that tell how far two lists overlap.
MAX_LATEST: Final = 20_000
_BINS: Final = 20
_SALES: Final = "sales"


@dataclass(frozen=True)
class Order:
    """The published order on the judged rows.

    Parameters
    ----------
    rows : DataFrame
        Inspected rows (`training.evaluation.head_evaluation`), the priority in ``score``.
    X : DataFrame
        Their signals, so that a later champion can be judged on them.
    latest : DataFrame
        Signals of dealers at the newest date.
    entry : dict
        Figures for the report.
    """

    rows: pd.DataFrame
    X: pd.DataFrame
    latest: pd.DataFrame
    entry: dict[str, Any]


def judge_order(recipe: Recipe, results: Sequence[HeadResult], table: FeatureTable) -> Order | None:
    """Judge the priority of the heads that are in the bundle; None without inspections to judge by.

    Parameters
    ----------
    results : sequence of HeadResult
        Every head, refused ones too: the labels are those of the compliance head.
    """
    judged = next((r for r in results if r.head.label == "compliance"), None)
    kept = [r for r in results if r.entry["is_in_bundle"] and r.everyone is not None]
    if judged is None or judged.everyone is None or not kept:
        return None
    everyone, restraint = _with_priority(judged.everyone, kept, table, recipe)
    if everyone.empty:
        return None
    rows = everyone[everyone[INSPECTED]].reset_index(drop=True)
    newest = np.flatnonzero((table.frame["as_of"] == table.frame["as_of"].max()).to_numpy())
    if len(newest) > MAX_LATEST:
        newest = np.sort(np.random.default_rng(recipe.seed).permutation(newest)[:MAX_LATEST])
    entry: Json = {**measure(rows, recipe.evaluation, seed=recipe.seed)}
    # A priority is no probability: it has no calibration of its own.
    del entry["calibration"]
    share = recipe.evaluation.capacity
    dependence = strictness_dependence(everyone)
    entry |= {
        "parts": [r.head.name for r in kept],
        "years": sorted({f"{day:%Y-%m-%d}" for day in rows["as_of"]}),
        "at_offices": at_offices(everyone, share=share),
        "strictness_dependence": None if dependence is None else dependence.as_dict(),
        "readings": readings(everyone, share=share),
        "sizes": sizes(everyone, share=share),
        "policy": recipe.read_policy().stated(),
        RESTRAINT: restraint.state(),
    }
    return Order(
        rows.drop(columns=[BEYOND, _SALES], errors="ignore"),
        _signals_of(rows, table),
        table.X.iloc[newest].reset_index(drop=True),
        entry,
    )


def _with_priority(
    everyone: pd.DataFrame, kept: Sequence[HeadResult], table: FeatureTable, recipe: Recipe
) -> tuple[pd.DataFrame, Restraint]:
    """Add the priority of the heads in the bundle as ``score``, and each head's order as a rule.

    Each day's dealers are put in order as a bundle made on that day would; how far its heads were
    restrained on the last is returned.
    """
    out = everyone.rename(columns={"score": "probability"})
    key, names = ["dealer", "as_of"], dict[str, str]()
    for result in kept:
        theirs = result.everyone
        if theirs is None:
            continue
        margin = out[key].merge(theirs[[*key, "margin"]], on=key, how="left")["margin"]
        names[result.head.name] = f"{RULE}{result.head.name}_alone"
        out[names[result.head.name]] = margin.to_numpy(dtype=np.float64)
    # Years before a head had enough to learn from cannot be put in the published order.
    out = out.dropna(subset=list(names.values())).reset_index(drop=True)
    read = {name for result in kept for name in result.X.columns}
    signals = _signals_of(out, table)
    if EXPOSURE in read:
        out[_SALES] = signals[EXPOSURE].to_numpy(dtype=np.float64)
    policy, restraint = recipe.read_policy(), Restraint()
    of_labels = next((r.head.name for r in kept if r.head.label == "compliance"), None)
    score, beyond = np.zeros(len(out)), np.zeros(len(out))
    for day, rows in sorted(out.groupby("as_of").indices.items()):
        when = pd.Timestamp(str(day))
        margins = {h: out[c].to_numpy(dtype=np.float64)[rows] for h, c in names.items()}
        own = [name for name in signals.columns if name in read]
        beside = set_against(signals.iloc[rows][own], place_signals(kept, when))
        restraint = restrain(policy, margins, beside, capacity=recipe.evaluation.capacity)
        score[rows] = priorities(policy, margins, beside, restraint)
        beyond[rows] = score[rows]
        if of_labels is not None:
            # What the order would be by models that saw no row of the dealer's own office.
            moved = out[BEYOND].to_numpy(dtype=np.float64)[rows] - margins[of_labels]
            beyond[rows] += restraint.weights(policy, margins)[of_labels] * moved
    return out.assign(**{"score": score, BEYOND: beyond}), restraint


def _signals_of(rows: pd.DataFrame, table: FeatureTable) -> pd.DataFrame:
    """Return the signals of each row, in order."""
    key = ["dealer", "as_of"]
    keyed = table.frame[key].assign(
        dealer=lambda f: f["dealer"].astype(str),
        as_of=lambda f: f["as_of"].astype("datetime64[s]"),
        place=np.arange(len(table)),
    )
    place = rows[key].merge(keyed, on=key, how="left", validate="one_to_one")["place"]
    return table.X.iloc[place.to_numpy(dtype=np.int64)].reset_index(drop=True)


def strictness_dependence(everyone: pd.DataFrame) -> Interval | None:
    """Correlation of the order with the strictness of the dealer's office, at the same risk.

    The risk is told by the order of models that saw no row of the office, so that its own
    strictness cannot be in it. None with fewer than two offices that differ. Among fewer than
    `MANY_OFFICES` the interval is what dealing their strictness anew leaves to chance.

    Parameters
    ----------
    everyone : DataFrame
        ``score``, `HOME`, `STRICT` and `BEYOND` of every dealer.
    """
    strict = everyone[STRICT].to_numpy(dtype=np.float64)
    if everyone[HOME].nunique() < 2 or strict.std() < 1e-6:
        return None
    ranks = everyone.groupby("as_of")["score"].rank(pct=True)
    risk = everyone.groupby("as_of")[BEYOND].rank(pct=True, method="first")
    alike = [everyone["as_of"], np.ceil(risk * _BINS)]
    order, office = (
        (values - values.groupby(alike).transform("mean")).to_numpy(dtype=np.float64)
        for values in (ranks, everyone[STRICT])
    )

    whole = (ranks - ranks.mean()).to_numpy(dtype=np.float64)

    def statistic(w: Floats) -> Floats:
        # Against the spread of the whole order: what is left at the same risk may be next to none.
        spread = np.sqrt((w @ whole**2) * (w @ office**2))
        return np.array([(w @ (order * office)) / max(spread, 1e-12)])

    if everyone[HOME].nunique() >= MANY_OFFICES:
        (found,) = bootstrap(statistic, everyone[HOME], n_resamples=N_RESAMPLES)
        return found
    value = float(statistic(np.ones(len(everyone)))[0])
    margin = _by_chance(everyone, order, alike, spread=float(np.sqrt(whole @ whole)))
    return Interval(value, max(value - margin, -1.0), min(value + margin, 1.0))


def _by_chance(everyone: pd.DataFrame, order: Floats, alike: list[Any], *, spread: float) -> float:
    """Return how far the dependence goes in 95 of 100 ways to deal strictness among the offices.

    Resampling a handful of offices is too sure: of two that differ by luck it never held zero. Two
    offices can be dealt in two ways, which are equally far apart, so that two never show anything.

    Parameters
    ----------
    order : array
        The order, less its mean at the same risk.
    alike : list
        What tells rows of the same risk apart from others.
    spread : float
        Root of the sum of squares of the whole order.
    """
    homes, home = np.unique(everyone[HOME].astype(str), return_inverse=True)
    days, day = np.unique(everyone["as_of"], return_inverse=True)
    n, shape = len(homes), (len(days), len(homes))
    unit = day * n + home
    size = np.bincount(unit, minlength=len(days) * n)
    total = np.bincount(unit, weights=everyone[STRICT], minlength=len(days) * n)
    strict = (total / np.maximum(size, 1)).reshape(shape)
    pull = np.bincount(unit, weights=order, minlength=len(days) * n).reshape(shape)
    cell = everyone.groupby(alike).ngroup().to_numpy()
    counts = np.zeros((cell.max() + 1, n))
    np.add.at(counts, (cell, home), 1.0)
    of_day = np.zeros(cell.max() + 1, dtype=np.int64)
    of_day[cell] = day
    # What strictness varies by at the same risk, as a quadratic form of the offices' own.
    form = np.zeros((len(days), n, n))
    for one in range(len(days)):
        here = counts[of_day == one]
        form[one] = np.diag(here.sum(axis=0)) - here.T @ (here / here.sum(axis=1)[:, None])
    dealt = strict[:, _dealings(n)]
    along = np.einsum("do,dmo->m", pull, dealt)
    squares = np.einsum("dmo,dop,dmp->m", dealt, form, dealt)
    far = np.sort(np.abs(along) / np.maximum(spread * np.sqrt(np.maximum(squares, 0)), 1e-12))
    return float(far[int(np.ceil(LEVEL * len(far))) - 1]) * (1.0 + 1e-9)


def _dealings(n: int) -> npt.NDArray[np.int64]:
    """Return every order of so few offices, or many drawn ones of more, as they are first."""
    if n <= _MAX_ALL:
        return np.array(list(permutations(range(n))), dtype=np.int64)
    rng, same = np.random.default_rng(0), np.arange(n)
    return np.vstack([same, rng.permuted(np.tile(same, (_DEALINGS, 1)), axis=1)])


def at_offices(everyone: pd.DataFrame, *, share: float) -> dict[str, float]:
    """Share of the findings that lists of each office's own capacity hold, by order.

    Parameters
    ----------
    everyone : DataFrame
        Every dealer of the judged years; findings count with their weights.
    """
    y = (everyone["y"] * everyone["weight"]).to_numpy(dtype=np.float64)
    parts = list(everyone.groupby(["as_of", HOME]).indices.values())
    orders = ["score", *(c for c in everyone.columns if c.startswith(RULE))]
    out = {}
    for name in orders:
        score = everyone[name].to_numpy(dtype=np.float64)
        found = sum(float(list_membership(score[rows], share) @ y[rows]) for rows in parts)
        out["published" if name == "score" else name.removeprefix(RULE)] = found / max(
            float(y.sum()), 1e-12
        )
    return out


def readings(everyone: pd.DataFrame, *, share: float) -> list[dict[str, Any]]:
    """Share of each office's dealers that is listed, under either reading of its level."""
    last = everyone[everyone["as_of"] == everyone["as_of"].max()]
    score = last["score"].to_numpy(dtype=np.float64)
    level = last[STRICT].to_numpy(dtype=np.float64)
    listed = {
        "strictness": list_membership(score, share),
        "risk": list_membership(score + level, share),
    }
    return [
        {
            "office": str(home),
            "dealers": len(rows),
            "level": float(level[rows].mean()),
            **{name: float(on[rows].mean()) for name, on in listed.items()},
        }
        for home, rows in sorted(last.groupby(HOME).indices.items())
    ]


def sizes(everyone: pd.DataFrame, *, share: float) -> list[dict[str, Any]]:
    """Share of the list that each third of the dealers by sales holds, under each order.

    Beside it stands its share of the findings that the compliance head expects of everybody: a
    list goes by who stands out, so that a third of which nothing is known that tells its dealers
    apart gets less. Empty where the sales of dealers are not known.
    """
    if _SALES not in everyone:
        return []
    last = everyone[everyone["as_of"] == everyone["as_of"].max()]
    third = size_of(last[_SALES], last["as_of"])
    orders = ["score", *(c for c in everyone.columns if c.startswith(RULE))]
    listed = {
        "published" if name == "score" else name.removeprefix(RULE): list_membership(
            last[name].to_numpy(dtype=np.float64), share
        )
        for name in orders
    }
    expected = last["probability"].to_numpy(dtype=np.float64)
    return [
        {
            "size": size,
            "dealers": int((third == size).sum()),
            "expected": float(expected[third == size].sum() / expected.sum()),
            "listed": {
                name: float(on[third == size].sum() / on.sum()) for name, on in listed.items()
            },
        }
        for size in SIZES
        if (third == size).any()
    ]
