"""Groups of dealers and of counties that belong together: shared purchasers, communities.

Purchasers are opaque tokens: they are counted, and never leave the query. A pair of dealers that
one token visited within days is a pattern; who it was is not said.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from features.domain.asof import Y2
from features.insight.flows.graphs import igraph
from features.insight.flows.tally import Tally, records

DAYS: Final = 5  # between purchases of one token at two dealers
_SEED: Final = 20_260_101


@dataclass(frozen=True)
class Cluster:
    """Dealers joined by shared purchasers, directly or through one another."""

    dealers: tuple[str, ...]
    counties: tuple[str, ...]
    n_pairs: int
    n_shared: int


@dataclass(frozen=True)
class Pattern:
    """Two dealers that the same purchasers visited within days."""

    first: str
    second: str
    n_times: int
    days: int


@dataclass(frozen=True)
class Community:
    """Counties whose dealers share purchasers and markets more than chance would have it.

    Parameters
    ----------
    counties : tuple of str
    bridge : str
        The county through which most shortest ways lead (betweenness).
    n : int
        Mexican and interstate traces of the counties.
    """

    counties: tuple[str, ...]
    bridge: str
    n: int


def _events(tally: Tally) -> str:
    """Return SQL of purchases by token: dealer, token, day of sale."""
    first = f"known_on >= DATE '{tally.span.as_of}' - {Y2.days}"
    parts = [
        f"SELECT dealer, purchaser_token, sold_on FROM {table} WHERE {tally.span.condition} AND "
        f"{first} AND purchaser_token IS NOT NULL AND dealer IS NOT NULL AND sold_on IS NOT NULL"
        for table in ("traces", "multiple_sales")
        if tally.engine.has(table)
    ]
    return " UNION ".join(parts)


def pairs(tally: Tally) -> pd.DataFrame:
    """Count for each pair of dealers the tokens they share, and those seen within days.

    Returns
    -------
    DataFrame
        ``first``, ``second``, their counties, ``n`` and ``n_soon``.
    """
    events = _events(tally)
    names = ["first", "second", "first_county", "second_county", "n", "n_soon"]
    if not events:
        return pd.DataFrame({name: pd.Series(dtype=object) for name in names})
    return tally.frame(
        f"""
        WITH seen AS ({events}),
             shared AS (SELECT purchaser_token FROM seen GROUP BY 1
                        HAVING count(DISTINCT dealer) BETWEEN 2 AND 50),
             own AS (SELECT s.dealer, hash(s.purchaser_token) AS token, s.sold_on
                     FROM seen s SEMI JOIN shared USING (purchaser_token)),
             met AS (SELECT a.dealer AS first, b.dealer AS second, a.token,
                            min(abs(a.sold_on - b.sold_on)) AS days
                     FROM own a JOIN own b ON a.token = b.token AND a.dealer < b.dealer
                     GROUP BY ALL)
        SELECT m.first, m.second, p.county AS first_county, q.county AS second_county,
               count(*) AS n, count(*) FILTER (days <= {DAYS}) AS n_soon
        FROM met m JOIN place p ON p.dealer = m.first JOIN place q ON q.dealer = m.second
        GROUP BY ALL ORDER BY n DESC, first, second
        """
    )


def clusters(found: pd.DataFrame, most: int = 25) -> tuple[Cluster, ...]:
    """Return groups of dealers joined by shared purchasers, largest first."""
    if found.empty:
        return ()
    graph = igraph().Graph.TupleList(
        zip(found["first"], found["second"], found["n"], strict=True), edge_attrs=["n"]
    )
    county = dict(zip(found["first"], found["first_county"], strict=True))
    county |= dict(zip(found["second"], found["second_county"], strict=True))
    out = []
    for members in graph.connected_components():
        part = graph.induced_subgraph(members)
        names = tuple(sorted(part.vs["name"]))
        places = tuple(sorted({str(county[name]) for name in names}))
        out.append(Cluster(names, places, part.ecount(), int(sum(part.es["n"]))))
    out.sort(key=lambda c: (-len(c.dealers), -c.n_shared, c.dealers))
    return tuple(out[:most])


def patterns(found: pd.DataFrame, most: int = 25) -> tuple[Pattern, ...]:
    """Return pairs of dealers that the same purchasers visited within days."""
    soon = found[found["n_soon"] > 0] if len(found) else found
    soon = soon.sort_values(["n_soon", "first", "second"], ascending=[False, True, True])
    return tuple(
        Pattern(str(r["first"]), str(r["second"]), int(r["n_soon"]), DAYS)
        for r in records(soon.head(most))
    )


def communities(cells: pd.DataFrame, found: pd.DataFrame, most: int = 12) -> tuple[Community, ...]:
    """Group counties by shared purchasers and common markets (Leiden, modularity).

    Counties are joined by the purchasers that their dealers share and by markets abroad or in other
    states that they supply in common, the smaller share of each counting.
    """
    away = cells[(cells["market"] != cells["state"]) & (cells["n"] > 0)]
    by = away.groupby(["county", "market"])["n"].sum().unstack(fill_value=0)
    by = by[by.sum(axis=1) >= 10]
    if len(by) < 2:
        return ()
    share = by.to_numpy(np.float64) / by.to_numpy(np.float64).sum(axis=1, keepdims=True)
    alike = np.sqrt(share) @ np.sqrt(share).T  # one for equal markets, none for no common one
    names = [str(name) for name in by.index]
    place = {name: i for i, name in enumerate(names)}
    joined = np.zeros_like(alike)
    for row in records(found):
        a, b = place.get(str(row["first_county"])), place.get(str(row["second_county"]))
        if a is not None and b is not None and a != b:
            joined[a, b] += row["n"]
            joined[b, a] += row["n"]
    weight = np.where(alike >= 0.8, alike, 0.0) + joined / max(float(joined.max()), 1.0)
    first, second = np.nonzero(np.triu(weight, 1))
    library = igraph()
    graph = library.Graph(
        n=len(names), edges=list(zip(first.tolist(), second.tolist(), strict=True))
    )
    graph.es["weight"] = weight[first, second].tolist()
    library.set_random_number_generator(random.Random(_SEED))  # noqa: S311 - a fixed order of trial
    parts = graph.community_leiden("modularity", weights="weight", n_iterations=10)
    between = graph.betweenness()
    size = by.sum(axis=1).to_numpy()
    out = [
        Community(
            tuple(sorted(names[i] for i in members)),
            names[max(members, key=lambda i: (between[i], names[i]))],
            int(size[members].sum()),
        )
        for members in parts
        if len(members) > 1
    ]
    out.sort(key=lambda c: (-c.n, c.counties))
    return tuple(out[:most])
