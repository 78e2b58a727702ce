"""What an engine does not run has no speed, and nothing crashes on any model of the catalogue."""

from dataclasses import replace
from typing import Any

import pytest

from hwledger.device.catalogue import parse_devices
from hwledger.device.spec import DeviceSpec
from hwledger.errors import HwledgerError
from hwledger.library.catalogue import entries
from hwledger.library.sources.catalogue import shipped_model
from hwledger.planner.memory import Basis
from hwledger.planner.plan import plan
from hwledger.planner.throughput import FIGURES, Throughput, estimate

LLAMA = "meta-llama/Meta-Llama-3-8B-Instruct"
BERT = "google-bert/bert-base-uncased"


def speed(model: str, device: str, engine: str, **options: Any) -> Throughput:
    """Return the speed of a plan."""
    devices = parse_devices(device)
    return estimate(
        plan(shipped_model(model), engine=engine, devices=devices, options=options, suggest=False)
    )


@pytest.mark.requirement("FR-SPEED-FIGURES")
@pytest.mark.parametrize(
    ("model", "device", "engine", "options", "said"),
    [
        (BERT, "H100 SXM", "vllm", {}, "no decoder layers"),
        (BERT, "RTX 4090", "llama.cpp", {}, "no decoder layers"),
        (LLAMA, "Gaudi 3", "llama.cpp", {}, "no backend for Gaudi 3"),
        (LLAMA, "TPU v5e", "llama.cpp", {}, "no backend for TPU v5e"),
        (LLAMA, "M3 Max 64GB", "vllm", {}, "Apple silicon"),
        (LLAMA, "P40", "vllm", {}, "P40 has 6.1"),
        (LLAMA, "V100 SXM2 32GB", "vllm", {}, "needs compute capability 7.5"),
        (LLAMA, "H100 SXM, MI300X", "vllm", {}, "AMD, NVIDIA"),
        (LLAMA, "3x H100 SXM", "vllm", {"tensor_parallel_size": 3}, "32 heads"),
    ],
)
def test_what_does_not_run_has_no_figure(
    model: str, device: str, engine: str, options: dict[str, Any], said: str
) -> None:
    """No figure at all, and one sentence that names the reason."""
    answer = speed(model, device, engine, **options)
    assert all(getattr(answer, name) is None for name in FIGURES)
    assert any(said in sentence for sentence in answer.unknown)


@pytest.mark.requirement("FR-SPEED-FIGURES")
@pytest.mark.parametrize(
    ("device", "engine"),
    [
        ("P40", "llama.cpp"),
        ("T4, T4", "vllm"),
        ("M3 Max 64GB", "llama.cpp"),
        ("2x H100 SXM", "vllm"),
        ("RTX 3090, RTX 4090", "vllm"),
        ("RTX 3090, RX 7900 XTX", "llama.cpp"),
    ],
)
def test_what_runs_is_not_refused(device: str, engine: str) -> None:
    """The same rules stay silent next door."""
    assert speed(LLAMA, device, engine).decode_tokens_per_second is not None


@pytest.mark.requirement("FR-SPEED-FIGURES")
@pytest.mark.parametrize(("version", "runs"), [("0.19.1", True), ("0.20.2", True), ("0.21.0", False)])
def test_an_older_release_runs_on_an_older_device(version: str, *, runs: bool) -> None:
    """VLLM dropped Volta: a release of before is not refused."""
    devices = parse_devices("V100 SXM2 32GB")
    made = plan(shipped_model(LLAMA), engine="vllm", engine_version=version, devices=devices, suggest=False)
    assert (estimate(made).decode_tokens_per_second is not None) is runs


@pytest.mark.requirement("FR-SPEED-FIGURES", "NFR-BAD-INPUT")
@pytest.mark.parametrize("engine", ["vllm", "llama.cpp", "mlx", "transformers"])
@pytest.mark.parametrize("device", ["H100 SXM", "RTX 4090", "M3 Max 64GB"])
def test_no_model_of_the_catalogue_crashes(device: str, engine: str) -> None:
    """Each has figures or a sentence why not; an engine may refuse a model in a sentence."""
    for entry in entries():
        try:
            answer = speed(entry.id, device, engine)
        except HwledgerError as error:
            assert str(error)  # noqa: PT017 - a refusal is an answer too
            continue
        assert answer.decode_tokens_per_second is not None or answer.unknown


@pytest.mark.requirement("FR-SPEED-FIGURES")
def test_a_tight_power_limit_widens_and_is_assumed() -> None:
    """Below half the board power nothing was measured: the basis says so, and the interval is wider."""
    half, tight = (
        speed(LLAMA, f"RTX 4090 power={watts}W", "llama.cpp").decode_tokens_per_second for watts in (300, 150)
    )
    assert half is not None
    assert tight is not None
    assert (half.basis, tight.basis) == (Basis.CALIBRATED, Basis.ASSUMED)
    assert tight.high / tight.low > 2 * half.high / half.low


@pytest.mark.requirement("FR-SPEED-FIGURES")
def test_a_device_of_no_vendor_is_asked_for_one() -> None:
    """A device of one's own has a speed where its vendor is stated, and else a sentence that asks for it."""
    own = DeviceSpec(
        name="card", vendor="own", memory_bytes=24 << 30, usable_bytes=24 << 30,
        bandwidth_bytes_per_second=900_000_000_000, rates={"fp32": 40e12, "fp16": 160e12},
    )  # fmt: skip
    model = shipped_model(LLAMA)
    answers = [
        estimate(plan(model, engine="llama.cpp", devices=(device,), weights="Q4_K_M", suggest=False))
        for device in (own, replace(own, vendor="NVIDIA"))
    ]
    assert "give its vendor" in answers[0].unknown[0]
    assert answers[1].decode_tokens_per_second is not None


@pytest.mark.requirement("FR-SPEED-FIGURES")
def test_where_no_speed_is_known_none_is_doubted() -> None:
    """Of a plan that does not fit on a device of unknown bandwidth only the reason is told."""
    told = speed(LLAMA, "4GiB", "vllm")
    assert told.unknown
    assert not any("as if it did" in line for line in told.warnings)
    assert any("as if it did" in line for line in speed(LLAMA, "GTX 1650 4GB", "llama.cpp").warnings)
