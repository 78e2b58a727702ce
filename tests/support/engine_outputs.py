"""Outputs of engines as tests write them, and the rule that no number comes out that is not in the text."""

import re
from collections.abc import Iterable, Iterator

from hwledger.telemetry.reading import Basis, Reading, Value
from hwledger.telemetry.snapshot import Sample

SEEDS = (
    'vllm:cache_config_info{block_size="16",num_gpu_blocks="10"} 1\nvllm:kv_cache_usage_perc 0.5\n',
    'sglang:token_usage{tp_rank="0",dp_rank="1"} 0.5\nsglang:kv_cache_memory_usage_gb{tp_rank="0"} 30.5\n',
    "load_tensors: CUDA0 model buffer size = 12.50 MiB\nllama_kv_cache: CUDA0 KV buffer size = 4.00 MiB\n",
    "x: memory breakdown: total free self model context compute\nx: - A: 24 = 9 + (14 = 13 + 0 + 1) + 1",
    "INFO Loading model weights took 14.9 GB\nINFO # GPU blocks: 5691, # CPU blocks: 2\n",
    'msg="model weights" device=CPU size="1.7 GiB"\nmsg=offload memory.required.full="1 GiB"\n',
    '{"models":[{"name":"a","digest":"d","size":5,"size_vram":4,"expires_at":"x","details":{"parameter_size":"7B"}}]}',
    '{"total_slots":2,"default_generation_settings":{"n_ctx":64},"model_path":"m"}',
    '{"model_path":"m","mem_fraction_static":0.8,"internal_states":[{"memory_usage":{"weight":1.5,"graph":{"a":1}}}]}',
)  # fmt: skip
"""One of each kind of output, short."""
_NUMBER = re.compile(r"\d+(?:\.\d*)?(?:[eE][+-]?\d{1,3})?|\.\d+(?:[eE][+-]?\d{1,3})?")
_FACTORS = (1, 1 << 10, 1 << 20, 1 << 30, 1 << 40, 1e3, 1e6, 1e9, 1e12)


def values(sample: Sample) -> Iterator[Value]:
    """Yield every value of a sample."""
    for engine in sample.engines:
        yield from _values(engine.readings.values())
        for model in engine.models:
            yield from _values(model.readings.values())
            for told in model.devices.values():
                yield from _values(told.values())


def _values(readings: Iterable[Reading]) -> Iterator[Value]:
    return (each for each in readings if isinstance(each, Value))


def strangers(sample: Sample, text: str) -> list[Value]:
    """Return numbers of a sample that are neither in the text, times a unit, nor said to be computed.

    What is computed (a sum, a share, a product of two) must at least be a number that can be. How many slots
    a list has is counted, and in no text.
    """
    plain = text.replace(",", "")
    known = {float(found) for part in (text, plain) for found in _NUMBER.findall(part)}
    known |= {float(found) for found in re.findall(r"\d", text)} | {float(text.count("{"))}
    counted = set(range(text.count("id") + 2))
    return [
        each for each in values(sample)
        if isinstance(each.value, int | float) and not _is_fair(each, known, counted)
    ]  # fmt: skip


def _is_fair(each: Value, known: set[float], counted: set[int]) -> bool:
    number = each.value
    assert isinstance(number, int | float)
    if not 0 <= number < 1e20:
        return False
    if each.basis is Basis.DERIVED or number in counted:
        return True
    return any(
        abs(each_known * factor - number) <= max(0.51, 1e-9 * number)
        for each_known in known
        for factor in _FACTORS
    )
