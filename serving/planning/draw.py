"""The random share: dealers drawn with a known, equal probability before anything is optimized."""

from __future__ import annotations

import numpy as np

from serving.planning.candidates import Candidates
from serving.planning.choose import least_drive_hours
from serving.planning.request import Bools, PlanRequest
from serving.scores.sampling import systematic


def draw(candidates: Candidates, request: PlanRequest) -> tuple[Bools, float]:
    """Draw the random share and return it with the probability each dealer in the frame had.

    The frame is every candidate that is not due for recall (a recall is no independent visit). The
    number drawn fills the share of the hours in expectation, rounded up. The draw is systematic
    over the frame sorted by area and size, so it is spread over both (implicit stratification)
    while each dealer's probability is exactly ``n drawn / n frame``.

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
    # Bands of about 60 km of latitude, then size: neighbors in this order are alike.
    band = np.round(candidates.latitude[frame] / 0.5)
    order = frame[np.lexsort((candidates.hours[frame], candidates.longitude[frame], band))]
    drawn, probability = systematic(order, n_drawn, seed=request.seed)
    is_drawn[drawn] = True
    return is_drawn, probability
