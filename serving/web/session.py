"""The session cookie of the pages."""

from __future__ import annotations

from typing import Final

COOKIE: Final = "ffl_risk_session"
