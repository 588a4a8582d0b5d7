"""What ``champion.json`` says: written by a promotion, read by who serves its bundle."""

from __future__ import annotations

from typing import NotRequired, TypedDict


class UnsaidGate(TypedDict):
    """A gate that could not say, and on which head or order."""

    gate: str
    head: str


class JudgedRecord(TypedDict):
    """What the gates of a promotion could not say, what was waived, and what the list rests on."""

    n_gates: int
    unsaid: list[UnsaidGate]
    accepted: str | None
    waived: list[str]
    heads: list[str]


class ChampionEntry(TypedDict):
    """One bundle that is or was in force; those of before lack how they were judged."""

    bundle: str
    name: str
    version: str
    candidate: str
    judged: NotRequired[JudgedRecord]
