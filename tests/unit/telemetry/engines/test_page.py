"""Pages of engines: ranks, replicas, names by version, and what does not follow from a page."""

import pytest

from hwledger.telemetry.engines.page import engine_of, read_engine_page
from hwledger.telemetry.engines.tables import metric_table
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Absent, Basis, Gauge, Reading, Reason, Value
from hwledger.telemetry.snapshot import EngineSnapshot

pytestmark = pytest.mark.requirement("FR-TEL-ENGINES")
GIB = 1 << 30


def read(page: str) -> EngineSnapshot:
    """Return what a page says."""
    engine = engine_of(page)
    assert engine
    return read_engine_page(page, engine, Gauge("test")).engines[0]


def value(reading: Reading) -> object:
    """Return a value; fails on a reason."""
    assert isinstance(reading, Value), reading
    return reading.value


def reason(reading: Reading) -> Reason:
    """Return a reason; fails on a value."""
    assert isinstance(reading, Absent), reading
    return reading.reason


@pytest.mark.parametrize("name", ["vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"])
def test_a_figure_under_either_name(name: str) -> None:
    """The cache's share goes by two names, by version."""
    assert value(read(f'{name}{{model_name="m"}} 0.25')["kv_cache_used"]) == 0.25


def test_the_newer_name_wins() -> None:
    """Versions that print both deprecate the older one."""
    page = "vllm:gpu_cache_usage_perc 0.5\nvllm:kv_cache_usage_perc 0.25\n"
    assert value(read(page)["kv_cache_used"]) == 0.25


def test_ranks_are_not_added_and_replicas_are() -> None:
    """Tensor-parallel ranks hold the same requests; data-parallel ones hold others."""
    page = "\n".join(
        f'sglang:num_running_reqs{{model_name="m",tp_rank="{tp}",dp_rank="{dp}"}} {10 * dp + tp}'
        for tp in (0, 1) for dp in (1, 2)
    )  # fmt: skip
    running = read(page)["requests_running"]
    assert isinstance(running, Value)
    assert (running.value, running.basis) == (11 + 21, Basis.DERIVED)


def test_bytes_are_gib_and_phases_are_added() -> None:
    """SGLang's gb are GiB; graphs have a series for each phase, of each rank."""
    page = "\n".join(
        f'sglang:graph_memory_usage_gb{{tp_rank="{tp}",phase="{phase}"}} {size}'
        for tp, sizes in ((0, (0.25, 0.5)), (1, (0.125, 0.5)))
        for phase, size in zip(("prefill", "decode"), sizes, strict=True)
    )  # fmt: skip
    engine = read(f'{page}\nsglang:weight_memory_usage_gb{{tp_rank="1",model_name="m"}} 14.5\n')
    assert value(engine["graph_bytes"]) == 0.75 * GIB
    assert value(engine["weights_bytes"]) == 14.5 * GIB
    (model,) = engine.models
    assert value(model.devices["tp1"][Quantity.GRAPH_BYTES]) == 0.625 * GIB
    assert any("one of the ranks" in note for note in engine.notes)


def test_shares_of_replicas_are_weighed_or_the_fullest_is_told() -> None:
    """With capacities the share of all together is computed; without them it is the fullest replica's."""
    usage = 'sglang:token_usage{dp_rank="0"} 0.2\nsglang:token_usage{dp_rank="1"} 0.8\n'
    tokens = 'sglang:max_total_num_tokens{dp_rank="0"} 300\nsglang:max_total_num_tokens{dp_rank="1"} 100\n'
    weighed = read(usage + tokens)["kv_cache_used"]
    assert value(weighed) == pytest.approx((0.2 * 300 + 0.8 * 100) / 400)
    alone = read(usage)
    assert value(alone["kv_cache_used"]) == 0.8
    assert any("fullest" in note for note in alone.notes)


def test_counters_that_disagree_are_doubted() -> None:
    """Used tokens and the share that the engine states are compared."""
    page = "sglang:token_usage 0.9\nsglang:kv_used_tokens 10\nsglang:max_total_num_tokens 100\n"
    assert any("90.0%" in note and "10.0%" in note for note in read(page).notes)


def test_stated_tokens_of_hybrid_models_are_believed() -> None:
    """kv_cache_size_tokens counts; block size and blocks are not multiplied."""
    engine = read('vllm:cache_config_info{block_size="528",num_gpu_blocks="10",kv_cache_size_tokens="777"} 1')
    tokens = engine["kv_cache_tokens"]
    assert isinstance(tokens, Value)
    assert (tokens.value, tokens.basis) == (777, Basis.MEASURED)


