"""Engines on loopback, asked as a user's are: which one it is, what it runs, and what cannot be known."""

from collections.abc import Callable

import pytest

from hwledger.library.access import Access
from hwledger.library.deployment import Deployment
from hwledger.library.serving import probe
from support.engine_servers import (
    EngineServer,
    LlamaServer,
    LmStudio,
    MistralRs,
    Ollama,
    Sglang,
    Tgi,
    Vllm,
)

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
    return probe(f"{server.url}{tail}", Access(time_limit_s=20.0))


@pytest.mark.parametrize("program", ENGINES)
def test_every_engine_is_known_for_what_it_is(program: str) -> None:
    """Each engine's own answers give its own name, with few requests; no other engine's reader takes it."""
    with ENGINES[program]() as server:
        assert asked(server, "/v1").program == program
        assert len(server.asked) < 8
        assert server.paths[0] == "/v1/models"


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
