"""What devices can run: on them alone, with experts or layers in host memory, or not."""

import pytest

from hwledger.device.catalogue import parse_devices
from hwledger.library.sources.catalogue import shipped_model
from hwledger.planner.solve.limits import Limits
from hwledger.planner.solve.ranking import Fitted, Mode, engine_for, fit_model, ranked
from hwledger.planner.throughput import estimate
from hwledger.units import GIB


def fitted(model: str, device: str, ram: int = 64 * GIB, **more: object) -> Fitted:
    """One model on devices beside so much host memory."""
    return fit_model(
        shipped_model(model), parse_devices(device), limits=Limits(ram_bytes=ram),
        estimator=estimate, **more,  # type: ignore[arg-type]
    )  # fmt: skip


@pytest.mark.requirement("FR-SOLVE-FIT")
@pytest.mark.parametrize(
    ("model", "device", "ram", "mode"),
    [
        ("Qwen/Qwen3-8B", "RTX 4090", 64, Mode.DEVICES),
        ("Qwen/Qwen3-30B-A3B", "RTX 3060 12GB", 64, Mode.EXPERTS),
        ("meta-llama/Llama-3.3-70B-Instruct", "RTX 4090", 64, Mode.LAYERS),
        ("deepseek-ai/DeepSeek-V3", "RTX 4090", 64, Mode.NOT),
        ("Qwen/Qwen3-32B", "M4 Max 40-core 64GB", 64, Mode.DEVICES),
        ("Qwen/Qwen3-32B", "H100 SXM", 64, Mode.DEVICES),
    ],
)
def test_a_model_runs_in_the_best_way_that_devices_and_host_hold(
    model: str, device: str, ram: int, mode: Mode
) -> None:
    """The way holds when planned, and what does not fit says what lacks."""
    one = fitted(model, device, ram * GIB)
    assert one.mode is mode, one.problem
    if mode is Mode.NOT:
        assert "over" in one.problem
    else:
        assert one.measured
        assert one.measured.holds
        assert one.measured.plan
        assert one.measured.plan.host_bytes <= ram * GIB
        assert one.tokens_per_second


@pytest.mark.requirement("FR-SOLVE-FIT")
def test_the_engine_suits_the_device() -> None:
    """Apple gets mlx, cards of data centres vLLM, the rest llama.cpp."""
    spec = shipped_model("Qwen/Qwen3-8B")
    engines = [engine_for(spec, parse_devices(d)) for d in ("M3 Ultra 96GB", "2x H100 SXM", "RTX 4090")]
    assert engines == ["mlx", "vllm", "llama.cpp"]


@pytest.mark.requirement("FR-SOLVE-FIT")
def test_models_that_run_on_devices_come_first_the_largest_before_the_smaller() -> None:
    """Order by mode and size; by speed and by name on request."""
    models = ("Qwen/Qwen3-8B", "Qwen/Qwen3-30B-A3B", "meta-llama/Llama-3.3-70B-Instruct")
    found = [fitted(model, "RTX 4090") for model in models]
    assert [one.model for one in ranked(found)] == [models[1], models[0], models[2]]
    assert [one.model for one in ranked(found, "name")] == sorted(models, key=str.lower)
    speeds = [one.tokens_per_second or 0 for one in ranked(found, "speed")]
    assert speeds == sorted(speeds, reverse=True)


@pytest.mark.requirement("FR-SOLVE-FIT")
def test_a_limit_of_speed_refuses_what_is_too_slow() -> None:
    """A model that would run at a few tokens per second does not run within a limit of twenty."""
    slow = fit_model(
        shipped_model("meta-llama/Llama-3.3-70B-Instruct"), parse_devices("RTX 4090"),
        limits=Limits(min_tokens_per_second=20), estimator=estimate,
        weights="Q4_K_M",
    )  # fmt: skip
    assert slow.mode is Mode.NOT
