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
    for item in table("mlx").read(call.words).items:
        draft.take(item)
    return draft.deployment()
