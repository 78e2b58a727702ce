"""vLLM: ``vllm serve``, its server module and its image."""

import re
from typing import Final

from hwledger.errors import UnknownOptionError, UsageError
from hwledger.library.commands.draft import Call, Draft
from hwledger.library.commands.programs import overrides
from hwledger.library.commands.table import Item, table
from hwledger.library.commands.written import flags_of
from hwledger.library.deployment import Deployment
from hwledger.planner.engines.vllm.cache_types import cache_type

_NUMBER: Final = re.compile(r"(\d{1,18}(?:\.\d{1,12})?)([kKmMgGtT]?)")
_LOADED: Final = {
    "fp8": "fp8", "fp8_per_tensor": "fp8", "fp8_per_block": "fp8-block", "mxfp8": "mxfp8",
    "nvfp4_per_token": "nvfp4", "nvfp4_online": "nvfp4", "bitsandbytes": "nf4",
}  # fmt: skip
"""Types that weights are packed into while loading (vLLM 0.33.0 ``_ONLINE_SHORTHANDS``, SGLang 0.5.23)."""
_IN_PART: Final = frozenset({"experts_int8", "tpu_int8", "torchao", "fp_quant", "inc", "online"})
_POWERS: Final = "kmgt"
_WITHOUT_MODEL: Final = frozenset({"ngram", "[ngram]", "ngram_gpu", "suffix"})


def number(text: str) -> int | None:
    """Return the number as vLLM reads it: ``32k`` is 32,000, ``32K`` is 32,768; ``None``: it is none.

    vLLM 0.33.0 ``vllm/utils/argparse_utils.py`` ``human_readable_int``.
    """
    found = _NUMBER.fullmatch(text.strip().replace("_", ""))
    if found is None:
        return None
    digits, unit = str(found[1]), str(found[2])
    power = _POWERS.find(unit.lower()) + 1 if unit else 0
    if not unit.islower():
        return int(digits) << (10 * power) if digits.isdigit() else None
    return round(float(digits) * float(1000**power))


def read(call: Call) -> Deployment:
    """Return what a command of vLLM runs.

    Raises:
        UsageError: it names no model.
    """
    draft = Draft(call, "vllm", number)
    inner = call.words[:1] == ("serve",)  # after the name of an image
    parsed = table("vllm").read(call.words[1:] if inner else call.words)
    for item in parsed.items:
        enter(draft, item)
    settle_model(draft, parsed.loose)
    settle(draft)
    return draft.deployment()


def settle_model(draft: Draft, loose: list[str]) -> None:
    """Take the model from the words that belong to no flag."""
    if loose:
        draft.model = loose[0]
        draft.left_over(loose[1:])


def settle(draft: Draft) -> None:
    """Enter what a server does without being told: one rank, and the model's whole context.

    Ranks that are told in a way that the text does not show are left to the devices.

    Raises:
        UsageError: the model is named in a file of settings alone.
    """
    if "tensor_parallel_size" in draft.unread:
        draft.note("the ranks are not in the text: the model is planned over all devices that are given")
    else:
        draft.options.setdefault("tensor_parallel_size", "1")
    overrides.settle_length(draft)
    draft.whole_context = "max_model_len" not in draft.options
    if (path := draft.values.get("config")) and not draft.model:
        raise UsageError(
            f"the model is in {path[:80]}, which is not read; add the model's name to the command"
        )


def enter(draft: Draft, item: Item) -> None:
    """Enter one flag of vLLM; the values that vLLM settles itself are left out, with a note."""
    name = item.flag.option if item.flag else ""
    if name == "json":
        _speculative(draft, item)
    elif name == "hf_overrides":
        overrides.override(draft, item)
    elif name == "rope_scaling":
        overrides.rope(draft, overrides.object_of(item.value), item.said)
    elif name == "config":
        _settings(draft, item)
    elif item.value.strip().lower() in {"auto", "-1"} and name in {
        "max_model_len",
        "num_gpu_blocks_override",
    }:
        draft.note(
            f"{item.said} leaves {name} to vLLM: it takes what fits, at most what the model was trained with"
        )
    elif name == "quantization":
        _packing(draft, item)
    elif name == "kv_cache_dtype":
        _cache_type(draft, item)
    else:
        draft.take(item)


def _settings(draft: Draft, item: Item) -> None:
    """Enter the settings of a file, where the text shows it; what a flag says counts above them."""
    flags = flags_of(draft, item.value)
    if flags is None:
        draft.values["config"] = item.value
        draft.note(f"{item.said[:80]} is not read: what it sets is not planned")
        return
    told, model = dict(draft.options), draft.model
    for inner in table("vllm").read(flags).items:
        if not (inner.flag and inner.flag.option == "config"):
            enter(draft, inner)
    draft.options |= told
    draft.model = model or draft.model


def _packing(draft: Draft, item: Item) -> None:
    """Enter how the weights are packed while loading; other names say how the files are packed already."""
    name = item.value.strip().lower()
    if name in _LOADED:
        draft.option("quantization", _LOADED[name], item.said)
    elif name in _IN_PART:
        draft.note(f"{item.said} packs weights while loading in a way that is not planned")
    else:
        draft.note(f"{item.said} names how the files are packed already: their own sizes are planned")


def _cache_type(draft: Draft, item: Item) -> None:
    """Enter the type of the KV cache where the planner has a rule for it."""
    name = item.value.strip().lower().removesuffix("nuz").removesuffix("fn")
    try:
        cache_type(name)
    except UnknownOptionError:
        draft.note(f"{item.said[:80]} is no type of a KV cache that is known: not planned")
    else:
        draft.option("kv_cache_dtype", name, item.said)


def _speculative(draft: Draft, item: Item) -> None:
    """Enter a draft's tokens; of an EAGLE head its one layer's cache, and nothing of another model."""
    given = {item.key: item.value} if item.key else overrides.object_of(item.value)
    tokens, model, method = (given.get(name) for name in ("num_speculative_tokens", "model", "method"))
    if isinstance(tokens, int | str) and number(str(tokens)):
        draft.option("num_speculative_tokens", str(tokens), item.said)
    eagle = "eagle" in f"{method} {model}".lower()
    if eagle:
        draft.options["num_draft_layers"] = "1"
    if isinstance(model, str) and model not in _WITHOUT_MODEL:
        part = "beyond one layer's cache " if eagle else ""
        draft.note(f"the draft model {model[:80]!r} is not planned {part}".rstrip())
    if str(method) in _WITHOUT_MODEL:
        draft.note(
            f"{method} drafts without a model; MTP layers that a model brings are counted all the same"
        )
    if not given or (item.key and tokens is None and model is None and method is None):
        draft.note(f"{item.said[:80]} can change the memory and is not planned")
