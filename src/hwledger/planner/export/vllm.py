"""vLLM: ``vllm serve``."""

import json
from typing import Final

from hwledger.errors import UsageError
from hwledger.planner.engines.vllm.cache_types import cache_type
from hwledger.planner.export import figures
from hwledger.planner.export.recipe import Draft, Recipe
from hwledger.planner.export.reference import ADAPTER, Reference, adapter_of, opened, packed_as
from hwledger.planner.export.spelling import word_of, words_of
from hwledger.planner.export.target import draft_for, finish
from hwledger.planner.plan import Plan
from hwledger.units import cdiv

RANKS: Final = {
    "tensor_parallel_size": "ranks share every layer",
    "pipeline_parallel_size": "ranks share out the layers",
    "data_parallel_size": "copies share the requests",
    "decode_context_parallel_size": "ranks share the tokens of a cache",
}


def build(plan: Plan) -> Recipe:
    """Return how vLLM runs the plan.

    Raises:
        UsageError: vLLM cannot, with what to do instead.
    """
    draft = draft_for(plan, "vllm")
    model = opened(draft)
    batch(draft, model)
    _ranks(draft)
    share = plan.memory.options["gpu_memory_utilization"]
    draft.put(
        "gpu_memory_utilization", share,
        f"{figures.taken(plan)}; what this share leaves is KV cache for more requests",
    )  # fmt: skip
    cache(draft)
    packing(draft)
    _speculation(draft)
    if with_adapter(draft):
        _rank(draft)
    draft.rest()
    return finish(draft, ("vllm", "serve", model.text), model.text, local=model.local)


def batch(draft: Draft, model: Reference) -> None:
    """Set revision, lengths and batches: at least the planned sequences, at most a batch's tokens."""
    plan = draft.plan
    if model.revision:
        draft.put("revision", model.revision, "the commit that was read")
    draft.put("max_model_len", plan.memory.context_tokens, figures.context(plan))
    _check_length(draft)
    tokens = int(str(plan.memory.options["max_num_batched_tokens"]))
    draft.put("max_num_seqs", _sequences(draft), f"at most in one batch; {figures.requests(plan)}")
    draft.put("max_num_batched_tokens", tokens, figures.scratch(plan))


def _sequences(draft: Draft) -> int:
    """Return the requests of a batch: as the engine takes them, at least those that were planned."""
    plan, resolved = draft.plan, draft.plan.memory.options
    users = cdiv(plan.memory.concurrency, int(str(resolved["data_parallel_size"])))
    wanted = min(int(str(resolved["max_num_seqs"])), int(str(resolved["max_num_batched_tokens"])))
    if users > wanted:
        draft.note(
            f"the plan's scratch memory is that of {wanted:,} requests in one batch, and"
            f" {users:,} are to run at"
            f" once: --option max_num_seqs={users} plans it"
        )
    return max(users, wanted)


def _check_length(draft: Draft) -> None:
    """Say that a context is longer than the model was made for: engines refuse it unless told otherwise."""
    made, wanted = draft.plan.spec.context_length, draft.plan.memory.context_tokens
    if made and wanted > made:
        draft.note(
            f"{wanted:,} tokens are more than the {made:,} that the model was made for: {draft.title} refuses"
            " that unless its positions are scaled (RoPE) or its check is switched off"
        )


def _ranks(draft: Draft) -> None:
    resolved = {**draft.plan.memory.options}
    for name, does in RANKS.items():
        count = int(str(resolved.get(name, 1)))
        draft.skip(name)
        if count > 1 or name == "tensor_parallel_size":
            draft.put(name, count, f"{count} {does}; {figures.weights(draft.plan)}")
    experts = draft.plan.request.options.get("enable_expert_parallel")
    draft.skip("enable_expert_parallel")
    if experts:
        draft.put("enable_expert_parallel", True, "whole experts on each rank")


def cache(draft: Draft) -> None:
    """Set the type of the KV cache where it is not the engine's own choice.

    Raises:
        UsageError: this version keeps no cache in that type.
    """
    name = str(draft.plan.memory.options["kv_cache_dtype"])
    row = cache_type(name)
    draft.skip("kv_cache_dtype")
    if row is None:
        return
    word = word_of(draft.target, "kv_cache", row["name"], draft.version)
    if word is None:
        known = ", ".join(("auto", *words_of(draft.target, "kv_cache", draft.version)))
        raise UsageError(
            f"{draft.named} keeps no KV cache as {row['name']} (it can: {known}): plan with --kv-cache"
        )
    draft.put("kv_cache_dtype", word, figures.per_token(draft.plan))


def packing(draft: Draft) -> None:
    """Set what the weights are packed into while loading.

    Raises:
        UsageError: this version cannot do that.
    """
    name, word = packed_as(draft)
    if not name:
        return
    draft.put("quantization", word, f"packed as {name} while loading: {figures.weights(draft.plan)}")


def drafted(draft: Draft, flags: str) -> int:
    """Return the tokens that the model itself drafts at a time; 0: none, or a head does, which is said.

    Args:
        draft: the recipe.
        flags: what names such a head to the program.
    """
    given = draft.plan.request.options
    draft.skip("num_speculative_tokens", "num_draft_layers")
    count = int(str(given.get("num_speculative_tokens") or 0))
    if count and (layers := given.get("num_draft_layers")):
        draft.note(
            f"{count} tokens are drafted by a head of {layers} layers that the plan does not name:"
            f" add {flags}"
        )
        return 0
    return count


def _speculation(draft: Draft) -> None:
    count = drafted(draft, "--speculative-config with its method and model")
    if not count:
        return
    method = "mtp" if draft.plan.spec.mtp_layers else "ngram"
    why = "by the model's own heads" if method == "mtp" else "by matching the prompt, which needs no weights"
    draft.put(
        "speculative", json.dumps({"method": method, "num_speculative_tokens": count}),
        f"{count} tokens drafted at a time {why}",
    )  # fmt: skip


def with_adapter(draft: Draft) -> bool:
    """Load the plan's adapter beside its base; return whether there is one."""
    adapter = adapter_of(draft)
    if adapter is not None:
        draft.put("enable_lora", True, "the adapter's weights are in the plan")
        draft.put("lora_modules", f"{ADAPTER}={adapter.text}", "requests name it as the model 'adapter'")
    return adapter is not None


def _rank(draft: Draft) -> None:
    """Set the largest rank: the engine takes a few values, and refuses adapters above its usual 16."""
    rank = draft.plan.spec.adapter_rank
    if rank is None:
        draft.note("the adapter states no rank: --max-lora-rank has to be set where it is above 16")
        return
    taken = [int(value) for value in words_of("vllm", "max_lora_rank", draft.version)]
    enough = min((value for value in taken if value >= rank), default=None)
    if enough is None:
        raise UsageError(
            f"{draft.named} takes adapters up to rank {max(taken)}, and this one has {rank}: merge it into"
            " the base and plan that"
        )
    draft.put("max_lora_rank", enough, f"the adapter's rank is {rank}")
