"""The Pareto front: candidates of which none is better than another in everything at once."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hwledger.planner.solve.quality import KV_CACHE, WEIGHTS, not_worse
from hwledger.planner.solve.table import Table

Array = NDArray[np.float64]
Rows = NDArray[np.int64]


def front_of(table: Table, rows: Rows) -> Rows:
    """Return the rows of the front in memory, speed, price and quality.

    Two types of weights or cache compare only where evidence says so. A candidate whose price is not known
    is on the front where nothing is at least as good in everything else.
    """
    priced = rows[np.isfinite(table.price[rows])]
    others = rows[~np.isfinite(table.price[rows])]
    with_price = np.stack([table.total, table.tpot, table.price], axis=1)
    front = _by_quality(table, with_price, priced)
    rest = _by_quality(table, with_price[:, :2], others)
    beaten = _beaten(table, np.where(np.isnan(with_price), np.inf, with_price), rest, front, same=True)
    return np.concatenate([front, rest[~beaten]])


def _by_quality(table: Table, points: Array, rows: Rows) -> Rows:
    """The front of rows: within each pair of types, then between those that compare."""
    kinds = [rows[table.quality[rows] == kind] for kind in _present(table.quality[rows])]
    kept = [group[undominated(points[group])] for group in kinds if len(group)]
    if not kept:
        return np.array([], dtype=np.int64)
    found = np.concatenate(kept)
    return found[~_beaten(table, points, found, found)]


def _beaten(table: Table, points: Array, rows: Rows, by: Rows, *, same: bool = False) -> NDArray[np.bool_]:
    """Which rows are beaten by one of another pair of types, or the ``same``, known not to lose more."""
    lost = np.zeros(len(rows), dtype=bool)
    groups = {int(other): by[table.quality[by] == other] for other in _present(table.quality[by])}
    for kind in _present(table.quality[rows]):
        mine = np.flatnonzero(table.quality[rows] == kind)
        rivals = [
            group
            for other, group in groups.items()
            if (same or other != kind) and known_no_worse(table.types[other], table.types[kind])
        ]
        if rivals:
            lost[mine] = _dominated(points[rows[mine]], points[np.concatenate(rivals)])
    return lost


def _present(numbers: Rows) -> Rows:
    """The numbers that are there, each once, in order; without numpy's masked arrays, which take loading."""
    return np.flatnonzero(np.bincount(numbers))


def known_no_worse(first: Sequence[str | None], second: Sequence[str | None]) -> bool:
    """Whether a pair of types is known to lose no more than another, in weights and in cache."""
    return (
        not_worse(WEIGHTS, first[0], second[0]) is True and not_worse(KV_CACHE, first[1], second[1]) is True
    )


def _dominated(points: Array, rivals: Array) -> NDArray[np.bool_]:
    """Which points have a rival that is no worse in every column and better in one."""
    no_worse = np.all(rivals[None] <= points[:, None], axis=-1)
    better = np.any(rivals[None] < points[:, None], axis=-1)
    found: NDArray[np.bool_] = np.any(no_worse & better, axis=1)
    return found


def undominated(points: Array) -> NDArray[np.bool_]:
    """Return which points are on the front of their columns, lower being better; one of equals is kept.

    Points are taken in order of their sum of ranks, so that each one taken is on the front; what it
    dominates leaves.
    """
    filled = np.where(np.isnan(points), np.inf, points)
    ranks = filled.argsort(axis=0, kind="stable").argsort(axis=0, kind="stable")
    order = np.lexsort((*filled.T[::-1], ranks.sum(axis=1)))
    left, keep = order, []
    while len(left):
        first = _first_undominated(filled, left)
        keep.append(first)
        left = left[(filled[left] < filled[first]).any(axis=1)]
    mask = np.zeros(len(points), dtype=bool)
    mask[keep] = True
    return mask


def _first_undominated(points: Array, left: Rows) -> int:
    """The first of the remaining points, or one that dominates it."""
    first = int(left[0])
    while True:
        no_worse = (points[left] <= points[first]).all(axis=1) & (points[left] < points[first]).any(axis=1)
        if not no_worse.any():
            return first
        first = int(left[no_worse.argmax()])


def spread(points: Array, most: int) -> Rows:
    """Return up to ``most`` places: the best of each column, and the rest evenly along the first column."""
    if len(points) <= most:
        return np.arange(len(points))
    best = [int(np.nanargmin(column)) for column in points.T if np.isfinite(column).any()]
    order = np.argsort(points[:, 0], kind="stable")
    steps = order[np.linspace(0, len(order) - 1, most).round().astype(int)]
    return np.array(list(dict.fromkeys([*best, *steps.tolist()]))[:most])
