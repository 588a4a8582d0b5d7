"""Lists on countries of several makers, against their truth: where is a simple rule as good?

Five policies of the project's simulator, two countries made by other means (queues and episodes,
`tests.benchmarks.countries.third`; rings, lax books and campaigns, `rings` beside it), and
countries of a program of your own, each by some seeds. Judged on the last day of each by models
that know what was known then; what the first tenth would find is the mean true probability of a
severe finding at an office of average strictness.

    make bench ONLY=countries                                       all, about two hours
    FFL_RISK_BENCH_COUNTRIES=historic,third FFL_RISK_BENCH_SEEDS=1 \\
        FFL_RISK_BENCH_DEALERS=5000 make bench ONLY=countries       parts of it
    FFL_RISK_BENCH_PROGRAM=country.py FFL_RISK_BENCH_COUNTRIES=program:chasing,third@7,third@11 …

A country with ``@`` has that seed alone, others all of ``FFL_RISK_BENCH_SEEDS``.

The program is called as ``PROGRAM OUT --seed S --dealers N --policy P``. It writes tables to OUT
and its truth to ``OUT_truth.csv``: dealer, p_severe, is_live, is_eligible, strict. Countries and
what was fitted are kept under ``$FFL_RISK_BENCH_FOLDER`` (default ``var/bench``), the tables of
those asked for as ``countries.md``; an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from features.home import write_atomically
from features.ingest import ingest
from features.simulation.country.options import POLICIES, Options
from features.simulation.ongoing import Ongoing
from features.warehouse import Warehouse
from tests.benchmarks.countries import rings, third
from tests.benchmarks.countries.judging import BY_OFFICE, IN_FULL, judge
from training.evaluation.head_evaluation import SIZES
from training.evaluation.metrics import LEVEL
from training.progress import one_thread
from training.recipe import load_recipe

FOLDER: Final = Path(os.environ.get("FFL_RISK_BENCH_FOLDER", "var/bench"))
N_DEALERS: Final = int(os.environ.get("FFL_RISK_BENCH_DEALERS", "8000"))
SEEDS: Final = [int(s) for s in os.environ.get("FFL_RISK_BENCH_SEEDS", "1,2,3").split(",")]
PROGRAM: Final = os.environ.get("FFL_RISK_BENCH_PROGRAM", "")
_OWN: Final = "program:"
_MADE: Final = {"third": third.make, "rings": rings.make}
COUNTRIES: Final = os.environ.get(
    "FFL_RISK_BENCH_COUNTRIES",
    ",".join([*POLICIES, *_MADE, *(f"{_OWN}{p}" for p in ("chasing", "random") if PROGRAM)]),
).split(",")
N_YEARS: Final = 8
SIMPLE: Final = ("points", "traces")
PEERS: Final = ("naive", "logistic", "logistic, hard", *SIMPLE)


def asked() -> list[tuple[str, int]]:
    """Return the countries asked for, each with its seed."""
    out: list[tuple[str, int]] = []
    for country in COUNTRIES:
        name, _, own = country.partition("@")
        out += [(name, int(own))] if own else [(name, seed) for seed in SEEDS]
    return out


def build(name: str, seed: int, folder: Path) -> pd.DataFrame:
    """Make a country and ingest it; return its truth on the last day."""
    kept = folder / "truth.parquet"
    if kept.exists():
        return pd.read_parquet(kept)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    source = folder / "source"
    if name in _MADE:
        truth = _MADE[name](source, seed=seed, n_dealers=N_DEALERS)
    elif name.startswith(_OWN):
        truth = _of_program(name.removeprefix(_OWN), seed, source)
    else:
        truth = _simulated(name, seed, source)
    ingest([source], folder / "warehouse")
    shutil.rmtree(source)
    truth.to_parquet(kept)
    return truth


def _of_program(policy: str, seed: int, out: Path) -> pd.DataFrame:
    if not PROGRAM:
        sys.exit("FFL_RISK_BENCH_PROGRAM names no program that makes the country.")
    command = [sys.executable, PROGRAM, str(out), "--seed", str(seed)]
    command += ["--dealers", str(N_DEALERS), "--policy", policy]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    truth = pd.read_csv(out.with_name(f"{out.name}_truth.csv"))
    return truth.assign(may_visit=truth["is_live"] & truth["is_eligible"])[
        ["dealer", "p_severe", "may_visit", "strict"]
    ]


def _simulated(policy: str, seed: int, out: Path) -> pd.DataFrame:
    command = ["simulate", "--dealers", N_DEALERS, "--years", N_YEARS, "--seed", seed]
    command += ["--policy", policy, "--out", out]
    subprocess.run(
        [sys.executable, "-m", "ffl_risk", *map(str, command)],
        check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    truth = pd.read_parquet(out / "truth" / "dealer_month.parquet")
    last = truth[truth["as_of"] == truth["as_of"].max()]
    # The same seed makes the same offices.
    whole = Ongoing(Options(dealers=N_DEALERS, years=N_YEARS, seed=seed, policy=policy))
    dealers = whole.world.dealers
    level = whole.office.strictness.mean(axis=1)[dealers.known.office[dealers.place]]
    strict = pd.Series(level, index=[str(key) for key in dealers.keys])
    # A successor keeps the number and the place.
    strict = strict[~strict.index.duplicated(keep="last")]
    return pd.DataFrame(
        {
            "dealer": last["dealer"].to_numpy(),
            "p_severe": last["p_severe"].to_numpy(dtype=np.float64),
            "may_visit": (last["is_eligible"] == True).to_numpy(),  # noqa: E712  missing is not
            "strict": last["dealer"].astype(str).map(strict).to_numpy(dtype=np.float64),
        }
    )


def _ratio(judged: Mapping[str, Any], other: str) -> tuple[float, float, float]:
    """How much more the list finds than another order, with its interval over dealers."""
    own, theirs = (np.array(judged["rates"][name]) for name in ("list", other))
    ratio = own / theirs
    low, high = np.quantile(ratio[1:], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(ratio[0]), float(low), float(high)


def holds(judged: Mapping[str, Any]) -> bool:
    """Whether the stated interval of the list's yield holds the true one."""
    _, low, high = judged["stated"]
    return bool(low <= judged["true"] <= high)


