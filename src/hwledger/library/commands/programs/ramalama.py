"""RamaLama and Docker's model runner, which start llama.cpp in a container."""

from hwledger.errors import UsageError
from hwledger.library.commands.draft import Call, Draft
from hwledger.library.commands.programs import ollama
from hwledger.library.commands.programs.llama_cpp import hub_model
from hwledger.library.commands.table import table
from hwledger.library.deployment import Deployment

_HUBS = ("hf://", "huggingface://", "hf:", "huggingface:")
_REGISTRIES = ("oci://", "docker://", "quay://", "modelscope://", "ms://", "rlcr://")


def read(call: Call) -> Deployment:
    """Return what a command of RamaLama runs.

    Raises:
        UsageError: it names no model, or one of a container registry.
    """
    draft = Draft(call, "llama.cpp")
    parsed = table("ramalama").read(call.words)
    for item in parsed.items:
        draft.take(item)
    runtime = draft.values.get("runtime")
    if runtime in {"vllm", "mlx"}:
        draft.engine = runtime
        draft.options.clear()
        draft.note(f"--runtime {runtime}: its settings are the engine's defaults here")
    elif "n_ctx" not in draft.options:
        draft.options["n_ctx"] = "0"
        draft.note("RamaLama is told no context (-c): it takes what the model was trained with")
    if parsed.loose:
        draft.model = _reference(draft, parsed.loose[0])
    return draft.deployment()


def _reference(draft: Draft, name: str) -> str:
    for hub in _HUBS:
        if name.startswith(hub):
            rest = name[len(hub) :]
            return f"hf:{rest}" if rest.lower().endswith(".gguf") else _hub(draft, rest)
    if name.startswith(_REGISTRIES):
        raise _registry(name)
    if name.startswith(("ollama://", "ollama:")):
        return f"ollama:{name.removeprefix('ollama:').removeprefix('//')}"
    if name.startswith(("file://", "/", "./", "~", "http://", "https://")):
        return name.removeprefix("file://")
    if name.count("/") == 1:  # names of that form are the hub's, as ramalama-serve(1) says
        return _hub(draft, name)
    draft.note(f"{name[:80]} is a short name of RamaLama; it is looked up in Ollama's library")
    return f"ollama:{name}"


def _hub(draft: Draft, repo: str) -> str:
    return hub_model(draft, repo, None) if draft.engine == "llama.cpp" else repo


def read_runner(call: Call) -> Deployment:
    """Return what ``docker model run`` runs, for models of the hub.

    Raises:
        UsageError: it names no model, or one of a container registry.
    """
    draft = Draft(call, "llama.cpp")
    parsed = table("model_runner").read(call.words)
    for item in parsed.items:
        draft.take(item)
    name = parsed.loose[0] if parsed.loose else ""
    if name and not name.lower().startswith(ollama.HUBS):
        raise _registry(name)
    draft.model = ollama.reference(draft, name) if name else ""
    draft.note("Docker's model runner is told no context here: it takes 4,096 tokens unless configured")
    draft.options.setdefault("n_ctx", "4096")
    return draft.deployment()


def _registry(name: str) -> UsageError:
    return UsageError(
        f"{name[:80]} is an image of a container registry; name the model or its file in its place"
    )
