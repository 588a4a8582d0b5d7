"""Visits as an iCalendar file (RFC 5545), one all-day event a visit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta


@dataclass(frozen=True)
class Entry:
    """One all-day event.

    Parameters
    ----------
    uid : str
        The same event in a later file has the same.
    first_on, last_on : date
        Both included.
    title, place, text : str
        Lines of `text` are kept.
    status : {"", "TENTATIVE", "CONFIRMED", "CANCELLED"}
    """

    uid: str
    first_on: date
    last_on: date
    title: str
    place: str = ""
    text: str = ""
    status: str = ""


def to_calendar(
    entries: Iterable[Entry],
    *,
    made_at: datetime,
    sequence: int = 0,
    name: str = "",
    about: str = "",
) -> str:
    """Return events as iCalendar text; the same events give the same bytes.

    Parameters
    ----------
    made_at : datetime
        UTC.
    sequence : int
        Later versions of an event have a higher one, and replace the earlier.
    name : str
        What the calendar is called.
    about : str
        What is said once of the whole calendar.
    """
    stamp = made_at.strftime("%Y%m%dT%H%M%SZ")
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//ffl-risk//plan//EN", "CALSCALE:GREGORIAN"]
    if name:
        lines.append(f"X-WR-CALNAME:{_text(name)}")
    if about:
        lines.append(f"X-WR-CALDESC:{_text(about)}")
    for entry in entries:
        lines += [
            "BEGIN:VEVENT",
            f"UID:{entry.uid}",
            f"DTSTAMP:{stamp}",
            f"SEQUENCE:{sequence}",
            f"DTSTART;VALUE=DATE:{entry.first_on:%Y%m%d}",
            f"DTEND;VALUE=DATE:{entry.last_on + timedelta(days=1):%Y%m%d}",
            *([f"STATUS:{entry.status}"] if entry.status else []),
            f"SUMMARY:{_text(entry.title)}",
            *([f"LOCATION:{_text(entry.place)}"] if entry.place else []),
            "DESCRIPTION:" + r"\n".join(_text(line) for line in entry.text.split("\n")),
            "END:VEVENT",
        ]
    lines.append("END:VCALENDAR")
    return "".join(folded + "\r\n" for line in lines for folded in _fold(line))


def _text(value: str) -> str:
    """Escape text; control characters and line breaks in a name cannot start a new property."""
    clean = "".join(c if c.isprintable() else " " for c in value)
    return clean.replace("\\", "\\\\").replace(";", "\\;").replace(",", "\\,")


def _fold(line: str) -> list[str]:
    """Fold a line at 75 octets, never inside a character."""
    out: list[str] = []
    current, size = "", 0
    for character in line:
        width = len(character.encode())
        if size + width > (75 if not out else 74):
            out.append(current)
            current, size = "", 0
        current += character
        size += width
    out.append(current)
    return [out[0], *(" " + rest for rest in out[1:])]
