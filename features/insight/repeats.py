"""Who was warned and cited again for the same, whose outcomes were softened, and how long it took.

A repeat is a provision cited again, at an inspection closed after a warning that cited it, within
the years looked at. An outcome is softened when the final one stands lower on the ladder than the
one that the investigator recommended; a license given up stands on no ladder and softens nothing.
A report for supervisors: it orders nothing, and feeds no score.

References
----------
DOJ OIG I-2013-005 (2013) and 23-062 (2023), on recall inspections, repeat violations and changed
recommendations; Double Fix (2023), recommendation 7.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from datetime import date
from typing import Any, Final

import pandas as pd

from features.domain.asof import add_months, day_sql, from_numpy, in_force_sql
from features.domain.spreadsheet_formulas import neutral_row
from features.engine.embedded import EmbeddedEngine
from features.errors import WarehouseError
from features.insight.field_records import placed_dealers
from features.openjson import Json
from features.reference.legal.outcome import LADDER, SEVERE, WARNED
from features.reference.legal.twelve_month_rule import CONSUMING_KINDS, ended_on, recall_spans
from features.sql import literal
from features.warehouse import Warehouse

YEARS: Final = 5
_VISITS: Final = (
    "SELECT inspection_id, dealer, kind, opened_on, closed_on, outcome, recommended_outcome "
    "FROM inspections WHERE {in_force} AND closed_on IS NOT NULL ORDER BY closed_on, inspection_id"
)
STATEMENTS: Final = (
    "A repeat is a provision cited again after a warning that cited it; it says nothing of intent.",
    "Policies changed: the same finding ended differently under another (see the policy of the "
    "day on each inspection).",
    "Dealers inspected more often have more chances to be cited again.",
)


@dataclass(frozen=True)
class Repeat:
    """One provision cited again after a warning, at one inspection."""

    citation: str
    warned_on: date
    repeated_on: date
    outcome: str


@dataclass(frozen=True)
class DealerHistory:
    """A dealer that was warned, or whose outcome was softened, in the years looked at.

    Parameters
    ----------
    dealer, state, office : str
    is_listed : bool
        Whether it stands in the newest listing.
    warned_on, warned_as : date or None, str
        The last warning.
    n_seen_after : int
        Inspections closed after the first warning.
    repeats : tuple of Repeat
        Newest first.
    n_softened : int
        Inspections that ended lower than recommended.
    softened : str
        The last of them: recommended and final outcome.
    last_closed_on, last_outcome : date, str
        The last inspection of any kind.
    days_to_action : int or None
        From opening to close, of the last inspection with a severe outcome.
    recall : str
        ``due``, ``coming``, ``lapsed``, or empty where no recall follows the last inspection.
    recall_on : date or None
        First day of that recall.
    """

    dealer: str
    state: str
    office: str
    is_listed: bool
    warned_on: date | None
    warned_as: str
    n_seen_after: int
    repeats: tuple[Repeat, ...]
    n_softened: int
    softened: str
    last_closed_on: date
    last_outcome: str
    days_to_action: int | None
    recall: str
    recall_on: date | None


@dataclass(frozen=True)
class OfficeHistory:
    """An office, or ``all``: dealers warned, seen again, cited again, softened, due for a recall.

    `median_days_to_action` is over its dealers' last severe inspections.
    """

    office: str
    n_warned: int
    n_seen_after: int
    n_repeated: int
    n_softened: int
    n_recall_due: int
    median_days_to_action: float | None


@dataclass(frozen=True)
class Repeats:
    """The report as of a day, from every warned or softened dealer."""

    as_of: date
    years: int
    histories: tuple[DealerHistory, ...]

    @property
    def violators(self) -> tuple[DealerHistory, ...]:
        """Dealers with a repeat or a softened outcome, those with most repeats first."""
        found = [one for one in self.histories if one.repeats or one.n_softened]
        found.sort(key=lambda one: (-len(one.repeats), -one.n_softened, one.dealer))
        return tuple(found)

    @property
    def offices(self) -> tuple[OfficeHistory, ...]:
        """The country first, then each office."""
        by: dict[str, list[DealerHistory]] = {}
        for one in self.histories:
            by.setdefault(one.office, []).append(one)
        return (
            _office("all", list(self.histories)),
            *(_office(name, by[name]) for name in sorted(by)),
        )

    def within(self, is_seen: Callable[[str], bool]) -> Repeats:
        """Return the report of some dealers alone: the others are in no count either."""
        kept = tuple(one for one in self.histories if is_seen(one.dealer))
        return Repeats(self.as_of, self.years, kept)

    def as_dict(self) -> Json:
        """Return what JSON can hold."""
        return {
            "as_of": self.as_of,
            "years": self.years,
            "offices": [asdict(one) for one in self.offices],
            "dealers": [asdict(one) for one in self.violators],
            "statements": list(STATEMENTS),
        }


def repeats(warehouse: Warehouse, as_of: date, *, years: int = YEARS) -> Repeats:
    """Report on the dealers warned or softened in the years before a day.

    Raises
    ------
    WarehouseError
        When the warehouse holds no licenses, inspections or violations.
    """
    for table in ("licenses", "inspections", "violations"):
        if not warehouse.has(table):
            raise WarehouseError(
                f"Repeats cannot be told: the warehouse holds no {table}.",
                fix=f"ingest a file of {table}",
            )
    cut, since = in_force_sql(day_sql(as_of)), add_months(as_of, -12 * years)
    with EmbeddedEngine(warehouse) as engine:
        dealers = placed_dealers(engine, cut)
        visits = engine.query(_VISITS.format(in_force=cut)).to_pandas()
        again = engine.query(
            "SELECT dealer, citation, max(warned_on) AS warned_on, repeated_on, "
            "any_value(outcome) AS outcome FROM "
            f"({repeats_sql(standing('inspections', cut), standing('violations', cut))}) "
            f"WHERE warned_on >= {day_sql(since)} GROUP BY dealer, citation, inspection_id, "
            "repeated_on ORDER BY repeated_on DESC, citation"
        ).to_pandas()
    for name in ("opened_on", "closed_on"):
        visits[name] = pd.to_datetime(visits[name]).astype("datetime64[s]")
    summary = _summary(visits, since, as_of).join(dealers.set_index("dealer"), how="left")
    of = {str(dealer): rows for dealer, rows in again.groupby("dealer")}
    rows: list[dict[str, Any]] = summary.reset_index().to_dict("records")  # type: ignore[assignment]
    histories = tuple(_history(row, of.get(str(row["dealer"]))) for row in rows)
    return Repeats(as_of, years, histories)


def standing(table: str, condition: str) -> str:
    """Return SQL of the rows of a table that meet a condition."""
    return f"(SELECT * FROM {table} WHERE {condition})"


def repeats_sql(inspections: str, violations: str) -> str:
    """Return SQL of every provision cited again after a warning that cited it.

    Columns: dealer, citation, warned_on, inspection_id, kind, repeated_on, outcome; one row a
    warning, provision and later inspection.
    """
    warned = ", ".join(map(literal, WARNED))
    return (
        f"WITH cited AS (SELECT i.*, v.citation FROM {inspections} i "
        f"JOIN {violations} v USING (inspection_id) WHERE i.closed_on IS NOT NULL) "
        "SELECT DISTINCT b.dealer, b.citation, a.closed_on AS warned_on, b.inspection_id, b.kind, "
        "b.closed_on AS repeated_on, b.outcome FROM cited a JOIN cited b "
        "ON a.dealer = b.dealer AND a.citation = b.citation AND b.closed_on > a.closed_on "
        f"WHERE a.outcome IN ({warned})"
    )


def softened_sql() -> str:
    """Return the SQL condition that an inspection ended lower on the ladder than recommended."""
    steps = " ".join(f"WHEN {literal(name)} THEN {step}" for name, step in LADDER.items())
    # What stands on no ladder is null there, and no comparison with it holds.
    return f"(coalesce((CASE outcome {steps} END) < (CASE recommended_outcome {steps} END), false))"


def to_csv(found: Repeats) -> bytes:
    """Write one row a dealer, with its citations in one column."""
    text = io.StringIO()
    names = [field.name for field in fields(DealerHistory)]
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    for one in found.violators:
        told = [f"{r.citation} ({r.warned_on}, {r.repeated_on})" for r in one.repeats]
        row = asdict(one) | {"repeats": "; ".join(told)}
        writer.writerow(dict(zip(row, neutral_row(row.values()), strict=True)))
    return text.getvalue().encode()


def _summary(visits: pd.DataFrame, since: date, as_of: date) -> pd.DataFrame:
    """One row a dealer that was warned or softened since a day; no loop over dealers."""
    step = visits["outcome"].map(LADDER) < visits["recommended_outcome"].map(LADDER)
    frame = visits.assign(
        is_warned=visits["outcome"].isin(WARNED), is_softened=step,
        days=(visits["closed_on"] - visits["opened_on"]).dt.days,
    )  # fmt: skip
    inside = frame[frame["closed_on"] >= pd.Timestamp(since)]
    warned, soft = inside[inside["is_warned"]], inside[inside["is_softened"]]
    first = warned.groupby("dealer", as_index=False).agg(first=("closed_on", "min"))
    # A merge keeps the days' type also where nobody was warned.
    later = inside.merge(first, on="dealer")
    after = later[later["closed_on"] > later["first"]]
    severe = inside[inside["outcome"].isin(SEVERE)].drop_duplicates("dealer", keep="last")
    last = frame.drop_duplicates("dealer", keep="last").set_index("dealer")
    last_warned = warned.drop_duplicates("dealer", keep="last").set_index("dealer")
    last_soft = soft.drop_duplicates("dealer", keep="last").set_index("dealer")
    own = pd.Index(sorted({*warned["dealer"], *soft["dealer"]}), name="dealer")
    columns = {
        "warned_on": last_warned["closed_on"], "warned_as": last_warned["outcome"],
        "n_seen_after": after.groupby("dealer").size(), "n_softened": soft.groupby("dealer").size(),
        "recommended": last_soft["recommended_outcome"], "final": last_soft["outcome"],
        "last_closed_on": last["closed_on"], "last_outcome": last["outcome"],
        "days_to_action": severe.set_index("dealer")["days"],
    }  # fmt: skip
    # An empty frame would take the index of the first column that is put into it.
    out = pd.DataFrame({name: values.reindex(own) for name, values in columns.items()}, index=own)
    counts = ["n_seen_after", "n_softened"]
    out[counts] = out[counts].fillna(0).astype(int)
    return out.join(_recalls(frame, as_of))


def _recalls(frame: pd.DataFrame, as_of: date) -> pd.DataFrame:
    own = frame[frame["kind"].isin(CONSUMING_KINDS)]
    own = own.assign(ended=ended_on(own["opened_on"], own["closed_on"]))
    own = own.sort_values(["dealer", "ended"], kind="stable").drop_duplicates("dealer", keep="last")
    rows = _recall_words(own["ended"], own["outcome"], as_of)
    return rows.assign(dealer=own["dealer"]).set_index("dealer")


def _recall_words(ended: pd.Series, outcome: pd.Series, as_of: date) -> pd.DataFrame:
    spans, now = recall_spans(ended, outcome, as_of), pd.Timestamp(as_of)
    word = pd.Series("", index=ended.index, dtype=object)
    word[spans["due_on"] > now] = "coming"
    word[spans["due_on"] <= now] = "due"
    word[spans["lapses_on"] <= now] = "lapsed"
    return pd.DataFrame({"recall": word, "recall_on": spans["due_on"]})


def recall_after(ended: date, outcome: str, as_of: date) -> tuple[str, date | None]:
    """Return the word and first day of the recall that follows one visit, as of a day.

    >>> recall_after(date(2026, 1, 20), "warning_letter", date(2026, 2, 1))
    ('coming', datetime.date(2027, 1, 20))
    """
    days = pd.Series([ended], dtype="datetime64[s]")
    found = _recall_words(days, pd.Series([outcome], dtype=object), as_of).iloc[0]
    return str(found["recall"]), _day(found["recall_on"])


def _history(row: dict[str, Any], again: pd.DataFrame | None) -> DealerHistory:
    found = () if again is None else again.itertuples(index=False)
    softened = "" if pd.isna(row["final"]) else f"{row['recommended']} to {row['final']}"
    return DealerHistory(
        dealer=str(row["dealer"]),
        state=_text(row["state"]),
        office=_text(row["office"]) or "unknown",
        is_listed=row["is_listed"] is True,
        warned_on=_day(row["warned_on"]),
        warned_as=_text(row["warned_as"]),
        n_seen_after=int(row["n_seen_after"]),
        repeats=tuple(
            Repeat(str(r.citation), _day(r.warned_on), _day(r.repeated_on), str(r.outcome))  # type: ignore[arg-type]
            for r in found
        ),
        n_softened=int(row["n_softened"]),
        softened=softened,
        last_closed_on=_day(row["last_closed_on"]),  # type: ignore[arg-type]
        last_outcome=_text(row["last_outcome"]),
        days_to_action=None if pd.isna(row["days_to_action"]) else int(row["days_to_action"]),
        recall=_text(row["recall"]),
        recall_on=_day(row["recall_on"]),
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _day(value: Any) -> date | None:
    return from_numpy(None if pd.isna(value) else pd.Timestamp(value).to_datetime64())


def _office(name: str, own: list[DealerHistory]) -> OfficeHistory:
    days = [one.days_to_action for one in own if one.days_to_action is not None]
    return OfficeHistory(
        office=name,
        n_warned=sum(one.warned_on is not None for one in own),
        n_seen_after=sum(one.n_seen_after > 0 for one in own),
        n_repeated=sum(bool(one.repeats) for one in own),
        n_softened=sum(one.n_softened > 0 for one in own),
        n_recall_due=sum(one.recall == "due" and one.is_listed for one in own),
        median_days_to_action=float(pd.Series(days).median()) if days else None,
    )
