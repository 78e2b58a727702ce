"""Ollama's server log, of both of its times: estimates made before loading, and lines by device.

Sources: ollama ``llm/memory.go`` (estimates, up to 0.11), ``ml/backend/ggml/ggml.go`` (0.7 to 0.11: lines
with ``buffer``, or with ``backend`` and ``buffer_type``), ``ml/device.go`` (lines by device, 0.12 and later).
Where its runner is llama.cpp, the log has llama.cpp's own lines of buffers, which are believed before
estimates.
"""

import re
from types import MappingProxyType
from typing import Final

from hwledger.telemetry.engines.llama_log import read_llama_log
from hwledger.telemetry.engines.sizes import Devices, Told, explained, frozen, with_sums
from hwledger.telemetry.parsing import checked, measured
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Basis, Gauge, Reading, Value, number_of
from hwledger.telemetry.snapshot import EngineSnapshot, ModelSnapshot, Sample

SOURCE: Final = "Ollama log"
_DEVICE: Final = re.compile(
    r'msg="(?P<kind>model weights|kv cache|compute graph)"'
    r" (?:device|buffer|backend=[\w.-]{1,60} buffer_type)=(?P<device>[\w.-]{1,60})"
    r' size="(?P<size>[^"]{1,40})"'
)
_TOTAL: Final = re.compile(r'msg="total memory" size="([^"]{1,40})"')
_ESTIMATE: Final = re.compile(r'\bmsg="?offload\b')
_OF_ESTIMATE: Final = "memory.required.full="
_PAIR: Final = re.compile(r'([\w.]{1,60})=(?:"([^"]{0,200})"|(\S{1,200}))')
_KINDS: Final = {
    "model weights": Quantity.WEIGHTS_BYTES, "kv cache": Quantity.KV_CACHE_BYTES,
    "compute graph": Quantity.COMPUTE_BYTES,
}  # fmt: skip
_ESTIMATES: Final = {
    Quantity.WEIGHTS_BYTES: "memory.weights.total", Quantity.KV_CACHE_BYTES: "memory.required.kv",
    Quantity.MODEL_BYTES: "memory.required.full",
}  # fmt: skip
_NOTE: Final = "figures are Ollama's estimates, made before it loaded the model; nothing was measured"
_LONGEST_LINE: Final = 20_000


def is_ollama_log(text: str) -> bool:
    """Whether a text is a log of Ollama that says how it loads a model."""
    return bool(_DEVICE.search(text)) or _estimates(text)


def _estimates(text: str) -> bool:
    """Whether a line, or one of a text, is that of an estimate."""
    return _OF_ESTIMATE in text and bool(_ESTIMATE.search(text))


def read_ollama_log(text: str) -> Sample:
    """Return what the last load of a log says."""
    gauge = Gauge(SOURCE, basis=Basis.LOGGED)
    devices, estimate, total = _last(text, gauge)
    notes: tuple[str, ...] = ()
    if devices:
        told = {**with_sums(gauge, devices, _KINDS.values()), **total}
    else:
        beneath = read_llama_log(text)
        model = beneath.engines[0].models[0]
        if model.devices and any(isinstance(each, Value) for each in model.readings.values()):
            return Sample(engines=(_engine(model, beneath.engines[0].notes),))
        told, notes = _estimated(estimate, gauge), (_NOTE,)
    model = ModelSnapshot(
        "", loaded=True if devices else None, readings=MappingProxyType(told), devices=frozen(devices)
    )
    return explained(Sample(engines=(_engine(model, notes),)), SOURCE, "it says nothing of memory")


def _engine(model: ModelSnapshot, notes: tuple[str, ...]) -> EngineSnapshot:
    return EngineSnapshot("ollama", models=(model,), notes=notes)


def _last(text: str, gauge: Gauge) -> tuple[Devices, dict[str, str], Told]:
    """Return the lines by device of the last load, its estimates, and its total."""
    devices: Devices = {}
    total: Told = {}
    estimate: dict[str, str] = {}
    behind = False
    for line in text.split("\n"):
        short = line[:_LONGEST_LINE]
        if found := _DEVICE.search(short):
            weights = found["kind"] == "model weights"
            if weights and behind:
                devices, total = {}, {}
            behind = not weights
            quantity = _KINDS[found["kind"]]
            devices.setdefault(found["device"], {})[quantity] = measured(gauge, quantity, found["size"])
        elif found := _TOTAL.search(short):
            total = {Quantity.MODEL_BYTES: measured(gauge, Quantity.MODEL_BYTES, found[1])}
        elif _estimates(short):
            estimate = {key: quoted or plain for key, quoted, plain in _PAIR.findall(short)}
    return devices, estimate, total


def _estimated(pairs: dict[str, str], gauge: Gauge) -> Told:
    told: Told = {name: measured(gauge, name, pairs[key]) for name, key in _ESTIMATES.items() if key in pairs}
    whole = pairs.get("layers.offload") == pairs.get("layers.model")
    graph = pairs.get("memory.graph.full" if whole else "memory.graph.partial")
    if graph is not None:
        told[Quantity.COMPUTE_BYTES] = measured(gauge, Quantity.COMPUTE_BYTES, graph)
    if "memory.required.allocations" in pairs:
        told[Quantity.MODEL_DEVICE_BYTES] = _allocated(pairs["memory.required.allocations"], gauge)
    return told


def _allocated(text: str, gauge: Gauge) -> Reading:
    """Return the sum of a list of sizes: ``[17.8 GiB 3.0 GiB]``."""
    name = Quantity.MODEL_DEVICE_BYTES
    words = text.strip("[] ").split()
    each = [measured(gauge, name, " ".join(words[at : at + 2])) for at in range(0, len(words), 2)]
    numbers = [number for reading in each if (number := number_of(reading)) is not None]
    if len(each) == 1 or len(numbers) < len(each):
        return next((reading for reading in each if not isinstance(reading, Value)), each[0])
    if not each:
        return checked(gauge, name, 0)
    return checked(Gauge(SOURCE, basis=Basis.DERIVED), name, sum(numbers))
