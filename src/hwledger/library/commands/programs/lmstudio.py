"""LM Studio's ``lms``."""

from hwledger.library.commands.draft import Call, Draft
from hwledger.library.commands.table import table
from hwledger.library.deployment import Deployment


def read(call: Call) -> Deployment:
    """Return what ``lms load`` loads; the engine is that of the model's format.

    Raises:
        UsageError: it names no model.
    """
    draft = Draft(call, None)
    parsed = table("lmstudio").read(call.words)
    for item in parsed.items:
        if item.flag and item.flag.option == "gpu":
            _offload(draft, item.value, item.said)
        else:
            draft.take(item)
    if parsed.loose:
        draft.model = f"lmstudio:{parsed.loose[0]}"
        draft.left_over(parsed.loose[1:])
    return draft.deployment()


def _offload(draft: Draft, value: str, said: str) -> None:
    if value.lower() not in {"max", "1", "1.0", "auto"}:
        draft.note(f"{said} leaves a part of the model in host memory: give n_gpu_layers to plan it")
