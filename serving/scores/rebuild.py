"""A scored table made anew from the warehouse, to show that a list is what it says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from features.warehouse import Warehouse
from serving.scores.champion import variant_of
from serving.scores.publish import score_frames
from serving.scores.snapshot import Snapshot
from serving.scores.table.loaded_table import content_fingerprint


def rebuilt(published: Snapshot, *, warehouse: Path) -> Snapshot:
    """Return a snapshot made anew from the warehouse, as of the same day, by the same bundle."""
    from features.table import build_features

    opened = Warehouse.open(warehouse)
    features = build_features(opened, published.as_of, variant=variant_of(published.bundle))
    frames = score_frames(published.bundle, features, warehouse=opened, as_of=published.as_of)
    scored = frames["scored.parquet"]
    table = replace(
        published.table,
        manifest={**published.table.manifest, "fingerprint": content_fingerprint(scored)},
        scored=scored,
        reasons=frames["reasons.parquet"],
        peers=frames["peers.parquet"],
    )
    return Snapshot.of(table, published.bundle, features)
