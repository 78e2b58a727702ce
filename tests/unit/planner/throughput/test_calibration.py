"""Measured runs correct figures: most on their own device, some on relatives, nothing elsewhere."""

from dataclasses import replace
from math import log

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwledger.device.catalogue import parse_devices
from hwledger.library.sources.catalogue import shipped_model
from hwledger.planner.plan import Plan, plan
from hwledger.planner.throughput import Calibration, Figure, Point, Traffic, estimate
from hwledger.planner.throughput.calibration import likeness, point_of, solve

TRAFFIC = Traffic(prompt_tokens=512, output_tokens=128)


def made(device: str = "RTX 4090", model: str = "meta-llama/Llama-2-7b-hf", weights: str = "Q4_0") -> Plan:
    """Return a plan on llama.cpp."""
    return plan(
        shipped_model(model),
        engine="llama.cpp",
        weights=weights,
        devices=parse_devices(device),
        suggest=False,
    )


def decode(device: str = "RTX 4090", calibration: Calibration | None = None) -> Figure:
    """Return the decoding speed of the plan."""
    figure = estimate(made(device), TRAFFIC, calibration=calibration).decode_tokens_per_second
    assert figure is not None
    return figure


def measured(factor: float, device: str = "RTX 4090", model: str = "meta-llama/Llama-2-7b-hf") -> Point:
    """Return a run that was ``factor`` times as fast as predicted."""
    predicted = decode(device).value
    point = point_of(made(device, model), "decode_tokens_per_second", predicted * factor, predicted, "a test")
    assert point is not None
    return point


@pytest.mark.requirement("FR-SPEED-CALIBRATION")
def test_a_run_corrects_its_own_device_most() -> None:
    """Most of the way on the device, some on its family, less on its kind, nothing on another vendor's."""
    calibration = Calibration((measured(0.8),))
    moved = {
        device: log(decode(device, calibration).value / decode(device).value) / log(0.8)
        for device in ("RTX 4090", "RTX 4080", "RTX 3090", "M4 Pro 48GB")
    }
    assert moved["RTX 4090"] > 0.6
    assert moved["RTX 4090"] > moved["RTX 4080"] > moved["RTX 3090"] > moved["M4 Pro 48GB"] == 0


@pytest.mark.requirement("FR-SPEED-CALIBRATION")
def test_a_corrected_figure_says_so_and_is_surer() -> None:
    """Its source names the runs and its interval is narrower; times move the other way."""
    plain, calibration = decode(), Calibration((measured(0.8), measured(0.82)))
    corrected = decode(calibration=calibration)
    assert "2 measured runs of your own" in corrected.source
    assert corrected.high / corrected.low < plain.high / plain.low
    answer = estimate(made(), TRAFFIC, calibration=calibration)
    assert answer.tpot_seconds is not None
    assert answer.tpot_seconds.value == pytest.approx(1 / corrected.value)
    assert answer.prefill_tokens_per_second == estimate(made(), TRAFFIC).prefill_tokens_per_second


@pytest.mark.requirement("FR-SPEED-CALIBRATION")
def test_the_shipped_constants_stay() -> None:
    """Without the runs the answer is as before."""
    before = decode()
    decode(calibration=Calibration((measured(0.5),)))
    assert decode() == before


@pytest.mark.requirement("FR-SPEED-CALIBRATION")
def test_other_engines_and_figures_are_not_touched() -> None:
    """A run of another engine, or of prompts, says nothing of decoding here."""
    point = measured(0.5)
    others = (replace(point, engine="mlx"), replace(point, quantity="prefill_tokens_per_second"))
    assert decode(calibration=Calibration(others)) == decode()
    assert [likeness(point, other) for other in others] == [0.0, 0.0]


@pytest.mark.requirement("FR-SPEED-CALIBRATION")
@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(0.3, 3.0), min_size=1, max_size=20))
def test_the_correction_stays_among_the_runs(factors: list[float]) -> None:
    """Whatever was measured, the figure moves no further than the runs lie, and stays a figure."""
    base = measured(1.0)
    points = tuple(replace(base, measured=base.predicted * factor) for factor in factors)
    moved = decode(calibration=Calibration(points)).value / decode().value
    assert min(1.0, *factors) * 0.999 <= moved <= max(1.0, *factors) * 1.001


@pytest.mark.requirement("FR-SPEED-CALIBRATION")
def test_equations_are_solved() -> None:
    """A small symmetric system."""
    assert solve([[4.0, 1.0], [1.0, 3.0]], [1.0, 2.0]) == pytest.approx([1 / 11, 7 / 11])
