"""Text that is damaged or meant to harm: no reader of engines raises, and none tells what is not there."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwledger.telemetry.engines.formats import FORMATS
from hwledger.telemetry.reading import Absent, Reading, Value
from hwledger.telemetry.snapshot import Sample

pytestmark = pytest.mark.requirement("FR-TEL-ENGINES")
SEEDS = (
    'vllm:cache_config_info{block_size="16",num_gpu_blocks="10"} 1\nvllm:kv_cache_usage_perc 0.5\n',
    'sglang:token_usage{tp_rank="0",dp_rank="1"} 0.5\nsglang:kv_cache_memory_usage_gb{tp_rank="0"} 30.5\n',
    "load_tensors: CUDA0 model buffer size = 12.50 MiB\nllama_kv_cache: CUDA0 KV buffer size = 4.00 MiB\n",
    "x: memory breakdown: total free self model context compute\nx: - A: 24080 = 9436 + (14192 = 13169 + 38 + 985) + 451",
    "INFO Loading model weights took 14.9 GB\nINFO # GPU blocks: 5691, # CPU blocks: 2\n",
    'msg="model weights" device=CPU size="1.7 GiB"\nmsg=offload memory.required.full="1 GiB"\n',
    '{"models":[{"name":"a","digest":"d","size":5,"size_vram":4,"expires_at":"x","details":{"parameter_size":"7B"}}]}',
    '{"total_slots":2,"default_generation_settings":{"n_ctx":64},"model_path":"m"}',
    '{"model_path":"m","mem_fraction_static":0.8,"internal_states":[{"memory_usage":{"weight":1.5,"graph":{"a":1}}}]}',
)  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
KEYS = tuple(
    sorted(
        set(re.findall(r'"(\w+)":', "".join(SEEDS))) | {"data", "meta", "loaded_instances", "config", "state"}
    )
)


def values(sample: Sample) -> Iterator[Value]:
    """Yield every value of a sample."""
    for engine in sample.engines:
        held = [*engine.readings.values()]
        for model in engine.models:
            held += [
                *model.readings.values(),
                *(each for told in model.devices.values() for each in told.values()),
            ]
        yield from (each for each in held if isinstance(each, Value))


def fair(reading: Reading) -> bool:
    """Whether a reading is a finite number that is not negative, or words."""
    if isinstance(reading, Absent) or not isinstance(reading.value, int | float):
        return True
    return 0 <= reading.value < 1e20


def check(text: str) -> None:
    """Read a text with every reader that knows it, and with those that do not."""
    for each in FORMATS:
        each.recognises(text)
        assert all(fair(value) for value in values(each.read(text)))


@given(seed=st.sampled_from(SEEDS), at=st.integers(0, 400), more=st.text(max_size=12), cut=st.integers(0, 12))
def test_damaged_outputs_never_raise(seed: str, at: int, more: str, cut: int) -> None:
    """A piece of an output is lost and another put in its place."""
    at %= len(seed)
    check(seed[:at] + more + seed[at + cut :])


@given(st.text(max_size=200))
def test_any_text_never_raises(text: str) -> None:
    """Nothing that is no output makes trouble."""
    check(text)


@given(st.dictionaries(st.sampled_from(KEYS), JSON, max_size=6))
def test_any_json_under_known_keys_never_raises(reply: dict[str, Any]) -> None:
    """Values of the wrong kind, at any depth, are left out or said."""
    for shape in (reply, {"models": [reply]}, {"data": [reply]}, [reply]):
        check(json.dumps(shape))
