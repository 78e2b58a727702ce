"""Engines on loopback, asked as a user's are: which one it is, what it runs, and what cannot be known."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from hwledger.app import plan
from hwledger.errors import (
    AmbiguousError,
    DeniedError,
    MissingError,
    OfflineError,
    UnreachableError,
    UsageError,
)
from hwledger.library.access import Access
from hwledger.library.deployment import Deployment
from hwledger.library.net.http import Http
from hwledger.library.serving.detect import KNOWN, probe
from hwledger.library.serving.replies import Server
from hwledger.library.source import open_model
from support import tiny
from support.checkpoints import put
from support.engine_servers import (
    COMMIT,
    EngineServer,
    LlamaRouter,
    LlamaServer,
    LmStudio,
    MistralRs,
    Ollama,
    Sglang,
    Tgi,
    Vllm,
)
from support.web_server import RawReply, Reply, WebServer

ENGINE_SAMPLES = "telemetry_samples/engines"
pytestmark = [pytest.mark.enable_socket, pytest.mark.requirement("FR-SRC-ENGINE")]
METRICS = (
    'vllm:cache_config_info{block_size="16",cache_dtype="fp8",enable_prefix_caching="False",'
    'gpu_memory_utilization="0.8",num_gpu_blocks="100"} 1.0\n'
)
PROPS = {
    "default_generation_settings": {"n_ctx": 2048, "params": {}}, "total_slots": 2, "model_alias": "tiny",
    "model_path": "/models/tiny-Q4_0.gguf", "build_info": "b7100-abc",
}  # fmt: skip
MODELS = {
    "models": [{"name": "tiny"}], "object": "list",
    "data": [{"id": "tiny", "owned_by": "llamacpp", "meta": {"n_params": 134515008, "size": 96576768}}],
}  # fmt: skip
RUNNING = {"models": [{"name": "mistral:latest", "model": "mistral:latest", "context_length": 8192}]}
LOADED = {"object": "list", "data": [
    {"id": "qwen3-8b", "type": "llm", "publisher": "qwen", "compatibility_type": "gguf", "state": "loaded",
     "loaded_context_length": 4096},
    {"id": "gemma-3-4b", "type": "llm", "compatibility_type": "mlx", "state": "not-loaded"},
]}  # fmt: skip
ENGINES: dict[str, Callable[[], EngineServer]] = {
    "vLLM 0.11.0": lambda: Vllm(METRICS),
    "SGLang 0.5.3": Sglang,
    "Text Generation Inference 3.3.5": Tgi,
    "llama-server b7100-abc": lambda: LlamaServer(PROPS, MODELS),
    "mistral.rs (0400ed94dfa2)": MistralRs,
    "Ollama 0.13.1": lambda: Ollama(RUNNING),
    "LM Studio": lambda: LmStudio(LOADED),
}


def asked(server: EngineServer, tail: str = "") -> Deployment:
    """Ask a server with a short limit of time."""
    return probe(f"{server.url}{tail}", Access(time_limit_s=60.0))


@pytest.mark.parametrize("program", ENGINES)
def test_every_engine_is_known_for_what_it_is(program: str) -> None:
    """Each engine's own answers give its own name, with few requests; no other engine's reader takes it."""
    with ENGINES[program]() as server:
        assert asked(server, "/v1").program == program
        assert len(server.log) < 8
        assert server.log[0].path == "/v1/models"


def test_every_engine_that_is_known_is_tried() -> None:
    """The servers of these tests are read by all readers that there are."""
    read = set()
    for make in ENGINES.values():
        with make() as running, Http(Access(time_limit_s=60.0)) as http:
            server = Server(http, running.url)
            read |= {known.read for known in KNOWN if known.matches(server)}
    assert read == {known.read for known in KNOWN}


def test_an_engine_is_known_without_its_signature() -> None:
    """Servers that sign their list of models with another name are known by what they alone answer."""
    for make, program in ((Sglang, "SGLang 0.5.3"), (lambda: Vllm(METRICS), "vLLM 0.11.0"),
                          (lambda: LlamaServer(PROPS, MODELS), "llama-server b7100-abc")):  # fmt: skip
        with make() as server:
            for card in server.answers["/v1/models"]["data"]:
                card["owned_by"] = "someone"
            assert asked(server).program == program


def test_vllm_states_its_cache() -> None:
    """Options come from the card of the model and the labels of one metric; a capacity becomes a note."""
    with Vllm(METRICS, version="0.11.1rc2.dev12+gabcdef") as server:
        told = asked(server)
    assert (told.model, told.engine, told.engine_version) == ("org/tiny", "vllm", "0.11.1")
    assert told.program == "vLLM 0.11.1rc2.dev12+gabcdef"
    assert told.options == {"max_model_len": "4096", "gpu_memory_utilization": "0.8", "block_size": "16",
                            "enable_prefix_caching": "off", "kv_cache_dtype": "fp8"}  # fmt: skip
    assert any("100 blocks of 16 tokens" in note for note in told.notes)


def test_llama_server_states_tokens_of_a_slot() -> None:
    """Two slots of 2,048 tokens are a context of 4,096; the build is the engine's version."""
    with LlamaServer(PROPS, MODELS) as server:
        told = asked(server)
    assert told.options == {"n_parallel": "2", "n_ctx": "4096"}
    assert (told.engine_version, told.model) == ("b7100", "/models/tiny-Q4_0.gguf")
    assert any("134,515,008 parameters" in note for note in told.notes)


