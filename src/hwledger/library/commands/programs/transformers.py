"""``transformers serve`` and ``transformers chat``."""

from hwledger.library.commands.draft import Call, Draft
from hwledger.library.commands.table import table
from hwledger.library.deployment import Deployment

_PACKED = {"four": "nf4", "eight": "int8", "bnb-4bit": "nf4", "bnb-8bit": "int8"}


def read(call: Call) -> Deployment:
    """Return what a command of transformers runs.

    Raises:
        UsageError: it names no model.
    """
    draft = Draft(call, "transformers")
    parsed = table("transformers").read(call.words)
    for item in parsed.items:
        name = item.flag.option if item.flag else ""
        packed = _PACKED.get(name) or (_PACKED.get(item.value) if name == "quantization" else None)
        if packed:
            draft.values["weights"] = packed
        elif name == "dtype" and item.value == "auto":
            continue
        elif name == "quantization":
            draft.note(f"{item.said[:80]} can change the memory and is not planned")
        else:
            draft.take(item)
    model = next((word for word in parsed.loose if not word.startswith(("http://", "https://"))), "")
    draft.model = draft.model or model
    if "@" in draft.model and not draft.revision:
        draft.model, _, draft.revision = draft.model.partition("@")
    return draft.deployment()
