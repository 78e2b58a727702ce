"""Logs and lists of engines in the forms that people post: cut, filtered, of early versions, at work."""

import pytest

from hwledger.telemetry.engines.llama_log import read_llama_log
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Absent, Basis, Reading, Reason, Value
from hwledger.telemetry.recorded import formats, read_recorded
from hwledger.telemetry.snapshot import EngineSnapshot

pytestmark = pytest.mark.requirement("FR-TEL-ENGINES")
Q = Quantity
MIB, GIB = 1 << 20, 1 << 30


def value(reading: Reading) -> object:
    """Return a value; fails on a reason."""
    assert isinstance(reading, Value), reading
    return reading.value


def engine_of(text: str, kind: str) -> EngineSnapshot:
    """Return the engine of a text that one format knows."""
    assert [each.name for each in formats() if each.recognises(text)] == [kind]
    (engine,) = read_recorded(text)[1].engines
    return engine


def test_a_cache_that_is_stated_whole_counts_where_buffers_are_missing() -> None:
    """Of a log that was cut some buffers are missing, and a dry run makes none; stated is what there is."""
    cut = (
        "llama_kv_cache_init:     CUDA7 KV buffer size =   100.00 MiB\n"
        "llama_new_context_with_model: KV self size  =  800.00 MiB, c^KV (q8_0):  800.00 MiB\n"
    )
    model = engine_of(cut, "llama.cpp log").models[0]
    assert value(model[Q.KV_CACHE_BYTES]) == 800 * MIB
    assert value(model[Q.KV_CACHE_TYPE]) == "q8_0"
    dry = (
        "llama_kv_cache:      CUDA0 KV buffer size =     0.00 MiB\n"
        "llama_kv_cache: size =   16.00 MiB (   512 cells,   8 layers,  1/1 seqs), K (f16):    8.00 MiB\n"
        "llama_kv_cache: size =    4.00 MiB (   128 cells,   8 layers,  1/1 seqs), K (f16):    2.00 MiB\n"
    )
    both = read_llama_log(dry).engines[0].models[0][Q.KV_CACHE_BYTES]
    assert value(both) == 20 * MIB
    assert isinstance(both, Value)
    assert both.basis is Basis.DERIVED
    again = f"{dry}llama_context:  CUDA0 compute buffer size = 7.00 MiB\n{dry}"
    assert value(read_llama_log(again).engines[0].models[0][Q.KV_CACHE_BYTES]) == 20 * MIB
    twice = cut.partition("\n")[2] * 2
    assert value(read_llama_log(twice).engines[0].models[0][Q.KV_CACHE_BYTES]) == 800 * MIB


def test_a_table_behind_buffers_tells_what_they_do_not() -> None:
    """Weights are those of the buffers; what no buffer was shown for is that of the table."""
    text = (
        "load_tensors:      Vulkan0 model buffer size =   763.78 MiB\n"
        "x: | memory breakdown [MiB] | total   free    self   model   context   compute    unaccounted |\n"
        "x: |   - Vulkan0 (T)        | 9000 = 7000 + ( 935 =   763 +     125 +      47) +        1065 |\n"
    )
    (model,) = engine_of(text, "llama.cpp log").models
    assert value(model[Q.WEIGHTS_BYTES]) == round(763.78 * MIB)
    assert [value(model[each]) for each in (Q.KV_CACHE_BYTES, Q.COMPUTE_BYTES)] == [125 * MIB, 47 * MIB]


def test_logs_of_2023_tell_sums_alone() -> None:
    """Without lines of buffers there are the cache and what is on devices, in MB that are MiB."""
    text = (
        "llama.cpp: loading model from /m/early.bin\n"
        "llama_model_load_internal: n_ctx      = 1024\n"
        "llama_model_load_internal: ftype      = 2 (mostly Q4_0)\n"
        "llama_model_load_internal: model size = 7B\n"
        "llama_model_load_internal: total VRAM used: 512 MB\n"
        "llama_new_context_with_model: kv self size  =   64.00 MB\n"
    )
    engine = engine_of(text, "llama.cpp log")
    (model,) = engine.models
    assert (model.name, value(engine.readings[Q.KV_CACHE_TOKENS])) == ("/m/early.bin", 1024)
    told = [value(model[each]) for each in (Q.KV_CACHE_BYTES, Q.MODEL_DEVICE_BYTES, Q.PARAMETERS)]
    assert told == [64 * MIB, 512 * MIB, 7e9]
    assert value(model[Q.QUANTISATION]) == "mostly Q4_0"
    assert isinstance(model[Q.WEIGHTS_BYTES], Absent)


