"""Intervals and priors of the speed model."""

from dataclasses import replace

import numpy as np
import pytest

from hwledger.accuracy.speed.fitting import Prior, problem
from hwledger.accuracy.speed.intervals import SPARSE, UNSEEN, Errors, together
from hwledger.planner.throughput.terms import Term

LOGS = np.linspace(-0.5, 0.5, 40)


def errors(devices: int, hardware: str = "NVIDIA", situation: str = "dense", factor: float = 1.0) -> Errors:
    """Return the same errors, of more or fewer devices."""
    keys = [f"device {hardware} {situation} {number % devices}" for number in range(len(LOGS))]
    rows = len(LOGS)
    tags = [frozenset({key, "model any"}) for key in keys]
    return Errors(factor * LOGS, [hardware] * rows, [situation] * rows, keys, tags, np.ones(rows))


def width(found: Errors, hardware: str, situation: str) -> float:
    """Return the width of a group's interval."""
    low, high = found.ends(hardware, situation)
    return high - low


@pytest.mark.requirement("FR-SPEED-ACCURACY")
def test_few_devices_widen_an_interval() -> None:
    """The same errors from n devices give ends that are 1 + SPARSE / (n + UNSEEN) times the quantiles."""
    high = {n: errors(n).ends("NVIDIA", "dense")[1] / (1 + SPARSE / (n + UNSEEN)) for n in (1, 2, 20)}
    assert high[1] == pytest.approx(high[2]) == pytest.approx(high[20])
    assert high[1] == pytest.approx(0.4, abs=0.02)


@pytest.mark.requirement("FR-SPEED-ACCURACY")
def test_the_sparser_way_of_leaving_out_counts() -> None:
    """Two models widen as two devices do, however many devices there are."""
    models = errors(2)
    renamed = replace(models, keys=[key.replace("device", "model") for key in models.keys])
    both = width(together([errors(20), renamed]), "NVIDIA", "dense")
    assert both == pytest.approx(width(errors(2), "NVIDIA", "dense"), abs=0.02)


@pytest.mark.requirement("FR-SPEED-ACCURACY")
def test_a_group_that_was_never_measured_is_what_it_shares_and_wider() -> None:
    """Hard hardware in a hard situation is expected to be harder than either, though it was not seen."""
    seen = together([errors(20), errors(20, "AMD", "dense", 2.0), errors(20, "NVIDIA", "long context", 2.0)])
    both = width(seen, "AMD", "long context")
    assert both > 1.5 * width(seen, "AMD", "dense")
    assert both > 1.5 * width(seen, "NVIDIA", "long context")


@pytest.mark.requirement("FR-SPEED-ACCURACY")
def test_many_devices_speak_for_themselves() -> None:
    """Ends of a group with many devices are its own quantiles, whatever the others err."""
    alone = width(errors(40), "NVIDIA", "dense")
    beside = width(together([errors(40), errors(40, "AMD", "dense", 3.0)]), "NVIDIA", "dense")
    assert beside == pytest.approx(alone, rel=0.1)


@pytest.mark.requirement("FR-SPEED-ACCURACY")
def test_errors_without_a_device_have_nothing_of_it() -> None:
    """Rows of a device are gone, those too that its model was left out of."""
    found = errors(4)
    assert len(found.without("device NVIDIA dense 1").logs) == 30
    assert len(found.without("model any").logs) == 0


@pytest.mark.requirement("FR-SPEED-ACCURACY")
def test_a_prior_of_a_constants_own_name_goes_before_its_kinds() -> None:
    """``a.on:AMD ROCm`` has a prior of its own, ``a.on:Apple Metal`` that of ``a.on``."""
    terms = [
        [Term("attention", 1.0, (("a.on:AMD ROCm", 1.0),))],
        [Term("attention", 1.0, (("a.on:Apple Metal", 1.0),))],
    ]
    made = problem(terms, {"a.on": Prior(0.0, 0.4), "a.on:AMD ROCm": Prior(0.44, 0.3)})
    assert dict(zip(made.names, made.means, strict=True)) == {"a.on:AMD ROCm": 0.44, "a.on:Apple Metal": 0.0}
