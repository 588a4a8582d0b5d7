"""A trained candidate on disk: its bundle, what its evaluation found, and the held-out scores.

``candidates/NNNNNN/`` appears whole or not at all: it is filled in a staging folder and renamed.
The held-out table keeps, for each judged row, the label, the weights and every score, so that a
later candidate can be compared with this one on the same rows.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from features.home import sync_folder, write_json
from features.openjson import Json
from training.errors import NotTrainedError
from training.evaluation.head_evaluation import Overlap

if TYPE_CHECKING:
    from models.bundle.bundle import Bundle

STAGING = ".staging-"


@dataclass(frozen=True)
class Candidate:
    """What a training left behind.

    Parameters
    ----------
    folder : Path
        ``candidates/NNNNNN``.
    evaluation : mapping
        What the report shows, as JSON.
    """

    folder: Path
    evaluation: Mapping[str, Any]

    @property
    def number(self) -> str:
        """Its six digits."""
        return self.folder.name

    @property
    def bundle_folder(self) -> Path:
        """Folder of its bundle."""
        return self.folder / "bundle"

    @property
    def name(self) -> str:
        """Name of the registered model."""
        return str(self.evaluation["model_name"])

    @property
    def version(self) -> str:
        """Version in the registry."""
        return str(self.evaluation["version"])

    @property
    def heads(self) -> tuple[str, ...]:
        """Heads in its bundle."""
        return tuple(self.evaluation["bundle_heads"])

    def summary(self) -> Json:
        """Return what a program that started the training wants to know."""
        heads = {
            name: {key: entry[key] for key in ("is_in_bundle", "refusal", "model")}
            for name, entry in self.evaluation["heads"].items()
        }
        return {
            "candidate": self.number,
            "name": self.name,
            "version": self.version,
            "folder": str(self.folder),
            "heads": heads,
        }

    def bundle(self) -> Bundle:
        """Load its bundle; every hash is verified."""
        from models.bundle.bundle import Bundle

        return Bundle.load(self.bundle_folder)

    def held_out(self, head: str) -> pd.DataFrame:
        """Judged rows of a head, with labels, weights and scores."""
        return pd.read_parquet(self.folder / f"held_out_{head}.parquet")

    def order(self) -> pd.DataFrame | None:
        """Judged rows in the published order; None where it was not judged on inspections."""
        return self._table("order")

    def judged_signals(self) -> pd.DataFrame | None:
        """Signals of the rows the order was judged on, so that a champion can be judged anew."""
        return self._table("judged")

    def latest_signals(self) -> pd.DataFrame | None:
        """Signals of dealers at the newest date, so that lists can be compared."""
        return self._table("latest")

    def own_overlap(self) -> tuple[Overlap | None, str]:
        """Share of a list that is on another of its own, by the head whose lists differ most.

        Returns
        -------
        overlap : Overlap or None
            None where no head has a second list.
        against : str
            What that other list is, in words.
        """
        found: list[tuple[Overlap, str]] = []
        for name, entry in self.evaluation["heads"].items():
            if name not in self.heads or entry.get("list_overlap") is None:
                continue
            pairs = entry.get("stability", {}).get("pairs", ())
            against = (
                f"its own list as of {pairs[-1]['before']}"
                if pairs
                else "its own list with the held-out counties dealt anew"
            )
            value = float(entry["list_overlap"])
            # A candidate of before does not tell them.
            least, most = entry.get("list_overlap_by_lot") or (value, value)
            found.append((Overlap(value, float(least), float(most)), against))
        return min(found, key=lambda one: one[0].value) if found else (None, "its own")

    def _table(self, stem: str) -> pd.DataFrame | None:
        path = self.folder / f"{stem}.parquet"
        return pd.read_parquet(path) if path.is_file() else None

    def sample(self) -> pd.DataFrame:
        """Read some rows of signals, for checks that need input."""
        return pd.read_parquet(self.folder / "sample.parquet")


def stage(folder: Path) -> Path:
    """Make an empty staging folder beside the candidates, and sweep those of killed trainings."""
    place = folder / "candidates"
    place.mkdir(parents=True, exist_ok=True)
    for leftover in place.glob(f"{STAGING}*"):
        if not _is_running(leftover.name.removeprefix(STAGING)):
            shutil.rmtree(leftover, ignore_errors=True)
    staged = place / f"{STAGING}{os.getpid()}"
    shutil.rmtree(staged, ignore_errors=True)
    staged.mkdir()
    return staged


def _is_running(process: str) -> bool:
    """Whether a process of that number lives; another may have taken the number over."""
    try:
        os.kill(int(process), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True


def commit(staged: Path, evaluation: Mapping[str, Any]) -> Candidate:
    """Give a filled staging folder its number.

    Two trainings may commit at once: `Path.rename` onto an existing non-empty folder fails, and
    the next number is tried.
    """
    write_json(staged / "evaluation.json", dict(evaluation))
    number = next_number(staged.parent)
    while True:
        target = staged.parent / f"{number:06d}"
        try:
            staged.rename(target)
        except OSError:
            if not target.exists():
                raise
            number += 1
            continue
        sync_folder(target.parent)
        return Candidate(target, evaluation)


def next_number(place: Path) -> int:
    """Return the number after the highest one in a folder."""
    return max((int(p.name) for p in place.glob("[0-9]" * 6)), default=0) + 1


def open_candidate(folder: Path, number: str | None = None) -> Candidate:
    """Open a candidate by number, or the newest.

    Raises
    ------
    NotTrainedError
        When there is none.
    """
    place = folder / "candidates"
    numbers = sorted(p.name for p in place.glob("[0-9]" * 6))
    wanted = f"{int(number):06d}" if number and number.isdigit() else number
    if not numbers or (wanted is not None and wanted not in numbers):
        raise NotTrainedError(
            f"No candidate {wanted or 'yet'} in {place}.",
            found=", ".join(numbers[-5:]) or "nothing",
            fix="run `ffl-risk train`, on the published records with `--recipe public_records`",
        )
    chosen = place / (wanted or numbers[-1])
    evaluation = json.loads((chosen / "evaluation.json").read_text(encoding="utf-8"))
    return Candidate(chosen, evaluation)
