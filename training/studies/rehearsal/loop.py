"""Rounds of a rehearsal: a year chosen by the product's own lists, lived, learned from, judged.

Everything is decided on what is known that day. The truth of the simulated country is only read to
judge: what the list would find, and whom it passes over. Each finished round is written at once,
with the visits it ordered, so that an interrupted rehearsal goes on where it stopped.

References
----------
Ensign et al. (2018), runaway feedback; Lum and Isaac (2016), to predict and serve.
"""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from features.arrays import Floats, Ints
from features.domain.asof import add_months
from features.home import write_atomically, write_json
from features.ingest import ingest
from features.simulation.country.options import Options
from features.simulation.ongoing import Ongoing
from features.warehouse import Warehouse
from models.order.random_share import Draw
from training.errors import TrainingError
from training.progress import Steps, one_thread
from training.recipe import Recipe
from training.studies.documents import RehearsalDocument, RoundRecord, RunRecord, YearRecord
from training.studies.rehearsal import choosing
from training.studies.rehearsal.choosing import LIST, RANDOM_ONLY, Year
from training.studies.rehearsal.judging import groups_of, right_list, shares, verdict
from training.studies.rehearsal.product import Said, said, signal_of

_MONTHS: Final = 12
_TRACES: Final = "traces_n_3y"
_KEY: Final = b"rehearsal"


class RehearsalError(TrainingError):
    """A rehearsal that cannot be made or goes on from another one's files."""


@dataclass(frozen=True)
class Plan:
    """What is rehearsed.

    Parameters
    ----------
    rounds : int
        Years.
    arms : tuple of str
        Of `choosing.ARMS`.
    random_share, obey : tuple of float
        Settings of the arm ``list``, each with each.
    seeds : int
        How many countries.
    dealers, history_years : int
        Their size, and the years before the first round.
    capacity : float
        Visits of a year, as a share of the dealers in business.
    policy : str
        How visits were chosen before.
    starving : float
        Least share of its right share that a group's share of the list may be.
    """

    rounds: int = 3
    arms: tuple[str, ...] = choosing.ARMS
    random_share: tuple[float, ...] = (0.1,)
    obey: tuple[float, ...] = (1.0,)
    seeds: int = 1
    dealers: int = 5_000
    history_years: int = 6
    capacity: float = 0.10
    policy: str = "historic"
    end: date = date(2025, 1, 1)
    starving: float = 0.5

    def __post_init__(self) -> None:
        choosing.check_arms(self.arms)
        for name, low, high in (("random_share", 0.0, 1.0), ("obey", 0.0, 1.0)):
            if not getattr(self, name):
                raise RehearsalError(
                    f"{name} names no share.", found="nothing", expected="0 to 1, such as 0.1"
                )
            for value in getattr(self, name):
                if not low <= value <= high:
                    raise RehearsalError(
                        f"{name} is out of range.", found=f"{value:g}", expected="0 to 1"
                    )

    @property
    def runs(self) -> list[Run]:
        """Every run, a seed after the other."""
        out = []
        for seed in range(1, self.seeds + 1):
            for arm in self.arms:
                settings = [(0.0, 1.0)]
                if arm == LIST:
                    settings = [(r, o) for r in self.random_share for o in self.obey]
                out += [Run(seed, arm, share, obey) for share, obey in settings]
        return out

    def options(self, seed: int) -> Options:
        """Return what a country is made from: all the years that may pass."""
        return Options(
            dealers=self.dealers,
            years=self.history_years + self.rounds,
            end=self.end,
            seed=seed,
            policy=self.policy,
        )


@dataclass(frozen=True)
class Run:
    """One country under one arm."""

    seed: int
    arm: str
    share: float
    obey: float

    @property
    def name(self) -> str:
        """A name for its folder."""
        if self.arm != LIST:
            return f"{self.seed}-{self.arm}"
        return f"{self.seed}-{self.arm}-random{self.share:g}-obey{self.obey:g}"


