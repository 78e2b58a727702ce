"""llama.cpp's server: ``/v1/models``, ``/props``, ``/slots``.

Sources: llama.cpp ``tools/server/server-context.cpp`` and ``server-task.cpp``, b1500 to b11549: ``n_ctx`` is
of one slot; the busy slots' ``next_token`` is an object in older builds and a list of one in newer ones.
"""

from types import MappingProxyType
from typing import Any, Final

from hwledger.library.fields import mapping, rows, whole
from hwledger.telemetry.engines.replies import Found, cards, numbers, texts
from hwledger.telemetry.engines.sizes import Told, named
from hwledger.telemetry.parsing import checked
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Basis, Gauge
from hwledger.telemetry.snapshot import EngineSnapshot, ModelSnapshot

ENGINE: Final = "llama.cpp"
MOST_SLOTS: Final = 10_000
_META: Final = {
    Quantity.WEIGHTS_BYTES: "size", Quantity.PARAMETERS: "n_params", Quantity.CONTEXT: "n_ctx",
}  # fmt: skip
_IN_MEMORY: Final = {"loaded": True, "sleeping": False, "unloaded": False, "loading": False, "failed": False}


def read_models(reply: object, gauge: Gauge) -> EngineSnapshot:
    """Return the models of a server, or of a router: those that are not loaded have no figures."""
    models = []
    for card in cards(reply):
        meta = mapping(card.get("meta"))
        told = numbers(meta, gauge, _META) | texts(meta, gauge, {Quantity.QUANTISATION: "ftype"})
        state = named(mapping(card.get("status")).get("value"))
        loaded = _IN_MEMORY.get(state) if state else True
        models.append(ModelSnapshot(named(card.get("id")), loaded=loaded, readings=MappingProxyType(told)))
    return EngineSnapshot(ENGINE, models=tuple(models))


def read_props(reply: object, gauge: Gauge) -> EngineSnapshot:
    """Return slots and the context of one slot; no bytes are told."""
    props = mapping(reply)
    settings = mapping(props.get("default_generation_settings"))
    told = numbers(props, gauge, {Quantity.SLOTS: "total_slots"})
    told |= numbers(settings, gauge, {Quantity.CONTEXT: "n_ctx"})
    of_model = texts(props, gauge, {Quantity.QUANTISATION: "model_ftype"})
    name = named(props.get("model_alias")) or named(props.get("model_path"))
    asleep = props.get("is_sleeping") is True
    routes = named(props.get("role")) == "router" or name == "none"
    models = (ModelSnapshot(name, loaded=not asleep, readings=MappingProxyType(of_model)),)
    return EngineSnapshot(
        ENGINE, named(props.get("build_info")), models=() if routes else models,
        readings=MappingProxyType({} if routes else told),
        notes=("the model sleeps: it is loaded anew with the next request",) if asleep else (),
    )  # fmt: skip


def read_slots(reply: object, gauge: Gauge) -> EngineSnapshot:
    """Return how many slots there are, how many work, and the context of the largest."""
    slots = slots_of(reply)
    counted = Gauge(gauge.source, gauge.at, Basis.DERIVED)
    told: Told = {Quantity.SLOTS: checked(counted, Quantity.SLOTS, len(slots))}
    contexts = [size for slot in slots if (size := whole(slot.get("n_ctx")))]
    if contexts:
        told[Quantity.CONTEXT] = checked(gauge, Quantity.CONTEXT, max(contexts))
    states = [is_busy(slot) for slot in slots]
    if None not in states:
        told[Quantity.REQUESTS_RUNNING] = checked(counted, Quantity.REQUESTS_RUNNING, states.count(True))
    return EngineSnapshot(ENGINE, readings=MappingProxyType(told))


def slots_of(reply: object) -> list[Found]:
    """Return the slots of a reply."""
    return rows(reply)[:MOST_SLOTS]


def is_busy(slot: Found) -> bool | None:
    """Return whether a slot works; ``None`` where it does not say."""
    working, state = slot.get("is_processing"), slot.get("state")
    if isinstance(working, bool):
        return working
    return bool(state) if isinstance(state, int) else None


def tokens_in_flight(reply: object) -> dict[tuple[int, int], int]:
    """Return the tokens that each running request has generated so far, by slot and request."""
    found: dict[tuple[int, int], int] = {}
    for slot in slots_of(reply):
        following = slot.get("next_token")
        token = mapping(following[0]) if isinstance(following, list) and following else mapping(following)
        decoded, number, task = (
            whole(token.get("n_decoded")),
            whole(slot.get("id")),
            whole(slot.get("id_task")),
        )
        if is_busy(slot) and decoded is not None and number is not None and task is not None:
            found[number, task] = decoded
    return found


def is_models(reply: Any) -> bool:
    """Whether a reply is the list of models of llama.cpp."""
    return any(card.get("owned_by") == "llamacpp" for card in cards(reply))


def is_props(reply: Any) -> bool:
    """Whether a reply is that of ``/props``."""
    found = mapping(reply)
    return "total_slots" in found and isinstance(found.get("default_generation_settings"), dict)


def is_slots(reply: Any) -> bool:
    """Whether a reply is that of ``/slots``."""
    slots = slots_of(reply)
    return bool(slots) and all(
        "id" in slot and ("is_processing" in slot or "n_ctx" in slot) for slot in slots
    )