def best_rule(judged: Mapping[str, Any]) -> str:
    """Return the simple rule that finds most."""
    return max(SIMPLE, key=lambda name: float(judged["rates"][name][0]))


COLUMNS: Final = (
    "country, seed", "severe", "in full, by count", "list", "compliance", "naive",
    "logistic, hard", *SIMPLE, "taught", "list over the best rule", "of taught", "strictness",
    "strictest / mildest", "by office", "stated / true",
)  # fmt: skip


def line(name: str, judged: Mapping[str, Any]) -> list[str]:
    """Lay one country out as a row of `COLUMNS`; rates are multiples of random."""
    times = _times(judged)
    rule = best_rule(judged)
    apart = judged["strictest_over_mildest"]
    orders = (IN_FULL, "list", "compliance", "naive", "logistic, hard", *SIMPLE, "taught")
    return [
        name,
        str(judged["n_severe"]),
        *(f"{times[k]:.2f}" for k in orders),
        f"{_ratio(judged, rule)[0]:.2f}, {rule}",
        f"{times['list'] / times['taught']:.0%}",
        f"{judged['strictness']['list']:+.2f}",
        f"{apart['list']:.2f}",
        f"{apart[BY_OFFICE]:.2f}",
        f"{judged['stated'][0] / judged['true']:.2f}",
    ]


MORE: Final = (
    "country, seed", "labels, drawn", "best", "logistic", "list over the best rule",
    "strictness, naive", "by office finds", "interval of the yield",
    "smaller two thirds: list, taught, right", "stated / true by thirds of sales",
    "smallest third: list, compliance, taught, right",
)  # fmt: skip


