"""``hf download``: the model that is fetched, without an engine."""

from hwledger.errors import UsageError
from hwledger.library.commands.draft import Call, Draft
from hwledger.library.commands.table import table
from hwledger.library.deployment import Deployment


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
        draft.model = choose(parsed.loose[0], wanted, pinned=draft.revision is not None)
    return draft.deployment()


def choose(repo: str, wanted: list[str], *, pinned: bool = False) -> str:
    """Return the reference of a repository, or of its one GGUF file that is ``wanted``."""
    files = [
        name for name in wanted if name.lower().endswith((".gguf", "*")) and "mmproj" not in name.lower()
    ]
    if len(files) != 1 or pinned:
        return repo
    plain = files[0].strip("*")
    if "*" not in files[0]:
        return f"hf:{repo}/{files[0]}"
    label = plain.lower().removesuffix(".gguf").rstrip("*").strip("-_./")
    usable = bool(label) and "*" not in label and "/" not in label
    return f"hf:{repo}:{plain[: len(plain)].removesuffix('.gguf').strip('-_./')}" if usable else repo
