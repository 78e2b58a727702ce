"""Replies of engines: values by key, with the traps of each."""

import json
from typing import Any

import pytest

from hwledger.telemetry.engines import llama_cpp, ollama, others, sglang
from hwledger.telemetry.engines.formats import FORMATS
from hwledger.telemetry.lenient import json_in
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Absent, Gauge, Reading, Reason, Value
from hwledger.telemetry.recorded import read_recorded

pytestmark = pytest.mark.requirement("FR-TEL-ENGINES")
GAUGE = Gauge("test")
GIB = 1 << 30


def value(reading: Reading) -> object:
    """Return a value; fails on a reason."""
    assert isinstance(reading, Value), reading
    return reading.value


def test_ollama_leaves_zeros_out() -> None:
    """No size_vram means none on devices; a size that is there is told as it is."""
    row = {"name": "a:1b", "digest": "x", "size": 10, "expires_at": "2025", "context_length": 4096}
    engine = ollama.read_running({"models": [row, {**row, "name": "b", "size_vram": 7}]}, GAUGE)
    assert [value(model["model_device_bytes"]) for model in engine.models] == [0, 7]
    assert value(engine.models[0]["context"]) == 4096


def test_ollama_shows_a_model_with_its_context() -> None:
    """A context that the model sets is its own; the one that it was trained for is a note."""
    shown = {
        "details": {"parameter_size": "8.0B", "quantization_level": "Q4_0"},
        "parameters": 'stop  "x"\nnum_ctx   4096',
        "model_info": {
            "general.architecture": "llama", "llama.context_length": 8192,
            "general.parameter_count": 8030261248,
        },
    }  # fmt: skip
    (model,) = ollama.read_shown(shown, GAUGE).models
    assert value(model["context"]) == 4096
    assert value(model["parameters"]) == 8030261248


def test_sglang_adds_replicas_and_knows_gib() -> None:
    """One state for each replica; memory in GiB; graphs as one figure or by phase."""
    state = {"max_total_num_tokens": 1000, "memory_usage": {"weight": 14.5, "kvcache": 50.25, "graph": 0.5}}
    phases = {**state, "memory_usage": {**state["memory_usage"], "graph": {"prefill": 0.25, "decode": 0.25}}}  # type: ignore[dict-item]  # of the test
    info = {
        "model_path": "org/m",
        "mem_fraction_static": 0.8,
        "version": "0.5.3",
        "internal_states": [state, phases],
    }
    engine = sglang.read_server_info(info, GAUGE)
    assert value(engine["kv_cache_tokens"]) == 2000
    assert value(engine["weights_bytes"]) == 29 * GIB
    assert value(engine["graph_bytes"]) == GIB


@pytest.mark.parametrize(("stated", "context"), [(131072, 131072), (414382, None)])
def test_what_sglang_calls_a_context(stated: int, context: int | None) -> None:
    """A context that no request may fill is the size of the cache."""
    info = {
        "model_path": "m",
        "is_generation": True,
        "max_context_length": stated,
        "max_req_input_len": 131066,
    }
    reading = sglang.read_model_info(info, GAUGE)["context"]
    if context is None:
        assert isinstance(reading, Absent)
        assert reading.reason is Reason.UNPARSED
    else:
        assert value(reading) == context


@pytest.mark.parametrize("following", [{"n_decoded": 5}, [{"n_decoded": 5}]])
def test_slots_of_old_and_new_builds(following: object) -> None:
    """next_token is an object or a list of one; a slot works by is_processing or by its state."""
    busy = {"id": 1, "id_task": 9, "n_ctx": 64, "is_processing": True, "next_token": following}
    assert llama_cpp.tokens_in_flight([busy, {"id": 0, "n_ctx": 64, "is_processing": False}]) == {(1, 9): 5}
    old = [{"id": 0, "n_ctx": 64, "state": 1}, {"id": 1, "n_ctx": 64, "state": 0}]
    assert value(llama_cpp.read_slots(old, GAUGE)["requests_running"]) == 1
    unknown = llama_cpp.read_slots([{"id": 0, "n_ctx": 64}], GAUGE)
    assert Quantity.REQUESTS_RUNNING not in unknown.readings


@pytest.mark.parametrize("size", ["7\x9a2B", "7\u200b2B", "7 2B", "7B2", "-7B"])
def test_a_damaged_count_is_no_other_count(size: str) -> None:
    """What stood between two digits is not left out to make one number of them."""
    row = {"name": "a", "size": 1, "size_vram": 1, "details": {"parameter_size": size}}
    assert isinstance(ollama.read_running({"models": [row]}, GAUGE).models[0]["parameters"], Absent)


def test_no_model_is_a_reason() -> None:
    """An empty list is an answer, and holds nothing."""
    kind, sample = read_recorded('{"models": []}')
    assert kind.name == "Ollama GET /api/ps"
    assert sample.failure is not None
    assert sample.failure.reason is Reason.UNSUPPORTED


def test_a_router_lists_what_is_loaded() -> None:
    """Models that are not loaded are listed as such."""
    cards = [
        {"id": n, "owned_by": "llamacpp", "status": {"value": s}}
        for n, s in (("a", "loaded"), ("b", "unloaded"), ("c", "sleeping"))
    ]
    assert [m.loaded for m in llama_cpp.read_models({"data": cards}, GAUGE).models] == [True, False, False]


def test_tgi_limits_as_numbers_or_text() -> None:
    """The limit of one request is the context; strings of digits are numbers."""
    told = {
        "router": "text-generation-router",
        "model_id": "org/m",
        "max_total_tokens": "4096",
        "max_batch_total_tokens": 90000,
    }
    engine = others.read_tgi_info(told, GAUGE)
    assert (value(engine["context"]), value(engine["kv_cache_tokens"])) == (4096, 90000)


@pytest.mark.parametrize(
    "reply",
    [{"status": "ok"}, {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}}],
)
def test_health_holds_no_figures(reply: dict[str, Any]) -> None:
    """A reply without values is a reason and a sentence."""
    _, sample = read_recorded(json.dumps(reply))
    assert sample.failure is not None
    assert sample.failure.reason is Reason.UNSUPPORTED
    assert sample.troubles


@pytest.mark.parametrize("bad", [True, -5, "x", 1e400, [], {}, 10**30, float("nan")])
def test_numbers_that_cannot_be_are_unparsed(bad: object) -> None:
    """No reply makes a value of what is none."""
    engine = ollama.read_running({"models": [{"name": "a", "size": bad, "size_vram": bad}]}, GAUGE)
    for reading in engine.models[0].readings.values():
        assert isinstance(reading, Absent)


def test_json_as_documents_print_it() -> None:
    """Comments, bare keys, single quotes and trailing commas; strings that look like them stay."""
    text = """{ a: 'it\\'s "x" // no', /* c: 1, */ "b": [1, 2, ], // end
      url: "http://x/y, }", }"""
    assert json_in(text) == {"a": 'it\'s "x" // no', "b": [1, 2], "url": "http://x/y, }"}
    assert json_in("{") is None
    assert json_in("[" * 100_000) is None
    assert json_in('{"a": NaN}') is None


def test_names_of_formats_are_told_apart() -> None:
    """No two formats of engines have one name."""
    names = [each.name for each in FORMATS]
    assert len(set(names)) == len(names)