def more(name: str, judged: Mapping[str, Any]) -> list[str]:
    """Lay out as a row of `MORE` what the table of all countries has no room for."""
    times, small = _times(judged), judged["small"]
    found, low, high = _ratio(judged, best_rule(judged))
    return [
        name,
        f"{judged['n_labels']}, {judged['n_drawn']}",
        f"{judged['best'] / judged['chance']:.2f}",
        f"{times['logistic']:.2f}",
        f"{found:.2f} ({low:.2f} to {high:.2f})",
        f"{judged['strictness']['naive']:+.2f}",
        f"{times[BY_OFFICE]:.2f}",
        "holds" if holds(judged) else "misses",
        ", ".join(f"{small[k]:.1%}" for k in ("list", "taught", "right")),
        ", ".join(f"{third['stated']:.2f}" for third in judged["thirds"].values()),
        ", ".join(
            f"{judged['thirds'][SIZES[0]][k]:.1%}"
            for k in ("list", "compliance", "taught", "right")
            if SIZES[0] in judged["thirds"]
        ),
    ]


def _times(judged: Mapping[str, Any]) -> dict[str, float]:
    """Return what each order finds, in multiples of random."""
    return {k: float(v[0]) / judged["chance"] for k, v in judged["rates"].items()}


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join(f"| {' | '.join(row)} |\n" for row in lines)


def report(judged: Mapping[str, Mapping[str, Any]]) -> None:
    """Write the table of all countries, and print what they say together."""
    text = "\n".join(
        _table(columns, [row(name, one) for name, one in judged.items()])
        for columns, row in ((COLUMNS, line), (MORE, more))
    )
    write_atomically(FOLDER / "countries.md", text.encode())
    for name in PEERS:
        ratios = [_ratio(one, name)[0] for one in judged.values()]
        _emit(
            measure=f"list over {name}, mean of countries",
            value=float(np.mean(ratios)),
            peer=f"{min(ratios):.2f} to {max(ratios):.2f}",
            target="1.05 everywhere, 1.15 on average" if name in SIMPLE else "",
        )
    even = [n for n, one in judged.items() if _ratio(one, best_rule(one))[0] < 1.05]
    _emit(measure="a simple rule is as good", value=len(even), peer=", ".join(even), target="none")
    taught = [one["rates"]["list"][0] / one["rates"]["taught"][0] for one in judged.values()]
    _emit(measure="list, of one taught the truth", value=float(np.mean(taught)), target="0.95")
    with_office = [abs(one["strictness"]["list"]) for one in judged.values()]
    _emit(measure="largest tie to strictness", value=max(with_office), target="at most 0.15")
    for order, name in (("list", "list"), (BY_OFFICE, "set against its office's mean")):
        apart = [one["strictest_over_mildest"][order] for one in judged.values()]
        _emit(
            measure=f"strictest over mildest offices at the same risk, {name}",
            value=float(np.exp(np.mean(np.abs(np.log(np.maximum(apart, 1e-3)))))),
            peer=f"{min(apart):.2f} to {max(apart):.2f}",
            target="at most 1.3",
        )
    n_held = sum(holds(one) for one in judged.values())
    _emit(measure="stated interval holds", value=n_held, peer=f"of {len(judged)}", target="95%")


def _emit(**row: object) -> None:
    sys.stdout.write(json.dumps(row) + "\n")
    sys.stdout.flush()


def main() -> None:
    recipe = load_recipe("country")
    judged: dict[str, Mapping[str, Any]] = {}
    with one_thread():
        for name, seed in asked():
            folder = FOLDER / "countries" / f"{name.replace(':', '-')}-{seed}-{N_DEALERS}"
            truth = build(name, seed, folder)
            warehouse = Warehouse.open(folder / "warehouse")
            judged[f"{name}, {seed}"] = judge(recipe, warehouse, truth, folder)
            report(judged)


if __name__ == "__main__":
    main()
