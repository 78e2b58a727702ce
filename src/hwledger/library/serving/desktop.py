"""Ollama and LM Studio: programs with many models, of which some are loaded."""

import re
from typing import Any, Final

from hwledger.errors import AmbiguousError, MissingError
from hwledger.library.deployment import Deployment
from hwledger.library.serving.address import is_local
from hwledger.library.serving.replies import Server, object_of, objects_of, owners, text_of, whole_of
from hwledger.library.serving.settings import Settings

_NAME: Final = re.compile(r"[\w][\w./:@-]{0,200}", re.ASCII)
_TEXT_MODELS: Final = frozenset({"llm", "vlm"})
_ENGINES: Final = {"gguf": "llama.cpp", "mlx": "mlx"}


def is_ollama(server: Server) -> bool:
    """Whether the server lists running models and has a version, as Ollama alone does."""
    if owners(server) & {"vllm", "sglang", "llamacpp", "organization_owner"}:
        return False
    running = server.json("/api/ps").get("models")
    return isinstance(running, list) and bool(text_of(server.json("/api/version"), "version"))


def read_ollama(server: Server) -> Deployment:
    """Return the one model that Ollama has loaded.

    Raises:
        AmbiguousError: several are loaded, or none of several.
        MissingError: it has no model at all, or not the one that was asked for.
    """
    running = {_called(row): row for row in objects_of(server.json("/api/ps"), "models") if _called(row)}
    known = list(running) or _all_of_ollama(server)
    name = _one(server, "ollama", list(running), known)
    version = text_of(server.json("/api/version"), "version")
    notes = [] if is_local(server.address) else [_elsewhere("ollama", name)]
    return Deployment(
        model=f"ollama:{name}", program=f"Ollama {version}", engine="llama.cpp",
        context=whole_of(running.get(name, {}), "context_length"), notes=tuple(notes),
    )  # fmt: skip


def _all_of_ollama(server: Server) -> list[str]:
    return [name for row in objects_of(server.json("/api/tags"), "models") if (name := _called(row))]


def is_lm_studio(server: Server) -> bool:
    """Whether the server lists models with a publisher and a state, as LM Studio alone does."""
    return bool(_instances(server) or _rows(server))


def read_lm_studio(server: Server) -> Deployment:
    """Return the one model that LM Studio has loaded.

    Raises:
        AmbiguousError: several are loaded, or none of several.
        MissingError: it has no model at all, or not the one that was asked for.
    """
    known = {**_rows(server), **_instances(server)}
    loaded = [name for name, row in known.items() if _is_loaded(row)]
    name = _one(server, "lmstudio", loaded, loaded or list(known))
    row = known[name]
    engine = _ENGINES.get(text_of(row, "format") or text_of(row, "compatibility_type") or "")
    config = object_of(next(iter(objects_of(row, "loaded_instances")), {}), "config")
    context = whole_of(config, "context_length") or whole_of(row, "loaded_context_length")
    settings = _settings(config) if engine == "llama.cpp" else None
    notes = [] if is_local(server.address) else [_elsewhere("lmstudio", name)]
    return Deployment(
        model=f"lmstudio:{name}", program="LM Studio", engine=engine, context=context,
        options=settings.options if settings else {},
        notes=(*notes, *(settings.notes if settings else ())),
    )  # fmt: skip


def _settings(config: dict[str, Any]) -> Settings:
    """Return the options of a loaded GGUF model: requests in parallel share one cache in LM Studio."""
    settings = Settings("llama.cpp")
    settings.take("flash_attn", config.get("flash_attention"))
    settings.take("n_batch", whole_of(config, "eval_batch_size"))
    settings.take("no_kv_offload", "on" if config.get("offload_kv_cache_to_gpu") is False else None)
    parallel = whole_of(config, "parallel") or 1
    if parallel > 1:
        settings.take("n_parallel", parallel)
        settings.take("kv_unified", "on")
        settings.take("n_ctx", whole_of(config, "context_length"))
    return settings


def _instances(server: Server) -> dict[str, dict[str, Any]]:
    rows = objects_of(server.json("/api/v1/models"), "models")
    return {
        name: row
        for row in rows
        if text_of(row, "type") in _TEXT_MODELS
        and "loaded_instances" in row
        and (name := _called(row, "key"))
    }


def _rows(server: Server) -> dict[str, dict[str, Any]]:
    if _instances(server):  # the newer list says more
        return {}
    rows = objects_of(server.json("/api/v0/models"), "data")
    return {
        name: row
        for row in rows
        if text_of(row, "type") in _TEXT_MODELS and "state" in row and (name := _called(row, "id"))
    }


def _is_loaded(row: dict[str, Any]) -> bool:
    return text_of(row, "state") == "loaded" or bool(objects_of(row, "loaded_instances"))


def _called(row: dict[str, Any], key: str = "name") -> str:
    name = text_of(row, key) or ""
    return name if _NAME.fullmatch(name) else ""


def _one(server: Server, source: str, loaded: list[str], known: list[str]) -> str:
    if server.wanted is not None:
        if server.wanted not in known:
            raise MissingError(f"{server.address} has not loaded a model called {server.wanted[:200]!r}")
        return server.wanted
    if len(loaded) == 1:
        return loaded[0]
    if not known:
        raise MissingError(f"{server.address} has no model at all; load one first")
    raise AmbiguousError(server.address, [f"{source}:{name}" for name in known[:20]])


def _elsewhere(source: str, name: str) -> str:
    return f"{source}:{name} is read from this machine: what is called so here is planned"
