"""Every output of engines that is read from text."""

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from hwledger.library.fields import mapping
from hwledger.telemetry.engines import llama_cpp, lmstudio, ollama, others, sglang
from hwledger.telemetry.engines.llama_log import is_llama_log, read_llama_log
from hwledger.telemetry.engines.ollama_log import is_ollama_log, read_ollama_log
from hwledger.telemetry.engines.ollama_ps import is_list, read_list
from hwledger.telemetry.engines.page import engine_of, read_engine_page
from hwledger.telemetry.engines.sglang_log import is_sglang_log, read_sglang_log
from hwledger.telemetry.engines.sizes import explained, named
from hwledger.telemetry.engines.tables import metric_table
from hwledger.telemetry.engines.tensorrt_log import is_tensorrt_log, read_tensorrt_log
from hwledger.telemetry.engines.vllm_log import is_vllm_log, read_vllm_log
from hwledger.telemetry.lenient import json_in
from hwledger.telemetry.reading import Absent, Gauge, Reason
from hwledger.telemetry.recorded import Format
from hwledger.telemetry.snapshot import EngineSnapshot, Sample

TITLES: Final = {
    "vllm": "vLLM", "sglang": "SGLang", "tgi": "TGI", "llama.cpp": "llama.cpp", "ollama": "Ollama",
    "lmstudio": "LM Studio", "mistral.rs": "mistral.rs", "mlx": "MLX",
}  # fmt: skip
_HEAD: Final = 1 << 20
_NO_MODELS: Final = "it lists no model"
_HEALTHY: Final = frozenset({"status", "slots_idle", "slots_processing"})
Read = Callable[[object, Gauge], EngineSnapshot]
Is = Callable[[Any], bool]


def page_source(engine: str) -> str:
    """Return what the source of an engine's page is called."""
    return f"{TITLES[engine]} /metrics"


def _page(engine: str) -> Format:
    def recognises(text: str) -> bool:
        return text.lstrip()[:1] not in {"{", "["} and engine_of(text[:_HEAD]) == engine

    def read(text: str) -> Sample:
        source = page_source(engine)
        return explained(read_engine_page(text, engine, Gauge(source)), source, "no figure of it can be read")

    return Format(f"{TITLES[engine]} GET /metrics", recognises, read)


def _reply(name: str, is_it: Is, read: Read) -> Format:
    def recognises(text: str) -> bool:
        reply = json_in(text)
        return reply is not None and is_it(reply)

    def take(text: str) -> Sample:
        return explained(
            Sample(engines=(read(json_in(text), Gauge(name)),)), name, _NO_MODELS, Reason.UNSUPPORTED
        )

    return Format(name, recognises, take)


def _log(
    name: str, is_it: Callable[[str], bool], read: Callable[[str], Sample], *others: Callable[[str], bool]
) -> Format:
    def recognises(text: str) -> bool:
        plain = text.lstrip()[:1] not in {"{", "["} or json_in(text) is None
        return plain and is_it(text) and not any(other(text) for other in others)

    return Format(name, recognises, read)


def _is_health(reply: Any) -> bool:
    """Whether a reply says how a server is and nothing else: llama.cpp's, while it loads too, or MLX's."""
    found = mapping(reply)
    if "status" in found and set(found) <= _HEALTHY:
        return isinstance(found["status"], str)
    error = mapping(found.get("error"))
    return set(found) == {"error"} and named(error.get("type")) == "unavailable_error"


def _read_health(text: str) -> Sample:
    found = mapping(json_in(text))
    said = named(found.get("status")) or named(mapping(found.get("error")).get("message"))
    reason = Absent(Reason.UNSUPPORTED, f"it says {said[:80]!r} and no figures", "GET /health")
    return Sample(failure=reason, troubles=(f"GET /health: {reason.detail}",))


def _is_health_text(text: str) -> bool:
    reply = json_in(text)
    return reply is not None and _is_health(reply)


def _served(engine: str) -> Format:
    read = partial(others.read_served, engine=engine)
    return _reply(f"{TITLES[engine]} GET /v1/models", partial(others.is_served_by, engine=engine), read)


FORMATS: Final = (
    *(_page(engine) for engine in metric_table().prefixes),
    _reply("llama.cpp GET /v1/models", llama_cpp.is_models, llama_cpp.read_models),
    _reply("llama.cpp GET /props", llama_cpp.is_props, llama_cpp.read_props),
    _reply("llama.cpp GET /slots", llama_cpp.is_slots, llama_cpp.read_slots),
    Format("GET /health", _is_health_text, _read_health),
    _reply("SGLang GET /server_info", sglang.is_server_info, sglang.read_server_info),
    _reply("SGLang GET /model_info", sglang.is_model_info, sglang.read_model_info),
    _reply("TGI GET /info", others.is_tgi_info, others.read_tgi_info),
    _reply("Ollama GET /api/ps", ollama.is_running, ollama.read_running),
    _reply("Ollama GET /api/tags", ollama.is_stored, ollama.read_stored),
    _reply("Ollama POST /api/show", ollama.is_shown, ollama.read_shown),
    _reply("LM Studio GET /api/v1/models", lmstudio.is_newer, lmstudio.read_newer),
    _reply("LM Studio GET /api/v0/models", lmstudio.is_older, lmstudio.read_older),
    _reply("LM Studio POST /api/v1/models/load", lmstudio.is_load, lmstudio.read_load),
    _reply("mistral.rs GET /v1/models", others.is_mistral_models, others.read_mistral_models),
    _reply("MLX GET /v1/models", others.is_mlx_models, others.read_mlx_models),
    _served("vllm"),
    _served("sglang"),
    Format("ollama ps", is_list, read_list),
    _log("SGLang log", is_sglang_log, read_sglang_log, is_vllm_log, is_llama_log, is_ollama_log),
    _log("TensorRT-LLM log", is_tensorrt_log, read_tensorrt_log, is_sglang_log, is_vllm_log, is_llama_log),
    _log("vLLM log", is_vllm_log, read_vllm_log, is_llama_log, is_ollama_log),
    _log("Ollama log", is_ollama_log, read_ollama_log),
    _log("llama.cpp log", is_llama_log, read_llama_log, is_ollama_log),
)
"""Kinds of output of engines; no two of them know the same text."""
