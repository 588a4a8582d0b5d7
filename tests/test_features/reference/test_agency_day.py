"""Today is the agency's day, on either side of the day in UTC."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from features.domain import agency_day
from features.errors import InvalidValueError
from features.ingest import ingest
from tests.test_features.ingest_samples import row, write

LATE = datetime(2026, 5, 31, 22, tzinfo=UTC)  # in Guam the next morning
EARLY = datetime(2026, 6, 1, 3, tzinfo=UTC)  # in Chicago the evening before
MAY, JUNE = date(2026, 5, 31), date(2026, 6, 1)


@pytest.mark.parametrize(
    ("zone", "late", "early"),
    [
        ("Pacific/Guam", JUNE, JUNE),
        ("+10:00", JUNE, JUNE),
        ("America/Chicago", MAY, MAY),
        ("UTC-5", MAY, MAY),
        ("UTC", MAY, JUNE),
    ],
)
def test_the_day_follows_the_zone(
    zone: str, late: date, early: date, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(agency_day.VARIABLE, zone)
    assert [agency_day.day_at(when.timestamp()) for when in (LATE, EARLY)] == [late, early]
    assert agency_day.day_of("2026-06-01T03:00:00.000000Z") == early.isoformat()
    begins = datetime.fromisoformat(agency_day.begin_of(late)).replace(tzinfo=UTC)
    assert begins <= LATE
    assert agency_day.day_at(begins.timestamp()) == late
    assert agency_day.day_at(begins.timestamp() - 1) < late


def test_what_happened_today_where_the_agency_is_can_be_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, "tips.csv", [row("tips", received_on="2026-06-01")])
    monkeypatch.setattr(agency_day, "time", SimpleNamespace(time=LATE.timestamp, tzname=()))
    for zone, reasons in (("UTC", {"future_date": 1}), ("Pacific/Guam", {})):
        monkeypatch.setenv(agency_day.VARIABLE, zone)
        summary = ingest(path, tmp_path / zone, max_rejects=1.0)
        assert summary.files[0].tables[0].reasons == reasons


@pytest.mark.parametrize("name", ["Guam time", "../etc/passwd", "/etc/localtime", "+27:00", "\0"])
def test_a_zone_that_is_not_known_is_refused(name: str) -> None:
    with pytest.raises(InvalidValueError, match="FFL_RISK_TIME_ZONE"):
        agency_day.zone(name)