@pytest.mark.parametrize("program", ENGINES)
def test_no_engine_is_mistaken_for_another(program: str) -> None:
    """Of all ways to know an engine, only its own say yes to its server: the cross table."""
    with ENGINES[program]() as running, Http(Access(time_limit_s=60.0)) as http:
        server = Server(http, running.url)
        readers = {known.read for known in KNOWN if known.matches(server)}
        assert {reader(server).program for reader in readers} == {program}


def test_sglang_states_its_arguments() -> None:
    """Arguments become vLLM's options by the table of flags; the earlier paths are asked where it is old."""
    for old in (False, True):
        with Sglang(old=old) as server:
            told = asked(server)
        assert (told.engine, told.engine_version, told.model) == ("vllm", None, "org/tiny")
        assert told.options == {
            "tensor_parallel_size": "2", "pipeline_parallel_size": "1", "gpu_memory_utilization": "0.85",
            "kv_cache_dtype": "fp8_e4m3", "max_num_seqs": "64", "enable_prefix_caching": "off",
            "max_num_batched_tokens": "8192", "max_model_len": "2048",
        }  # fmt: skip
        assert any("no profile of its own" in note for note in told.notes)
        assert any("60,000 tokens" in note for note in told.notes)


def test_tgi_states_its_model_at_a_commit() -> None:
    """The commit that TGI loaded is the revision; the limit of one request is the context."""
    with Tgi() as server:
        told = asked(server)
    assert (told.model, told.revision, told.engine) == ("org/tiny", COMMIT, "vllm")
    assert told.options == {"max_model_len": "4096"}
    assert any("128 requests" in note for note in told.notes)


def test_vllm_in_development_mode_shows_everything() -> None:
    """``/server_info`` adds ranks and batch sizes, as an object or as the text of older versions."""
    config = {"model_config": {"dtype": "torch.bfloat16", "quantization": "fp8"},
              "parallel_config": {"tensor_parallel_size": 4},
              "scheduler_config": {"max_num_seqs": 17}}  # fmt: skip
    with Vllm(METRICS, **{"/server_info": {"vllm_config": config}}) as server:
        told = asked(server)
    assert told.options["tensor_parallel_size"] == "4"
    assert (told.options["max_num_seqs"], told.options["dtype"]) == ("17", "bfloat16")
    assert any("names fp8 as its quantisation" in note for note in told.notes)
    with Vllm(METRICS, **{"/server_info": {"vllm_config": "model='x', tensor_parallel_size=2, "}}) as server:
        assert asked(server).options["tensor_parallel_size"] == "2"


