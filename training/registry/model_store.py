"""The champion in BentoML's model store: what a bento names and takes along.

A promotion puts the bundle there under one name, with labels to search by and metadata to read;
its version is told by its content, so that two state folders agree on it. ``BENTOML_HOME`` says
where the store is; by default it lies in the state folder. BentoML is imported in a process of
its own, which takes seconds; whether a bundle is there already is read from the folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from features.openjson import Json
from training.errors import NotTrainedError, TrainingError
from training.evaluation.head_evaluation import flat_metrics
from training.registry.bentoml_store import BUNDLE, ENTRY
from training.registry.promotion import CHAMPION, Champion, champion_candidate

MODEL: Final = "ffl-risk-champion"
_SECONDS: Final = 300
_TOLD_LINES: Final = 5


class ModelStoreError(TrainingError):
    """BentoML's model store could not take the champion; the champion itself is in force."""

    exit_code = 1


@dataclass(frozen=True)
class StoredChampion:
    """A champion as a model store has it.

    Parameters
    ----------
    tag : str
        ``ffl-risk-champion:VERSION``.
    bundle : Path
        Folder of the bundle.
    entry : mapping
        ``name``, ``version`` and ``candidate`` where it was promoted, and how it was judged.
    """

    tag: str
    bundle: Path
    entry: dict[str, Any]


def store_folder(home: Path) -> Path:
    """Return ``BENTOML_HOME``, by default the folder ``bentoml`` of the state folder."""
    return Path(os.environ.get("BENTOML_HOME") or home / "bentoml").absolute()


def content_version(bundle: Path) -> str:
    """Return the version of a bundle: its manifest names the digest of every file."""
    return hashlib.sha256((bundle / "manifest.json").read_bytes()).hexdigest()[:16]


def keep_champion(home: Path, champion: Champion) -> str | None:
    """Put the champion in the model store as its newest model, unless it is that already.

    Returns
    -------
    str or None
        Its tag; None when it was there.

    Raises
    ------
    ModelStoreError
        When it could not be put there.
    """
    bundle = home / CHAMPION / champion.bundle
    version = content_version(bundle)
    store = store_folder(home)
    place = store / "models" / MODEL
    if (place / version / "model.yaml").is_file() and _newest(place) == version:
        return None
    asked = {
        "tag": f"{MODEL}:{version}",
        "bundle": str(bundle.absolute()),
        "entry": {k: v for k, v in champion.entry().items() if k != "bundle"},
        "labels": _labels(bundle, champion),
        "metadata": _metadata(home, bundle, champion),
    }
    environment = os.environ | {"BENTOML_HOME": str(store), "BENTOML_DO_NOT_TRACK": "True"}
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-W", "ignore", "-m", "training.registry.bentoml_store"],
            input=json.dumps(asked),
            env=environment,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            check=False,
        )
        said = done.stderr.strip().splitlines()[-_TOLD_LINES:] if done.returncode else []
    except subprocess.TimeoutExpired:
        said = [f"no end within {_SECONDS} seconds"]
    if said or _newest(place) != version:
        raise ModelStoreError(
            f"Champion {champion.bundle} is in force, but not in BentoML's model store.",
            found="\n".join(said) or "nothing on its standard error",
            fix=f"check that {store} can be written, then promote the same candidate again",
        )
    return str(asked["tag"])


def stored_champion(models: Path) -> StoredChampion:
    """Return the newest champion of a folder of models: a store's, or a bento's.

    Raises
    ------
    NotTrainedError
        When there is none.
    """
    place = models / MODEL
    versions = [p.name for p in place.glob("*") if (p / ENTRY).is_file()]
    newest = _newest(place)
    chosen = newest if newest in versions else versions[0] if len(versions) == 1 else None
    if chosen is None:
        raise NotTrainedError(
            f"{models} holds no champion.",
            found=", ".join(sorted(versions)) or "no model of that name",
            expected=f"{MODEL} as `ffl-risk promote` puts it in BentoML's model store",
            fix="name the folder `models` of a model store or of a bento with --from",
        )
    folder = place / chosen
    entry = json.loads((folder / ENTRY).read_text(encoding="utf-8"))
    return StoredChampion(f"{MODEL}:{chosen}", folder / BUNDLE, entry)


def _newest(place: Path) -> str:
    try:
        return (place / "latest").read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _manifest(bundle: Path) -> Json:
    found: dict[str, Any] = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
    return found


def _labels(bundle: Path, champion: Champion) -> dict[str, str]:
    manifest = _manifest(bundle)
    labels = {
        "stage": CHAMPION,
        "model": champion.name,
        "version": champion.version,
        "candidate": champion.candidate,
        "bundle": champion.bundle,
        "heads": ".".join(manifest.get("heads", ())),
    }
    return labels | {
        name: str(manifest[name])
        for name in ("as_of", "restriction", "variant")
        if manifest.get(name)
    }


def _metadata(home: Path, bundle: Path, champion: Champion) -> Json:
    """Say what the bundle was made from and how it was judged."""
    manifest = _manifest(bundle)
    kept = ("as_of", "data_fingerprint", "git_commit", "heads", "license_types", "policy")
    found = {name: manifest[name] for name in kept if name in manifest}
    candidate = champion_candidate(home, champion)
    if candidate is not None:
        heads = {n: e for n, e in candidate.evaluation.get("heads", {}).items() if "model" in e}
        found["metrics"] = {k: float(v) for k, v in flat_metrics(heads).items()}
        found["trained_on"] = candidate.evaluation.get("trained_on", "")
    return found
