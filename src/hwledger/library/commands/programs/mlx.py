"""mlx-lm and mlx-vlm: server, generate and chat."""

from hwledger.library.commands.draft import Call, Draft
from hwledger.library.commands.table import table
from hwledger.library.deployment import Deployment


def read(call: Call) -> Deployment:
    """Return what a command of mlx-lm runs.

    Raises:
        UsageError: it names no model.
    """
    draft = Draft(call, "mlx")
    parsed = table("mlx").read(call.words)
    for item in parsed.items:
        draft.take(item)
    draft.left_over(parsed.loose)
    return draft.deployment()