def test_vllm_with_adapters_and_replicas() -> None:
    """An adapter is no model of its own; a series of metrics per engine counts the replicas."""
    replicas = "".join(METRICS.replace("block_size", f'engine="{rank}",block_size') for rank in range(3))
    with Vllm(replicas, version="0.1.dev9+g123") as server:
        server.answers["/v1/models"]["data"].insert(
            0, {"id": "sql", "owned_by": "vllm", "root": "/adapters/sql", "parent": "served"}
        )
        told = asked(server)
    assert (told.model, told.engine_version) == ("org/tiny", None)
    assert told.options["data_parallel_size"] == "3"
    assert any("1 LoRA adapter" in note for note in told.notes)


def test_four_slots_share_one_cache() -> None:
    """Four slots are what llama-server takes by itself since late 2025, and then n_ctx is not per slot."""
    for build, expected in (
        ("b7100-a", {"n_parallel": "4", "n_ctx": "2048", "kv_unified": "on"}),
        ("b6000-a", {"n_parallel": "4", "n_ctx": "8192"}),
        ("b6924-a", {"n_parallel": "4", "n_ctx": "8192"}),
        ("b6925-a", {"n_parallel": "4", "n_ctx": "2048", "kv_unified": "on"}),
        ("b1-a", {"n_parallel": "4", "n_ctx": "2048", "kv_unified": "on"}),
    ):
        with LlamaServer({**PROPS, "total_slots": 4, "build_info": build}, MODELS) as server:
            assert asked(server).options == expected


def test_a_router_runs_several() -> None:
    """One loaded model is it; otherwise the addresses that name one are listed, and each of them works."""
    one = {**PROPS, "model_path": "none", "model_alias": "org/one:Q4_0"}
    with LlamaRouter({"org/one:Q4_0": one}, ("two",)) as server:
        assert asked(server).model == "org/one:Q4_0"
        with pytest.raises(UnreachableError, match="has not loaded 'two'"):
            asked(server, "/?model=two")
        with pytest.raises(MissingError, match="'three'"):
            asked(server, "/?model=three")
    with LlamaRouter({"org/one:Q4_0": one, "org/two": {**one, "model_alias": "org/two"}}) as server:
        with pytest.raises(AmbiguousError) as listed:
            asked(server)
        assert [probe(ref, Access()).model for ref in listed.value.candidates] == ["org/one:Q4_0", "org/two"]


def test_mistral_rs_runs_several() -> None:
    """The entry ``default`` is no model; unloaded ones do not count; older versions state no status."""
    with MistralRs({"org/tiny": "loaded", "org/other": "unloaded"}) as server:
        assert asked(server).model == "org/tiny"
    with MistralRs({"org/tiny": "loaded"}, plain=True) as server:
        assert asked(server).model == "org/tiny"
    with MistralRs({"org/a": "loaded", "org/b": "loaded"}) as server:
        with pytest.raises(AmbiguousError):
            asked(server)
        assert asked(server, "/?model=org/b").model == "org/b"


def test_ollama_and_lm_studio_name_their_loaded_model() -> None:
    """The one loaded model is planned under its own source; none or several are listed to choose from."""
    with Ollama(RUNNING) as server:
        told = asked(server)
        assert (told.model, told.context, told.engine) == ("ollama:mistral:latest", 8192, "llama.cpp")
    with (
        Ollama({"models": []}, {"models": [{"name": "a"}, {"name": "b:1b"}]}) as server,
        pytest.raises(AmbiguousError) as listed,
    ):
        asked(server)
    assert listed.value.candidates == ("ollama:a", "ollama:b:1b")
    with LmStudio(LOADED) as server:
        told = asked(server)
        assert (told.model, told.context, told.engine) == ("lmstudio:qwen3-8b", 4096, "llama.cpp")
    with Ollama({"models": []}) as server, pytest.raises(MissingError, match="no model at all"):
        asked(server)


