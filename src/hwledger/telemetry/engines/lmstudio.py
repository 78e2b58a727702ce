"""LM Studio: ``/api/v1/models``, ``/api/v0/models`` and what loading a model answers; no memory is told.

Source: LM Studio's documentation of its REST API, 0.3.6 to 0.4.
"""

from types import MappingProxyType
from typing import Any, Final

from hwledger.library.fields import mapping, rows
from hwledger.telemetry.engines.replies import Found, cards, numbers, texts
from hwledger.telemetry.engines.sizes import Told, count_in, named
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Gauge
from hwledger.telemetry.snapshot import EngineSnapshot, ModelSnapshot

ENGINE: Final = "lmstudio"
_LOADED: Final = {Quantity.CONTEXT: "context_length", Quantity.SLOTS: "parallel"}
_MOST_INSTANCES: Final = 100


def read_newer(reply: object, gauge: Gauge) -> EngineSnapshot:
    """Return the models of ``/api/v1/models``: each loaded instance, and those that are on disk alone."""
    models = [model for row in cards(reply, "models") for model in _instances(row, gauge)]
    return EngineSnapshot(ENGINE, models=tuple(models))


def _instances(row: Found, gauge: Gauge) -> list[ModelSnapshot]:
    told = numbers(row, gauge, {Quantity.FILE_BYTES: "size_bytes"})
    told |= texts(mapping(row.get("quantization")), gauge, {Quantity.QUANTISATION: "name"})
    size = named(row.get("params_string"))
    if size:
        told[Quantity.PARAMETERS] = count_in(size, gauge)
    name = named(row.get("key"))
    instances = rows(row.get("loaded_instances"))[:_MOST_INSTANCES]
    if not instances:
        return [ModelSnapshot(name, loaded=False, readings=MappingProxyType(told))]
    return [
        _model(named(each.get("id")) or name, told | numbers(mapping(each.get("config")), gauge, _LOADED))
        for each in instances
    ]


def _model(name: str, told: Told) -> ModelSnapshot:
    return ModelSnapshot(name, loaded=True, readings=MappingProxyType(told))


def read_older(reply: object, gauge: Gauge) -> EngineSnapshot:
    """Return the models of ``/api/v0/models``; the context is told of loaded ones."""
    models = []
    for row in cards(reply):
        told = texts(row, gauge, {Quantity.QUANTISATION: "quantization"})
        told |= numbers(row, gauge, {Quantity.CONTEXT: "loaded_context_length"})
        loaded = {"loaded": True, "not-loaded": False}.get(named(row.get("state")))
        models.append(ModelSnapshot(named(row.get("id")), loaded=loaded, readings=MappingProxyType(told)))
    return EngineSnapshot(ENGINE, models=tuple(models))


def read_load(reply: object, gauge: Gauge) -> EngineSnapshot:
    """Return the model that was loaded."""
    found = mapping(reply)
    told = numbers(mapping(found.get("load_config")), gauge, _LOADED)
    loaded = True if named(found.get("status")) == "loaded" else None
    model = ModelSnapshot(named(found.get("instance_id")), loaded=loaded, readings=MappingProxyType(told))
    return EngineSnapshot(ENGINE, models=(model,))


_OLDER: Final = frozenset({"compatibility_type", "max_context_length", "loaded_context_length"})


def is_newer(reply: Any) -> bool:
    """Whether a reply is that of ``/api/v1/models``."""
    return any("key" in row and "loaded_instances" in row for row in cards(reply, "models"))


def is_older(reply: Any) -> bool:
    """Whether a reply is that of ``/api/v0/models``."""
    return any("state" in row and _OLDER & row.keys() for row in cards(reply))


def is_load(reply: Any) -> bool:
    """Whether a reply is that of loading a model."""
    found = mapping(reply)
    return "instance_id" in found and "status" in found
