"""The random share: dealers drawn with a known, equal probability before anything is optimized."""

from __future__ import annotations

import numpy as np

from features.arrays import Flags
from models.order.random_share import PERIOD_MONTHS, Draw, lowest, period
from serving.planning.candidates import Candidates
from serving.planning.request import PlanRequest
from serving.planning.solving.selection import least_drive_hours


def draw(candidates: Candidates, request: PlanRequest) -> tuple[Flags, float]:
    """Draw the random share and return it with the probability each dealer in the frame had.

    The frame is every candidate that is not due for recall (a recall is no independent visit). The
    number drawn fills the share of the hours in expectation, rounded up. The draw is that of the
    office and the period, the same that its lists meet, spread over bands of latitude; each
    dealer's probability is exactly ``n drawn / n frame``.

    Returns
    -------
    is_drawn : array of bool, shape (n,)
    probability : float
        Inclusion probability of each dealer in the frame, 0 to 1.
    """
    is_drawn = np.zeros(len(candidates), dtype=bool)
    frame = np.flatnonzero(~candidates.is_recall_due)
    if request.random_share == 0 or len(frame) == 0:
        return is_drawn, 0.0
    load = candidates.hours + least_drive_hours(candidates, request)
    wanted = request.random_share * request.total_hours / load[frame].mean()
    n_drawn = min(int(np.ceil(wanted - 1e-9)), len(frame))
    # Bands of about 60 km of latitude: neighbors in this order are alike.
    band = np.round(candidates.latitude[frame] / 0.5).astype(np.int64)
    office = np.full(len(frame), request.office, dtype=object)
    kept = request.draw or Draw(request.seed, *period(request.starts_on, PERIOD_MONTHS))
    drawn, probability = lowest(
        frame,
        n_drawn,
        numbers=kept.numbers(office, candidates.dealer[frame]),
        strata=band,
        start=kept.start(office),
    )
    is_drawn[drawn] = True
    return is_drawn, probability
