"""Intervals and priors of the speed model."""

import numpy as np
import pytest

from hwledger.accuracy.speed.fitting import Prior, problem
from hwledger.accuracy.speed.intervals import SPARSE, Errors, together
from hwledger.planner.throughput.terms import Term

LOGS = np.linspace(-0.5, 0.5, 40)


def errors(devices: int) -> Errors:
    """Return the same errors, of more or fewer devices."""
    keys = [f"device {number % devices}" for number in range(len(LOGS))]
    return Errors(LOGS, ["decode"] * len(LOGS), keys, np.ones(len(LOGS)))


@pytest.mark.requirement("FR-SPEED-ACCURACY")
def test_few_devices_widen_an_interval() -> None:
    """The same errors from n devices give ends that are 1 + SPARSE / n times the quantiles."""
    wide = {devices: errors(devices).ends("decode") for devices in (1, 2, 20)}
    assert all(ends is not None for ends in wide.values())
    high = {devices: ends[1] / (1 + SPARSE / devices) for devices, ends in wide.items() if ends}
    assert high[1] == pytest.approx(high[2]) == pytest.approx(high[20])
    assert high[1] == pytest.approx(0.4, abs=0.02)


@pytest.mark.requirement("FR-SPEED-ACCURACY")
def test_the_sparser_way_of_leaving_out_counts() -> None:
    """Two models widen as two devices do, however many devices there are."""
    models = errors(2)
    renamed = Errors(models.logs, models.regimes, [f"model {k}" for k in models.keys], models.weights)
    both = together([errors(20), renamed]).ends("decode")
    alone = errors(2).ends("decode")
    assert both is not None
    assert alone is not None
    assert both[1] == pytest.approx(alone[1], abs=0.02)


@pytest.mark.requirement("FR-SPEED-ACCURACY")
def test_a_prior_of_a_constants_own_name_goes_before_its_kinds() -> None:
    """``a.on:AMD ROCm`` has a prior of its own, ``a.on:Apple Metal`` that of ``a.on``."""
    terms = [
        [Term("attention", 1.0, (("a.on:AMD ROCm", 1.0),))],
        [Term("attention", 1.0, (("a.on:Apple Metal", 1.0),))],
    ]
    made = problem(terms, {"a.on": Prior(0.0, 0.4), "a.on:AMD ROCm": Prior(0.44, 0.3)})
    assert dict(zip(made.names, made.means, strict=True)) == {"a.on:AMD ROCm": 0.44, "a.on:Apple Metal": 0.0}
