"""mlx-lm: ``mlx_lm.server``, after a conversion where the plan packs the weights."""

from typing import Final

from hwledger.errors import UsageError
from hwledger.planner.engines.mlx.profile import DEFAULTS
from hwledger.planner.export import figures
from hwledger.planner.export.recipe import Draft, Recipe, Step
from hwledger.planner.export.reference import Reference, opened, packed_as
from hwledger.planner.export.spelling import spell
from hwledger.planner.export.target import draft_for, finish
from hwledger.planner.plan import Plan

PREFILL_STEP: Final = DEFAULTS["prefill_step_size"]


def build(plan: Plan) -> Recipe:
    """Return how mlx-lm runs the plan.

    Raises:
        UsageError: mlx-lm cannot, with what to do instead.
    """
    draft = draft_for(plan, "mlx")
    _check_adapter(draft)
    model = opened(draft)
    if model.revision:
        draft.note(
            f"mlx_lm.server takes the newest commit of {model.text}; the plan is of"
            f" {model.revision[:12]}: fetch that"
            " with hf download --revision and plan the folder to be sure"
        )
    before, path = _converted(draft, model)
    draft.put("model", path, "the model that was planned")
    _settings(draft)
    _prompts(draft)
    draft.rest()
    return finish(draft, ("mlx_lm.server",), path, local=model.local, before=before)


def _check_adapter(draft: Draft) -> None:
    """Refuse an adapter: those that are read here are PEFT's, and mlx-lm reads its own alone.

    mlx-lm 0.32.2 ``tuner/utils.py`` ``load_adapters``: ``num_layers`` and ``lora_parameters`` of the config,
    and the weights of ``adapters.safetensors``.
    """
    if (adapter := draft.plan.spec.adapter) is not None:
        raise UsageError(
            f"{draft.title} reads adapters that mlx_lm.lora made, and {adapter.name} is one of PEFT: merge it"
            " into its base (merge_and_unload of peft) and plan the folder of that, or use --export vllm"
        )


def _converted(draft: Draft, model: Reference) -> tuple[tuple[Step, ...], str]:
    """Return the conversion that makes the planned weights, and where they are then."""
    name, bits = packed_as(draft)
    if not name:
        return (), model.text
    folder = f"{model.text.rstrip('/').rpartition('/')[2]}-{name}"
    words = ("mlx_lm.convert", "--hf-path", model.text, "--mlx-path", folder, "-q", "--q-bits", bits)
    return (
        Step(words=words, why=f"weights packed as {name}: {figures.weights(draft.plan)}", unless=folder),
    ), folder


def _settings(draft: Draft) -> None:
    plan, given = draft.plan, draft.plan.request.options
    tokens = plan.memory.context_tokens
    draft.skip("max_context", "num_concurrent", "max_kv_size", "prefill_step_size")
    draft.note(
        f"mlx_lm.server bounds no request: {tokens:,} tokens is what was planned ({figures.context(plan)})"
    )
    step = given.get("prefill_step_size", PREFILL_STEP)
    for name, value, usual, why in (
        ("num_concurrent", plan.memory.concurrency, 1, figures.requests(plan)),
        ("prefill_step_size", step, PREFILL_STEP, figures.scratch(plan)),
    ):
        if value != usual or spell("mlx", name, value, draft.version):
            draft.put(name, value, why)
    if most := given.get("max_kv_size"):
        draft.note(f"max_kv_size={most} is planned, and mlx_lm.server has no flag for it")
    bits = plan.memory.kv_type.removesuffix("bit")
    if bits.isdigit():
        draft.put("kv_bits", int(bits), figures.per_token(plan))
        for name in ("kv_group_size", "quantized_kv_start"):
            draft.put(name, given.get(name, DEFAULTS[name]), "how the cache is quantised")
        if plan.memory.concurrency > 1:
            draft.note("with --kv-bits mlx_lm.server answers one request after the other")
    draft.skip("kv_bits", "kv_group_size", "quantized_kv_start")


def _prompts(draft: Draft) -> None:
    """Bound what the server keeps of finished prompts: the plan holds running requests alone."""
    fit = draft.plan.fit
    if fit and fit.headroom_bytes > 0 and spell("mlx", "prompt_cache_bytes", 1, draft.version):
        draft.put(
            "prompt_cache_bytes", fit.headroom_bytes, "finished prompts are kept in what the plan leaves free"
        )
    else:
        draft.note(
            "mlx_lm.server keeps caches of finished prompts beside the plan; --prompt-cache-bytes bounds them"
        )
