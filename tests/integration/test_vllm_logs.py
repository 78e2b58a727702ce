"""Every start-up log of the reference data, from the memory for the cache to what vLLM printed."""

import csv
from functools import partial
from pathlib import Path

import pytest

from hwledger.model.mixers import GatedDeltaNet
from hwledger.model.spec import ModelSpec
from hwledger.planner.engines.vllm import profile
from hwledger.units import GIB
from support import specs

Options = dict[str, object]
PLAIN: Options = {}
OFF: Options = {"enable_prefix_caching": False}


def dense(layers: int, heads: int, width: int = 128) -> ModelSpec:
    """A model of full attention."""
    return specs.model([(specs.full(heads, width),)] * layers)


def exaone4() -> ModelSpec:
    """EXAONE-4-32B: three windows of 4096 to one full layer."""
    layers = [(specs.full(8, 128) if i % 4 == 3 else specs.sliding(8, 128, 4096),) for i in range(64)]
    return specs.model(layers)


def qwen35_2b() -> ModelSpec:
    """Qwen3.5-2B: 6 full layers, 18 delta nets in 32 bits."""
    delta = GatedDeltaNet(
        key_heads=16, value_heads=16, key_width=128, value_width=128, conv_kernel=4, state_type="f32"
    )
    return specs.model([(specs.full(2, 256, 8) if i % 4 == 3 else delta,) for i in range(24)])


# In the order of the rows: the layers, the version whose rules held, the options.
LOGS = [
    (partial(dense, 40, 8), "0.10.2", PLAIN),
    (partial(dense, 94, 4), "0.9.2", PLAIN),
    (partial(dense, 48, 4), "0.10.2", PLAIN),
    (exaone4, "0.11.0", PLAIN),
    (partial(dense, 32, 32, 80), "0.11.0", PLAIN),
    (specs.llama_8b, "0.10.1", PLAIN),
    (partial(dense, 36, 8), "0.9.1", PLAIN),
    (partial(dense, 36, 8), "0.19.1", PLAIN),
    (specs.glm5, "0.19.1", PLAIN),
    (qwen35_2b, "0.19.1", OFF),
    (specs.qwen36_27b, "0.20.2", {**OFF, "num_speculative_tokens": 1}),
    (specs.qwen36_27b, "0.23.0", {**OFF, "num_speculative_tokens": 3, "kv_cache_dtype": "fp8"}),
    (partial(dense, 28, 4), "0.9.2", PLAIN),
    (partial(dense, 28, 4), "0.18.0", PLAIN),
    (partial(dense, 48, 4), "0.11.0", PLAIN),
    (specs.gemma3_27b, "0.11.0", PLAIN),
    (specs.llama_8b, "0.9.2", {"num_speculative_tokens": 1, "num_draft_layers": 1}),
    (partial(dense, 36, 8), "0.19.0", PLAIN),
    (partial(dense, 28, 8), "0.19.0", PLAIN),
    (partial(dense, 48, 4), "0.10.2", {"kv_cache_dtype": "fp8"}),
    (partial(specs.glm5, 78, 21), "0.33.0",
     {"kv_cache_dtype": "fp8_ds_mla", "num_speculative_tokens": 1, "decode_context_parallel_size": 4}),
    (partial(specs.glm5, 78, 21), "0.33.0", {"kv_cache_dtype": "fp8"}),
    (specs.llama_8b, "0.6.4", PLAIN),
    (specs.llama_8b, "0.6.4", PLAIN),
    (specs.qwen3_next, "0.24.0", {"enable_prefix_caching": True, "mamba_ssm_cache_dtype": "float16"}),
]  # fmt: skip


def tokens(row: dict[str, str], number: int, gib: float) -> int:
    """Tokens that the profile would print for a pool of ``gib``."""
    build, version, options = LOGS[number]
    capacity = specs.answer(
        profile, build(), int(row["max_model_len"] or 40_960), engine_version=version, **options,
        **({"devices": "4x MI355X"} if "ROCm" in row["model"] else {}),
        tensor_parallel_size=row["tp"], kv_cache_memory_bytes=round(gib * GIB),
    ).capacity  # fmt: skip
    assert capacity is not None
    return capacity.max_tokens


@pytest.mark.shared_data
@pytest.mark.requirement("FR-PLAN-VLLM", "FR-PLAN-ACCURACY")
def test_tokens_of_real_logs(shared_data: Path) -> None:
    """Tokens agree within the rounding of the printed memory in 90 % of logs, within 1.5 % in all."""
    with (shared_data / "vllm_logs.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    inside, errors = 0, []
    for number, (row, _) in enumerate(zip(rows, LOGS, strict=True)):
        gib, measured = float(row["available_kv_GiB"]), int(row["gpu_kv_cache_tokens"])
        half = 0.5 * 10 ** -len(row["available_kv_GiB"].partition(".")[2])
        low, best, high = (tokens(row, number, gib + shift) for shift in (-half, 0.0, half))
        print(f"{row['model'][:40]:40} {measured} {best} [{low}, {high}]")  # noqa: T201 - shown on failure
        inside += low <= measured <= high
        errors.append(abs(best / measured - 1))
    assert inside >= 0.9 * len(rows)
    assert max(errors) <= 0.015
