"""``modelscope download``: a model of ModelScope, which mostly has the hub's name."""

from hwledger.errors import UsageError
from hwledger.library.commands.draft import Call, Draft
from hwledger.library.commands.programs.hub import choose
from hwledger.library.commands.table import table
from hwledger.library.deployment import Deployment


def read(call: Call) -> Deployment:
    """Return the model that is fetched, under the same name on the hub.

    Raises:
        UsageError: it names no model.
    """
    draft = Draft(call, None)
    parsed = table("modelscope").read(call.words)
    for item in parsed.items:
        draft.take(item)
    if draft.values.get("dataset"):
        raise UsageError(f"{call.program} fetches a data set, no model; paste one with a model")
    loose = list(parsed.loose)
    if not draft.model and loose:
        draft.model = loose.pop(0)
    draft.model = choose(draft.model, [*loose, *draft.values.get("include", "").split()])
    draft.note("ModelScope is not read: the model of the same name on the hub is taken")
    return draft.deployment()
