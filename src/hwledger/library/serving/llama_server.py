"""``llama-server`` of llama.cpp: ``/props`` and the facts of the file in ``/v1/models``."""

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from hwledger.errors import AmbiguousError, MissingError, UnreachableError
from hwledger.library.deployment import Deployment
from hwledger.library.llama_cpp_defaults import llama_cpp_default
from hwledger.library.serving.reference import best_reference
from hwledger.library.serving.replies import (
    Server,
    object_of,
    objects_of,
    owners,
    text_of,
    told_nothing,
    whole_of,
)
from hwledger.library.serving.settings import Settings
from hwledger.planner.engines.llama_cpp.settings import OLDEST

NAME: Final = "llama-server"
_BUILD: Final = re.compile(r"b([1-9]\d{0,7})(?:-|$)")
_LOADED: Final = frozenset({"loaded", "sleeping"})


def is_llama_server(server: Server) -> bool:
    """Whether the models that the server lists are owned by llama.cpp."""
    return "llamacpp" in owners(server)


def is_llama_server_by_props(server: Server) -> bool:
    """Whether the server has slots as llama.cpp has them."""
    props = server.json("/props")
    return "total_slots" in props and bool(object_of(props, "default_generation_settings"))


def read(server: Server) -> Deployment:
    """Return what a llama.cpp server runs.

    Raises:
        AmbiguousError: it has several models and runs none of them, or more than one.
        MissingError: it has no model of the name that was asked for.
        UnreachableError: the model that was asked for is not loaded.
        MalformedError: it does not say which model.
    """
    props, card = _props_and_card(server)
    settings = Settings("llama.cpp")
    model = _model(settings, props, card, server)
    build = text_of(props, "build_info")
    _enter_context(settings, props, build)
    _note_file(settings, object_of(card, "meta"))
    return Deployment(
        model=model, program=f"{NAME} {build}" if build else NAME, engine="llama.cpp",
        engine_version=_version(build),
        options=settings.options, notes=tuple(settings.notes),
    )  # fmt: skip


def _props_and_card(server: Server) -> tuple[dict[str, Any], dict[str, Any]]:
    props, cards = server.json("/props"), objects_of(server.json("/v1/models"), "data")
    routes = text_of(props, "role") == "router" or text_of(props, "model_path") == "none" or len(cards) > 1
    if not routes:
        return props, cards[0] if cards else {}
    card = _chosen(server, {text_of(card, "id") or "": card for card in cards})
    name = text_of(card, "id") or ""
    return server.json(f"/props?model={quote(name, safe='')}&autoload=false"), card


def _chosen(server: Server, cards: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the one model that a router runs, or the one that was named."""
    loaded = [name for name, card in cards.items() if text_of(object_of(card, "status"), "value") in _LOADED]
    if server.wanted is not None and server.wanted not in cards:
        raise MissingError(f"{server.address} has no model called {server.wanted[:200]!r}")
    if server.wanted is None and len(loaded) != 1:
        listed = loaded or list(cards)
        raise AmbiguousError(
            server.address, [f"{server.address}/?model={quote(name)}" for name in listed[:20]]
        )
    name = loaded[0] if server.wanted is None else server.wanted
    if name not in loaded:
        raise UnreachableError(f"{server.address} has not loaded {name[:200]!r}; send it a request first")
    return cards[name]


def _model(settings: Settings, props: Mapping[str, Any], card: Mapping[str, Any], server: Server) -> str:
    path, alias = text_of(props, "model_path"), text_of(props, "model_alias") or text_of(card, "id")
    found = best_reference(path, alias)  # -hf: the name is the repository, the path a file of its cache
    if found is None:
        raise told_nothing(NAME, server)
    settings.note(found[1])
    return found[0]


def _enter_context(settings: Settings, props: Mapping[str, Any], build: str | None) -> None:
    """Enter context and slots: the server states tokens of one slot, and not whether slots share a cache."""
    tokens = whole_of(object_of(props, "default_generation_settings"), "n_ctx")
    slots = whole_of(props, "total_slots") or 1
    settings.take("n_parallel", slots)
    if tokens is None:
        settings.note("the server does not state its context: give --option n_ctx=N")
    elif slots > 1 and slots == _slots_by_itself(build):
        settings.take("n_ctx", tokens)
        settings.take("kv_unified", "on")
        settings.note(
            f"{slots} slots are what llama-server takes by itself, then sharing one cache of {tokens:,}"
            f" tokens; where it was started with -np {slots}, give --option kv_unified=off"
            f" --option n_ctx={tokens * slots}"
        )
    else:
        settings.take("n_ctx", tokens * slots)
        if slots > 1:
            settings.note(
                f"{slots} slots of {tokens:,} tokens each; where it was started with --kv-unified they share"
                f" one cache: give --option kv_unified=on --option n_ctx={tokens}"
            )


def _number(build: str | None) -> int | None:
    found = _BUILD.match(build or "")
    return int(found[1]) if found else None


def _version(build: str | None) -> str | None:
    """Return the build where the planner has rules for it; builds of one's own call themselves b0 or b1."""
    number = _number(build)
    return f"b{number}" if number is not None and number >= OLDEST else None


def _slots_by_itself(build: str | None) -> int:
    """Return the slots without ``-np``: more than one share one cache (llama.cpp pull 16736)."""
    number = _number(build)
    own = number is None or number < OLDEST  # a build of one's own: taken for a new one
    return int(llama_cpp_default("server", "n_parallel", None if own else number))


def _note_file(settings: Settings, meta: Mapping[str, Any]) -> None:
    said = [
        f"{value:,} {unit}"
        for key, unit in (
            ("n_params", "parameters"), ("size", "bytes of weights"),
            ("n_ctx_train", "tokens of trained context"),
        )
        if (value := whole_of(meta, key))
    ]  # fmt: skip
    if said:
        settings.note(f"the server states {', '.join(said)}")
    settings.note(
        "the server does not state types of its cache, batch or what is offloaded: defaults are planned"
    )
