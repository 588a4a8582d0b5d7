"""Rows of signals scored as they are given, without a table."""

from __future__ import annotations

from pydantic import Field

from serving.contract.answers import (
    Answer,
    Basis,
    Request,
)
from serving.contract.plain_values import Number


class FeaturesRequest(Request):
    """Rows of signals to score."""

    rows: list[dict[str, Number | None]] = Field(min_length=1, max_length=1_000)


class FeatureScore(Answer):
    """The scores of one row of signals."""

    heads: dict[str, dict[str, float]]
    priority: float
    support: float


class FeaturesAnswer(Answer):
    """One entry a row, in order."""

    basis: Basis
    scores: list[FeatureScore]
    out_of_range: list[str] = Field(
        description="Signals with values beyond those seen in training: those scores extrapolate"
    )
    disclaimers: list[str]
