"""KoboldCpp, which carries llama.cpp with flags and defaults of its own."""

from typing import Final

from hwledger.library.commands.draft import Call, Draft, whole
from hwledger.library.commands.table import Item, table
from hwledger.library.deployment import Deployment

_CACHE: Final = {
    "0": "f16",
    "1": "q8_0",
    "2": "q4_0",
    "3": "bf16",
    "q8": "q8_0",
    "q4": "q4_0",
}
_DEFAULTS: Final = {
    "n_ctx": "16384",
    "n_batch": "512",
    "n_parallel": "1",
    "swa_full": "off",
    "flash_attn": "on",
    "mmap": "off",
}
_WIDE: Final = frozenset({"f16", "bf16"})


def read(call: Call) -> Deployment:
    """Return what a command of KoboldCpp runs: 16,384 tokens, flash attention, as many layers as fit.

    Source: KoboldCpp 1.122.1 ``koboldcpp.py``. It was 8,192 tokens with sliding layers whole and flash
    attention off in 1.102, and 12,288 tokens in 1.117.1.

    Raises:
        UsageError: it names no model.
    """
    draft = Draft(call, "llama.cpp")
    draft.note("KoboldCpp has no profile of its own yet: it is planned by the rules of llama.cpp")
    parsed = table("koboldcpp").read(call.words)
    for item in parsed.items:
        _enter(draft, item)
    if not draft.model and parsed.loose:
        draft.model = parsed.loose[0]
    _settle(draft)
    return draft.deployment()


def _enter(draft: Draft, item: Item) -> None:
    name = item.flag.option if item.flag else ""
    if name == "model":
        draft.model = item.value.split(" ")[0] if item.value.lower().endswith(".gguf") else item.value
    elif name == "quantkv":
        for option in ("cache_type_k", "cache_type_v"):
            draft.option(option, _CACHE.get(item.value.lower(), item.value), item.said)
    elif name == "cpu":
        draft.options["n_gpu_layers"] = "0"
    elif name == "autofit":
        draft.options["n_gpu_layers"] = "-1"
    elif name == "n_cpu_moe" and not item.value:
        draft.option("cpu_moe", "on", item.said)
    elif name == "tensor_split":
        item.value = item.value.replace(" ", ",")
        draft.take(item)
    else:
        draft.take(item)


def _settle(draft: Draft) -> None:
    options = draft.options
    if "n_ctx" not in options:
        draft.note("KoboldCpp is told no --contextsize: it takes 16,384 tokens (8,192 before 1.117)")
    for name, value in _DEFAULTS.items():
        options.setdefault(name, value)
    if (whole(options.get("n_ubatch", "-1")) or -1) < 0:
        options["n_ubatch"] = options["n_batch"]
    if options["flash_attn"] == "off" and options.get("cache_type_v", "f16") not in _WIDE:
        draft.note("KoboldCpp without flash attention keeps V in f16")
        options["cache_type_v"] = "f16"
    if (layers := whole(options.get("n_gpu_layers", "-1"))) is None or layers < 0:
        draft.note("KoboldCpp is told no --gpulayers: it takes as many as fit, and all are planned")
        options["n_gpu_layers"] = "-1"
