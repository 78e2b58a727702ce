"""Ollama: the model's name, and the variables that its server reads."""

from typing import Final

from hwledger.library.commands.draft import Call, Draft
from hwledger.library.commands.programs.llama_cpp import hub_model
from hwledger.library.commands.table import table
from hwledger.library.deployment import Deployment

HUBS: Final = ("https://hf.co/", "https://huggingface.co/", "hf.co/", "huggingface.co/")
SET: Final = "/set parameter "
"""How the prompt begins to set a parameter; its name follows."""
_ENV: Final = {
    "OLLAMA_CONTEXT_LENGTH": "context",
    "OLLAMA_NUM_PARALLEL": "concurrency",
    "OLLAMA_FLASH_ATTENTION": "flash_attn",
}
_PARAMETERS: Final = {
    "num_ctx": "context",
    "num_batch": "n_batch",
    "num_gpu": "n_gpu_layers",
    "main_gpu": "main_gpu",
    "use_mmap": "mmap",
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
    for name, value in call.env.items():
        if name.startswith(SET):
            parameter(draft, name.removeprefix(SET), value)
    if kind := call.env.get("OLLAMA_KV_CACHE_TYPE"):
        for option in ("cache_type_k", "cache_type_v"):
            draft.option(option, kind, f"OLLAMA_KV_CACHE_TYPE={kind}")
    if draft.model.startswith("hf:") and "context" not in draft.values:
        draft.note(
            "Ollama is told no context: it takes 4,096, 32,768 or 262,144 tokens with less than 24, less than"
            " 48, or from 48 GiB of accelerator memory; give --context"
        )
    return draft.deployment()


def reference(draft: Draft, name: str) -> str:
    """Return the reference of a name of Ollama's; names of the hub stay on the hub."""
    for hub in HUBS:
        if name.lower().startswith(hub):
            return hub_model(draft, name[len(hub) :], None)
    return f"ollama:{name}"


def parameter(draft: Draft, name: str, value: str) -> None:
    """Enter a parameter of a Modelfile or of a request; those of sampling change no memory."""
    if option := _PARAMETERS.get(name):
        draft.enter(option, value, f"{name} {value}")


def read_modelfile(lines: list[tuple[str, str]]) -> Deployment:
    """Return what a Modelfile describes: pairs of its instructions and what follows them.

    Raises:
        UsageError: it names no model.
    """
    draft = Draft(Call(program="Ollama Modelfile", words=()), "llama.cpp")
    for name, rest in lines:
        if name == "FROM":
            path = rest.startswith((".", "/", "~")) or rest.lower().endswith(".gguf")
            draft.model = rest if path else reference(draft, rest)
        elif name == "PARAMETER":
            key, _, value = rest.partition(" ")
            parameter(draft, key, value.strip())
        elif name == "ADAPTER":
            draft.note("ADAPTER can change the memory and is not planned")
    return draft.deployment()
