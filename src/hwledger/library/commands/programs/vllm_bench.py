"""vLLM's own benchmarks: ``vllm bench`` and the scripts that it grew out of."""

from hwledger.library.commands.draft import Call, Draft, whole
from hwledger.library.commands.programs import vllm
from hwledger.library.commands.table import table
from hwledger.library.deployment import Deployment


def read(call: Call) -> Deployment:
    """Return what a benchmark runs: the engine as told, with requests of the lengths that are asked for.

    Raises:
        UsageError: it names no model.
    """
    draft = Draft(call, "vllm", vllm.number)
    parsed = table("vllm", "vllm_bench").read(call.words)
    for item in parsed.items:
        vllm.enter(draft, item)
    vllm.settle_model(draft, parsed.loose)
    vllm.settle(draft)
    _lengths(draft)
    return draft.deployment()


def _lengths(draft: Draft) -> None:
    """A benchmark says how long its requests are, and ``latency`` how many run at once."""
    tokens = [whole(draft.values.get(name, "")) or 0 for name in ("input", "output")]
    if all(tokens):
        draft.note(f"its requests have {sum(tokens):,} tokens; the engine reserves for its whole context")
    if batch := whole(draft.values.get("batch", "")):
        draft.values["concurrency"] = str(max(1, batch))
