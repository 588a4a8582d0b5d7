"""Traces counted by source, destination, class and time-to-crime: one streamed pass over them.

What every part of a flow is made of. DuckDB reads the files once and keeps groups only, so that a
hundred million traces need no more memory than one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import pandas as pd

from features.domain.asof import DAYS_A_YEAR, day_sql, in_force_sql
from features.engine.embedded import EmbeddedEngine
from features.insight.flows.subject import Subject
from features.openjson import Row
from features.reference.destinations import destination_sql, place_sql
from features.reference.legal.short_time_to_crime import band_sql, short_sql
from features.reference.weapons import class_code_sql, class_names, seized_class_sql
from features.sql import list_sql, literal
from features.warehouse import Warehouse

YEARS: Final = 5

# A link is complete when sale and place of recovery are known, else partial.
_COMPLETE: Final = (
    "sold_on IS NOT NULL AND recovered_on IS NOT NULL AND (recovery_state IS NOT NULL "
    "OR recovery_country NOT IN ('US', 'MX'))"
)
MARKET: Final = place_sql()


@dataclass(frozen=True)
class Span:
    """The days that are looked at: known from the first on, and before the last."""

    first: date
    as_of: date

    @classmethod
    def before(cls, as_of: date, years: int = YEARS) -> Span:
        """Return so many years before a date."""
        return cls(as_of - timedelta(days=DAYS_A_YEAR * years), as_of)

    @property
    def condition(self) -> str:
        """SQL of the rows that count."""
        return f"known_on >= {day_sql(self.first)} AND {in_force_sql(day_sql(self.as_of))}"


class Tally:
    """The warehouse behind one connection, counted over a span.

    Parameters
    ----------
    engine : EmbeddedEngine
    span : Span
    without : collection of str
        Dealers that have no place, so that nothing of theirs is counted: the one place where
        dealers on hold are left out of every count, hub, corridor and cluster.
    """

    def __init__(self, engine: EmbeddedEngine, span: Span, without: Collection[str] = ()) -> None:
        self.engine = engine
        self.span = span
        kept = f" AND dealer NOT IN ({', '.join(map(literal, sorted(without)))})" if without else ""
        place = (
            "CREATE OR REPLACE TABLE named AS SELECT dealer, "
            "arg_max(county_fips, listed_on) AS county, "
            "arg_max(premises_state, listed_on) AS state "
            f"FROM licenses WHERE {in_force_sql(day_sql(span.as_of))}{kept} GROUP BY dealer"
        )
        engine.connection.execute(place)
        engine.connection.execute(
            "CREATE OR REPLACE TABLE areas AS SELECT row_number() OVER ()::INTEGER AS area, * FROM "
            "(SELECT DISTINCT county, state FROM named ORDER BY ALL)"
        )
        engine.connection.execute(
            "CREATE OR REPLACE TABLE place AS SELECT * FROM named JOIN areas USING (county, state)"
        )

    @classmethod
    @contextmanager
    def open(
        cls, warehouse: Warehouse, span: Span, without: Collection[str] = ()
    ) -> Iterator[Tally]:
        """Open a warehouse for counting."""
        with EmbeddedEngine(warehouse) as engine:
            yield cls(engine, span, without)

    def frame(self, sql: str) -> pd.DataFrame:
        """Answer a query as a frame."""
        found: pd.DataFrame = self.engine.query(sql).to_pandas()
        return found

    def cells(self, where: str = "TRUE") -> pd.DataFrame:
        """Count traces by county and state of the dealer, market, destination, class and band.

        Returns
        -------
        DataFrame
            ``county``, ``state``, ``market`` (state or country), ``destination``, ``class``,
            ``band`` (place in `BANDS`), ``n``, ``n_complete``.
        """
        # Numbers are grouped, and words made of the groups: that is half the time.
        return self.frame(
            f"""
            WITH found AS (
                SELECT p.area, recovery_country, recovery_state, {class_code_sql()} AS class,
                       {band_sql()}::TINYINT AS band, count(*) AS n,
                       count(*) FILTER ({_COMPLETE}) AS k
                FROM (SELECT * FROM traces WHERE {self.span.condition} AND dealer IS NOT NULL) t
                JOIN place p ON p.dealer = t.dealer
                WHERE {where} GROUP BY ALL)
            SELECT county, state, {MARKET} AS market, {destination_sql()} AS destination,
                   {list_sql(class_names())}[class + 1] AS class, band, sum(n)::BIGINT AS n,
                   sum(k)::BIGINT AS n_complete
            FROM found JOIN areas USING (area) GROUP BY ALL ORDER BY ALL
            """
        )

    def dealers(self, where: str = "TRUE") -> pd.DataFrame:
        """Count traces by dealer: all, short, international, to Mexico, complete."""
        return self.frame(
            f"""
            SELECT t.dealer, p.county, p.state, count(*) AS n,
                   count(*) FILTER ({short_sql()}) AS n_short,
                   count(*) FILTER (sold_on IS NOT NULL AND recovered_on IS NOT NULL) AS n_timed,
                   count(*) FILTER (recovery_country <> 'US') AS n_international,
                   count(*) FILTER (recovery_country = 'MX') AS n_mexico
            FROM (SELECT * FROM traces WHERE {self.span.condition} AND dealer IS NOT NULL) t
            JOIN place p ON p.dealer = t.dealer
            WHERE {where} GROUP BY ALL ORDER BY n DESC, t.dealer
            """
        )

    def sales(self) -> pd.DataFrame:
        """Background checks by county and state; listed dealers where none are stored."""
        if self.engine.has("sales_volume"):
            return self.frame(
                "SELECT p.county, p.state, sum(n_checks)::DOUBLE AS sales FROM sales_volume s "
                f"JOIN place p ON p.dealer = s.dealer WHERE {self.span.condition} GROUP BY ALL"
            )
        return self.frame("SELECT county, state, count(*)::DOUBLE AS sales FROM place GROUP BY ALL")

    def seizures(self) -> pd.DataFrame:
        """Count seizures by port, source county and state where known, class and agency."""
        if not self.engine.has("seizures"):
            names = ["port", "county", "state", "class", "agency", "n"]
            return pd.DataFrame({name: pd.Series(dtype=object) for name in names})
        self.engine.make("seizures_known")
        return self.frame(
            f"""
            SELECT s.port_code AS port, p.county, p.state, {seized_class_sql()} AS class,
                   s.agency, count(*) AS n
            FROM (SELECT * FROM seizures WHERE {self.span.condition}) s
            LEFT JOIN (SELECT seizure_id, any_value(dealer) AS dealer FROM seizures_known
                       WHERE {self.span.condition} GROUP BY ALL) k USING (seizure_id)
            LEFT JOIN place p ON p.dealer = k.dealer
            GROUP BY ALL ORDER BY ALL
            """
        )


def where_source(subject: Subject) -> str:
    """Return the SQL condition of the dealers of a subject, over `place` as ``p``."""
    column = {"dealer": "p.dealer", "state": "p.state", "county": "p.county"}.get(subject.kind)
    return "TRUE" if column is None else f"{column} = '{subject.code}'"


def records(frame: pd.DataFrame) -> list[Row]:
    """Return the rows of a small frame as records."""
    return frame.to_dict("records")  # type: ignore[return-value]
