"""Ollama: the model's name, and the variables that its server reads."""

from typing import Final

from hwledger.library.commands.draft import Call, Draft
from hwledger.library.commands.programs.llama_cpp import hub_model
from hwledger.library.commands.table import table
from hwledger.library.deployment import Deployment

_HUBS: Final = ("https://hf.co/", "https://huggingface.co/", "hf.co/", "huggingface.co/")
_ENV: Final = {
    "OLLAMA_CONTEXT_LENGTH": "context",
    "OLLAMA_NUM_PARALLEL": "concurrency",
    "OLLAMA_FLASH_ATTENTION": "flash_attn",
}


def read(call: Call) -> Deployment:
    """Return what a command of Ollama runs.

    Raises:
        UsageError: it names no model.
    """
    draft = Draft(call, "llama.cpp")
    parsed = table("ollama").read(call.words)
    for item in parsed.items:
        draft.take(item)
    if parsed.loose:
        draft.model = reference(draft, parsed.loose[0])
    for name, option in _ENV.items():
        if value := call.env.get(name):
            draft.enter(option, value, f"{name}={value}")
    if kind := call.env.get("OLLAMA_KV_CACHE_TYPE"):
        for option in ("cache_type_k", "cache_type_v"):
            draft.option(option, kind, f"OLLAMA_KV_CACHE_TYPE={kind}")
    return draft.deployment()


def reference(draft: Draft, name: str) -> str:
    """Return the reference of a name of Ollama's; names of the hub stay on the hub."""
    for hub in _HUBS:
        if name.lower().startswith(hub):
            return hub_model(draft, name[len(hub) :], None)
    return f"ollama:{name}"
