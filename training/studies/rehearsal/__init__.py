"""The closed loop, rehearsed: lists choose visits, visits teach the next list, year after year."""

from __future__ import annotations

from training.studies.rehearsal.judging import require_sound, verdict
from training.studies.rehearsal.loop import Plan, rehearse

__all__ = ["Plan", "rehearse", "require_sound", "verdict"]
