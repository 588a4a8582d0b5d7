"""Figures of a simulated country, measured on its files and not on its generator.

Each measure gives ``name -> (value, standard error)``; the error is that of sampling a country of
this size, so that a small country is not held to a precision it cannot have.
"""

from __future__ import annotations

from datetime import date
from math import sqrt
from pathlib import Path
from typing import Any, Final

import duckdb

from features.domain.asof import add_months
from features.reference.legal.short_time_to_crime import DAYS, short_sql
from features.simulation.country.options import FULL_COUNTRY, Options
from features.simulation.files.write import SIMULATED

Measured = dict[str, tuple[float, float]]
_BORDER: Final = "('TX', 'AZ', 'CA', 'NM')"


class Country:
    """The files of a country behind DuckDB.

    Parameters
    ----------
    folder : Path
        What `simulate` wrote.
    options : Options
        What it was made from.
    """

    def __init__(self, folder: Path, options: Options) -> None:
        self.options = options
        self.con = duckdb.connect()
        self.con.execute("SET memory_limit = '2GB'")
        for name in SIMULATED:
            self._view(name, folder / f"{name}.parquet")
        for name in ("dealer_month", "dirt"):
            self._view(name, folder / "truth" / f"{name}.parquet")
        # What an agency would count: each trace once, dates that can be, dealers that exist.
        self.con.execute(
            "CREATE TEMP TABLE clean AS SELECT trace_id, any_value(dealer) AS dealer, "
            "any_value(recovered_on) AS recovered_on, any_value(sold_on) AS sold_on, "
            "any_value(recovery_country) AS country, any_value(recovery_state) AS state, "
            "any_value(outcome) AS outcome, any_value(firearm_type) AS kind, "
            "any_value(is_fifty_caliber) AS fifty, any_value(is_purchaser_possessor) AS own, "
            "any_value(requester) AS requester, any_value(acquisition_route) AS route, "
            "any_value(requested_on) AS requested_on "
            "FROM traces WHERE completed_on IS NULL OR completed_on >= requested_on "
            "GROUP BY trace_id"
        )
        self.con.execute(
            "CREATE TEMP TABLE place AS SELECT dealer, "
            "arg_max(premises_state, listed_on) AS state, "
            "arg_max(latitude, listed_on) AS lat, arg_max(longitude, listed_on) AS lon "
            "FROM licenses GROUP BY dealer"
        )

    def _view(self, name: str, path: Path) -> None:
        self.con.execute(f"CREATE VIEW {name} AS SELECT * FROM read_parquet('{path}')")

    def row(self, sql: str) -> tuple[Any, ...]:
        """Return the first row of a query."""
        found: tuple[Any, ...] = self.con.execute(sql).fetchone()
        return found

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Return all rows of a query."""
        found: list[tuple[Any, ...]] = self.con.execute(sql).fetchall()
        return found

    def has_year(self, year: int, *, fiscal: bool = False) -> bool:
        """Whether the history holds a whole year."""
        first = (year - 1, 10) if fiscal else (year, 1)
        last = (year, 10) if fiscal else (year + 1, 1)
        start, end = self.options.start, self.options.end
        return (start.year, start.month) <= first and last <= (end.year, end.month)


def share(n: float, of: float) -> tuple[float, float]:
    """Return a share and its standard error."""
    if not of:
        return float("nan"), float("nan")
    p = n / of
    return p, sqrt(max(p * (1 - p), 0.25 / of) / of)


def scaled(n: float, size: float) -> tuple[float, float]:
    """Return a count over the size of the country and its standard error."""
    return n / size, sqrt(max(n, 1)) / size


def licenses(country: Country) -> Measured:
    """Measure types, states, terms, entry and exit, homes and chains."""
    out: Measured = {}
    last = "listed_on = (SELECT max(listed_on) FROM licenses)"
    n = country.row(f"SELECT count(*) FROM licenses WHERE {last}")[0]
    for column, keys in (("license_type", ("01", "02", "07")), ("premises_state", _STATES)):
        counts = dict(
            country.rows(f"SELECT {column}, count(*) FROM licenses WHERE {last} GROUP BY 1")
        )
        out |= {f"{column}_{key}": share(counts.get(key, 0), n) for key in keys}
        if column == "premises_state":
            border = sum(counts.get(s, 0) for s in ("TX", "AZ", "CA", "NM"))
            out["border_states"] = share(border, n)
    home, of = country.row(
        f"SELECT count(*) FILTER (is_residential), count(*) FROM licenses "
        f"WHERE {last} AND license_type = '01'"
    )
    out["residential_01"] = share(home, of)
    years = country.options.years
    first = "(SELECT min(listed_on) FROM licenses)"
    begin, end = country.row(
        f"SELECT count(*) FILTER (b > {first}), count(*) FILTER (e < (SELECT max(listed_on) "
        "FROM licenses)) FROM (SELECT min(listed_on) b, max(listed_on) e FROM licenses "
        "GROUP BY dealer)"
    )
    mean = country.row("SELECT count(*) / count(DISTINCT listed_on) FROM licenses")[0]
    out["entry_a_year"] = scaled(begin, mean * years)
    out["exit_a_year"] = scaled(end, mean * years)
    term = country.row(f"SELECT avg(expires_on - listed_on) / 30.44 FROM licenses WHERE {last}")[0]
    out["months_to_expiry"] = (float(term), 10.4 / sqrt(n))
    chain = country.row(
        f"SELECT max(k) FROM (SELECT count(*) k FROM licenses WHERE {last} GROUP BY licensee_name)"
    )[0]
    out["largest_chain"] = share(chain, n)
    return out


_STATES: Final = ("TX", "FL", "PA", "CA", "AZ")


def sales(country: Country) -> Measured:
    """Measure volume, denials, multiple sales, thefts and losses."""
    out: Measured = {}
    scale = country.options.dealers / FULL_COUNTRY
    full = country.options.years
    month = add_months(country.options.end, -14)
    top, total, n, sigma = country.row(
        "WITH y AS (SELECT dealer, sum(n_checks) v FROM sales_volume "
        f"WHERE month >= DATE '{month}' AND month < DATE '{add_months(month, 12)}' GROUP BY 1), "
        "r AS (SELECT v, percent_rank() OVER (ORDER BY v DESC) p FROM y) SELECT "
        "sum(v) FILTER (p <= 0.12), sum(v), count(*), stddev(ln(v)) FROM r"
    )
    out["sales_of_top_eighth"] = (top / total, 1.6 / sqrt(n))
    out["sigma_of_log_sales"] = (sigma, sigma / sqrt(2 * n))
    for year in (2021, 2022):
        if country.has_year(year):
            checks = country.row(
                f"SELECT sum(n_checks) / 1e6 FROM sales_volume WHERE year(month) = {year}"
            )[0]
            out[f"checks_{year}"] = (checks / scale, 0.35 * checks / scale / sqrt(n / 30))
    december, june = country.row(
        "SELECT sum(n_checks) FILTER (month(month) = 11), sum(n_checks) FILTER (month(month) = 6) "
        "FROM sales_volume WHERE year(month) < "
        f"{country.options.end.year}"
    )
    out["november_over_june"] = (december / june, 0.6 / sqrt(n))
    denied, checks = country.row(
        "SELECT (SELECT sum(n_denied) FROM denials), (SELECT sum(n_checks) FROM sales_volume)"
    )
    out["denied"] = share(denied, checks)
    reports = country.row("SELECT count(*) FROM multiple_sales")[0]
    value, error = scaled(reports / 1000, scale * full)
    out["multiple_sales"] = (value, error + 0.5 * value / sqrt(n / 30))
    outside = country.row(
        "SELECT count(*) FROM multiple_sales JOIN place USING (dealer) "
        f"WHERE kind = 'rifle' AND state NOT IN {_BORDER}"
    )[0]
    out["rifle_reports_elsewhere"] = share(outside, max(reports, 1))
    kinds = {
        k: (a, b)
        for k, a, b in country.rows(
            "SELECT kind, count(*), sum(n_firearms) FROM thefts_losses "
            "WHERE n_firearms < 5000 GROUP BY 1"
        )
    }
    stolen = sum(kinds.get(k, (0, 0))[0] for k in ("burglary", "robbery", "larceny"))
    out["thefts_a_year"] = scaled(stolen, scale * full)
    guns = sum(v[1] for v in kinds.values())
    value = guns / scale / full / 1000
    out["firearms_lost_a_year"] = (value, 3 * value / sqrt(max(stolen, 1)))
    burgled, incidents = kinds.get("burglary", (1, 1))[1], kinds.get("burglary", (1, 1))[0]
    out["burglary_share"] = (burgled / max(guns, 1), 1.0 / sqrt(max(incidents, 1)))
    seized = country.row("SELECT count(*) FROM seizures WHERE seized_on >= DATE '2020-01-01'")[0]
    late_years = max(0.0, (country.options.end - max(country.options.start, _SEIZED)).days / 365.25)
    if late_years >= 1:
        out["seizures_a_year"] = scaled(seized, scale * late_years)
    return out


_SEIZED: Final = date(2020, 1, 1)


def traces(country: Country) -> Measured:
    """Measure requests, concentration, time-to-crime and flows at home."""
    out: Measured = {}
    size = country.options.dealers / FULL_COUNTRY * country.options.traces_scale * 1000
    for year in (2013, 2015, 2017, 2021, 2023):
        if country.has_year(year):
            n = country.row(f"SELECT count(*) FROM clean WHERE year(requested_on) = {year}")[0]
            out[f"requests_{year}"] = scaled(n, size)
    if country.options.traces_scale == 1:
        out |= _concentration(country)
    home = f"country = 'US' AND {DAYS} >= 0"
    if country.has_year(2021):
        one, three, n = country.row(
            f"SELECT count(*) FILTER ({DAYS} < 365), count(*) FILTER ({short_sql()}), count(*) "
            f"FROM clean WHERE {home} AND year(recovered_on) BETWEEN 2017 AND 2021"
        )
        if country.has_year(2017):
            out["under_one_year"], out["under_three_years"] = share(one, n), share(three, n)
    for year in (2017, 2023):
        if country.has_year(year):
            value, n = country.row(
                f"SELECT median({DAYS}) / 365.25, count(*) FROM clean "
                f"WHERE {home} AND year(recovered_on) = {year}"
            )
            out[f"median_{year}"] = (value, 6.0 / sqrt(n))
    same, n = country.row(
        "SELECT count(*) FILTER (c.state = p.state), count(*) FROM clean c JOIN place p "
        f"USING (dealer) WHERE {home}"
    )
    value, error = share(same, n)
    out["same_state"] = (value, error + 0.5 / sqrt(country.options.dealers / 10))
    bought, n = country.row(
        "SELECT count(*) FILTER (outcome = 'purchaser'), count(*) FROM clean "
        f"WHERE country = 'US' AND requested_on < DATE '{add_months(country.options.end, -12)}'"
    )
    out["to_purchaser"] = share(bought, n)
    pistols, n = country.row(
        "SELECT count(*) FILTER (kind = 'pistol'), count(*) FROM clean WHERE country = 'US'"
    )
    out["pistols_at_home"] = share(pistols, n)
    own, n = country.row(f"SELECT count(*) FILTER (own), count(own) FROM clean WHERE {home}")
    out["purchaser_possesses"] = share(own, n)
    return out


def _concentration(country: Country) -> Measured:
    """Return the concentration of a year's traces over the dealers in business, mean of years."""
    year = "year(recovered_on)"
    none, first, second, n = country.row(
        f"WITH t AS (SELECT {year} y, dealer, count(*) k FROM clean WHERE dealer IS NOT NULL "
        "GROUP BY ALL), l AS (SELECT DISTINCT year(listed_on) y, dealer FROM licenses WHERE "
        "month(listed_on) = (SELECT month(max(listed_on)) FROM licenses)), "
        "b AS (SELECT l.y, coalesce(k, 0) k, row_number() OVER (PARTITION BY l.y ORDER BY "
        "coalesce(k, 0) DESC) r, count(*) OVER (PARTITION BY l.y) n, sum(coalesce(k, 0)) "
        "OVER (PARTITION BY l.y) s FROM l LEFT JOIN t USING (y, dealer) "
        f"WHERE l.y < {country.options.end.year}) SELECT avg((k = 0)::INT), "
        "sum(k / s) FILTER (r <= 0.012 * n) / count(DISTINCT y), "
        "sum(k / s) FILTER (r <= 0.002 * n) / count(DISTINCT y), min(n) FROM b"
    )
    return {
        "dealers_without_trace": (none, 0.5 / sqrt(n)),
        "traces_of_top_1_2_percent": (first, 0.6 / sqrt(0.012 * n)),
        "traces_of_top_0_2_percent": (second, 0.5 / sqrt(0.002 * n)),
    }


