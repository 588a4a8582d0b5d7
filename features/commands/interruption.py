"""What a command that was interrupted leaves behind, in one sentence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

INTERRUPTED: Final = 130  # the exit code of a command that was ended from the keyboard

_LEFT: Final = {
    "ingest": "Nothing of this load was stored; the warehouse is as it was.",
    "withdraw": "Nothing was taken out; the warehouse is as it was.",
    "simulate": "Nothing was written to the folder.",
    "features": "No file was written.",
    "train": "No candidate was made, or, in the moment after its registration, a whole one that "
    "`ffl-risk promote` judges; earlier ones and their reports are as they were. A version that "
    "MLflow was just then given without a candidate cannot come into force.",
    "search": "Trials that were judged are kept; the same command goes on after them.",
    "score": "The scored table in force is the one before.",
    "promote": "The champion in force is the one before or the new one, whole; try again to see.",
    "run": "Steps that were done are kept; the same command goes on after them.",
}
_ANY: Final = "What was finished is kept, and nothing is half written."


def left_behind(arguments: Sequence[str]) -> str:
    """Return what the interrupted command with these arguments leaves behind.

    >>> left_behind(["ingest", "country"])
    'Nothing of this load was stored; the warehouse is as it was.'
    >>> left_behind(["lists", "issue"])
    'What was finished is kept, and nothing is half written.'
    """
    command = next((word for word in arguments if not word.startswith("-")), "")
    return _LEFT.get(command, _ANY)
