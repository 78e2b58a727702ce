"""LM Studio's ``lms``."""

from hwledger.library.commands.draft import Call, Draft
from hwledger.library.commands.programs import ollama
from hwledger.library.commands.programs.llama_cpp import hub_model
from hwledger.library.commands.table import table
from hwledger.library.deployment import Deployment


def read(call: Call) -> Deployment:
    """Return what ``lms load`` loads; the engine is that of the model's format.

    Raises:
        UsageError: it names no model.
    """
    draft = Draft(call, None)
    parsed = table("lmstudio").read(call.words)
    for item in parsed.items:
        if item.flag and item.flag.option == "gpu":
            _offload(draft, item.value, item.said)
        else:
            draft.take(item)
    if parsed.loose:
        draft.model = _reference(draft, parsed.loose[0])
        draft.left_over(parsed.loose[1:])
    return draft.deployment()


def _reference(draft: Draft, name: str) -> str:
    """Return the reference of a key of LM Studio; ``lms get`` takes addresses of the hub, too."""
    for hub in ollama.HUBS:
        if name.lower().startswith(hub):
            repo, _, quant = name[len(hub) :].partition("@")
            gguf = quant or repo.lower().endswith("-gguf")
            return hub_model(draft, f"{repo}:{quant}", None) if gguf else repo
    return f"lmstudio:{name}"


def _offload(draft: Draft, value: str, said: str) -> None:
    if value.lower() in {"off", "0", "0.0"}:
        draft.engine = "llama.cpp"
        draft.options["n_gpu_layers"] = "0"
    elif value.lower() not in {"max", "1", "1.0", "auto"}:
        draft.note(f"{said} leaves a part of the model in host memory: give n_gpu_layers to plan it")
