"""mistral.rs, planned with the engine of the model's format."""

import re
from typing import Final

from hwledger.library.commands.draft import Call, Draft
from hwledger.library.commands.table import table
from hwledger.library.deployment import Deployment
from hwledger.planner.weights import weight_types

_ISQ: Final = re.compile(r"q(\d)(?:_?(k|[01]))?", re.IGNORECASE)
_LEGACY: Final = {"4": "q4_k", "2": "q2_k", "3": "q3_k", "5": "q5_k", "6": "q6_k", "8": "q8_0"}


def read(call: Call) -> Deployment:
    """Return what a command of mistral.rs runs.

    Raises:
        UsageError: it names no model.
    """
    draft = Draft(call, None)
    parsed = table("mistralrs").read(call.words)
    for item in parsed.items:
        draft.take(item)
    settle(draft, parsed.loose)
    return draft.deployment()


def settle(draft: Draft, loose: list[str]) -> None:
    """Make one reference and one weight type of what was told."""
    values = draft.values
    draft.note(
        "mistral.rs has no profile of its own yet: it is planned with the engine of the model's format"
    )
    if repo := values.get("gguf_repo"):
        draft.model = repo
    if file := values.get("gguf_file"):
        draft.engine = "llama.cpp"
        draft.model = _in(draft.model, re.split("[; ]", file, maxsplit=1)[0])
    if draft.model == "" and loose:
        draft.model = next((word for word in loose if "/" in word), "")
    if packed := values.get("weights"):
        values["weights"] = _packed(packed)
        if values["weights"] not in {name.lower() for name in weight_types()}:
            draft.note(f"in-situ quantisation to {values.pop('weights')[:40]} is not planned")


def _in(place: str, file: str) -> str:
    if not place:
        return file
    return f"{place.rstrip('/')}/{file}" if place[:1] in {".", "/", "~"} else f"hf:{place}/{file}"


def _packed(text: str) -> str:
    """Return the weight type that an ``--isq`` level stands for: ``Q4K`` is ``q4_k``, ``8`` is ``q8_0``."""
    found = _ISQ.fullmatch(text)
    if text in _LEGACY:
        return _LEGACY[text]
    return f"q{found[1]}_{(found[2] or 'k').lower()}" if found else text.lower()
