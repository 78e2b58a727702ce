"""What a measured run may not do: move what is not like it much, count twice, or be impossible."""

from dataclasses import replace

import pytest

from hwledger.device.catalogue import parse_devices
from hwledger.library.sources.catalogue import shipped_model
from hwledger.planner.memory import Basis
from hwledger.planner.plan import Plan, plan
from hwledger.planner.throughput import Calibration, Point, Throughput, Traffic, estimate
from hwledger.planner.throughput.calibration import SAME_FAMILY, distinct, likeness, point_of

MODEL = "meta-llama/Llama-2-7b-hf"


def made(device: str = "RTX 4090", **options: object) -> Plan:
    """Return a plan on llama.cpp."""
    return plan(
        shipped_model(MODEL), engine="llama.cpp", weights="Q4_0", devices=parse_devices(device),
        options=options, suggest=False,
    )  # fmt: skip


def answered(device: str = "RTX 4090", users: int = 1, calibration: Calibration | None = None) -> Throughput:
    """Return the speed for so many users."""
    traffic = Traffic(prompt_tokens=512, output_tokens=128, concurrency=users)
    return estimate(made(device), traffic, calibration=calibration)


def run(device: str = "RTX 4090", factor: float = 0.8, **options: object) -> Point:
    """Return a one-user run that was ``factor`` times as fast as predicted."""
    figure = answered(device).decode_tokens_per_second
    assert figure
    found = point_of(
        made(device, **options), "decode_tokens_per_second", figure.value * factor, figure.value, "a test"
    )
    assert found
    return found


@pytest.mark.requirement("FR-SPEED-CALIBRATION")
def test_a_run_of_one_user_does_not_calibrate_many() -> None:
    """Sixteen users stay assumed, and nearly as uncertain as they were; one user is calibrated."""
    calibration = Calibration((run(),) * 3)
    plain, moved = answered(users=16), answered(users=16, calibration=calibration)
    before, after = plain.decode_tokens_per_second, moved.decode_tokens_per_second
    assert before
    assert after
    assert (before.basis, after.basis) == (Basis.ASSUMED, Basis.ASSUMED)
    assert after.high / after.low > (before.high / before.low) ** 0.8
    one = answered(calibration=calibration).decode_tokens_per_second
    assert one
    assert one.basis is Basis.CALIBRATED


@pytest.mark.requirement("FR-SPEED-CALIBRATION")
def test_a_mere_relative_does_not_make_an_assumption_surer() -> None:
    """A run on another generation with the same kind of memory leaves the basis as it was."""
    other = replace(run(), device="RTX 4070", family="Turing GDDR6", users="few")
    here = replace(run(), users="few")
    assert 0 < likeness(here, other) < SAME_FAMILY
    moved = answered(users=16, calibration=Calibration((other,))).decode_tokens_per_second
    assert moved
    assert moved.basis is Basis.ASSUMED
    assert "corrected by 1 measured run" in moved.source


@pytest.mark.requirement("FR-SPEED-CALIBRATION")
def test_layers_in_host_memory_are_another_case() -> None:
    """A run with half the layers on the host says little of one without."""
    half, whole = run(n_gpu_layers=16), run()
    assert (half.host, whole.host) == (True, False)
    assert likeness(whole, half) < SAME_FAMILY


@pytest.mark.requirement("FR-SPEED-CALIBRATION")
def test_the_same_run_counts_once() -> None:
    """Read again under another name it replaces itself, and equal points in one list are no error."""
    point = run()
    assert distinct((point, replace(point, source="copy.md"))) == (replace(point, source="copy.md"),)
    twice = answered(calibration=Calibration((point, point)))
    assert twice.decode_tokens_per_second


@pytest.mark.requirement("FR-SPEED-CALIBRATION", "NFR-BAD-INPUT")
@pytest.mark.parametrize("measured", [1e-322, 1e-300, 1e-3, 1e7])
def test_an_impossible_run_moves_nothing(measured: float) -> None:
    """Whatever is stored, a point beyond three times its prediction is left out."""
    wrong = replace(run(), measured=measured)
    assert answered(calibration=Calibration((wrong,))) == answered()


@pytest.mark.requirement("FR-SPEED-CALIBRATION")
def test_at_a_rate_no_more_is_answered_than_arrives() -> None:
    """A run that was faster than predicted does not raise what all users get together."""
    served = plan(
        shipped_model("Qwen/Qwen3-8B"), engine="vllm", devices=parse_devices("H100 SXM"), suggest=False
    )
    traffic = Traffic(prompt_tokens=1024, output_tokens=128, requests_per_second=1.0)
    plain = estimate(served, traffic)
    assert plain.decode_tokens_per_second
    value = plain.decode_tokens_per_second.value
    point = point_of(served, "decode_tokens_per_second", value * 1.5, value, "a test", 2.0)
    assert point
    moved = estimate(served, traffic, calibration=Calibration((point,)))
    assert moved.decode_tokens_per_second
    assert moved.decode_tokens_per_second.value > value
    assert moved.aggregate_tokens_per_second == plain.aggregate_tokens_per_second
