"""Speeds on the host's processor: assumed at first, and corrected by one run of this machine."""

from dataclasses import replace
from math import log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwledger.app import devices_of
from hwledger.device.spec import DeviceSpec
from hwledger.planner.memory import Basis
from hwledger.planner.plan import Plan
from hwledger.planner.throughput import Calibration, Traffic, estimate
from hwledger.planner.throughput.calibration import Point, point_of, without_outliers
from hwledger.planner.throughput.processor import PROCESSOR, on_processor
from support.plans import small_plan

pytestmark = pytest.mark.requirement("FR-CAL-PROCESSOR")
TRAFFIC = Traffic(prompt_tokens=128, output_tokens=32)


def on(cores: int, name: str = "a processor") -> Plan:
    """Return a plan on a processor."""
    device = DeviceSpec(
        name="host memory", vendor="", memory_bytes=1 << 35, usable_bytes=1 << 34, unified=True,
        category=PROCESSOR, architecture=name, units=cores,
    )  # fmt: skip
    return on_processor(small_plan(), device)


def decode(plan: Plan, traffic: Traffic = TRAFFIC, runs: Calibration | None = None) -> float:
    """Return tokens per second of an answer."""
    figure = estimate(plan, traffic, calibration=runs).decode_tokens_per_second
    assert figure
    return figure.value


def point(plan: Plan, measured: float, version: str = "b1") -> Point:
    """Return a measured run of a plan."""
    predicted = decode(plan)
    found = point_of(plan, "decode_tokens_per_second", measured, predicted, "a run")
    assert found
    return replace(found, version=version)


def test_a_processor_has_an_assumed_speed() -> None:
    """Every figure is there, says that it is assumed, and has a wide interval; more cores are no slower."""
    answer = estimate(on(2), TRAFFIC)
    for figure in (answer.decode_tokens_per_second, answer.prefill_tokens_per_second, answer.ttft_seconds):
        assert figure
        assert figure.basis is Basis.ASSUMED
        assert figure.high / figure.low > 3
    assert decode(on(2)) < decode(on(8)) <= decode(on(64))
    assert decode(on(2), replace(TRAFFIC, concurrency=8)) < decode(on(2))
    assert decode(on(2), replace(TRAFFIC, prompt_tokens=4096)) < decode(on(2))


@pytest.mark.parametrize("factor", [0.12, 0.4, 1.0, 3.0, 8.0])
def test_one_run_corrects_the_next_plan(factor: float) -> None:
    """The error of the next plan is less than half of the first one's, on other traffic too."""
    plan, other = on(2), replace(TRAFFIC, prompt_tokens=1024)
    truth = factor * decode(plan)
    runs = Calibration((point(plan, truth),))
    assert abs(log(decode(plan, TRAFFIC, runs) / truth)) <= 0.5 * abs(log(factor))
    assert (
        abs(log(decode(plan, other, runs) / (factor * decode(plan, other)))) <= 0.5 * abs(log(factor)) + 1e-9
    )
    figure = estimate(plan, TRAFFIC, calibration=runs).decode_tokens_per_second
    assert figure
    assert figure.basis is Basis.CALIBRATED
    assert "1 measured run of your own" in figure.source


def test_it_corrects_no_other_processor_fully() -> None:
    """Another model of processor is corrected less, an accelerator not at all."""
    runs = Calibration((point(on(2), 0.4 * decode(on(2))),))
    same = abs(log(decode(on(2), TRAFFIC, runs) / decode(on(2))))
    other = abs(log(decode(on(2, "another"), TRAFFIC, runs) / decode(on(2, "another"))))
    assert 0 < other < same
    card = small_plan(options=[], devices=devices_of("RTX 4090"))
    assert decode(card, TRAFFIC, runs) == decode(card)


@given(st.lists(st.floats(0.96, 1.04), min_size=3, max_size=8), st.floats(0.1, 0.4))
def test_one_wrong_run_moves_nothing(factors: list[float], wrong: float) -> None:
    """Beside three and more that agree, a run on a busy machine is left out."""
    plan = on(2)
    predicted = decode(plan)
    runs = [point(plan, factor * predicted, f"b{number}") for number, factor in enumerate(factors)]
    assert without_outliers([*runs, point(plan, wrong * predicted)]) == runs


def test_what_cannot_be_is_no_correction() -> None:
    """A run a hundred times off is of something else."""
    runs = Calibration((point(on(2), 100 * decode(on(2))),))
    assert decode(on(2), TRAFFIC, runs) == decode(on(2))
