"""Figures of the inspections of a simulated country: numbers, outcomes, citations, causes, dirt."""

from __future__ import annotations

from math import sqrt

from features.domain.asof import add_months
from features.simulation.country.options import FULL_COUNTRY
from features.simulation.targets.figures import Country, Measured, scaled, share
from features.simulation.visits.findings import citation_table

_VISIT = "kind IN ('compliance', 'recall') AND closed_on IS NOT NULL"
_FISCAL = "year(opened_on) + (month(opened_on) >= 10)::INT"
_LADDER = (
    "none", "report", "warning_letter", "warning_conference", "revocation", "surrender", "other",
)  # fmt: skip


def inspections(country: Country) -> Measured:
    """Count inspections a fiscal year, their outcomes, and how dealers were chosen."""
    out: Measured = {}
    scale = country.options.dealers / FULL_COUNTRY
    for year in (2016, 2019, 2020, 2022, 2024):
        if country.has_year(year, fiscal=True):
            n = country.row(
                "SELECT count(*) FROM inspections WHERE kind IN ('compliance', 'recall') "
                f"AND {_FISCAL} = {year}"
            )[0]
            out[f"inspections_{year}"] = scaled(n, scale)
    historic = country.options.policy == "historic"
    if historic and country.has_year(2024, fiscal=True):
        by = dict(
            country.rows(
                f"SELECT outcome, count(*) FROM inspections WHERE {_VISIT} AND {_FISCAL} "
                "IN (2023, 2024) AND closed_on IS NOT NULL GROUP BY 1"
            )
        )
        n = sum(by.values())
        out |= {f"outcome_{name}": share(by.get(name, 0), n) for name in _LADDER}
    if historic:
        by = dict(
            country.rows(f"SELECT selected_by, count(*) FROM inspections WHERE {_VISIT} GROUP BY 1")
        )
        n = sum(by.values())
        for name in ("random", "recall"):
            out[f"selected_{name}"] = share(by.get(name, 0), n)
        out |= _regime(country)
    close = country.row(
        "SELECT count(*) FROM (SELECT opened_on - lag(opened_on) OVER (PARTITION BY dealer "
        "ORDER BY opened_on) gap FROM inspections WHERE kind IN ('compliance', 'recall')) "
        "WHERE gap < 365"
    )[0]
    out["visits_within_twelve_months"] = (float(close), 0.0)
    return out


def _regime(country: Country) -> Measured:
    """Return how much likelier revocation was after a trigger citation, June 2021 to April 2025."""
    if not (country.has_year(2020) and country.has_year(2023)):
        return {}
    before, n_before, during, n_during = country.row(
        "WITH t AS (SELECT DISTINCT i.inspection_id, outcome, opened_on >= DATE '2021-08-01' late "
        "FROM inspections i JOIN violations v USING (inspection_id) WHERE citation IN "
        "('478.102(a)', '478.99(c)', '478.128(c)', '478.25a', '478.121(b)')) SELECT "
        "count(*) FILTER (NOT late AND outcome = 'revocation'), count(*) FILTER (NOT late), "
        "count(*) FILTER (late AND outcome = 'revocation'), count(*) FILTER (late) FROM t"
    )
    if not (before and n_during):
        return {}
    ratio = (during / n_during) / (before / n_before)
    return {"revocation_in_regime": (ratio, ratio * sqrt(1 / before + 1 / max(during, 1)))}


def citations(country: Country) -> Measured:
    """Measure citations of penalized inspections, instances and firearms unaccounted for."""
    out: Measured = {}
    penalized = "outcome IN ('warning_letter', 'warning_conference', 'revocation')"
    n = country.row(f"SELECT count(*) FROM inspections WHERE {_VISIT} AND {penalized}")[0]
    by = dict(
        country.rows(
            "SELECT citation, count(*) FROM violations JOIN inspections USING (inspection_id) "
            f"WHERE {_VISIT} AND {penalized} GROUP BY 1"
        )
    )
    for entry in citation_table()["citation"]:
        if entry["published"]:
            out[f"cited_{entry['text']}"] = share(by.get(entry["text"], 0), n)
    skewed, total, k = country.row(
        "SELECT sum(s) FILTER (s > 50000), sum(s), count(*) FILTER (s > 50000) FROM "
        "(SELECT sum(instances) s FROM violations GROUP BY inspection_id)"
    )
    if k and k >= 5:
        out["instances_in_skewed"] = (skewed / total, 0.05)
    first, final, n = country.row(
        "SELECT sum(firearms_unaccounted_initial), sum(firearms_unaccounted_final), count(*) "
        f"FROM inspections WHERE {_VISIT}"
    )
    out["unaccounted_a_visit"] = (final / n, 12.0 / sqrt(n))
    out["unaccounted_resolved"] = (1 - final / first, 1.2 / sqrt(n))
    return out


def causes(country: Country) -> Measured:
    """Measure latent causes, and the dirt, from the truth."""
    out: Measured = {}
    rho, n = country.row(
        "SELECT corr(-care, diversion), count(*) FROM dealer_month WHERE as_of = "
        "(SELECT max(as_of) FROM dealer_month)"
    )
    out["carelessness_with_diversion"] = (rho, 1 / sqrt(n))
    volume, n = country.row(
        "WITH v AS (SELECT dealer, ln(sum(n_checks)) AS s FROM sales_volume WHERE month >= DATE "
        f"'{add_months(country.options.end, -14)}' GROUP BY 1) SELECT corr(s, diversion), count(*) "
        "FROM v JOIN dealer_month USING (dealer) WHERE as_of = (SELECT max(as_of) FROM "
        "dealer_month)"
    )
    out["diversion_with_volume"] = (volume, 1 / sqrt(n))
    n = country.row("SELECT count(*) FROM traces")[0]
    by = dict(country.rows("SELECT kind, count(*) FROM dirt WHERE \"table\" = 'traces' GROUP BY 1"))
    for kind in ("duplicate", "mistyped_license", "late_completion", "corrected"):
        out[f"dirt_{kind}"] = share(by.get(kind, 0), n)
    return out
