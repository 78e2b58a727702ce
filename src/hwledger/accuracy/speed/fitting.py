"""Fitting the constants of the speed model: robust, with shrinkage, in plain numpy.

The model of a step is a sum of sizes times exp of a linear form of constants. What is minimised is the sum
of Student-t losses of the log errors and of squared constants over their prior widths: a constant moves
away from 0, its parent's value, only as far as the measurements force it (a hierarchical model's maximum a
posteriori). Levenberg-Marquardt with iteratively re-weighted squares.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hwledger.planner.throughput.terms import Term

Floats = NDArray[np.float64]
FREEDOM: Final = 4.0
SPREAD: Final = 0.06
"""Scale of the log error of one measurement: repeats of llama.cpp on one card differ by this much."""
STEPS: Final = 60
TRIES: Final = 8
ENOUGH: Final = 1e-5


@dataclass(frozen=True, slots=True)
class Prior:
    """Mean and width of a constant before any measurement."""

    mean: float
    width: float


@dataclass(frozen=True)
class Problem:
    """Measurements as matrices: per term its size, and the weights of its own constants.

    Attributes:
        names: the constants.
        sizes: per term, seconds at peak, shape (rows,).
        columns: per term, the indices of its constants.
        designs: per term, the weights of these constants, shape (rows, columns).
        means, widths: prior of every constant.
    """

    names: tuple[str, ...]
    sizes: tuple[Floats, ...]
    columns: tuple[NDArray[np.int64], ...]
    designs: tuple[Floats, ...]
    means: Floats
    widths: Floats

    def seconds(self, constants: Floats, rows: NDArray[np.int64]) -> Floats:
        """Return the seconds of each term, shape (terms, rows)."""
        parts = [
            size[rows] * np.exp(np.clip(design[rows] @ constants[columns], -40, 40))
            for size, columns, design in zip(self.sizes, self.columns, self.designs, strict=True)
        ]
        stacked: Floats = np.stack(parts)
        return stacked


def problem(steps: Sequence[Sequence[Term]], priors: Mapping[str, Prior]) -> Problem:
    """Return the matrices of steps, each given as its terms.

    ``priors`` goes by a constant's own name where that is stated, else by its stem.
    """
    kinds = sorted({term.name for step in steps for term in step})
    names = sorted({name for step in steps for term in step for name, _ in term.effects})
    index = {name: number for number, name in enumerate(names)}
    sizes, columns, designs = [], [], []
    for kind in kinds:
        own = sorted({n for step in steps for term in step if term.name == kind for n, _ in term.effects})
        place = {name: number for number, name in enumerate(own)}
        size, design = np.zeros(len(steps)), np.zeros((len(steps), len(own)))
        for row, step in enumerate(steps):
            for term in step:
                if term.name == kind:
                    size[row] += term.seconds
                    for name, weight in term.effects:
                        design[row, place[name]] = weight
        sizes.append(size)
        columns.append(np.array([index[name] for name in own], dtype=np.int64))
        designs.append(design)
    prior = [priors.get(name) or priors[stem(name)] for name in names]
    return Problem(
        names=tuple(names), sizes=tuple(sizes), columns=tuple(columns), designs=tuple(designs),
        means=np.array([one.mean for one in prior]), widths=np.array([one.width for one in prior]),
    )  # fmt: skip


def stem(name: str) -> str:
    """Return the kind of a constant: ``e.family`` of ``e.family:Ampere GDDR``."""
    return name.partition(":")[0]


def fit(
    made: Problem,
    seconds: Floats,
    rows: NDArray[np.int64],
    weights: Floats,
    start: Floats | None = None,
) -> Floats:
    """Return the constants that explain the measured ``seconds`` of ``rows`` best.

    Args:
        made: the matrices.
        seconds: measured, of all rows.
        rows: the rows to learn from.
        weights: of all rows; many rows of one device count less each.
        start: where to begin; the priors' means where ``None``.
    """
    target, weight = np.log(seconds[rows]), weights[rows]
    now = made.means.copy() if start is None else start.copy()
    damping, best = 1e-3, _loss(made, now, rows, target, weight)
    for _ in range(STEPS):
        gradient, curvature = _slopes(made, now, rows, target, weight)
        for _ in range(TRIES):
            step = np.linalg.solve(curvature + damping * np.diag(np.diag(curvature)), -gradient)
            new: Floats = now + np.clip(step, -1.0, 1.0)
            loss = _loss(made, new, rows, target, weight)
            if loss < best:
                break
            damping *= 10
        else:
            return now
        gain, now, best = best - loss, new, loss
        damping = max(damping / 10, 1e-9)
        if gain < ENOUGH * max(1.0, abs(best)):
            return now
    return now


def _total(parts: Floats) -> Floats:
    total: Floats = parts.sum(axis=0)
    return total


def _loss(made: Problem, constants: Floats, rows: NDArray[np.int64], target: Floats, weight: Floats) -> float:
    error = np.log(_total(made.seconds(constants, rows))) - target
    data = (FREEDOM + 1) * weight * np.log1p(error**2 / (FREEDOM * SPREAD**2))
    prior = ((constants - made.means) / made.widths) ** 2
    return float(data.sum() + prior.sum())


def _slopes(
    made: Problem, constants: Floats, rows: NDArray[np.int64], target: Floats, weight: Floats
) -> tuple[Floats, Floats]:
    parts = made.seconds(constants, rows)
    total = _total(parts)
    error = np.log(total) - target
    jacobian = np.zeros((len(rows), len(constants)))
    for part, columns, design in zip(parts, made.columns, made.designs, strict=True):
        jacobian[:, columns] += (part / total)[:, None] * design[rows]
    weighted = weight * (FREEDOM + 1) / (FREEDOM * SPREAD**2 + error**2)
    pulled = (jacobian * weighted[:, None]).T
    prior = 1.0 / made.widths**2
    gradient: Floats = pulled @ error + (constants - made.means) * prior
    curvature: Floats = pulled @ jacobian + np.diag(prior)
    return gradient, curvature
