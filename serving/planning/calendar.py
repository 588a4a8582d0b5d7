"""A plan as an iCalendar file (RFC 5545), one all-day event a visit."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta

from serving.planning.itinerary import Plan, Visit
from serving.planning.request import policy


def to_ics(plan: Plan, *, names: Mapping[str, str], made_at: datetime, plan_id: str) -> str:
    r"""Return the plan as iCalendar text; the same plan gives the same bytes.

    A visit covers the working days on which its hours fall when each day has the hours of
    the policy and no visit is worked on at a weekend.

    Parameters
    ----------
    plan : Plan
    names : mapping
        What to call each dealer in the title; the dealer key when absent.
    made_at : datetime
        When the plan was issued (UTC).
    plan_id : str
        Makes the identifiers of the events unique.
    """
    stamp = made_at.strftime("%Y%m%dT%H%M%SZ")
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//ffl-risk//plan//EN", "CALSCALE:GREGORIAN"]
    starts = {(week.week, week.investigator): week.starts_on for week in plan.weeks}
    for visit in plan.visits:
        first, last = days_of(visit, starts[visit.week, visit.investigator])
        title = f"{names.get(visit.dealer, visit.dealer)} (investigator {visit.investigator})"
        note = f"{visit.dealer}; {visit.hours:.1f} hours on site; in the plan: {visit.why}"
        lines += [
            "BEGIN:VEVENT",
            f"UID:{plan_id}-{visit.week}-{visit.investigator}-{visit.order}@ffl-risk",
            f"DTSTAMP:{stamp}",
            f"DTSTART;VALUE=DATE:{first:%Y%m%d}",
            f"DTEND;VALUE=DATE:{last + timedelta(days=1):%Y%m%d}",
            f"SUMMARY:{_text(title)}",
            f"DESCRIPTION:{_text(note)}",
            "END:VEVENT",
        ]
    lines.append("END:VCALENDAR")
    return "".join(folded + "\r\n" for line in lines for folded in _fold(line))


def days_of(visit: Visit, starts_on: date) -> tuple[date, date]:
    """Return the first and last day of a visit, in its investigator's five working days."""
    day = policy()["hours_per_day"]
    first = min(int(visit.starts_after_hours // day), 4)
    last = min(int(max(visit.starts_after_hours + visit.hours - 1e-9, 0) // day), 4)
    return starts_on + timedelta(days=first), starts_on + timedelta(days=max(first, last))


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
