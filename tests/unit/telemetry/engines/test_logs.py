"""Logs of engines: the last load counts, dry runs do not, and what does not add up is not added."""

import pytest

from hwledger.telemetry.engines.llama_log import read_llama_log
from hwledger.telemetry.engines.ollama_log import read_ollama_log
from hwledger.telemetry.engines.vllm_log import read_vllm_log
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Absent, Basis, Reading, Reason, Value
from hwledger.telemetry.snapshot import ModelSnapshot, Sample

pytestmark = pytest.mark.requirement("FR-TEL-ENGINES")
MIB, GIB = 1 << 20, 1 << 30


def model_of(sample: Sample) -> ModelSnapshot:
    """Return the first model of a sample."""
    return sample.engines[0].models[0]


def value(reading: Reading) -> object:
    """Return a value; fails on a reason."""
    assert isinstance(reading, Value), reading
    return reading.value


def load(weights: float, cache: float, compute: float, device: str = "CUDA0") -> str:
    """Lines of one load."""
    return (
        f"load_tensors:        {device} model buffer size = {weights:8.2f} MiB\n"
        f"llama_kv_cache:      {device} KV buffer size = {cache:8.2f} MiB\n"
        f"sched_reserve:      {device} compute buffer size = {compute:8.2f} MiB\n"
    )


def test_the_last_of_several_loads_counts() -> None:
    """A second load in the same log replaces the first; nothing is added over loads."""
    model = model_of(read_llama_log(load(100, 10, 5) + load(200, 20, 6)))
    assert value(model["weights_bytes"]) == 200 * MIB
    assert value(model["kv_cache_bytes"]) == 20 * MIB
    assert value(model["compute_bytes"]) == 6 * MIB


def test_a_context_that_is_made_anew_replaces_its_buffers() -> None:
    """Weights stay; cache and compute buffers are those of the last context. A reserve is not added."""
    again = load(100, 10, 5).partition("\n")[2]
    text = load(100, 10, 5) + "sched_reserve:      CUDA0 compute buffer size =    4.00 MiB\n"
    assert value(model_of(read_llama_log(text))["compute_bytes"]) == 4 * MIB
    model = model_of(read_llama_log(text + again.replace("10.00", "30.00")))
    assert value(model["weights_bytes"]) == 100 * MIB
    assert value(model["kv_cache_bytes"]) == 30 * MIB


def test_caches_of_one_context_are_added_by_device() -> None:
    """Windowed models have two caches, several files several buffers; older builds name no kind."""
    text = (
        "llm_load_tensors:      CUDA0 buffer size =   100.00 MiB\n"
        "llm_load_tensors:        CPU buffer size =    50.00 MiB\n"
        "llama_kv_cache_unified:      CUDA0 KV buffer size =    10.00 MiB\n"
        "llama_kv_cache_unified:      CUDA0 KV buffer size =     2.00 MiB\n"
        "llama_memory_recurrent:      CUDA0 RS buffer size =     3.00 MiB\n"
        "llama_context:  CUDA_Host  output buffer size =     0.50 MiB\n"
    )
    model = model_of(read_llama_log(text))
    assert value(model.devices["CUDA0"][Quantity.KV_CACHE_BYTES]) == 12 * MIB
    assert value(model["state_bytes"]) == 3 * MIB
    weights = model["weights_bytes"]
    assert isinstance(weights, Value)
    assert (weights.value, weights.basis) == (150 * MIB, Basis.DERIVED)


def test_a_draft_model_is_a_model_of_its_own() -> None:
    """A draft that is loaded behind the model does not replace it."""
    text = (
        "srv    load_model: loading model '/m/big.gguf'\n" + load(100, 10, 5)
        + "srv    load_model: loading draft model '/m/small.gguf'\n" + load(7, 2, 1)
        + "srv    load_model: initializing slots, n_slots = 4\n"
    )  # fmt: skip
    sample = read_llama_log(text)
    assert [model.name for model in sample.engines[0].models] == ["/m/big.gguf", "/m/small.gguf"]
    assert [value(model["weights_bytes"]) for model in sample.engines[0].models] == [100 * MIB, 7 * MIB]


def test_mapped_buffers_are_not_added_to_others() -> None:
    """The mapped one spans what others copied out of it: the file's size counts, else nothing does."""
    both = "load_tensors:   CPU_Mapped model buffer size =   900.00 MiB\n" + load(800, 10, 5)
    weights = model_of(read_llama_log(both))["weights_bytes"]
    assert isinstance(weights, Absent)
    assert weights.reason is Reason.UNPARSED
    stated = model_of(read_llama_log("print_info: file size   = 950.00 MiB (4.5 BPW)\n" + both))
    assert value(stated["weights_bytes"]) == 950 * MIB
    assert value(stated.devices["CUDA0"][Quantity.WEIGHTS_BYTES]) == 800 * MIB


