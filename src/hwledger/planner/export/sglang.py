"""SGLang, planned by the rules of vLLM: ``python3 -m sglang.launch_server``."""

from math import ceil, floor

from hwledger.model.channel import MixtureOfExperts
from hwledger.planner.export import figures
from hwledger.planner.export.recipe import Draft, Recipe
from hwledger.planner.export.reference import opened
from hwledger.planner.export.target import draft_for, finish
from hwledger.planner.export.vllm import batch, cache, drafted, packing, with_adapter
from hwledger.planner.memory import Category
from hwledger.planner.plan import DevicePlan, Plan

STATIC = (Category.WEIGHTS, Category.KV_CACHE, Category.STATE)


def build(plan: Plan) -> Recipe:
    """Return how SGLang runs the plan.

    Raises:
        UsageError: SGLang cannot, with what to do instead.
    """
    draft = draft_for(plan, "sglang")
    model = opened(draft)
    draft.note("SGLang has no profile of its own: memory is planned by the rules of vLLM")
    draft.put("model", model.text, "the model that was planned")
    batch(draft, model)
    _ranks(draft)
    _fraction(draft)
    cache(draft)
    packing(draft)
    _speculation(draft)
    with_adapter(draft)
    draft.skip("gpu_memory_utilization", "enable_prefix_caching", "async_scheduling")
    for switch in ("enable_prefix_caching", "async_scheduling"):
        if plan.request.options.get(switch) is False:
            draft.as_given(switch)
    draft.rest()
    return finish(draft, ("python3", "-m", "sglang.launch_server"), model.text, local=model.local)


def _ranks(draft: Draft) -> None:
    """Set ranks: vLLM's copies of the attention share the experts, so SGLang's have to lie in one group."""
    plan = draft.plan
    tp, pp, dp = (
        int(str(plan.memory.options[f"{kind}_parallel_size"])) for kind in ("tensor", "pipeline", "data")
    )
    experts = bool(plan.request.options.get("enable_expert_parallel"))
    shared = dp > 1 and any(isinstance(layer.channel, MixtureOfExperts) for layer in plan.spec.layers)
    draft.skip("enable_expert_parallel", "decode_context_parallel_size")
    group = tp * dp if shared else tp
    draft.put("tensor_parallel_size", group, f"{group} ranks share every layer; {figures.weights(plan)}")
    draft.skip("pipeline_parallel_size", "data_parallel_size")
    if pp > 1:
        draft.put("pipeline_parallel_size", pp, f"{pp} ranks share out the layers")
    if shared:
        draft.put("attention_copies", dp, f"{dp} copies of the attention share the requests of the group")
    elif dp > 1:
        draft.put("data_parallel_size", dp, f"{dp} copies of the model share the requests")
    if experts:
        draft.put("expert_ranks", group, "whole experts on each rank")
    if dcp := plan.request.options.get("decode_context_parallel_size"):
        draft.put("decode_context_parallel_size", dcp, f"{dcp} ranks share the tokens of a cache")


def _fraction(draft: Draft) -> None:
    """Set the share of weights and pool: what the plan's scratch leaves, and at least what it needs."""
    device = figures.fullest(draft.plan)
    if device is None or not device.usable_bytes:
        draft.note("no device was given: SGLang itself chooses how much memory its pool takes")
        return
    whole = draft.plan.request.devices[0].usable_bytes
    share = float(str(draft.plan.memory.options["gpu_memory_utilization"]))
    held = sum(device.by_category[category] for category in STATIC)
    draft.put(
        "memory_fraction", static_fraction(device, whole, share),
        f"weights and pool, of which the plan needs {held / whole:.1%}; {figures.taken(draft.plan)}",
    )  # fmt: skip


def static_fraction(device: DevicePlan, usable_bytes: int, share: float) -> float:
    """Return the share of a device for weights and pool, in thousandths.

    What scratch and graphs leave of the engine's share, and never less than weights and caches need.
    """
    held = sum(device.by_category[category] for category in STATIC) / usable_bytes
    scratch = (device.by_category[Category.COMPUTE] + device.by_category[Category.GRAPH]) / usable_bytes
    return min(1000, max(floor(1000 * (share - scratch)), ceil(1000 * held), 1)) / 1000


def _speculation(draft: Draft) -> None:
    count = drafted(draft, "--speculative-algorithm and --speculative-draft-model-path")
    if not count:
        return
    if not draft.plan.spec.mtp_layers:
        draft.put("speculative_algorithm", "NGRAM", "matching the prompt, which needs no weights")
        draft.put("speculative_drafts", count, f"{count} tokens drafted at a time")
        return
    draft.put("speculative_algorithm", "NEXTN", "the model's own heads")
    draft.put("speculative_steps", count, f"{count} tokens drafted at a time")
    draft.put("speculative_topk", 1, "one candidate a step")
    draft.put("speculative_drafts", count + 1, f"{count} drafted tokens and the one that they follow")
