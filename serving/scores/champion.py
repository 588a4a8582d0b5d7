"""The bundle in force, and what it says of its own inputs and limits."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.home import ChampionEntry, JudgedRecord
from serving.errors import NotReadyError
from serving.scores.table.loaded_table import current
from serving.statements import judged_sentence, with_gates

if TYPE_CHECKING:
    from features.table import FeatureTable
    from models.bundle.bundle import Bundle
    from models.policy import Policy


def load_champion(home: Path, name: str | None = None) -> tuple[str, Bundle]:
    """Load a promoted bundle, by default the one in force, with every hash verified."""
    from models.bundle.bundle import Bundle

    name = name or current(home, "champion")
    folder = home / "champion" / name
    if not folder.is_dir():
        raise NotReadyError(f"Champion {name} is not there.", fix="ffl-risk promote")
    return name, Bundle.load(folder)


def champion_entry(home: Path, name: str) -> ChampionEntry | None:
    """Return the record of a bundle that is or was in force; None where none is kept."""
    try:
        record = json.loads((home / "champion.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    if not isinstance(record, dict):
        return None
    entries = [record, *reversed(record.get("history", []))]
    found = next((e for e in entries if isinstance(e, dict) and e.get("bundle") == name), None)
    return cast("ChampionEntry | None", found)


def judged_of(home: Path, name: str) -> JudgedRecord | None:
    """Return what the gates of a bundle could not say; None where that was not kept."""
    entry = champion_entry(home, name)
    return None if entry is None else entry.get("judged")


def card_of(home: Path, name: str, card: str) -> str:
    """Return a bundle's card with what its gates could not say, which is known after it."""
    return with_gates(card, judged_sentence(judged_of(home, name)))


def policy_in_force(home: Path) -> Policy:
    """Return the policy of the bundle in force; the one that ships before the first promotion."""
    from models.policy import Policy

    if not (home / "champion.json").is_file():
        return Policy.read()
    return Policy.read(home / "champion" / current(home, "champion") / "policy.toml")


def variant_of(bundle: Bundle) -> Literal["full", "public"]:
    """Return the feature variant a bundle was trained on."""
    return "public" if bundle.manifest.get("variant") == "public" else "full"


def limits_of(bundle: Bundle, as_of: date) -> list[str]:
    """Return what scores as of a day cannot say: by the model card, and by what the model knows."""
    _, _, after = bundle.card.partition("## What it cannot say")
    section = after.partition("\n## ")[0]
    limits = [line[2:].strip() for line in section.splitlines() if line.startswith("- ")]
    learned_to = str(bundle.manifest.get("trained_on", ""))
    if learned_to > as_of.isoformat():
        limits.append(
            f"The model learned from what was known before {learned_to}, and these scores are as "
            f"of {as_of}: it may have seen what was found in between. They are for looking back "
            "and do not show what it can do."
        )
    return limits


def inputs_of(bundle: Bundle, table: FeatureTable) -> pd.DataFrame:
    """Return the bundle's signals out of a feature table, in the bundle's order.

    Raises
    ------
    NotReadyError
        When the table lacks some: of an agency's own family that is not there, or that an earlier
        version made.
    """
    there = {signal.name for signal in table.signals}
    columns = [signal["name"] for signal in bundle.signals]
    absent = [signal for signal in bundle.signals if signal["name"] not in there]
    if absent:
        families = sorted({str(signal["family"]) for signal in absent})
        raise NotReadyError(
            f"The bundle reads {len(absent)} signals that are not built here.",
            found=", ".join(str(signal["name"]) for signal in absent[:5]),
            expected=f"the families {', '.join(families)}",
            fix="set FFL_RISK_SIGNALS to the folder of your own signals, or install the package "
            "that brings them; a champion of an earlier version: ffl-risk train, promote, score",
        )
    return pd.DataFrame(table.frame[columns])


def in_scope(bundle: Bundle, license_types: pd.Series) -> npt.NDArray[np.bool_]:
    """Return which dealers are of a license type that the bundle was trained on.

    The others keep a score in the table, but no list, rank or answer shows it.
    """
    trained_on = bundle.manifest.get("license_types")
    if not trained_on:
        return np.ones(len(license_types), dtype=bool)
    return license_types.isin(list(trained_on)).to_numpy(dtype=bool)