def table(free: int, own: tuple[int, int, int], beside: int) -> str:
    """A table of one device and the host."""
    return (
        "x: | memory breakdown [MiB] | total   free    self   model   context   compute    unaccounted |\n"
        f"x: |   - CUDA0 (A 1) | 24080 = {free} + ({sum(own)} = {' + '.join(map(str, own))}) + {beside} |\n"
        "x: |   - Host             |                  72 =     0 +      57 +      15                |\n"
    )


def test_the_last_table_counts_where_there_are_no_buffers() -> None:
    """Weights, context and compute of every device, and what is held beside them."""
    sample = read_llama_log(
        table(9000, (100, 20, 3), -5) + "some line\n" + table(9436, (13169, 38, 985), 451)
    )
    model = model_of(sample)
    assert value(model.devices["CUDA0"][Quantity.WEIGHTS_BYTES]) == 13169 * MIB
    assert value(model["kv_cache_bytes"]) == (38 + 57) * MIB
    assert sample.failure is None
    assert any("451 MiB" in note for note in sample.engines[0].notes)


@pytest.mark.parametrize("beside", [-5478, 17592186036877])
def test_a_dry_run_is_no_load(beside: int) -> None:
    """Less than nothing, or more than any machine has, beside the tables: nothing was allocated yet."""
    sample = read_llama_log(table(7627, (2542, 2622, 493), beside))
    assert sample.failure is not None
    assert sample.failure.reason is Reason.UNPARSED
    assert "dry run" in sample.troubles[0]
    assert not model_of(sample).loaded


def test_a_table_of_the_search_for_a_fit_is_a_dry_run() -> None:
    """Where the search says so around it, a plausible table is one too."""
    sample = read_llama_log(
        "common_params_fit_impl: getting device memory data\n" + table(9436, (100, 20, 3), 451)
    )
    assert sample.failure is not None


def test_rows_that_do_not_add_up_are_unparsed() -> None:
    """A damaged digit in a table is seen by its sum."""
    text = table(9436, (13169, 38, 985), 451).replace("14192 =", "24192 =")
    weights = model_of(read_llama_log(text)).devices["CUDA0"][Quantity.WEIGHTS_BYTES]
    assert isinstance(weights, Absent)


def test_a_log_without_buffers_says_how_to_get_them() -> None:
    """At its default level llama.cpp prints none."""
    sample = read_llama_log(
        "srv load_model: loading model 'm.gguf'\nsrv load_model: initializing, n_slots = 2, n_ctx_slot = 64"
    )
    assert value(sample.engines[0]["slots"]) == 2
    weights = model_of(sample)["weights_bytes"]
    assert isinstance(weights, Absent)
    assert "-lv 4" in weights.detail


def test_vllm_of_the_second_generation() -> None:
    """Ranks apart, the largest as the model's; capacity is added over replicas; the last start counts."""
    start = (
        "INFO Initializing a V1 LLM engine (v0.11.0) with config: model='org/m', dtype=torch.bfloat16,"
        " quantization={}, kv_cache_dtype=fp8\n"
    )
    text = (
        start.format("None") + "(Worker_TP0 pid=1) INFO Model loading took 99.0 GiB and 1 seconds\n"
        + start.format("awq")
        + "(Worker_TP0 pid=1) INFO Model loading took 7.5 GiB memory and 3.2 seconds\n"
        "(Worker_TP1 pid=2) INFO Model loading took 8.0 GiB memory and 3.2 seconds\n"
        "(Worker_TP0 pid=1) INFO Available KV cache memory: 50.25 GiB\n"
        "(EngineCore_DP0 pid=3) INFO GPU KV cache size: 700,000 tokens\n"
        "(EngineCore_DP1 pid=4) INFO GPU KV cache size: 700,000 tokens\n"
        "(EngineCore_DP0 pid=3) INFO Maximum concurrency for 40,960 tokens per request: 17.09x\n"
        "(Worker_TP0 pid=1) INFO Graph capturing finished in 21 secs, took 0.50 GiB\n"
    )  # fmt: skip
    sample = read_vllm_log(text)
    engine, model = sample.engines[0], model_of(sample)
    assert (engine.version, model.name) == ("0.11.0", "org/m")
    assert value(model["weights_bytes"]) == 8 * GIB
    assert value(model.devices["tp0"][Quantity.WEIGHTS_BYTES]) == 7.5 * GIB
    assert value(model["kv_cache_bytes"]) == 50.25 * GIB
    assert value(model["graph_bytes"]) == 0.5 * GIB
    assert value(model["quantisation"]) == "awq"
    assert value(engine["kv_cache_tokens"]) == 1_400_000
    assert value(engine["context"]) == 40960


