"""80 % intervals from the errors of predictions that never saw the row (split conformal, per regime).

The ends are the weighted 10 % and 90 % quantiles of log(measured / predicted) over the held-out rows of a
regime, a device with many rows counting as few (Vovk et al. 2005; Barber et al. 2021 for held-out residuals).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from hwledger.accuracy.speed.fitting import Floats

TAIL: Final = 0.1
SPARSE: Final = 0.6
"""Ends from n devices or models are widened by 1 + this over n: rows of one device err together, so that few
devices show less than the spread of a further one. With this value held-out rows lie within as often as
stated."""
FEWEST: Final = 8
"""A regime with fewer rows takes the interval of families that were never measured."""


@dataclass(frozen=True)
class Errors:
    """Held-out errors.

    Attributes:
        logs: log(measured / predicted) of each.
        regimes: regime of each.
        keys: what was left out to predict it.
        weights: of each.
    """

    logs: Floats
    regimes: Sequence[str]
    keys: Sequence[str]
    weights: Floats

    def ends(self, regime: str, but: str | None = None) -> tuple[float, float] | None:
        """Return the log ends of a regime's interval, rows of the key ``but`` left out; ``None``: too few."""
        chosen = np.array([r == regime and k != but for r, k in zip(self.regimes, self.keys, strict=True)])
        if chosen.sum() < FEWEST:
            return None
        logs, weights = self.logs[chosen], self.weights[chosen]
        keys = [key for key, used in zip(self.keys, chosen, strict=True) if used]
        wider = 1.0 + SPARSE / _fewest_groups(keys)
        return wider * quantile(logs, weights, TAIL), wider * quantile(logs, weights, 1 - TAIL)


def _fewest_groups(keys: Sequence[str]) -> int:
    """Return how many devices, or models, were left out: the fewer of the two, by a key's first word."""
    groups: dict[str, set[str]] = {}
    for key in keys:
        groups.setdefault(key.partition(" ")[0], set()).add(key)
    return min(map(len, groups.values()))


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
        regimes=[regime for part in parts for regime in part.regimes],
        keys=[key for part in parts for key in part.keys],
        weights=np.concatenate([part.weights for part in parts]),
    )


def ordered(ends: Mapping[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
    """Return intervals that hold 0: a best figure lies within its own interval."""
    return {name: (min(low, 0.0), max(high, 0.0)) for name, (low, high) in ends.items()}
