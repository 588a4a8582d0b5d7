"""Errors that say what was wrong, what was found, what was expected and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path


class FflRiskError(Exception):
    """Base of every error the project raises on purpose; each folder has one class below it.

    The command line prints the message and leaves with `exit_code`; the service turns it into a
    problem document. Neither shows a stack trace.

    Parameters
    ----------
    what : str
        What is wrong, as a full sentence naming the file, column or value.
    found, expected, fix : str, optional
        What was found, what was expected, and what the user can do about it.
    """

    exit_code = 1

    def __init__(self, what: str, *, found: str = "", expected: str = "", fix: str = "") -> None:
        self.what, self.found, self.expected, self.fix = what, found, expected, fix
        lines = [what]
        if found:
            lines.append(f"  found:    {found}")
        if expected:
            lines.append(f"  expected: {expected}")
        if fix:
            lines.append(f"  to mend:  {fix}")
        super().__init__("\n".join(lines))


class FeatureError(FflRiskError):
    """Base of every error raised by `features`."""

    exit_code = 3


class InvalidValueError(FeatureError, ValueError):
    """A value (a license number, a date, a citation, an option) that cannot be read."""


class SourceError(FeatureError):
    """A file that is refused whole; nothing of it was stored.

    `given` is the path, as it was named to be loaded, that the file was found under; None where
    no single one is at fault.
    """

    given: Path | None = None


class WarehouseError(FeatureError):
    """A warehouse that cannot be opened, read or written."""


class AsOfError(FeatureError, ValueError):
    """An as-of date outside the range that the data can answer for."""


class OwnSignalError(FeatureError):
    """An agency's own family of signals that cannot be read or built."""


class LeakError(FeatureError):
    """Signals that rows from the future can move."""

    exit_code = 5


def did_you_mean(name: str, known: Iterable[str], *, end: str = "") -> str:
    """Return ``"; did you mean 'x'?"`` for the nearest known name, else what ends the sentence.

    >>> did_you_mean("trases", ["traces", "licenses"])
    "; did you mean 'traces'?"
    >>> did_you_mean("zzz", ["traces"], end=".")
    '.'
    """
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean '{near[0]}'?" if near else end
