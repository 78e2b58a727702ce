"""``llama-bench``: one test after another, each with a context of its own."""

from hwledger.library.commands.draft import Call, Draft, whole
from hwledger.library.commands.programs import llama_cpp
from hwledger.library.commands.table import Item, table
from hwledger.library.deployment import Deployment


def read(call: Call) -> Deployment:
    """Return what the largest test of a ``llama-bench`` command runs.

    Raises:
        UsageError: it names no model.
    """
    draft = Draft(call, "llama.cpp")
    parsed = table("llama_bench").read(call.words)
    for item in parsed.items:
        _enter(draft, item)
    llama_cpp.settle_model(draft, [])
    llama_cpp.settle_experts(draft)
    tokens = max(_most(draft, "prompt", 512), _most(draft, "generated", 128), _pair(draft))
    draft.option("n_ctx", str(max(1, tokens + _most(draft, "depth", 0))), "-p, -n and -d")
    draft.options["n_parallel"] = "1"
    return draft.deployment()


def _enter(draft: Draft, item: Item) -> None:
    name = item.flag.option if item.flag else ""
    if name in {"prompt", "generated", "depth", "prompt_generated"}:
        draft.values[name] = item.value
        return
    if "," in item.value and name in {*draft.known, "no_op_offload"} and name != "tensor_split":
        values = item.value.split(",")
        item.value = _largest(values)
        draft.note(f"{item.said[:80]} asks for several tests: {item.value} is planned")
    if name == "no_op_offload":
        draft.option("op_offload", "off" if item.value == "1" else "on", item.said)
    else:
        llama_cpp.enter(draft, item)


def _largest(values: list[str]) -> str:
    return max(values, key=lambda value: (whole(value) or 0, value)) if all(map(whole, values)) else values[0]


def _most(draft: Draft, name: str, default: int) -> int:
    """The largest of a list like ``512,1024`` or of a range like ``128-1024+128``."""
    text = draft.values.get(name)
    if text is None:
        return default
    ends = [part.partition("-")[2].partition("+")[0].partition("*")[0] or part for part in text.split(",")]
    return max((whole(end) or 0 for end in ends), default=default)


def _pair(draft: Draft) -> int:
    return sum(whole(part) or 0 for part in draft.values.get("prompt_generated", "").split(",")[:2])
