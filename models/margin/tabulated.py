"""Exact Shapley values of shallow trees for whole tables, from one small table a leaf.

What a leaf adds to a row depends only on which of the few features on its path the row satisfies.
With k features that is one of 2**k patterns, so the contributions are worked out once a pattern and
looked up for every row: the idea of Woodelf, fused into one compiled pass in double precision.
The definition is that of TreeSHAP on the trees' own cover, as in LightGBM's ``pred_contrib``.

References
----------
Lundberg et al. 2020, *From local explanations to global understanding*; Nadel and Wettenstein 2025,
*From Decision Trees to Boolean Logic: a fast and unified SHAP algorithm* (Woodelf).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numba
import numpy as np

from features.arrays import Floats, Ints
from models.errors import ModelError
from models.margin.lightgbm_trees import blocks

# Patterns are kept in eight bits; trees of `boosting` have at most five features on a path.
_MAX_FEATURES: Final = 8
_BLOCK_ROWS: Final = 2048


@dataclass(frozen=True)
class Tabulated:
    """Trees laid out for lookup.

    Parameters
    ----------
    base : float
        Mean prediction over the rows the trees were grown on.
    nodes : tuple of arrays
        Of all trees, one after another: feature, threshold, kind of missing value, default side.
    tree_nodes, tree_leaves : array of int, shape (n_trees + 1,)
        Where each tree's nodes and leaves begin.
    steps : tuple of arrays
        Of all paths: node within its tree, side taken, bit of its feature.
    leaf_steps, leaf_features, leaf_tables : array of int, shape (n_leaves + 1,)
        Where each leaf's steps, features and table begin.
    features : array of int
        Features of all leaves.
    tables : array of float
        For each leaf, feature by feature, the contribution of each pattern.
    """

    base: float
    nodes: tuple[Ints, Floats, Ints, Ints]
    tree_nodes: Ints
    tree_leaves: Ints
    steps: tuple[Ints, Ints, Ints]
    leaf_steps: Ints
    leaf_features: Ints
    leaf_tables: Ints
    features: Ints
    tables: Floats

    def contributions(self, Z: Floats) -> Floats:
        """Return the contributions of encoded rows, shape (n, p)."""
        columns = np.ascontiguousarray(Z.T)
        found = np.zeros(columns.shape)
        _look_up(
            columns,
            found,
            self.nodes,
            (self.tree_nodes, self.tree_leaves),
            self.steps,
            (self.leaf_steps, self.leaf_features, self.leaf_tables, self.features),
            self.tables,
        )
        return found.T


@dataclass(frozen=True)
class _Leaf:
    """A leaf with its path; two siblings may share one (see `_paired`)."""

    path: tuple[tuple[int, int], ...]
    features: tuple[int, ...]
    table: Floats


def tabulate(text: str) -> Tabulated:
    """Lay out the trees of a LightGBM text without categorical splits.

    Parameters
    ----------
    text : str
        As `models.margin.lightgbm_trees.merge` writes it.
    """
    trees = [_fields(block) for block in blocks(text)]
    base = 0.0
    leaves: list[list[_Leaf]] = []
    for tree in trees:
        base += _mean(tree)
        leaves.append(_leaves(tree))
    grown = [tree for tree in trees if "split_feature" in tree]
    flat = [leaf for of_tree in leaves for leaf in of_tree]
    decision = _joined(grown, "decision_type").astype(np.int64)
    nodes = (
        _joined(grown, "split_feature").astype(np.int64),
        _joined(grown, "threshold"),
        (decision >> 2) & 3,
        (decision >> 1) & 1,
    )
    n_nodes = [len(tree.get("split_feature", ())) for tree in trees]
    steps = [
        (node, side, leaf.features.index(feature))
        for tree, of_tree in zip(trees, leaves, strict=True)
        for leaf in of_tree
        for node, side in leaf.path
        for feature in [int(tree["split_feature"][node])]
    ]
    columns = np.asarray(steps, dtype=np.int64).reshape(-1, 3)
    return Tabulated(
        base,
        nodes,
        _starts(n_nodes),
        _starts([len(of_tree) for of_tree in leaves]),
        (columns[:, 0].copy(), columns[:, 1].copy(), columns[:, 2].copy()),
        _starts([len(leaf.path) for leaf in flat]),
        _starts([len(leaf.features) for leaf in flat]),
        _starts([leaf.table.size for leaf in flat]),
        np.array([f for leaf in flat for f in leaf.features], dtype=np.int64),
        np.concatenate([leaf.table.ravel() for leaf in flat] or [np.empty(0)]),
    )


def _fields(block: str) -> dict[str, Floats]:
    wanted = {
        "split_feature",
        "threshold",
        "decision_type",
        "left_child",
        "right_child",
        "leaf_value",
        "leaf_count",
        "internal_count",
    }
    pairs = (line.partition("=") for line in block.splitlines())
    return {
        name: np.array(numbers.split(), dtype=np.float64)
        for name, _, numbers in pairs
        if name in wanted and numbers
    }


def _mean(tree: dict[str, Floats]) -> float:
    if "split_feature" not in tree:
        return float(tree["leaf_value"][0])
    return float(tree["leaf_value"] @ tree["leaf_count"] / tree["internal_count"][0])


def _joined(trees: list[dict[str, Floats]], name: str) -> Floats:
    return np.concatenate([tree[name] for tree in trees] or [np.empty(0)])


def _starts(sizes: list[int]) -> Ints:
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


def _leaves(tree: dict[str, Floats]) -> list[_Leaf]:
    """Walk a tree and tabulate its leaves; a tree without a split has none."""
    if "split_feature" not in tree:
        return []
    if (tree["decision_type"].astype(np.int64) & 1).any():
        raise ModelError("A tree has a categorical split.", expected="numerical splits only")
    found: list[_Leaf] = []
    waiting: list[tuple[int, tuple[tuple[int, int], ...], tuple[float, ...]]] = [(0, (), ())]
    while waiting:
        node, path, covers = waiting.pop()
        pair: list[_Leaf] = []
        for side, child_of in ((1, "left_child"), (0, "right_child")):
            child = int(tree[child_of][node])
            count = tree["leaf_count"][~child] if child < 0 else tree["internal_count"][child]
            onward = (*path, (node, side))
            cover = (*covers, float(count / tree["internal_count"][node]))
            if child < 0:
                pair.append(_leaf(tree, onward, cover, float(tree["leaf_value"][~child])))
            else:
                waiting.append((child, onward, cover))
        found += _paired(tree, pair, node, path)
    return found


def _leaf(
    tree: dict[str, Floats],
    path: tuple[tuple[int, int], ...],
    covers: tuple[float, ...],
    value: float,
) -> _Leaf:
    share: dict[int, float] = {}
    for (node, _), cover in zip(path, covers, strict=True):
        feature = int(tree["split_feature"][node])
        share[feature] = share.get(feature, 1.0) * cover
    if len(share) > _MAX_FEATURES:
        raise ModelError(
            "A tree is too deep to be tabulated.",
            found=f"{len(share)} features on a path",
            expected=f"at most {_MAX_FEATURES}",
            fix="explain with method='lightgbm'",
        )
    k = len(share)
    weights = np.array([math.factorial(s) * math.factorial(k - 1 - s) for s in range(k)])
    table = _tabulate(np.array(list(share.values())), weights / math.factorial(k), value)
    return _Leaf(path, tuple(share), table)


def _paired(
    tree: dict[str, Floats], pair: list[_Leaf], node: int, path: tuple[tuple[int, int], ...]
) -> list[_Leaf]:
    """Fold two sibling leaves into one lookup.

    They differ in the last step only: where that feature is not met earlier on the path, the right
    leaf's pattern is the left one's with that bit turned.
    """
    feature = int(tree["split_feature"][node])
    is_met = any(int(tree["split_feature"][before]) == feature for before, _ in path)
    if len(pair) < 2 or is_met:
        return pair
    left, right = pair
    turned = np.arange(left.table.shape[1]) ^ (1 << left.features.index(feature))
    return [_Leaf(left.path, left.features, left.table + right.table[:, turned])]


@numba.njit(cache=True)  # pragma: no cover - compiled
def _tabulate(cover: Floats, weights: Floats, value: float) -> Floats:
    """Return the Shapley value of each feature (row) for each pattern (column) of one leaf.

    The leaf's game is a product over its features: one where known and satisfied, zero where known
    and not, the cover where unknown. Its Shapley value weighs the coefficients of a polynomial.
    """
    k = len(cover)
    table = np.empty((k, 1 << k))
    for pattern in range(1 << k):
        for j in range(k):
            polynomial = np.zeros(k)
            polynomial[0] = 1.0
            degree = 0
            for i in range(k):
                if i == j:
                    continue
                is_met = (pattern >> i) & 1
                for s in range(degree, -1, -1):
                    if is_met:
                        polynomial[s + 1] += polynomial[s]
                    polynomial[s] *= cover[i]
                degree += 1
            total = 0.0
            for s in range(k):
                total += weights[s] * polynomial[s]
            table[j, pattern] = value * (((pattern >> j) & 1) - cover[j]) * total
    return table


@numba.njit(cache=True)  # pragma: no cover - compiled
def _look_up(columns, found, nodes, trees, steps, leaves, tables):  # type: ignore[no-untyped-def]
    feature_of, threshold, missing, default_left = nodes
    tree_nodes, tree_leaves = trees
    step_node, step_side, step_bit = steps
    leaf_steps, leaf_features, leaf_tables, features = leaves
    n = columns.shape[1]
    widest = 1
    for t in range(len(tree_nodes) - 1):
        widest = max(widest, tree_nodes[t + 1] - tree_nodes[t])
    is_left = np.empty((widest, _BLOCK_ROWS), dtype=np.uint8)
    pattern = np.empty(_BLOCK_ROWS, dtype=np.uint8)
    for start in range(0, n, _BLOCK_ROWS):
        size = min(_BLOCK_ROWS, n - start)
        for t in range(len(tree_nodes) - 1):
            first = tree_nodes[t]
            for v in range(first, tree_nodes[t + 1]):
                column = columns[feature_of[v], start : start + size]
                _sides(column, threshold[v], missing[v], default_left[v], is_left[v - first])
            for leaf in range(tree_leaves[t], tree_leaves[t + 1]):
                k = leaf_features[leaf + 1] - leaf_features[leaf]
                pattern[:size] = (1 << k) - 1
                for s in range(leaf_steps[leaf], leaf_steps[leaf + 1]):
                    side, bit = np.uint8(step_side[s]), np.uint8(step_bit[s])
                    sides = is_left[step_node[s]]
                    for i in range(size):
                        pattern[i] &= ~np.uint8((sides[i] ^ side) << bit)
                for j in range(k):
                    place = leaf_tables[leaf] + (j << k)
                    table = tables[place : place + (1 << k)]
                    target = found[features[leaf_features[leaf] + j], start : start + size]
                    for i in range(size):
                        target[i] += table[pattern[i]]


@numba.njit(cache=True)  # pragma: no cover - compiled
def _sides(column, threshold, missing, default_left, is_left):  # type: ignore[no-untyped-def]
    """Say for each row whether it goes left, as LightGBM does."""
    for i in range(len(column)):
        value = column[i]
        if missing == 2:
            goes = default_left == 1 if np.isnan(value) else value <= threshold
        else:
            value = 0.0 if np.isnan(value) else value
            is_default = missing == 1 and abs(value) <= 1e-35
            goes = default_left == 1 if is_default else value <= threshold
        is_left[i] = np.uint8(goes)