@pytest.mark.parametrize(
    "labels",
    [
        'block_size="16",num_gpu_blocks="10",mamba_page_size_padded="2129920"',
        'block_size="16",num_gpu_blocks="10",mamba_block_size="128"',
        'block_size="528",num_gpu_blocks="10"', 'block_size="16",num_gpu_blocks="None"',
        'block_size="None",num_gpu_blocks="10"', 'block_size="16",is_attention_free="True"',
        'block_size="16"',
    ],
)  # fmt: skip
def test_blocks_of_hybrid_models_are_no_tokens(labels: str) -> None:
    """Where layers cache differently, or a label is None, nothing is multiplied, and the reason is said."""
    assert reason(read(f"vllm:cache_config_info{{{labels}}} 1.0")["kv_cache_tokens"]) is Reason.UNSUPPORTED


def test_blocks_of_uniform_models_are_derived_tokens() -> None:
    """Earlier versions state blocks; the product is derived, its condition is said, and replicas add."""
    page = "\n".join(
        f'vllm:cache_config_info{{engine="{n}",block_size="16",num_gpu_blocks="{100 + n}"}} 1.0'
        for n in (0, 1)
    )
    engine = read(page)
    tokens = engine["kv_cache_tokens"]
    assert isinstance(tokens, Value)
    assert (tokens.value, tokens.basis) == (201 * 16, Basis.DERIVED)
    assert any("cache alike" in note for note in engine.notes)


def test_zero_without_requests_is_no_speed() -> None:
    """llama.cpp's speeds are means over requests that ended: none ended, none is known."""
    page = "llamacpp:predicted_tokens_seconds 0\nllamacpp:tokens_predicted_total 0\n"
    engine = read(page)
    assert reason(engine["decode_speed"]) is Reason.UNSUPPORTED
    assert value(engine["generated_tokens"]) == 0
    assert value(read("llamacpp:predicted_tokens_seconds 12.5\n")["decode_speed"]) == 12.5


def test_shares_out_of_counters() -> None:
    """Hits and queries make a share, blocks used and blocks make one; nothing asked makes none."""
    hits = "vllm:prefix_cache_queries_total 200\nvllm:prefix_cache_hits_total 50\n"
    assert value(read(hits)["prefix_cache_hits"]) == 0.25
    none = "vllm:prefix_cache_queries_total 0\nvllm:prefix_cache_hits_total 0\n"
    assert reason(read(none)["prefix_cache_hits"]) is Reason.UNSUPPORTED
    older = read("vllm:gpu_prefix_cache_hit_rate -1.0")
    assert reason(older["prefix_cache_hits"]) is Reason.UNSUPPORTED
    blocks = read("mistralrs_kv_cache_blocks_total 64\nmistralrs_kv_cache_blocks_used 16\n")
    assert value(blocks["kv_cache_used"]) == 0.25
    assert reason(blocks["kv_cache_tokens"]) is Reason.UNSUPPORTED


def test_what_cannot_be_is_unparsed() -> None:
    """A share beyond one, NaN, and less than nothing are said and not shown."""
    assert reason(read("vllm:kv_cache_usage_perc 1.5")["kv_cache_used"]) is Reason.UNPARSED
    assert reason(read("vllm:kv_cache_usage_perc NaN")["kv_cache_used"]) is Reason.UNPARSED
    assert reason(read("vllm:num_requests_running -1")["requests_running"]) is Reason.UNPARSED


def test_damaged_lines_are_said() -> None:
    """A page that lost lines says how many."""
    sample = read_engine_page(
        "vllm:num_requests_running 1\nvllm:num_requests_waiting x\n", "vllm", Gauge("t")
    )
    assert sample.troubles == ("1 damaged lines of the page of vllm were passed over",)


def test_every_engine_of_the_table_is_known_by_its_page() -> None:
    """Any name of the table makes its page that engine's."""
    table = metric_table()
    for engine in table.prefixes:
        for name in table.names(engine):
            assert engine_of(f"# TYPE {name} gauge\n{name} 1\n") == engine


def test_names_without_colons_are_the_same_names() -> None:
    """A gateway that writes underscores for colons tells the same; so do the first names of SGLang."""
    page = '# TYPE @num_running_reqs gauge\n@num_running_reqs{model_name="m"} 3\n@max_total_num_tokens 9\n'
    plain, usual = (read(page.replace("@", prefix)) for prefix in ("sglang_", "sglang:"))
    assert plain == usual
    assert value(plain["requests_running"]) == 3
    assert plain.models[0].name == "m"
    first = read('sglang:num_requests_running{name="m"} 4\nsglang:num_requests_waiting{name="m"} 5\n')
    assert (value(first["requests_running"]), value(first["requests_waiting"])) == (4, 5)
    assert first.models[0].name == "m"
