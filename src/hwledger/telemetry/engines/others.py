"""Text Generation Inference, mistral.rs, MLX and vLLM: the replies that name what they run.

Sources: TGI ``docs/openapi.json`` (3.x) and ``router/src/lib.rs`` ``Info`` (1.x); mistral.rs
``mistralrs-server-core/src/handlers.rs``; mlx-lm 0.32 ``server.py``; vLLM ``entrypoints/openai``.
"""

from types import MappingProxyType
from typing import Any, Final

from hwledger.library.fields import mapping
from hwledger.telemetry.engines.replies import cards, numbers, texts
from hwledger.telemetry.engines.sizes import named
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Gauge
from hwledger.telemetry.snapshot import EngineSnapshot, ModelSnapshot

_TGI: Final = {Quantity.CONTEXT: "max_total_tokens", Quantity.KV_CACHE_TOKENS: "max_batch_total_tokens"}
_ROUTER: Final = "text-generation-router"
_STATES: Final = {"loaded": True, "unloaded": False, "reloading": False}
_ANY: Final = "default"
_PLAIN: Final = frozenset({"id", "object", "created"})


def read_tgi_info(reply: object, gauge: Gauge) -> EngineSnapshot:
    """Return what TGI's router is told to do: its limits; no bytes are told."""
    info = mapping(reply)
    told = numbers(info, gauge, _TGI)
    of_model = texts(info, gauge, {Quantity.QUANTISATION: "model_dtype"})
    name = named(info.get("model_id"))
    models = (ModelSnapshot(name, loaded=True, readings=MappingProxyType(of_model)),) if name else ()
    return EngineSnapshot("tgi", named(info.get("version")), models=models, readings=MappingProxyType(told))


def is_tgi_info(reply: Any) -> bool:
    """Whether a reply is that of TGI's ``/info``."""
    info = mapping(reply)
    if "router" in info:
        return named(info.get("router")).startswith(_ROUTER)
    return "model_id" in info and "max_total_tokens" in info and "validation_workers" in info


def read_mistral_models(reply: object, gauge: Gauge) -> EngineSnapshot:
    """Return the models of mistral.rs and whether they are loaded."""
    del gauge
    models = [
        ModelSnapshot(named(card.get("id")), loaded=_STATES.get(named(card.get("status"))))
        for card in cards(reply) if card.get("id") != _ANY
    ]  # fmt: skip
    return EngineSnapshot("mistral.rs", models=tuple(models))


def is_mistral_models(reply: Any) -> bool:
    """Whether a reply is the list of models of mistral.rs."""
    listed = cards(reply)
    return bool(listed) and all(card.get("owned_by") == "local" for card in listed)


def read_mlx_models(reply: object, gauge: Gauge) -> EngineSnapshot:
    """Return the models that mlx_lm.server may load; which of them it holds is not said."""
    del gauge
    models = tuple(ModelSnapshot(named(card.get("id"))) for card in cards(reply))
    return EngineSnapshot("mlx", models=models)


def is_mlx_models(reply: Any) -> bool:
    """Whether a reply is the list of models of mlx_lm.server, which no one signs."""
    listed = cards(reply)
    return bool(listed) and all(set(card) == _PLAIN for card in listed)


def read_served(reply: object, gauge: Gauge, engine: str) -> EngineSnapshot:
    """Return the models that vLLM or SGLang serve, with the longest context of each."""
    models = tuple(
        ModelSnapshot(
            named(card.get("id")), loaded=True,
            readings=MappingProxyType(numbers(card, gauge, {Quantity.CONTEXT: "max_model_len"})),
        )
        for card in cards(reply)
    )  # fmt: skip
    return EngineSnapshot(engine, models=models)


def is_served_by(reply: Any, engine: str) -> bool:
    """Whether a reply is the list of models of vLLM or SGLang."""
    return any(card.get("owned_by") == engine for card in cards(reply))
