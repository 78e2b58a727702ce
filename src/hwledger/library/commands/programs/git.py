"""``git clone`` of a repository of the hub."""

from typing import Final

from hwledger.errors import UsageError
from hwledger.library.commands.draft import Call, Draft
from hwledger.library.commands.table import table
from hwledger.library.deployment import Deployment

_HUBS: Final = ("https://huggingface.co/", "https://hf.co/", "http://huggingface.co/", "git@hf.co:")


def read(call: Call) -> Deployment:
    """Return the model whose repository is cloned.

    Raises:
        UsageError: the address is no model of the hub.
    """
    draft = Draft(call, None)
    parsed = table("git").read(call.words)
    for item in parsed.items:
        draft.take(item)
    address = next((word for word in parsed.loose if "/" in word), "")
    name = next((address[len(hub) :] for hub in _HUBS if address.startswith(hub)), "")
    name = name.rstrip("/").removesuffix(".git")
    if name.count("/") != 1 or name.startswith(("datasets/", "spaces/")):
        raise UsageError(f"{call.program} names no model of huggingface.co; paste the address of a model")
    draft.model = name
    return draft.deployment()