def test_numbers_are_whole_or_none() -> None:
    """Of a number that is too long no part is taken for it."""
    sample = read_llama_log(f"srv load_model: initializing, n_slots = 2, n_ctx_slot = {'9' * 30}")
    assert Quantity.CONTEXT not in sample.engines[0].readings
    assert value(sample.engines[0]["slots"]) == 2
    assert read_vllm_log(f"# GPU blocks: {'9' * 30}, # CPU blocks: 1").failure is not None


@pytest.mark.parametrize("damaged", ["8,92", "81,9", "8,,192", ",8192", "8192,", "1,8192"])
def test_a_comma_stands_between_thousands_alone(damaged: str) -> None:
    """A damaged number is no number: no part of it is told, and its digits are not put together."""
    text = (
        f"Maximum concurrency for {damaged} tokens per request: 11.12x\nGPU KV cache size: {damaged} tokens"
    )
    engine = read_vllm_log(f"INFO Loading model weights took 14.96 GB\n{text}").engines[0]
    assert Quantity.CONTEXT not in engine.readings
    assert Quantity.KV_CACHE_TOKENS not in engine.readings


def test_the_worker_with_the_least_room_decides() -> None:
    """Workers of one engine print their own tokens; the engine takes the least of them."""
    told = [
        f"INFO kv_cache_utils.py:634] GPU KV cache size: {tokens} tokens\n"
        for tokens in ("300,000", "299,984", "299,999")
    ]
    assert value(read_vllm_log("".join(told)).engines[0]["kv_cache_tokens"]) == 299_984


@pytest.mark.parametrize(("printed", "tokens"), [("11.12", 5691 * 16), ("11.13", None)])
def test_vllm_of_the_first_generation(printed: str, tokens: int | None) -> None:
    """Its GB is GiB; tokens follow from blocks and concurrency where one size of a block makes both."""
    sample = read_vllm_log(
        "INFO model_runner.py:1099] Loading model weights took 14.9595 GB\n"
        "INFO worker.py:241] model weights take 14.96GiB; non_torch_memory takes 0.10GiB; PyTorch activation"
        " peak memory takes 9.37GiB; the rest of the memory reserved for KV Cache is 11.12GiB.\n"
        "INFO gpu_executor.py:76] # GPU blocks: 5691, # CPU blocks: 2048\n"
        f"INFO gpu_executor.py:80] Maximum concurrency for 8192 tokens per request: {printed}x\n"
    )
    assert value(model_of(sample)["weights_bytes"]) == round(14.9595 * GIB)
    told = sample.engines[0].readings.get(Quantity.KV_CACHE_TOKENS)
    assert (None if told is None else value(told)) == tokens


def lines(device: str, *sizes: str) -> str:
    """Ollama's lines of one device."""
    kinds = ("model weights", "kv cache", "compute graph")
    return "".join(
        f'level=INFO msg="{kind}" device={device} size="{size}"\n'
        for kind, size in zip(kinds, sizes, strict=True)
    )


def test_ollama_by_device() -> None:
    """Devices are added, and the last load counts."""
    weights = (
        'msg="model weights" device=CUDA0 size="2.0 GiB"\nmsg="model weights" device=CPU size="1.0 GiB"\n'
    )
    cache = 'msg="kv cache" device=CUDA0 size="112.0 MiB"\n'
    model = model_of(read_ollama_log(lines("CUDA0", "9 GiB", "9 GiB", "9 GiB") + weights + cache))
    assert value(model["weights_bytes"]) == 3 * GIB
    assert value(model["kv_cache_bytes"]) == 112 * MIB
    assert Quantity.COMPUTE_BYTES not in model.readings
    total = read_ollama_log(weights + cache + 'level=INFO msg="total memory" size="3.2 GiB"\n')
    assert value(model_of(total)["model_bytes"]) == round(3.2 * GIB)


def test_ollama_estimates_and_what_llama_cpp_prints_within_it() -> None:
    """Estimates are said to be some; buffers that were really made are believed before them."""
    estimate = (
        'level=INFO msg=offload library=cuda layers.model=33 layers.offload=33 memory.required.full="5.0 GiB"'
        ' memory.required.kv="1.0 GiB" memory.required.allocations="[3.0 GiB 2.0 GiB]"'
        ' memory.weights.total="4.0 GiB" memory.graph.full="0.5 GiB" memory.graph.partial="0.7 GiB"\n'
    )  # fmt: skip
    sample = read_ollama_log(estimate)
    model = model_of(sample)
    assert value(model["model_device_bytes"]) == 5 * GIB
    assert value(model["compute_bytes"]) == GIB // 2
    assert "estimates" in sample.engines[0].notes[0]
    real = read_ollama_log(estimate + load(4000, 500, 100))
    assert real.engines[0].engine == "ollama"
    assert value(model_of(real)["weights_bytes"]) == 4000 * MIB
