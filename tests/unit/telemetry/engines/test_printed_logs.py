"""Start-up logs of SGLang and TensorRT-LLM, as their ranks print them; figures of recorded starts."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwledger.telemetry.engines.sglang_log import read_sglang_log
from hwledger.telemetry.engines.tensorrt_log import read_tensorrt_log
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Basis, Value
from hwledger.telemetry.recorded import read_recorded
from hwledger.telemetry.snapshot import Sample

pytestmark = pytest.mark.requirement("FR-TEL-ENGINES")
GIB = 1 << 30
LATENT = """
[2025-11-04 05:27:13 DP0 TP0 EP0] Load weight end. type=DeepseekV3ForCausalLM, dtype=torch.bfloat16, \
avail mem=75.11 GB, mem usage=107.07 GB.
[2025-11-04 05:27:13 DP0 TP0 EP0] KV Cache is allocated. #tokens: 524288, KV size: 17.16 GB
[2025-11-04 05:27:13 DP1 TP1 EP1] KV Cache is allocated. #tokens: 524288, KV size: 17.16 GB
[2025-11-04 05:27:14 DP1 TP1 EP1] KV Cache is allocated. #tokens: 524200, KV size: 17.15 GB
"""
HYBRID = """
[2025-12-29 18:33:02] server_args=ServerArgs(model_path='LiquidAI/LFM2-700M', tp_size=1)
[2025-12-29 18:33:03 TP0] Load weight end. type=Lfm2ForCausalLM, dtype=torch.bfloat16, avail mem=13.81 GB, \
mem usage=1.52 GB.
[2025-12-29 18:33:03 TP0] Mamba Cache is allocated. max_mamba_cache_size: 85292, conv_state size: 4.88GB, \
ssm_state size: 0.12GB
[2025-12-29 18:33:03 TP0] KV Cache is allocated. #tokens: 473854, K size: 2.71 GB, V size: 2.71 GB
[2025-12-29 18:33:09 TP0] Capture cuda graph end. Time elapsed: 2.19 s. mem usage=0.80 GB. avail mem=1.62 GB.
[2025-12-29 18:33:10 TP0] max_total_num_tokens=473850, chunked_prefill_size=2048, max_running_requests=8, \
context_len=32768, available_gpu_mem=1.60 GB
"""
TRT = """
[TensorRT-LLM][INFO] [MemUsageChange] Allocated 0.56 GiB for max tokens in paged KV cache (8224).
[12/20/2025-04:21:10] [TRT-LLM] [I] max_seq_len=8224, max_num_requests=64, max_num_tokens=8192
[TensorRT-LLM][INFO] [MemUsageChange] Allocated 26.91 GiB for max tokens in paged KV cache (220480).
"""
VLLM = """
Loading model weights took 14.9888 GB
Memory profiling results: total_gpu_memory=23.58GiB peak_torch_memory=17.06GiB non_torch_memory=0.35GiB \
kv_cache_size=3.81GiB gpu_memory_utilization=0.90
# GPU blocks: 1952, # CPU blocks: 2048
"""


def told(sample: Sample) -> dict[str, object]:
    """Return every value of the one engine in a sample and of its model."""
    engine = sample.engines[0]
    readings = [*engine.readings.items(), *engine.models[0].readings.items()]
    return {name: reading.value for name, reading in readings if isinstance(reading, Value)}


def test_a_hybrid_of_one_rank() -> None:
    """Pools and states are added; the scheduler's tokens count above those of the pool."""
    kind, sample = read_recorded(HYBRID)
    assert kind.name == "SGLang log"
    assert sample.engines[0].models[0].name == "LiquidAI/LFM2-700M"
    assert told(sample) == {
        "weights_bytes": round(1.52 * GIB), "state_bytes": 5 * GIB, "kv_cache_bytes": round(5.42 * GIB),
        "graph_bytes": round(0.80 * GIB), "kv_cache_tokens": 473850, "context": 32768,
        "slots": 8,
    }  # fmt: skip


def test_replicas_are_added_and_ranks_are_apart() -> None:
    """Bytes are those of one rank, tokens those of all replicas; several pools have no one count."""
    one_pool_each = LATENT.strip().rpartition("\n")[0]
    assert told(read_recorded(one_pool_each)[1])["kv_cache_tokens"] == 2 * 524288
    sample = read_recorded(LATENT)[1]
    found = told(sample)
    assert "kv_cache_tokens" not in found
    assert found["kv_cache_bytes"] == round((17.16 + 17.15) * GIB)
    assert set(sample.engines[0].models[0].devices) == {"dp0 tp0 ep0", "dp1 tp1 ep1"}


def test_the_last_start_counts() -> None:
    """What was printed before the arguments of the last start is another start's."""
    found = told(read_recorded(LATENT + HYBRID)[1])
    assert found["weights_bytes"] == round(1.52 * GIB)


def test_the_trial_of_tensorrt_llm_is_replaced() -> None:
    """The cache that TensorRT-LLM makes to try a run is not the one that it serves from."""
    kind, sample = read_recorded(TRT)
    assert kind.name == "TensorRT-LLM log"
    assert told(sample) == {
        "kv_cache_bytes": round(26.91 * GIB),
        "kv_cache_tokens": 220480,
        "context": 8224,
    }


def test_the_profile_of_an_old_vllm_names_its_cache() -> None:
    """An old vLLM (0.6.3) states the bytes of the cache in one line with its profile."""
    found = told(read_recorded(VLLM)[1])
    assert found["kv_cache_bytes"] == round(3.81 * GIB)


def test_sums_are_derived() -> None:
    """A figure that was added up from several lines says so."""
    reading = read_recorded(HYBRID)[1].engines[0].models[0].readings[Quantity.KV_CACHE_BYTES]
    assert isinstance(reading, Value)
    assert reading.basis is Basis.DERIVED


@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(HYBRID) - 1), st.text(max_size=8))
def test_damaged_logs_are_read_or_explained(at: int, put: str) -> None:
    """Whatever a log is damaged by, it is read, or the sample says why it holds nothing."""
    for text, read in ((HYBRID, read_sglang_log), (TRT, read_tensorrt_log)):
        sample = read(text[:at] + put + text[at + len(put) :])
        assert told(sample) or sample.failure


def test_the_first_versions_of_sglang_tell_tokens_and_context_alone() -> None:
    """SGLang of 2024 prints no bytes that it uses: its capacity makes the log known, and is read."""
    text = (
        "[2024-12-13 01:44:59 TP0] Load weight end. type=MistralForCausalLM, avail mem=9.69 GB\n"
        "[2024-12-13 01:45:02 TP0] max_total_num_tokens=56524, max_prefill_tokens=16384, "
        "max_running_requests=2049, context_len=32768\n"
    )
    kind, sample = read_recorded(text)
    assert kind.name == "SGLang log"
    assert told(sample).items() >= {"kv_cache_tokens": 56524, "context": 32768}.items()
