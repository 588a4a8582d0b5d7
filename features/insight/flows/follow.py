"""Follow a subject: links with evidence, corridors, hubs, clusters. The door of the folder."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import date
from typing import Final

import pandas as pd

from features.domain.asof import to_day
from features.errors import WarehouseError
from features.insight.flows import clusters as groups
from features.insight.flows.clusters import Cluster, Community, Pattern
from features.insight.flows.corridors import Corridor, corridors, course_of
from features.insight.flows.hubs import CountyHub, DealerHub, county_hubs, dealer_hubs, fast_hubs
from features.insight.flows.subject import Subject
from features.insight.flows.tally import MARKET, YEARS, Span, Tally, records, where_source
from features.openjson import Json
from features.reference.geography.border_distances import ports
from features.reference.legal.short_time_to_crime import BANDS
from features.signals.shared import coverage
from features.warehouse import Warehouse

_MOST_CORRIDORS: Final = 150
NO_WRONG: Final = (
    "A link says that firearms went from one to the other. A link to an earlier owner or seller "
    "implies no wrong."
)
NOT_SEEN: Final = (
    "Wholesale steps between maker and dealer are in no table that this system may hold, and are "
    "left out; private sales after the first are not seen."
)


@dataclass(frozen=True)
class Link:
    """One link of a chain.

    Parameters
    ----------
    source, target : str
    kind : str
        ``maker to dealer``, ``source to market``, ``source to port`` or ``port to market``.
    course : str
        ``intrastate``, ``interstate``, ``international``, or empty.
    n : int
        Firearms; of an inferred link the most it can be.
    low : int
        The least it can be.
    n_short : int
        Of them with a short time-to-crime.
    status : {"complete", "partial", "inferred"}
    evidence : str
        Table that it rests on.
    record_ids : tuple of str
        Newest records, only where one dealer is followed.
    """

    source: str
    target: str
    kind: str
    course: str
    n: int
    low: int
    n_short: int
    status: str
    evidence: str
    record_ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class Flow:
    """What was found."""

    subject: Subject
    as_of: date
    first: date
    n_traces: int
    by_band: dict[str, int]
    by_class: dict[str, int]
    by_destination: dict[str, int]
    links: tuple[Link, ...]
    corridors: tuple[Corridor, ...]
    dealers: tuple[DealerHub, ...]
    fast_dealers: tuple[DealerHub, ...]
    counties: tuple[CountyHub, ...]
    clusters: tuple[Cluster, ...]
    patterns: tuple[Pattern, ...]
    communities: tuple[Community, ...]
    statements: tuple[str, ...]

    @property
    def named(self) -> frozenset[str]:
        """Every dealer that it names."""
        hubs = {hub.dealer for hub in (*self.dealers, *self.fast_dealers)}
        near = {dealer for cluster in self.clusters for dealer in cluster.dealers}
        return frozenset(hubs | near | {d for p in self.patterns for d in (p.first, p.second)})

    def as_dict(self) -> Json:
        """Return everything, for JSON."""
        return asdict(self) | {"as_of": self.as_of.isoformat(), "first": self.first.isoformat()}


def follow(
    warehouse: Warehouse,
    subject: Subject,
    as_of: date,
    *,
    years: int = YEARS,
    without: Collection[str] = (),
) -> Flow:
    """Follow a subject over some years before a date.

    Parameters
    ----------
    without : collection of str
        Dealers of which nothing is counted, such as those on hold.

    Raises
    ------
    WarehouseError
        When the warehouse holds no traces or no licenses.
    """
    for table in ("traces", "licenses"):
        if not warehouse.has(table):
            raise WarehouseError(
                f"Nothing can be followed: the warehouse holds no {table}.",
                fix=f"ingest a file of {table}",
            )
    span = Span.before(as_of, years)
    with Tally.open(warehouse, span, without) as tally:
        cells, sales, seized = tally.cells(), tally.sales(), tally.seizures()
        own = _own(tally, cells, subject)
        found = groups.pairs(tally)
        day = to_day(as_of)
        known = coverage.estimate(
            tally.frame(coverage.requests_sql(day)), tally.frame(coverage.AGENCIES_SQL), day
        )
        dealers = tally.dealers(where_source(subject))
        chain = _links(tally, subject, own, seized)
    return Flow(
        subject,
        as_of,
        span.first,
        int(own["n"].sum()),
        {name: int(own.loc[own["band"] == i, "n"].sum()) for i, name in enumerate(BANDS)},
        {str(k): int(v) for k, v in own.groupby("class")["n"].sum().items()},
        {str(k): int(v) for k, v in own.groupby("destination")["n"].sum().items()},
        chain,
        _corridors(subject, cells, sales, known, dealers),
        *(
            (dealer_hubs(dealers), fast_hubs(dealers))
            if subject.kind in {"nation", "state", "county", "dealer"}
            else ((), ())
        ),
        _counties(subject, cells, sales, dealers),
        _of_subject(groups.clusters(found, most=1000), subject, dealers),
        _patterns_of(groups.patterns(found, most=1000), subject, dealers),
        groups.communities(cells, found),
        (NO_WRONG, NOT_SEEN, *_said(known, sales)),
    )


def _own(tally: Tally, cells: pd.DataFrame, subject: Subject) -> pd.DataFrame:
    """Cells of the subject alone."""
    if subject.kind == "dealer":
        return tally.cells(where_source(subject))
    if subject.kind == "mexico_state":
        return cells[cells["market"] == subject.code]
    if subject.kind == "port":
        return cells[cells["market"] == str(ports().loc[subject.code, "mexico_state"])]
    column = {"state": "state", "county": "county"}.get(subject.kind)
    return cells if column is None else cells[cells[column] == subject.code]


def _links(
    tally: Tally, subject: Subject, own: pd.DataFrame, seized: pd.DataFrame
) -> tuple[Link, ...]:
    by = "county" if subject.kind in {"state", "county", "port"} else "state"
    records_of = _market_ids(tally, subject)
    out = _makers(tally, subject) if subject.kind == "dealer" else []
    short = own["n"].where(own["band"] <= 2, 0)
    keys = [*dict.fromkeys([by, "state", "market", "destination"])]
    sums: pd.DataFrame = (
        own.assign(short=short).groupby(keys, as_index=False)[["n", "n_complete", "short"]].sum()
    )
    for row in records(sums.sort_values("n", ascending=False).head(60)):
        source = subject.code if subject.kind == "dealer" else str(row[by])
        course = course_of(str(row["state"]), str(row["market"]), str(row["destination"]))
        status = "complete" if row["n_complete"] == row["n"] else "partial"
        ids = records_of.get(str(row["market"]), ())
        out.append(
            Link(source, str(row["market"]), "source to market", course, int(row["n"]),
                 int(row["n"]), int(row["short"]), status, "traces", ids)
        )  # fmt: skip
    return (*out, *_seized(tally, subject, own, seized, by))


def _makers(tally: Tally, subject: Subject) -> list[Link]:
    found = tally.frame(
        f"SELECT manufacturer, count(*) AS n FROM traces WHERE {tally.span.condition} "
        f"AND dealer = '{subject.code}' GROUP BY 1 ORDER BY n DESC, 1 LIMIT 20"
    )
    return [
        Link(
            str(row["manufacturer"] or "maker not known"), subject.code, "maker to dealer", "",
            int(row["n"]), int(row["n"]), 0, "partial", "traces",
        )
        for row in records(found)
    ]  # fmt: skip


def _market_ids(tally: Tally, subject: Subject) -> dict[str, tuple[str, ...]]:
    """Return the newest records of each market, where one dealer is followed."""
    if subject.kind != "dealer":
        return {}
    found = tally.frame(
        f"SELECT {MARKET} AS market, list(trace_id ORDER BY known_on DESC, trace_id)[1:10] AS ids "
        f"FROM traces WHERE {tally.span.condition} AND dealer = '{subject.code}' GROUP BY 1"
    )
    return {str(row["market"]): tuple(map(str, row["ids"])) for row in records(found)}


def _seized(
    tally: Tally, subject: Subject, own: pd.DataFrame, seized: pd.DataFrame, by: str
) -> list[Link]:
    """Firearms seized on the way: from where to which port, and what lies beyond the port."""
    if subject.kind == "dealer":
        return _seized_of(tally, subject)
    rows = seized[seized["port"].notna()]
    if subject.kind == "port":
        rows = rows[rows["port"] == subject.code]
    elif subject.kind in {"state", "county"}:
        rows = rows[rows[subject.kind] == subject.code]
    elif subject.kind == "mexico_state":
        near = ports()
        rows = rows[rows["port"].isin(near.index[near["mexico_state"] == subject.code])]
    known = rows[rows[by].notna()].groupby([by, "port"])["n"].sum().reset_index()
    out = [
        Link(str(r[by]), f"port {r['port']}", "source to port", "", int(r["n"]), int(r["n"]), 0,
             "complete", "seizures")
        for r in records(known.sort_values("n", ascending=False).head(40))
    ]  # fmt: skip
    unknown = rows[rows[by].isna()].groupby("port")["n"].sum()
    out += [
        Link("source not known", f"port {port}", "source to port", "", int(n), int(n), 0,
             "partial", "seizures")
        for port, n in unknown.items()
    ]  # fmt: skip
    if subject.kind == "port":
        # Which of the firearms beyond came through this port is told by nothing: none to all.
        state = str(ports().loc[subject.code, "mexico_state"])
        most = int(own["n"].sum())
        out.append(
            Link(f"port {subject.code}", state, "port to market", "international", most, 0,
                 int(own.loc[own["band"] <= 2, "n"].sum()), "inferred", "traces")
        )  # fmt: skip
    return out


def _seized_of(tally: Tally, subject: Subject) -> list[Link]:
    if not tally.engine.has("seizures"):
        return []
    tally.engine.make("seizures_known")
    where = f"{tally.span.condition} AND dealer = '{subject.code}'"
    found = tally.frame(
        "SELECT coalesce(port_code, 'not known') AS port, count(DISTINCT seizure_id) AS n, "
        f"list(DISTINCT seizure_id)[1:10] AS ids FROM seizures_known WHERE {where} "
        "GROUP BY 1 ORDER BY n DESC, 1"
    )
    return [
        Link(
            subject.code, f"port {row['port']}", "source to port", "", int(row["n"]),
            int(row["n"]), 0, "complete", "seizures", tuple(sorted(map(str, row["ids"]))),
        )
        for row in records(found)
    ]  # fmt: skip


def _corridors(
    subject: Subject,
    cells: pd.DataFrame,
    sales: pd.DataFrame,
    known: coverage.Coverage,
    dealers: pd.DataFrame,
) -> tuple[Corridor, ...]:
    by = "county" if subject.kind in {"county", "state", "dealer"} else "state"
    found = corridors(cells, sales, by=by, coverage=known)
    if subject.kind in {"county", "dealer"}:
        county = _county_of(subject, dealers)
        found = tuple(c for c in found if c.source == county)
    elif subject.kind == "state":
        of = set(cells.loc[cells["state"] == subject.code, "county"])
        found = tuple(c for c in found if c.source in of)
    elif subject.kind in {"mexico_state", "port"}:
        market = (
            subject.code
            if subject.kind == "mexico_state"
            else str(ports().loc[subject.code, "mexico_state"])
        )
        found = tuple(c for c in found if c.market == market)
    return found[:_MOST_CORRIDORS]


def _county_of(subject: Subject, dealers: pd.DataFrame) -> str | None:
    """Return the county of a subject: a dealer's is the one where it lies."""
    if subject.kind == "county":
        return subject.code
    return None if dealers.empty else str(dealers["county"].iloc[0])


