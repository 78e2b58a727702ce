"""80 % intervals from the errors of predictions that never saw the row (split conformal).

Errors are grouped by hardware and situation (``planner/throughput/regime.py``). Where many devices and
models of a group were left out, its ends are the weighted 10 % and 90 % quantiles of the log of measured over
predicted in its regime. Where few were, they are drawn to those of all errors, each over a scale that is a
product of what the hardware and the situation bring and of the group's own factor (normalised conformal
prediction: Papadopoulos et al. 2008, Lei et al. 2018): a group that was never measured has the ends of what
it shares with others. A device with many rows counts as few, and few devices have wider ends, for rows of one
device err together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from hwledger.accuracy.speed.fitting import Floats

TAIL: Final = 0.1
SPARSE: Final = 0.3
UNSEEN: Final = 0.4
"""Ends from n devices or models are widened by 1 + SPARSE / (n + UNSEEN)."""
SHARED: Final = 4.0
"""Devices or models at which a group's own quantiles count as much as what it shares with others."""
PULL: Final = 4.0
"""Rows of weight 1 that draw a factor of the scale to none."""
FLOOR: Final = 0.005
"""Added to an error before its logarithm is taken, so that a lucky hit does not count as a tiny scale. These
five were chosen where groups left out whole are held as often as stated, on the average over regimes."""
FEWEST: Final = 8
"""A regime with fewer rows has no quantiles of its own."""


@dataclass(frozen=True)
class Errors:
    """Held-out errors.

    Attributes:
        logs: log(measured / predicted) of each.
        hardware, situations: of each; together they are its group.
        keys: of each, what was left out to predict it: ``device …`` or ``model …``.
        tags: of each, all that it shares with others: the keys of its device and of its model.
        weights: of each.
    """

    logs: Floats
    hardware: Sequence[str]
    situations: Sequence[str]
    keys: Sequence[str]
    tags: Sequence[frozenset[str]]
    weights: Floats

    def without(self, tag: str) -> "Errors":
        """Return the errors that have nothing to do with a device or model, however they came about."""
        return self._only([row for row, tags in enumerate(self.tags) if tag not in tags])

    def ends(self, hardware: str, situation: str) -> tuple[float, float]:
        """Return the log ends of a group's interval."""
        scales = _scales(self)
        unit = self.logs / np.array([scales.of(*one) for one in self.groups])
        low, high = (scales.of(hardware, situation) * end for end in self._quantiles(unit))
        own = _left_out(
            [k for k, one in zip(self.keys, self.groups, strict=True) if one == (hardware, situation)]
        )
        near = self._only([row for row, one in enumerate(self.groups) if _alike(one, (hardware, situation))])
        if len(near.logs) >= FEWEST:
            trust = own / (own + SHARED)
            alone = near._quantiles(near.logs)  # noqa: SLF001 - of the same class
            low, high = trust * alone[0] + (1 - trust) * low, trust * alone[1] + (1 - trust) * high
        wider = 1.0 + SPARSE / (own + UNSEEN)
        return min(0.0, wider * low), max(0.0, wider * high)

    @property
    def groups(self) -> list[tuple[str, str]]:
        """Hardware and situation of each."""
        return list(zip(self.hardware, self.situations, strict=True))

    def _quantiles(self, values: Floats) -> tuple[float, float]:
        return quantile(values, self.weights, TAIL), quantile(values, self.weights, 1 - TAIL)

    def _only(self, rows: Sequence[int]) -> "Errors":
        return Errors(
            logs=self.logs[list(rows)], hardware=[self.hardware[row] for row in rows],
            situations=[self.situations[row] for row in rows], keys=[self.keys[row] for row in rows],
            tags=[self.tags[row] for row in rows], weights=self.weights[list(rows)],
        )  # fmt: skip


@dataclass(frozen=True)
class _Scales:
    """Logs of the factors of a scale, by the hardware, the situation and both; 0 where there were none."""

    factors: Mapping[str | tuple[str, str], float]

    def of(self, hardware: str, situation: str) -> float:
        """Return the scale of a group's errors."""
        names = ("", f"on {hardware}", f"in {situation}", (hardware, situation))
        return float(np.exp(sum(self.factors.get(name, 0.0) for name in names)))


def _scales(errors: Errors) -> _Scales:
    """Return the scales: the logs of errors by least squares, each factor drawn to none."""
    rows = [("", f"on {h}", f"in {s}", (h, s)) for h, s in errors.groups]
    names = list(dict.fromkeys(name for row in rows for name in row))
    place = {name: number for number, name in enumerate(names)}
    design = np.zeros((len(rows), len(names)))
    for number, row in enumerate(rows):
        design[number, [place[name] for name in row]] = 1.0
    pull = np.diag([0.0 if name == "" else PULL for name in names])
    weighted = (design * errors.weights[:, None]).T
    found = np.linalg.solve(weighted @ design + pull, weighted @ np.log(np.abs(errors.logs) + FLOOR))
    return _Scales(dict(zip(names, map(float, found), strict=True)))


def _alike(one: tuple[str, str], other: tuple[str, str]) -> bool:
    """Whether two groups are of one regime: dense models by the hardware, the rest by the situation."""
    return one == other if other[1] == "dense" else one[1] == other[1]


def _left_out(keys: Sequence[str]) -> int:
    """Return how many devices, or models, were left out: the fewer of the two, by a key's first word."""
    groups: dict[str, set[str]] = {}
    for key in keys:
        groups.setdefault(key.partition(" ")[0], set()).add(key)
    return min(map(len, groups.values()), default=0)


def quantile(values: Floats, weights: Floats, share: float) -> float:
    """Return the value below which ``share`` of the weight lies, between neighbours linearly."""
    order = np.argsort(values)
    ranked, mass = values[order], weights[order]
    centres = (np.cumsum(mass) - mass / 2) / mass.sum()
    return float(np.interp(share, centres, ranked))


def together(parts: Sequence[Errors]) -> Errors:
    """Return the errors of several ways of leaving out as one."""
    return Errors(
        logs=np.concatenate([part.logs for part in parts]),
        hardware=[one for part in parts for one in part.hardware],
        situations=[one for part in parts for one in part.situations],
        keys=[key for part in parts for key in part.keys],
        tags=[tags for part in parts for tags in part.tags],
        weights=np.concatenate([part.weights for part in parts]),
    )
