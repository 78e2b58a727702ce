"""Ollama and LM Studio: programs with many models, of which some are loaded."""

import re
from dataclasses import replace
from typing import Any, Final

from hwledger.errors import AmbiguousError, MissingError
from hwledger.library.deployment import Deployment
from hwledger.library.lmstudio.listed import Listed, newer_list, older_list
from hwledger.library.lmstudio.running import loaded
from hwledger.library.net.address import is_local
from hwledger.library.serving.replies import Server, objects_of, owners, text_of, whole_of

_NAME: Final = re.compile(r"(?!.*://)[\w][\w./:@-]{0,200}", re.ASCII)
_TEXT_MODELS: Final = frozenset({"llm", "vlm"})


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
    return bool(_listed(server))


def read_lm_studio(server: Server) -> Deployment:
    """Return the one model that LM Studio has loaded.

    Raises:
        AmbiguousError: several are loaded, or none of several.
        MissingError: it has no model at all, or not the one that was asked for.
    """
    known = _listed(server)
    in_memory = [name for name, model in known.items() if model.loaded]
    name = _one(server, "lmstudio", in_memory, in_memory or list(known))
    told = loaded(f"lmstudio:{name}", known[name])
    beyond = () if is_local(server.address) else (_elsewhere("lmstudio", name),)
    return replace(told, notes=(*beyond, *told.notes))


def _listed(server: Server) -> dict[str, Listed]:
    """Return the language models that LM Studio lists, as its newer list has them or its older one."""
    found = newer_list(server.json("/api/v1/models")) or older_list(server.json("/api/v0/models")) or []
    return {
        model.key: model
        for model in found
        if model.kind in _TEXT_MODELS and model.format and _NAME.fullmatch(model.key)
    }


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