def test_a_key_is_shown_to_the_server_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a key, or with a wrong one, the sentence says what to set; a right one goes to it."""
    with Vllm(METRICS, key="secret") as server:
        with pytest.raises(DeniedError, match="set HWLEDGER_SERVER_KEY"):
            asked(server)
        monkeypatch.setenv("HWLEDGER_SERVER_KEY", "wrong")
        with pytest.raises(DeniedError, match="refuses the key"):
            asked(server)
        monkeypatch.setenv("HWLEDGER_SERVER_KEY", "secret")
        assert asked(server).model == "org/tiny"
        away = Reply(302, {"Location": f"{server.url}/version"})
        with WebServer(elsewhere=away) as elsewhere, pytest.raises(UnreachableError):
            probe(elsewhere.url, Access(time_limit_s=60.0))
        assert server.log[-1].authorization is None


def test_a_server_that_is_no_engine() -> None:
    """What answers and is no engine is told with what was asked; so are silence and no network."""
    all_asked = r"none of vLLM, .*/v1/models, /info, .*/metrics"
    with EngineServer({"/v1/models": "<html>"}) as server, pytest.raises(UnreachableError, match=all_asked):
        asked(server)
    with pytest.raises(UnreachableError, match="cannot be reached"):
        asked(server)
    with pytest.raises(OfflineError):
        probe("http://gpu.example.com:1", Access(offline=True))
    with Vllm() as server:  # one on this machine is no network
        assert probe(server.url, Access(offline=True)).engine == "vllm"
    with pytest.raises(UsageError):
        probe("org/tiny", Access())


def test_errors_of_the_server_are_no_answers() -> None:
    """Statuses like 405 and 500 mean that nothing is there; a path that breaks off is named in a note."""
    with Vllm(METRICS) as server:
        server.answers["/server_info"] = Reply(500, {}, b"oops")
        server.answers["/metrics"] = RawReply(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx")
        told = asked(server)
    assert any("did not answer /metrics" in note for note in told.notes)
    assert told.options == {"max_model_len": "4096"}


def test_the_model_behind_an_address_is_opened_and_planned(tmp_path: Path) -> None:
    """A path of a server on this machine is read here: the source opens it, and the plan has its options."""
    put(tmp_path, tiny.plain())
    with Vllm(METRICS) as server:
        server.answers["/v1/models"]["data"][0]["root"] = str(tmp_path)
        assert len(open_model(server.url).layers) == 2
        assert len(open_model(f"server:{server.url}/v1").layers) == 2
        made = plan(asked(server))
    assert (made.program, made.engine) == ("vLLM 0.11.0", "vllm")


def test_second_names_are_one_model_and_second_models_are_not(tmp_path: Path) -> None:
    """Several names of one model are no choice; several models are listed, and one can be named."""
    put(tmp_path, tiny.plain())
    with Vllm(METRICS) as server:
        first = server.answers["/v1/models"]["data"][0] | {"root": str(tmp_path)}
        server.answers["/v1/models"]["data"] = [first, first | {"id": "alias"}]
        assert asked(server).model == str(tmp_path)
        server.answers["/v1/models"]["data"] = [first, first | {"id": "big", "root": "org/big"}]
        with pytest.raises(AmbiguousError) as caught:
            asked(server)
        assert probe(caught.value.candidates[1], Access()).model == "org/big"
        with pytest.raises(MissingError, match="no model called 'none'"):
            probe(f"{server.url}/?model=none", Access())


def test_a_model_that_only_the_server_has_is_said() -> None:
    """A path that leads nowhere from here names the engine, the address and what to do instead."""
    with Vllm(METRICS) as server:
        server.answers["/v1/models"]["data"][0] |= {"root": "/models/mine-f16.gguf", "id": "mine"}
        with pytest.raises(MissingError, match=r"vLLM 0.11.0 at http://.*cannot be read from here") as caught:
            plan(server.url)
    assert server.url in str(caught.value)


def test_recorded_answers_of_vllm(shared_data: Path) -> None:
    """Every recorded form of the metric is read: order, blanks, None, escapes and unknown labels."""
    expected = {
        "cache_config_info-0.11.0-offload.prom": {"block_size": "16", "gpu_memory_utilization": "0.65"},
        "cache_config_info-neuron-block1024.prom": {"block_size": "1024", "gpu_memory_utilization": "0.9"},
        "cache_config_info-num_gpu_blocks-None.prom": {"block_size": "16", "gpu_memory_utilization": "0.85"},
        "cache_config_info-v0-qwen3-32b.prom": {
            "block_size": "16", "gpu_memory_utilization": "0.82", "num_gpu_blocks_override": "573"},
        "cache_config_info-v1-nim-qwen3vl.prom": {
            "gpu_memory_utilization": "0.8", "mamba_cache_mode": "none"},
    }  # fmt: skip
    recorded = {path.name: path for path in (shared_data / ENGINE_SAMPLES / "vllm").glob("*.prom")}
    assert set(recorded) == set(expected)
    for name, options in expected.items():
        with Vllm(recorded[name].read_text("utf-8")) as server:
            told = asked(server)
        prefixes = {} if "neuron" in name else {"enable_prefix_caching": "on"}
        assert told.options == {"max_model_len": "4096", **prefixes, **options}, name


def test_recorded_answers_of_the_others(shared_data: Path) -> None:
    """Recorded answers of llama.cpp, TGI, SGLang, Ollama and LM Studio give model, context and options."""
    folder = shared_data / ENGINE_SAMPLES

    def recorded(name: str) -> dict[str, object]:
        return json.loads((folder / name).read_text("utf-8"))

    with LlamaServer(recorded("llamacpp/props.json"), recorded("llamacpp/v1-models.json")) as server:
        told = asked(server)
        assert told.model == "/models/SmolLM2-135M-Instruct.Q4_1.gguf"
        assert (told.options, told.engine_version) == ({"n_parallel": "2", "n_ctx": "4096"}, None)
        assert any("134,515,008 parameters, 96,576,768 bytes" in note for note in told.notes)
    with Tgi(recorded("tgi/info-openapi-example.json")) as server:
        told = asked(server)
        assert (told.model, told.revision) == (
            "bigscience/blomm-560m",
            "e985a63cdc139290c5f700ff1929f0b5942cced2",
        )
        assert told.options == {"max_model_len": "2048"}
    with Sglang(recorded("sglang/grpc-get-model-info.json")) as server:
        told = asked(server)
        assert told.model == "meta-llama/Llama-3.1-8B-Instruct"
        assert any("taken from the path" in note for note in told.notes)
    for name, model in (
        ("doc", "mistral:latest"),
        ("gemma3", "gemma3:latest"),
        ("cpu-only-no-size_vram", "mistral:latest"),
    ):
        with Ollama(recorded(f"ollama/api-ps-{name}.json")) as server:
            assert asked(server).model == f"ollama:{model}"
    with LmStudio(recorded("lmstudio/api-v0-models-loaded.json")) as server:
        told = asked(server)
        assert (told.model, told.context) == ("lmstudio:qwen3-8b", 131072)
    with LmStudio(v1=recorded("lmstudio/api-v1-models-doc.json")) as server:
        told = asked(server)
        assert told.model == "lmstudio:google/gemma-4-26b-a4b"
        assert told.options == {"flash_attn": "on", "n_batch": "512", "n_parallel": "4", "kv_unified": "on",
                                "n_ctx": "4096"}  # fmt: skip
    with LmStudio(recorded("lmstudio/api-v0-models-doc.json")) as server, pytest.raises(AmbiguousError):
        asked(server)
