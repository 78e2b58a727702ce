"""How LM Studio runs a model: the settings that its server loaded it with."""

from typing import Final

from hwledger.errors import InputError, UnreachableError
from hwledger.library.access import Access
from hwledger.library.deployment import Deployment
from hwledger.library.lmstudio.listed import Listed, named
from hwledger.library.lmstudio.server import base_url, list_models
from hwledger.library.lmstudio.store import match

PREFIX: Final = "lmstudio:"
PROGRAM: Final = "LM Studio"


def deployment(ref: str, access: Access) -> Deployment | None:
    """Return how LM Studio runs the model that ``lmstudio:NAME`` names; ``None``: no such reference.

    A server that does not answer, or that has the model not in memory, is no error: a note says it.

    Raises:
        UsageError: LMSTUDIO_BASE_URL is no address.
    """
    if not ref.startswith(PREFIX):
        return None
    name, url = ref.removeprefix(PREFIX), base_url()
    try:
        listed = list_models(access)
    except (UnreachableError, InputError):
        note = f"no LM Studio at {url} says how it is run, so it is planned with usual settings"
        return Deployment(model=ref, program=PROGRAM, notes=(note,))
    model = named(listed, name) or _by_file(listed, name)
    if model is None or not model.loaded:
        note = "LM Studio does not have it in memory, so it is planned with usual settings"
        return Deployment(model=ref, program=PROGRAM, notes=(note,))
    return loaded(ref, model)


def loaded(ref: str, model: Listed) -> Deployment:
    """Return the deployment of a model with the settings that it was loaded with."""
    return Deployment(
        model=ref, program=PROGRAM, engine=model.engine, context=model.loaded_context,
        options=model.options, notes=model.notes,
    )  # fmt: skip


def _by_file(listed: list[Listed], name: str) -> Listed | None:
    """Return the listed model whose file on this machine ``name`` is."""
    found = match(name)
    return next((model for model in listed if found and found[0] in match(model.key)), None)
