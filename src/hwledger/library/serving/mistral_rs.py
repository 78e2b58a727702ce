"""mistral.rs: ``/v1/models`` with the state of each model, and ``/v1/system/info``.

Source: mistral.rs ``mistralrs-server-core/src/handlers.rs`` and ``mistralrs-core/src/diagnostics.rs``.
"""

from typing import Any, Final
from urllib.parse import quote

from hwledger.errors import AmbiguousError, MissingError
from hwledger.library.deployment import Deployment
from hwledger.library.serving.reference import model_reference
from hwledger.library.serving.replies import Server, object_of, objects_of, owners, text_of, told_nothing

NAME: Final = "mistral.rs"
_ANY: Final = "default"
_STATES: Final = frozenset({"loaded", "unloaded", "reloading"})


def is_mistral_rs(server: Server) -> bool:
    """Whether the list begins with ``default`` of ``local``, or the machine is described as there."""
    if owners(server) != {"local"}:
        return False
    cards = objects_of(server.json("/v1/models"), "data")
    if text_of(cards[0], "id") == _ANY and all(text_of(card, "status") in _STATES for card in cards[1:]):
        return True
    return "git_revision" in object_of(server.json("/v1/system/info"), "build")


def read(server: Server) -> Deployment:
    """Return what a mistral.rs server runs.

    Raises:
        AmbiguousError: it has loaded several models.
        MissingError: it has no model of the name that was asked for.
        MalformedError: it does not say which model.
    """
    model, note = model_reference(_chosen(server))
    revision = text_of(object_of(server.json("/v1/system/info"), "build"), "git_revision")
    notes = [
        note,
        "mistral.rs has no profile of its own yet: it is planned with the engine of the model's format",
        "mistral.rs states neither its context nor how it packed weights: give --context, --weights",
    ]
    return Deployment(
        model=model,
        program=f"{NAME} ({revision[:12]})" if revision else NAME,
        notes=tuple(text for text in notes if text),
    )


def _chosen(server: Server) -> str:
    cards = [card for card in objects_of(server.json("/v1/models"), "data") if text_of(card, "id") != _ANY]
    names = [name for card in cards if (name := text_of(card, "id"))]
    if server.wanted is not None:
        if server.wanted not in names:
            raise MissingError(f"{server.address} has no model called {server.wanted[:200]!r}")
        return server.wanted
    loaded = [name for card in cards if _is_loaded(card) and (name := text_of(card, "id"))] or names
    if not loaded:
        raise told_nothing(NAME, server)
    if len(loaded) > 1:
        raise AmbiguousError(
            server.address, [f"{server.address}/?model={quote(name)}" for name in loaded[:20]]
        )
    return loaded[0]


def _is_loaded(card: dict[str, Any]) -> bool:
    return text_of(card, "status") in {"loaded", None}
