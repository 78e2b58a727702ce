"""Python that a model's page shows: the one call that loads the model. It is parsed and never run."""

import re
from collections.abc import Callable
from itertools import islice
from typing import Final

from hwledger.errors import UsageError
from hwledger.library.commands import calls
from hwledger.library.commands.values import Arguments, arguments, call, names_of, unprompted, value_of
from hwledger.library.deployment import Deployment

_ENDINGS: Final = (
    "from_pretrained", "from_quantized", "from_model_id", "pipeline", "LLM", "Llama", "LlamaCpp", "load",
    "Engine", "Runtime", "EngineArgs", "snapshot_download", "hf_hub_download", "ChatOllama", "OllamaLLM",
    "Ollama", "llm", "chat", "generate", "pull", "Runner",
)  # fmt: skip
_SIGNS: Final = tuple(f"{ending}(" for ending in _ENDINGS)
_CALL: Final = re.compile(rf"((?<![\w.])[\w.]{{0,100}}(?:{'|'.join(_ENDINGS)}))\(")
_MODEL_CLASS: Final = re.compile(
    r"AutoModel\w*|AutoPeft\w*|Auto(?:GPTQ|AWQ)ForCausalLM|\w+(?:ForCausalLM|ForConditionalGeneration|LMHeadModel)"
    r"|\w*LanguageModel|FastModel|FastVisionModel|LLM|GPTQModel|HuggingFacePipeline"
)
_MOST: Final = 50
_TRIED: Final = 500

Reader = Callable[[str, Arguments], Deployment]


def is_snippet(text: str) -> bool:
    """Return whether ``text`` looks like Python that loads a model."""
    return any(sign in text for sign in _SIGNS) and bool(_calls(unprompted(text)))


def read(text: str) -> Deployment | None:
    """Return what a Python snippet loads; ``None`` where it is none.

    Raises:
        UsageError: it loads several different models, or one that is given by a variable.
    """
    found: dict[str, Deployment] = {}
    errors: list[UsageError] = []
    for name, reader, given in _calls(unprompted(text)):
        try:
            deployment = reader(name, given)
        except UsageError as error:
            errors.append(error)
            continue
        found.setdefault(deployment.model, deployment)
    if len(found) > 1:
        raise UsageError(
            f"the snippet loads several models: {', '.join(m[:80] for m in found)}; paste one of them"
        )
    if errors and not found:
        raise errors[0]
    return next(iter(found.values()), None)


def _calls(text: str) -> list[tuple[str, Reader, Arguments]]:
    """The calls in ``text`` that load a model; those that fetch one only where none does."""
    names = names_of(text)
    loading: list[tuple[str, Reader, Arguments]] = []
    fetching: list[tuple[str, Reader, Arguments]] = []
    matches = ((match, _reader(match[1], text)) for match in islice(_CALL.finditer(text), _TRIED))
    for match, reader in islice((pair for pair in matches if pair[1]), _MOST):
        node = call(text[match.start(1) :], match.end(1) - match.start(1))
        if node and reader:
            kept = fetching if reader is calls.download else loading
            kept.append((match[1], reader, arguments(node, names)))
    return loading or fetching


def _reader(name: str, text: str) -> Reader | None:
    owner, _, last = name.rpartition(".")
    owner = owner.rpartition(".")[2]
    if last in {"from_pretrained", "from_quantized", "from_model_id"}:
        return _pretrained(owner, text)
    if last == "pipeline":
        return calls.lmdeploy if "lmdeploy" in text else calls.pipeline
    if last == "LLM" and "tensorrt_llm" in text:
        return calls.trtllm
    reader, owners, word = _BY_OWNER.get(last, (None, "", ""))
    if reader and (owner in owners.split() or (word and word in text)):
        return reader
    return _BY_NAME.get(last)


_BY_OWNER: Final[dict[str, tuple[Reader, str, str]]] = {
    "chat": (calls.ollama_model, "ollama", ""), "generate": (calls.ollama_model, "ollama", ""),
    "pull": (calls.ollama_model, "ollama", ""), "llm": (calls.lm_studio, "lms lmstudio", ""),
    "load": (calls.mlx, "mlx_lm mlx_vlm", "mlx"), "Engine": (calls.sglang_engine, "sgl sglang", "sglang"),
    "Runtime": (calls.sglang_engine, "sgl sglang", "sglang"),
}  # fmt: skip
"""Last part of a name, whose it must be, or else a word that the text must hold."""

_BY_NAME: Final[dict[str, Reader]] = {
    "LLM": calls.vllm_engine, "VLLM": calls.vllm_engine, "EngineArgs": calls.vllm_engine,
    "AsyncEngineArgs": calls.vllm_engine, "Llama": calls.llama, "LlamaCpp": calls.llama,
    "snapshot_download": calls.download, "hf_hub_download": calls.download, "ChatOllama": calls.ollama_model,
    "OllamaLLM": calls.ollama_model, "Ollama": calls.ollama_model, "Runner": calls.mistralrs,
}  # fmt: skip


def _pretrained(owner: str, text: str) -> Reader | None:
    if owner == "Llama":
        return calls.llama
    if not _MODEL_CLASS.fullmatch(owner):
        return None
    return calls.ctransformers if "ctransformers" in text else calls.transformers


def listed_words(text: str) -> list[list[str]]:
    """Return lists of words like ``["vllm", "serve", MODEL]``, as programs are started from Python."""
    if "import " not in text and "subprocess" not in text and not _ASSIGNED_WORDS.search(text):
        return []
    names = names_of(text)
    found: list[list[str]] = []
    for match in islice(_WORDS.finditer(text), _MOST):
        node = call(f"f({text[match.start() : match.start() + 6000]}", 1)
        node = node or call(f"f({_upto(text, match.start())})", 1)
        value = value_of(node.args[0], names) if node and node.args else None
        if isinstance(value, list):
            found.append([str(word) for word in value if isinstance(word, str | int | float)])
    return found


_WORDS: Final = re.compile(
    r"\[\s{0,40}[\"'](?:vllm|python3?|llama-server|sglang|text-generation-launcher)[\"']\s{0,9},"
)

_ASSIGNED_WORDS: Final = re.compile(rf"(?:= ?|\()(?:{_WORDS.pattern})")


def _upto(text: str, at: int) -> str:
    end = text.find("]", at)
    return text[at : end + 1] if end > 0 else ""