def _counties(
    subject: Subject, cells: pd.DataFrame, sales: pd.DataFrame, dealers: pd.DataFrame
) -> tuple[CountyHub, ...]:
    hubs = county_hubs(cells, sales)
    if subject.kind == "state":
        of = set(cells.loc[cells["state"] == subject.code, "county"])
        hubs = tuple(hub for hub in hubs if hub.county in of)
    elif subject.kind in {"county", "dealer"}:
        of_subject = _county_of(subject, dealers)
        hubs = tuple(hub for hub in hubs if hub.county == of_subject)
    return hubs[:50]


def _of_subject(
    found: tuple[Cluster, ...], subject: Subject, dealers: pd.DataFrame
) -> tuple[Cluster, ...]:
    if subject.kind == "nation":
        return found[:25]
    own = set(dealers["dealer"]) if subject.kind in {"state", "county", "dealer"} else set()
    return tuple(c for c in found if own & set(c.dealers))[:25]


def _patterns_of(
    found: tuple[Pattern, ...], subject: Subject, dealers: pd.DataFrame
) -> tuple[Pattern, ...]:
    if subject.kind == "nation":
        return found[:25]
    own = set(dealers["dealer"]) if subject.kind in {"state", "county", "dealer"} else set()
    return tuple(p for p in found if {p.first, p.second} & own)[:25]


def _said(known: coverage.Coverage, sales: pd.DataFrame) -> list[str]:
    out = [
        "Expected counts follow sales, and beside them how completely a source is traced, as told "
        "by traces within its own state; ranges under full submission stand only where the "
        "coverage of a Mexican state is told."
    ]
    if known.is_inferred:
        out.append("Who submits traces in Mexico was inferred from the requests.")
    if sales.empty:
        out.append("No sales are known: excess over expected cannot be said.")
    return out