def rehearse(plan: Plan, recipe: Recipe, folder: Path, steps: Steps) -> RehearsalDocument:
    """Rehearse, or go on with a rehearsal that was interrupted.

    Parameters
    ----------
    plan : Plan
    recipe : Recipe
        With a compliance head; heads that are not required are left out.
    folder : Path
        Keeps every round.

    Returns
    -------
    dict
        ``plan`` and ``runs``, each with its rounds, ready for JSON.

    Raises
    ------
    RehearsalError
        When the folder holds a rehearsal of another plan.
    """
    _claim(folder, plan)
    lean = recipe.model_copy(
        update={
            "heads": tuple(head for head in recipe.heads if head.is_required),
            "n_as_of": min(recipe.n_as_of, 6),
            "evaluation": recipe.evaluation.model_copy(update={"n_judged": 1, "n_resamples": 100}),
        }
    )
    runs: list[RunRecord] = []
    base: tuple[int, Ongoing] | None = None
    for run in plan.runs:
        state = _State.open(folder / run.name)
        if len(state.rounds) < plan.rounds:
            if base is None or base[0] != run.seed:
                base = (run.seed, _history(plan, run.seed, folder, steps))
            with one_thread():
                for entry in _rounds(plan, run, lean, base[1].fork(), state, steps):
                    steps.say(f"{run.name}: {_in_words(entry)}")
            shutil.rmtree(state.folder / "warehouse", ignore_errors=True)
        runs.append(
            {
                "seed": run.seed,
                "arm": run.arm,
                "share": run.share,
                "obey": run.obey,
                "name": run.name,
                "rounds": state.rounds,
            }
        )
    return {
        "plan": asdict(plan) | {"end": plan.end.isoformat()},
        "runs": runs,
        "verdict": verdict(runs, starving=plan.starving),
    }


class _State:
    """The finished rounds of a run, on disk."""

    def __init__(self, folder: Path, rounds: list[RoundRecord]) -> None:
        self.folder, self.rounds = folder, rounds

    @classmethod
    def open(cls, folder: Path) -> _State:
        """Make the folder, or read what stands in it."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "rounds.json"
        return cls(folder, json.loads(path.read_text(encoding="utf-8")) if path.exists() else [])

    def visits(self, round_: int) -> Year:
        """Return the visits of a finished round."""
        path = self.folder / f"visits-{round_}.npz"
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
            return Year.read({name: arrays[name] for name in arrays.files})

    def finish(self, entry: RoundRecord, year: Year) -> None:
        """Keep a round: its visits first, then the line that says it is finished."""
        out = io.BytesIO()
        np.savez_compressed(out, **year.arrays())  # type: ignore[arg-type]
        write_atomically(self.folder / f"visits-{len(self.rounds)}.npz", out.getvalue())
        self.rounds = [*self.rounds, entry]
        write_json(self.folder / "rounds.json", self.rounds)


def _claim(folder: Path, plan: Plan) -> None:
    """Take a folder for a plan, or go on with the same one."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = json.loads(json.dumps(asdict(plan), default=str))
    path = folder / "plan.json"
    if not path.exists():
        if any(folder.iterdir()):
            raise RehearsalError(f"{folder} holds something else.", expected="a new folder")
        write_json(path, wanted)
    elif json.loads(path.read_text(encoding="utf-8")) != wanted:
        raise RehearsalError(
            f"{folder} holds a rehearsal of another plan.",
            fix="name another folder with --out, or ask for the same plan to go on with it",
        )


def _history(plan: Plan, seed: int, folder: Path, steps: Steps) -> Ongoing:
    """Let the years before the first round pass, and ingest them once."""
    with steps.step(f"country {seed}: {plan.history_years} years before"):
        country = Ongoing(plan.options(seed))
        for _ in range(_MONTHS * plan.history_years):
            country.live()
        place = folder / f"history-{seed}"
        increment = place / "increment"
        tables = country.fork()
        if not (place / "warehouse" / "manifest.json").exists():
            ingest([tables.save(increment)], place / "warehouse", today=tables.today)
            shutil.rmtree(increment)
        country.known()  # told
    return country


def _rounds(
    plan: Plan, run: Run, recipe: Recipe, country: Ongoing, state: _State, steps: Steps
) -> Iterator[RoundRecord]:
    """Live the rounds of a run; those that are finished are only lived again."""
    warehouse = state.folder / "warehouse"
    shutil.rmtree(warehouse, ignore_errors=True)
    shutil.copytree(state.folder.parent / f"history-{run.seed}" / "warehouse", warehouse)
    visited = np.zeros(len(country.world.dealers), dtype=bool)
    before: Ints | None = None
    for number in range(plan.rounds):
        is_finished = number < len(state.rounds)
        eligible = country.eligible
        year: Year
        told: Said | None = None
        if is_finished:
            year = state.visits(number)
        else:
            store = Warehouse.open(warehouse)
            year, told = _choose(plan, run, recipe, country, store, steps)
        groups = groups_of(country)
        right = right_list(country, eligible, len(year.listed))
        chances, sold = _live(country, year)
        visited[year.orders.dealer] = True
        if not is_finished:
            entry: RoundRecord = {
                **_entry(country, year, told, chances=chances),
                "round": number + 1,
                "share_of_traced": sold,
                "overlap": None if before is None else _overlap(before, year.listed),
                "groups": shares(groups, year.listed, right=right, visited=visited),
            }
            state.finish(entry, year)
            yield entry
        before = year.listed
        if number + 1 < plan.rounds:
            increment = country.save(state.folder / "increment")
            ingest([increment], warehouse, today=country.today)
            shutil.rmtree(increment)


