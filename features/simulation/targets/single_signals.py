"""How far a single plain count would go: the yield of ranking by it against the best possible.

The world is worth learning from only if no single column gives the answer away. A yield is the
mean chance of a severe finding among the tenth of dealers ranked first, ties counted as expected.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.domain.asof import add_months
from features.reference.legal.short_time_to_crime import short_sql
from features.simulation.country.options import Options
from features.simulation.targets.figures import Country

CAPACITY: Final = 0.10


@dataclass(frozen=True)
class SingleSignal:
    """What ranking by one plain signal gives.

    Parameters
    ----------
    name : str
        The signal, with ``-`` before it when low values rank first.
    gain : float
        Its yield over random.
    share_of_best : float
        The gain over that of the best possible ranking.
    """

    name: str
    gain: float
    share_of_best: float


def single_signals(folder: Path, options: Options, as_of: date | None = None) -> list[SingleSignal]:
    """Rank the dealers by each plain signal, both ways round, best first.

    Parameters
    ----------
    folder : Path
        What `simulate` wrote.
    options : Options
        What it was made from.
    as_of : date, optional
        A first of a month of the history; a year before its end by default.
    """
    as_of = as_of or add_months(options.end.replace(day=1), -12)
    frame = _signals(Country(folder, options), as_of)
    truth = frame.pop("p_severe").to_numpy(np.float64)
    frame = frame.drop(columns="dealer")
    random = truth.mean()
    best = expected_yield(truth, truth) - random
    found = []
    for name in frame:
        values = frame[name].fillna(0).to_numpy(np.float64)
        gains = {f"{s}{name}": expected_yield(v, truth) - random for s, v in _both(values)}
        chosen = max(gains, key=lambda key: gains[key])
        found.append(SingleSignal(chosen, gains[chosen], gains[chosen] / best))
    return sorted(found, key=lambda s: -s.gain)


def _both(values: npt.NDArray[np.float64]) -> list[tuple[str, npt.NDArray[np.float64]]]:
    return [("", values), ("-", -values)]


def expected_yield(score: npt.NDArray[np.float64], truth: npt.NDArray[np.float64]) -> float:
    """Return the mean truth of the best tenth; dealers tied at its edge count in part.

    >>> expected_yield(np.zeros(10), np.arange(10.0))
    4.5
    """
    k = CAPACITY * len(score)
    edge = np.sort(score)[::-1][min(int(np.ceil(k)), len(score)) - 1]
    above, tied = score > edge, score == edge
    total = truth[above].sum() + truth[tied].mean() * (k - above.sum())
    return float(total / k)


def _signals(country: Country, as_of: date) -> pd.DataFrame:
    """Return plain counts of each dealer, from rows known before the as-of date."""
    since = {n: f"DATE '{add_months(as_of, -12 * n)}'" for n in (1, 3, 20)}
    now = f"DATE '{as_of}'"
    short = f"dealer IS NOT NULL AND {short_sql()}"
    counts = {
        "traces_1y": f"SELECT dealer, count(*) v FROM traces WHERE completed_on >= {since[1]} "
        f"AND completed_on < {now} GROUP BY 1",
        "short_traces_3y": f"SELECT dealer, count(*) v FROM traces WHERE {short} AND "
        f"completed_on >= {since[3]} AND completed_on < {now} GROUP BY 1",
        "unanswered_3y": "SELECT dealer, count(*) v FROM traces WHERE outcome = 'no_dealer_answer' "
        f"AND completed_on >= {since[3]} AND completed_on < {now} GROUP BY 1",
        "mexico_3y": "SELECT dealer, count(*) v FROM traces WHERE recovery_country = 'MX' AND "
        f"completed_on >= {since[3]} AND completed_on < {now} GROUP BY 1",
        "sales_1y": f"SELECT dealer, sum(n_checks) v FROM sales_volume WHERE month >= {since[1]} "
        f"AND month < {now} GROUP BY 1",
        "denied_3y": f"SELECT dealer, sum(n_denied) v FROM denials WHERE month >= {since[3]} "
        f"AND month < {now} GROUP BY 1",
        "denied_share_3y": "SELECT s.dealer, coalesce(sum(n_denied), 0) / (sum(n_checks) + 100) v "
        "FROM sales_volume s LEFT JOIN denials d USING (dealer, month) "
        f"WHERE month >= {since[3]} AND month < {now} GROUP BY 1",
        "multiple_sales_1y": "SELECT dealer, count(*) v FROM multiple_sales WHERE "
        f"reported_on >= {since[1]} AND reported_on < {now} GROUP BY 1",
        "losses_3y": "SELECT dealer, count(*) v FROM thefts_losses WHERE "
        f"reported_on >= {since[3]} AND reported_on < {now} GROUP BY 1",
        "citations_ever": "SELECT dealer, count(*) v FROM inspections JOIN violations "
        f"USING (inspection_id) WHERE closed_on < {now} GROUP BY 1",
        "penalties_ever": "SELECT dealer, count(*) FILTER (outcome IN ('warning_letter', "
        f"'warning_conference')) v FROM inspections WHERE closed_on < {now} GROUP BY 1",
        "tips_3y": f"SELECT dealer, count(*) v FROM tips WHERE received_on >= {since[3]} "
        f"AND received_on < {now} AND NOT is_self_report GROUP BY 1",
        "days_listed": f"SELECT dealer, {now} - min(listed_on) v FROM licenses WHERE listed_on < "
        f"{now} GROUP BY 1",
        "latitude": f"SELECT dealer, any_value(latitude) v FROM licenses WHERE listed_on < {now} "
        "GROUP BY 1",
        "is_pawnbroker": "SELECT dealer, max((license_type = '02')::INT) v FROM licenses "
        f"WHERE listed_on < {now} GROUP BY 1",
        "is_residential": "SELECT dealer, max(is_residential::INT) v FROM licenses "
        f"WHERE listed_on < {now} GROUP BY 1",
    }
    frame: pd.DataFrame = country.con.execute(
        f"SELECT dealer, p_severe FROM dealer_month WHERE as_of = {now} AND is_eligible"
    ).df()
    for name, sql in counts.items():
        frame = frame.merge(
            country.con.execute(sql).df().rename(columns={"v": name}), on="dealer", how="left"
        )
    return frame
