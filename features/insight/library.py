"""The case library: de-identified studies of what was seen and what would have shown it earlier.

A study is a Markdown file with its facts in front (TOML between ``+++`` lines). Studies are drawn
from published accounts; no dealer, buyer or place below a region is named.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from features.errors import InvalidValueError

_FOLDER: Final = Path(__file__).parent / "cases"


@dataclass(frozen=True)
class Case:
    """One study.

    Parameters
    ----------
    name, title, pattern : str
        File, heading, and what was going on in one line.
    destinations, classes, signals : tuple of str
        Codes of `features.reference`, and the signals that would have shown it.
    open_at, source : str
        Where the supply chain was open, and what the study rests on.
    text : str
        The study itself.
    """

    name: str
    title: str
    pattern: str
    destinations: tuple[str, ...]
    classes: tuple[str, ...]
    signals: tuple[str, ...]
    open_at: str
    source: str
    text: str


@lru_cache(maxsize=4)
def library(folder: Path = _FOLDER) -> tuple[Case, ...]:
    """Return every study, by name.

    Raises
    ------
    InvalidValueError
        When a file has no facts in front, or lacks one.
    """
    return tuple(_case(path) for path in sorted(folder.glob("*.md")))


def _case(path: Path) -> Case:
    parts = path.read_text(encoding="utf-8").split("+++\n", 2)
    if len(parts) != 3 or parts[0].strip():
        raise InvalidValueError(f"{path.name} has no facts in front.", expected="+++, TOML, +++")
    try:
        facts = tomllib.loads(parts[1])
        return Case(
            path.stem,
            facts["title"],
            facts["pattern"],
            tuple(facts["destinations"]),
            tuple(facts["classes"]),
            tuple(facts["signals"]),
            facts["open_at"],
            facts["source"],
            parts[2].strip(),
        )
    except (tomllib.TOMLDecodeError, KeyError) as error:
        raise InvalidValueError(f"The facts of {path.name} cannot be read: {error}.") from error


def search(words: str, signals: tuple[str, ...] = ()) -> tuple[Case, ...]:
    """Return the studies that hold every word, those with most of some signals first.

    Parameters
    ----------
    words : str
        Any case; an empty text finds all.
    signals : tuple of str
        Signals that stand out at a dealer: what a dossier asks with.
    """
    wanted = words.lower().split()
    found = [
        case
        for case in library()
        if all(
            word in f"{case.title} {case.pattern} {case.open_at} {case.text}".lower()
            for word in wanted
        )
    ]
    found.sort(key=lambda case: (-len(set(signals) & set(case.signals)), case.name))
    return tuple(found)