def mexico(country: Country) -> Measured:
    """Measure sources, firearms, times and submitters of traces from Mexico."""
    out: Measured = {}
    there = "country = 'MX'"
    by = dict(
        country.rows(
            f"SELECT p.state, count(*) FROM clean JOIN place p USING (dealer) WHERE {there} "
            "AND outcome = 'purchaser' GROUP BY 1"
        )
    )
    n = sum(by.values())
    for state in ("TX", "AZ", "CA"):
        value, error = share(by.get(state, 0), n)
        out[f"mexico_from_{state}"] = (value, 3 * error)
    value, error = share(sum(by.get(s, 0) for s in ("TX", "AZ", "CA", "NM")), n)
    out["mexico_from_border_states"] = (value, 3 * error)
    before = f"requested_on < DATE '{add_months(country.options.end, -12)}'"
    sold = "outcome = 'purchaser'"
    bought, rifles, fifty, n = country.row(
        "SELECT count(*) FILTER (outcome = 'purchaser'), count(*) FILTER (kind = 'rifle'), "
        f"count(*) FILTER (fifty), count(*) FROM clean WHERE {there} AND {before}"
    )
    handguns, exports, southern = country.row(
        "SELECT count(*) FILTER (country = 'MX' AND kind IN ('pistol', 'revolver')), "
        "count(*) FILTER (country = 'MX' AND route = 'export'), count(*) FILTER (country IN "
        f"('GT', 'HN', 'SV') AND {sold}) FROM clean WHERE {before}"
    )
    out["mexico_handguns"], out["mexico_lawful_exports"] = share(handguns, n), share(exports, n)
    value, error = share(southern, max(bought, 1))
    out["central_america_over_mexico"] = (value, error)
    out["mexico_to_purchaser"], out["mexico_rifles"] = share(bought, n), share(rifles, n)
    out["mexico_fifty_caliber"] = share(fifty, n)
    lag, n = country.row(
        f"SELECT median({DAYS}) / 365.25, count(*) FROM clean WHERE {there} AND {DAYS} >= 0"
    )
    out["mexico_median"] = (lag, 8.0 / sqrt(n))
    if country.has_year(2017) and country.has_year(2022):
        a, b = country.row(
            "SELECT count(*) FILTER (year(requested_on) = 2017), count(*) FILTER "
            f"(year(requested_on) = 2022) FROM clean WHERE {there}"
        )
        out["mexico_growth"] = (b / a, 1.5 / sqrt(a))
    early = country.row(
        f"SELECT count(DISTINCT requester) FROM clean WHERE {there} AND "
        "requested_on < DATE '2021-08-01'"
    )[0]
    if early:
        out["mexico_submitters_before_2021"] = (float(early), 0.0)
    for source, target in (("TX", "TAM"), ("TX", "CHH"), ("AZ", "SON"), ("CA", "BCN")):
        went, n = country.row(
            f"SELECT count(*) FILTER (c.state = 'MX-{target}'), count(*) FROM clean c JOIN place p "
            f"USING (dealer) WHERE {there} AND p.state = '{source}'"
        )
        value, error = share(went, n)
        # Few dealers sell most of what turns up in Mexico, each into its own corridor.
        out[f"corridor_{source}_{target}"] = (value, 5 * error)
    far, n = country.row(
        "SELECT count(*) FILTER (lat > 29.0 AND lon > -104.0), count(*) FROM clean "
        f"JOIN place p USING (dealer) WHERE {there} AND p.state = 'TX'"
    )
    value, error = share(far, n)
    out["mexico_from_inland_texas"] = (value, 5 * error)
    return out
