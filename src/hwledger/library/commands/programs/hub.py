"""``hf download``: the model that is fetched, without an engine."""

import re
from typing import Final

from hwledger.errors import UsageError
from hwledger.library.commands.draft import Call, Draft
from hwledger.library.commands.table import table
from hwledger.library.deployment import Deployment
from hwledger.library.hub.choose import quant_label

_SHARD: Final = re.compile(r"-\d{5}-of-\d{5}(?=\.gguf$)", re.IGNORECASE)


def read(call: Call) -> Deployment:
    """Return the model that a download of the hub fetches.

    Raises:
        UsageError: it names no model, or a data set or space.
    """
    draft = Draft(call, None)
    parsed = table("hub").read(call.words)
    for item in parsed.items:
        draft.take(item)
    if draft.values.get("repo_type", "model") != "model":
        raise UsageError(
            f"{call.program} fetches a {draft.values['repo_type'][:20]}, no model; paste one with a model"
        )
    if parsed.loose:
        wanted = [*parsed.loose[1:], *draft.values.get("include", "").split()]
        draft.model = choose(parsed.loose[0], wanted)
    return draft.deployment()


def choose(repo: str, wanted: list[str]) -> str:
    """Return the reference of a repository, or of its one GGUF model that is ``wanted``."""
    files = [
        name for name in wanted if name.lower().endswith((".gguf", "*")) and "mmproj" not in name.lower()
    ]
    if len({_SHARD.sub("", name) for name in files}) != 1:
        return repo
    first = min(files)
    if "*" not in first:
        return f"hf:{repo}/{first}"
    label = quant_label(first.strip("*").removesuffix("/"))
    return f"hf:{repo}:{label}" if label else repo
