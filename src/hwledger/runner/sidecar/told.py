"""What an engine in a sidecar is told of a plan, and what of a plan is not run there."""

from typing import Final

from hwledger.errors import UsageError
from hwledger.planner.export.reference import Reference, opened
from hwledger.planner.export.target import draft_for
from hwledger.planner.plan import Plan

REFUSED: Final = {
    "max_kv_size": "a cache that forgets", "kv_bits": "a cache that is quantised while it fills",
    "num_concurrent": "several requests at once",
}  # fmt: skip


def model_of(plan: Plan, target: str, rules: str, convert: str) -> tuple[Reference, tuple[str, ...]]:
    """Return the model of a plan as a program is told it, and what that could not be told.

    Args:
        plan: what is to run.
        target: the program's name as an export target.
        rules: the planner's engine whose plans it runs.
        convert: what makes the planned weights out of the stored ones.

    Raises:
        UsageError: the plan is of another engine, or of what is not run here.
    """
    draft = draft_for(plan, target)
    if plan.engine != rules:
        raise UsageError(
            f"the plan is one of {plan.engine}, and {draft.title} runs those of {rules} here: plan it with"
            f" --engine {rules}"
        )
    if plan.request.weights or plan.request.options.get("quantization"):
        raise UsageError(f"{draft.title} runs a model as it is stored here: {convert} and plan that")
    if plan.spec.adapter is not None:
        raise UsageError(f"{draft.title} runs no adapters here: merge it into its base and plan that")
    for option, what in REFUSED.items():
        if plan.request.options.get(option) not in {None, 1, "1"}:
            raise UsageError(f"{what} ({option}) is planned, and is not run here: plan without it")
    if plan.memory.concurrency > 1:
        raise UsageError(f"{draft.title} answers one request at a time here: plan with --concurrency 1")
    return opened(draft), tuple(draft.notes)
