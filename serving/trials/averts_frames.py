"""The frame of each issued list's draw: who could have been drawn, as the list saw the country."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import numpy as np
import sqlalchemy as sa

from features.domain.asof import add_months
from serving.access.accounts import Principal
from serving.contract.answers import RankRequest
from serving.errors import NotReadyError
from serving.scores.areas import asked_rows, own_rows, rows_for
from serving.scores.snapshot import Snapshot
from serving.scores.visible_dealers import View, eligible_rows
from serving.store.database import Store
from serving.store.tables import LISTS
from serving.trials.averts import FOLLOWED_MONTHS, Frame


def frames(store: Store, home: Path, *, today: date) -> Iterator[Frame]:
    """Return the frame of each list that was followed long enough and whose table is still there.

    Lists of one period draw the same dealers, whatever their tables and grounds: a dealer counts in
    the first frame of each period that it is in, and not after a list had it as a certain place.
    """
    until = add_months(today, -FOLLOWED_MONTHS)
    query = sa.select(LISTS).where(LISTS.c.as_of <= until).order_by(LISTS.c.issued_at)
    with store.read() as connection:
        rows = connection.execute(query).all()
    loaded: tuple[str, Snapshot | None] = ("", None)
    seen: set[tuple[str, bytes]] = set()
    met: dict[str, set[str]] = {}
    for row in rows:
        if loaded[0] != row.scored:
            loaded = (row.scored, _snapshot(home, row.scored))
        snapshot, recipe = loaded[1], row.recipe
        if snapshot is None:
            continue
        who = recipe["principal"]
        request = RankRequest.model_validate(recipe["request"])
        principal = Principal(who["name"], who["role"], frozenset(who["areas"]))
        key = (row.scored, _ground(snapshot, principal, request))
        if key in seen:
            continue
        seen.add(key)
        document = json.loads(bytes(row.document))
        view = View(snapshot.overlaid(recipe["overlay"]), recipe["hidden"])
        within = rows_for(view, principal, request.area) & eligible_rows(view)
        if request.license_types:
            within &= view.snapshot.where("license_type", request.license_types)
        listed = {one["dealer"]: one["why"][0] for one in document["rows"]}
        why = np.array([listed.get(d, "") for d in view.snapshot.columns["dealer"]], dtype=object)
        frame = np.flatnonzero(within & ((why == "") | (why == "random")))
        dealer = view.snapshot.columns["dealer"][frame]
        known = met.setdefault(document["design"].get("draw_starts_on", str(row.as_of)), set())
        is_new = ~np.isin(dealer.astype(str), list(known))
        known.update(dealer[is_new].tolist(), listed)
        if is_new.any():
            yield Frame(
                row.list_id,
                snapshot.as_of,
                dealer[is_new],
                np.asarray(why[frame][is_new] == "random", dtype=np.bool_),
            )


def _snapshot(home: Path, name: str) -> Snapshot | None:
    try:
        return Snapshot.load(home, name)
    except NotReadyError:
        return None


def _ground(snapshot: Snapshot, principal: Principal, request: RankRequest) -> bytes:
    """Return what tells apart where lists were drawn: the area asked for, within the own one.

    Who asks for no area means the own one, which is another's for another.
    """
    rows = asked_rows(snapshot, request.area) & own_rows(snapshot, principal)
    if request.license_types:
        rows = rows & snapshot.where("license_type", request.license_types)
    return hashlib.sha256(rows.tobytes()).digest()