def test_early_servers_tell_build_slots_and_context() -> None:
    """The structured log of 2024 and the cells of early 2025 say what later lines say."""
    text = (
        'INFO [ main] build info | tid="1" timestamp=1 build=3000 commit="abc"\n'
        "llm_load_tensors:      CUDA0 buffer size =   100.00 MiB\n"
        "llama_kv_cache_init: kv_size = 6144, offload = 1, type_k = 'f16', type_v = 'f16', n_layer = 8\n"
        'INFO [ init] initializing slots | tid="1" timestamp=2 n_slots=3\n'
        'INFO [ init] new slot | tid="1" timestamp=2 id_slot=0 n_ctx_slot=2048\n'
    )
    engine = engine_of(text, "llama.cpp log")
    assert engine.version == "b3000"
    assert [value(engine.readings[each]) for each in (Q.SLOTS, Q.CONTEXT, Q.KV_CACHE_TOKENS)] == [
        3, 2048, 6144,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("weights", "graph"),
    [("device=CUDA0", "device=CUDA0"), ("buffer=CUDA0", "backend=CUDA0 buffer_type=CUDA0")],
)
def test_ollama_names_devices_in_several_ways(weights: str, graph: str) -> None:
    """Lines by device are the same under the keys of all versions."""
    text = f'msg="model weights" {weights} size="2.0 GiB"\nmsg="compute graph" {graph} size="512.0 MiB"\n'
    told = engine_of(text, "Ollama log").models[0].devices["CUDA0"]
    assert value(told[Q.WEIGHTS_BYTES]) == 2 * GIB
    assert value(told[Q.COMPUTE_BYTES]) == GIB // 2


@pytest.mark.parametrize("with_context", [False, True])
def test_the_list_of_ollama_is_read(with_context: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """Sizes are decimal and rounded; what is on devices is known where that is all or nothing."""
    context = ("CONTEXT    ", "4096       ") if with_context else ("", "")
    text = (
        f"$ ollama ps\nNAME         ID              SIZE      PROCESSOR          {context[0]}UNTIL\n"
        f"one:7b       0123456789ab    5.5 GB    100% GPU           {context[1]}Forever\n"
        f"two:latest   0123456789ac    70 GB     40%/60% CPU/GPU    {context[1]}2 minutes from now\n"
        f"three:1b     0123456789ad    900 MB    100% CPU           {context[1]}Stopping...\n"
    )
    engine = engine_of(text, "ollama ps")
    assert [model.name for model in engine.models] == ["one:7b", "two:latest", "three:1b"]
    assert [value(model[Q.MODEL_BYTES]) for model in engine.models] == [55 * 10**8, 70 * 10**9, 9 * 10**8]
    on_device = [model[Q.MODEL_DEVICE_BYTES] for model in engine.models]
    assert (value(on_device[0]), value(on_device[2])) == (55 * 10**8, 0)
    assert isinstance(on_device[1], Absent)
    contexts = {model.readings[Q.CONTEXT].value for model in engine.models if Q.CONTEXT in model.readings}  # type: ignore[union-attr]
    assert contexts == ({4096} if with_context else set())
    assert any("40%/60%" in note for note in engine.notes)
    empty = read_recorded(f"{text.splitlines()[1]}\n")[1].failure
    assert empty is not None
    assert empty.reason is Reason.UNSUPPORTED


def stats(engine: str, speed: str, running: int, used: str, hits: str = "") -> str:
    """A line that vLLM logs while it works."""
    return (
        f"INFO 01-02 03:04:05 [loggers.py:9] {engine}Avg prompt throughput: 1.5 tokens/s, Avg generation"
        f" throughput: {speed} tokens/s, Running: {running} reqs, Waiting: 2 reqs,"
        f" GPU KV cache usage: {used}%{hits}\n"
    )


def test_what_vllm_does_is_read_of_its_last_line() -> None:
    """Requests, speeds and use of the cache are those of the last line, of several engines together."""
    one = stats("", "9.5", 1, "10.0") + stats("", "20.5", 3, "12.5", ", Prefix cache hit rate: 25.0%")
    told = engine_of(one, "vLLM log").readings
    assert [value(told[each]) for each in (Q.PREFILL_SPEED, Q.DECODE_SPEED, Q.KV_CACHE_USED)] == [
        1.5, 20.5, 0.125,
    ]  # fmt: skip
    assert (value(told[Q.REQUESTS_RUNNING]), value(told[Q.REQUESTS_WAITING])) == (3, 2)
    assert value(told[Q.PREFIX_CACHE_HITS]) == 0.25
    two = stats("Engine 000: ", "9.5", 1, "10.0") + stats("Engine 001: ", "20.75", 3, "12.5")
    told = engine_of(two, "vLLM log").readings
    speed = told[Q.DECODE_SPEED]
    assert isinstance(speed, Value)
    assert (speed.value, speed.basis) == (30.25, Basis.DERIVED)
    assert (value(told[Q.REQUESTS_RUNNING]), value(told[Q.KV_CACHE_USED])) == (4, 0.125)
    old = stats("", "9.5", 1, "1.0").replace("Waiting", "Swapped: 0 reqs, Pending").replace(
        "usage: 1.0%", "usage: 1.0%, CPU KV cache usage: 0.0%"
    ) + "INFO metrics.py:9] Prefix cache hit rate: GPU: 50.00%, CPU: 0.00%\n"  # fmt: skip
    told = engine_of(old, "vLLM log").readings
    assert (value(told[Q.REQUESTS_WAITING]), value(told[Q.PREFIX_CACHE_HITS])) == (2, 0.5)


def test_a_start_without_a_version_has_its_configuration() -> None:
    """What vLLM before 0.4.1 says when it starts has no version."""
    text = (
        "INFO llm_engine.py:7] Initializing an LLM engine with config: model='/m', dtype=x, max_seq_len=99\n"
    )
    engine = engine_of(text, "vLLM log")
    assert (engine.version, engine.models[0].name, value(engine.readings[Q.CONTEXT])) == ("", "/m", 99)