def _choose(
    plan: Plan, run: Run, recipe: Recipe, country: Ongoing, warehouse: Warehouse, steps: Steps
) -> tuple[Year, Said | None]:
    """Choose the visits of a year as the arm does."""
    dealers = country.world.dealers
    active = int(dealers.is_active(country.month).sum())
    k = round(plan.capacity * active)
    today = country.today
    draw = Draw.short(_KEY + bytes([run.seed % 256]), today, months=_MONTHS)
    eligible = np.flatnonzero(country.eligible)
    if run.arm == RANDOM_ONLY:
        return choosing.at_random(country, eligible, k, draw=draw), None
    row_of = {key: row for row, key in enumerate(dealers.keys.tolist())}
    if run.arm != LIST:
        traces = signal_of(warehouse, today, _TRACES)
        order = _ranked(traces.index.to_numpy(dtype=object), traces.to_numpy(), row_of, eligible)
        return choosing.of_order(country, order, k, draw=draw), None
    told = said(recipe, warehouse, today, steps)
    order = _ranked(told.dealer, told.priority, row_of, eligible)
    year = choosing.of_list(country, order, k, share=run.share, obey=run.obey, draw=draw)
    return year, told


def _ranked(
    dealer: npt.NDArray[np.object_], score: Floats, row_of: Mapping[str, int], eligible: Ints
) -> Ints:
    """Return rows of the country by score, those that may be visited."""
    best = np.argsort(-score, kind="stable")
    rows = np.array([row_of.get(str(key), -1) for key in dealer[best]], dtype=np.int64)
    return rows[np.isin(rows, eligible)]


def _live(country: Ongoing, year: Year) -> tuple[Floats, float]:
    """Live a year; return each dealer's chance in its month, and the visited's share of traces."""
    n = len(country.world.dealers)
    chances = np.full(n, np.nan)
    first = country.month
    due = np.full(n, -1)
    due[year.orders.dealer] = year.month
    unvisited = year.listed[due[year.listed] < 0]
    due[unvisited] = np.arange(len(unvisited)) % _MONTHS
    for month in range(_MONTHS):
        country.live(year.of(month))
        now = due == month
        chances[now] = country.chances()[now]
    rate = country.world.rate_short[:, first : first + _MONTHS].sum(axis=1)
    sold = float(rate[year.orders.dealer].sum() / max(rate.sum(), 1e-9))
    return chances, sold


def _entry(country: Ongoing, year: Year, told: Said | None, *, chances: Floats) -> YearRecord:
    """State what the list was said to find, and what it would find."""
    entry: YearRecord = {
        "as_of": add_months(country.today, -_MONTHS).isoformat(),
        "n_listed": len(year.listed),
        "n_visits": len(year.orders.dealer),
        "true_yield": float(chances[year.listed].mean()),
        "visited_yield": float(chances[year.orders.dealer].mean()),
        "stated": None,
        "gates": [],
    }
    if told is None:
        return entry
    row = {key: i for i, key in enumerate(told.dealer.tolist())}
    keys = country.world.dealers.keys
    rows = np.array([row[keys[dealer]] for dealer in year.listed], dtype=np.int64)
    if told.has_design:
        low, high = told.interval[rows].mean(axis=0)
        entry["stated"] = {
            "value": float(told.chance[rows].mean()), "low": float(low), "high": float(high),
        }  # fmt: skip
    return {**entry, "gates": list(told.gates)}


def _overlap(before: Ints, now: Ints) -> float:
    return float(np.isin(now, before).mean())


def _in_words(entry: RoundRecord) -> str:
    stated = entry["stated"]
    told = (
        "states nothing"
        if stated is None
        else f"states {stated['value']:.3f} ({stated['low']:.3f} to {stated['high']:.3f})"
    )
    return f"round {entry['round']}: true yield {entry['true_yield']:.3f}, {told}"
