"""Which device holds which layer.

Source: llama.cpp b11434 ``src/llama-model.cpp`` ``load_tensors``: the last ``n_gpu_layers`` layers are on
devices, the output counting as one; each device takes a run of them by its share. The arithmetic is in
32-bit floats, which decides ties.
"""

from array import array
from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate

from hwledger.device.spec import DeviceSpec
from hwledger.planner.engines.llama_cpp.settings import Settings
from hwledger.planner.memory import HOST


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where the parts of a model are: device numbers, or ``HOST``.

    Attributes:
        layers: per layer, MTP layers behind the others.
        output: the output matrix.
        experts_on_host: first layers whose experts stay in host memory.
        devices: devices that take part.
    """

    layers: tuple[int, ...]
    output: int
    experts_on_host: int
    devices: tuple[int, ...]


def place(settings: Settings, devices: tuple[DeviceSpec, ...], layers: int) -> Places:
    """Return where ``layers`` layers and the output go; no device given means one."""
    used = tuple(range(max(1, len(devices)))) if settings.main is None else (settings.main,)
    offloaded = layers + 1 if settings.gpu_layers is None else min(settings.gpu_layers, layers + 1)
    start = layers + 1 - offloaded
    shares = _shares(settings, devices, used)
    runs = [used[i] for i in _runs(shares, offloaded)]
    places = [*[HOST] * start, *runs]
    experts = layers if settings.cpu_moe is None else min(settings.cpu_moe, layers)
    return Places(layers=tuple(places[:layers]), output=places[layers], experts_on_host=experts, devices=used)


def _shares(settings: Settings, devices: tuple[DeviceSpec, ...], used: tuple[int, ...]) -> list[float]:
    """Shares as given, else free memory: what is usable less the process's own context; alike for none."""
    if len(used) == 1:
        return [1.0]
    if settings.split:
        return list(settings.split)
    free = [float(max(0, device.usable_bytes - device.context_bytes)) for device in devices]
    return free if any(free) else [1.0] * len(free)


def _runs(shares: list[float], count: int) -> list[int]:
    """The device of each of ``count`` layers: the first whose running share exceeds the layer's."""
    running = list(accumulate(map(_single, shares), lambda before, share: _single(before + share)))
    if len(shares) == 1 or not running[-1]:  # shares too small for 32 bits are none
        return [0] * count
    bounds = [_single(end / running[-1]) for end in running]
    positions = (_single(index / max(1, count)) for index in range(count))
    return [min(bisect_right(bounds, position), len(shares) - 1) for position in positions]


def _single(value: float) -> float:
    """Return a number as a 32-bit float holds it; rounding a sum or quotient of two such is what it does."""
    return array("f", (value,))[0]
