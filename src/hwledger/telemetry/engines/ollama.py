"""Ollama: models in memory (``/api/ps``), models on disk (``/api/tags``), one model (``/api/show``).

Sources: ollama ``docs/api.md`` and ``api/types.go`` (``size_vram`` and others are left out where they are
zero), 0.1.4x to 0.33; ``context_length`` since 2025-07.
"""

import re
from types import MappingProxyType
from typing import Any, Final

from hwledger.library.fields import mapping
from hwledger.telemetry.engines.replies import Found, cards, numbers, texts
from hwledger.telemetry.engines.sizes import Told, count_in, named
from hwledger.telemetry.parsing import checked, measured
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Basis, Gauge
from hwledger.telemetry.snapshot import EngineSnapshot, ModelSnapshot

ENGINE: Final = "ollama"
_RUNNING: Final = {
    Quantity.MODEL_BYTES: "size", Quantity.MODEL_DEVICE_BYTES: "size_vram",
    Quantity.CONTEXT: "context_length",
}  # fmt: skip
_CONTEXT: Final = re.compile(r"^\s*(?:PARAMETER\s+)?num_ctx\s+([0-9]{1,12})\s*$", re.MULTILINE)
IN_ALL: Final = "model_bytes holds weights, cache and compute buffers in one figure"
_NO_DEVICE: Final = "Ollama leaves size_vram out where it is zero"


def read_running(reply: object, gauge: Gauge) -> EngineSnapshot:
    """Return the models that Ollama has in memory."""
    models, notes = [], []
    for row in cards(reply, "models"):
        told = numbers(row, gauge, _RUNNING) | _details(row, gauge)
        if "size" in row and "size_vram" not in row:
            told[Quantity.MODEL_DEVICE_BYTES] = checked(_derived(gauge), Quantity.MODEL_DEVICE_BYTES, 0)
            notes.append(_NO_DEVICE)
        notes.append(IN_ALL)
        models.append(_model(row, told, loaded=True))
    return EngineSnapshot(ENGINE, models=tuple(models), notes=tuple(dict.fromkeys(notes)))


def read_stored(reply: object, gauge: Gauge) -> EngineSnapshot:
    """Return the models that Ollama has on its disk; whether they are in memory is not said."""
    models = [
        _model(row, numbers(row, gauge, {Quantity.FILE_BYTES: "size"}) | _details(row, gauge), loaded=None)
        for row in cards(reply, "models")
    ]
    return EngineSnapshot(ENGINE, models=tuple(models))


def read_shown(reply: object, gauge: Gauge) -> EngineSnapshot:
    """Return one model as its files describe it; whether it is in memory is not said."""
    shown = mapping(reply)
    info = mapping(shown.get("model_info"))
    told = numbers(info, gauge, {Quantity.PARAMETERS: "general.parameter_count"})
    told = _details(shown, gauge) | told
    said = shown.get("parameters")
    context = _CONTEXT.search(said[:10_000]) if isinstance(said, str) else None
    if context is not None:
        told[Quantity.CONTEXT] = measured(gauge, Quantity.CONTEXT, context[1])
    name = named(info.get("general.basename")) or named(info.get("general.name"))
    trained = _trained(info)
    notes = (f"the model was made for {trained:,} tokens of context",) if trained else ()
    return EngineSnapshot(ENGINE, models=(ModelSnapshot(name, readings=MappingProxyType(told)),), notes=notes)


def _trained(info: Found) -> int | None:
    value = info.get(f"{named(info.get('general.architecture'))}.context_length")
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 40 else None


def _details(row: Found, gauge: Gauge) -> Told:
    details = mapping(row.get("details"))
    told = texts(details, gauge, {Quantity.QUANTISATION: "quantization_level"})
    size = named(details.get("parameter_size"))
    return told | {Quantity.PARAMETERS: count_in(size, gauge)} if size else told


def _model(row: Found, told: Told, *, loaded: bool | None) -> ModelSnapshot:
    name = named(row.get("name")) or named(row.get("model"))
    return ModelSnapshot(name, loaded=loaded, readings=MappingProxyType(told))


def _derived(gauge: Gauge) -> Gauge:
    return Gauge(gauge.source, gauge.at, Basis.DERIVED)


def is_running(reply: Any) -> bool:
    """Whether a reply is that of ``/api/ps``; an empty list is taken for one."""
    if reply == {"models": []}:
        return True
    return _listed(reply) and any("expires_at" in row or "size_vram" in row for row in cards(reply, "models"))


def is_stored(reply: Any) -> bool:
    """Whether a reply is that of ``/api/tags``."""
    return _listed(reply) and not is_running(reply)


def _listed(reply: Any) -> bool:
    listed = cards(reply, "models")
    return "data" not in mapping(reply) and any("digest" in row and "size" in row for row in listed)


def is_shown(reply: Any) -> bool:
    """Whether a reply is that of ``/api/show``."""
    found = mapping(reply)
    return isinstance(found.get("model_info"), dict) and "details" in found
