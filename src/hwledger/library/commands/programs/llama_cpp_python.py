"""``python -m llama_cpp.server`` and the class ``Llama``: llama.cpp with settings of their own."""

from collections.abc import Mapping
from typing import Final

from hwledger.library.commands.draft import Call, Draft
from hwledger.library.commands.programs.hub import choose
from hwledger.library.commands.programs.llama_cpp import hub_model
from hwledger.library.commands.table import Item, table
from hwledger.library.deployment import Deployment

_TYPES: Final[Mapping[str, str]] = {
    "0": "f32", "1": "f16", "2": "q4_0", "3": "q4_1", "6": "q5_0", "7": "q5_1", "8": "q8_0",
    "20": "iq4_nl", "30": "bf16",
}  # fmt: skip


def read(call: Call) -> Deployment:
    """Return what the server of llama-cpp-python runs: 2,048 tokens and no layer on a device unless told.

    Raises:
        UsageError: it names no model.
    """
    draft = Draft(call, "llama.cpp")
    for item in table("llama_cpp_python").read(call.words).items:
        enter(draft, item)
    if repo := draft.values.pop("hf_repo", ""):  # then --model is a pattern for the file
        draft.model = choose(repo, [draft.model]) if draft.model else hub_model(draft, repo, None)
    settle(draft)
    return draft.deployment()


def settle(draft: Draft) -> None:
    """Fill in the defaults that differ from llama.cpp's (llama_cpp_python 0.3.36 ``llama_cpp/llama.py``)."""
    for name, value in (("n_ctx", "2048"), ("n_gpu_layers", "0"), ("n_parallel", "1")):
        draft.options.setdefault(name, value)


def enter(draft: Draft, item: Item) -> None:
    """Enter one setting; number types are given by their number in ggml."""
    name = item.flag.option if item.flag else ""
    if name in {"ggml_k", "ggml_v"}:
        draft.option(f"cache_type_{name[-1]}", _TYPES.get(item.value, item.value), item.said)
    elif name == "offload_kqv":
        draft.option("no_kv_offload", "off" if item.value.lower() in {"true", "1"} else "on", item.said)
    else:
        if name == "tensor_split":
            item.value = item.value.replace(" ", ",")
        draft.take(item)
