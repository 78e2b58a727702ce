"""SGLang, planned by the rules of vLLM."""

from hwledger.library.commands.draft import Call, Draft, whole
from hwledger.library.commands.programs import overrides, vllm
from hwledger.library.commands.table import Item, table
from hwledger.library.deployment import Deployment


def read(call: Call) -> Deployment:
    """Return what a command of SGLang runs.

    Raises:
        UsageError: it names no model.
    """
    draft = Draft(call, "vllm", whole)
    draft.note("SGLang has no profile of its own yet: it is planned by the rules of vLLM")
    parsed = table("sglang").read(call.words)
    for item in parsed.items:
        enter(draft, item)
    if parsed.loose:
        draft.left_over(parsed.loose[1:] if not draft.model else parsed.loose)
        draft.model = draft.model or parsed.loose[0]
    if any(item.flag and item.flag.name == "--enable-dp-attention" for item in parsed.items):
        _split_attention(draft)
    elif said := draft.values.get("copies"):
        draft.note(
            f"{said} runs whole copies in SGLang; the rules of vLLM share a mixture's experts among them"
        )
    vllm.settle(draft)
    return draft.deployment()


def _split_attention(draft: Draft) -> None:
    """With ``--enable-dp-attention`` the copies of the attention share the tensor-parallel ranks."""
    ranks, copies = (
        whole(draft.options.get(f"{kind}_parallel_size", "1")) or 1 for kind in ("tensor", "data")
    )
    if copies < 1 or ranks % copies:
        return
    draft.options["tensor_parallel_size"] = str(ranks // copies)
    draft.options["data_parallel_size"] = str(copies)
    draft.options["enable_expert_parallel"] = "on"
    draft.note(
        f"--enable-dp-attention: {copies} copies of the attention on {ranks} ranks, experts shared out"
    )


def enter(draft: Draft, item: Item) -> None:
    """Enter one flag of SGLang."""
    name = item.flag.option if item.flag else ""
    if name == "enable_expert_parallel" and item.value:
        if (whole(item.value) or 1) > 1:
            draft.option(name, "on", item.said)
    elif name == "model_override":
        overrides.override(draft, item, scales=False)
    elif name == "data_parallel_size" and item.value != "1":
        draft.take(item)
        draft.values["copies"] = item.said
    elif name == "gpu_memory_utilization":
        draft.note(f"{item.said} holds weights and caches in SGLang; planned as gpu_memory_utilization")
        draft.take(item)
    elif name == "max_num_batched_tokens" and item.value.startswith("-"):
        draft.note(f"{item.said} switches chunked prefill off: not planned")
    elif name in {"quantization", "kv_cache_dtype", "config"}:
        vllm.enter(draft, item)
    else:
        draft.take(item)
